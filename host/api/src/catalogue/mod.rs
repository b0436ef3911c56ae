//! What is served: the generated table of built-in resources, the catalogue of all that are served at a time, and the documents that tell
//! clients of it.
//!
//! A [`Catalogue`] never changes. A new one takes the place of the old as a whole, and a request keeps the one that it began with.

pub mod connect;
pub mod discovery;
pub mod openapi;
pub mod resource;
pub mod selectable;
pub mod tables;
pub mod version;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use apimachinery::schema::SchemaRef;
use apimachinery::{GroupVersionKind, GroupVersionResource};

pub use resource::{Resource, ResourceRef, ResourceScope, Subresource, Verbs};

/// All kinds that are served at a time.
#[derive(Debug)]
pub struct Catalogue {
    /// In the order of discovery: the built-in ones, then the others in the order in which they came.
    rows: Vec<ResourceRef>,
    /// Places in `rows`, in the order of group, version and plural.
    by_plural: Vec<usize>,
    /// Places in `rows`, in the order of group, version and kind.
    by_kind: Vec<usize>,
    /// The rows whose objects lie at one place in the store, in the order of discovery.
    by_place: HashMap<String, Vec<ResourceRef>>,
}

type Key<'a> = (&'a str, &'a str, &'a str);

fn plural_of(row: &Resource) -> Key<'_> {
    (&row.gvr.group, &row.gvr.version, &row.gvr.resource)
}

fn kind_of(row: &Resource) -> Key<'_> {
    (&row.gvk.group, &row.gvk.version, &row.gvk.kind)
}

impl Catalogue {
    /// The built-in kinds.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Catalogue>> =
            LazyLock::new(|| Arc::new(Catalogue::of(tables::resources().iter().map(ResourceRef::from).collect())));
        BUILT_IN.clone()
    }

    fn of(rows: Vec<ResourceRef>) -> Self {
        let sorted = |key: fn(&Resource) -> Key<'_>| {
            let mut places: Vec<usize> = (0..rows.len()).collect();
            places.sort_by(|a, b| key(&rows[*a]).cmp(&key(&rows[*b])));
            places
        };
        let (by_plural, by_kind) = (sorted(plural_of), sorted(kind_of));
        let mut by_place: HashMap<String, Vec<ResourceRef>> = HashMap::new();
        for row in rows.iter().filter(|row| !row.storage_prefix.is_empty()) {
            by_place.entry(row.storage_prefix.to_string()).or_default().push(row.clone());
        }
        Self { rows, by_plural, by_kind, by_place }
    }

    /// The same kinds and these. A row of the same group, version and plural takes the place of the one before.
    pub fn with(&self, added: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let mut rows = self.rows.clone();
        for row in added {
            match rows.iter().position(|known| known.gvr == row.gvr) {
                Some(at) => rows[at] = ResourceRef::Shared(row),
                None => rows.push(ResourceRef::Shared(row)),
            }
        }
        Self::of(rows)
    }

    /// The same kinds without this one.
    pub fn without(&self, removed: &GroupVersionResource) -> Self {
        Self::of(self.rows.iter().filter(|row| row.gvr != *removed).cloned().collect())
    }

    /// All kinds, in the order of discovery.
    pub fn resources(&self) -> &[ResourceRef] {
        &self.rows
    }

    /// One row for each place in the store: the one in whose version objects are stored.
    pub fn stored_resources(&self) -> impl Iterator<Item = &ResourceRef> {
        let places: BTreeMap<&str, &ResourceRef> =
            self.by_place.iter().filter_map(|(place, rows)| Some((place.as_str(), self.stored(rows.first()?)))).collect();
        places.into_values()
    }

    /// The resource of that group, version and plural.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&ResourceRef> {
        self.search(&self.by_plural, plural_of, (group, version, plural))
    }

    /// The resource of that kind.
    pub fn find_kind(&self, gvk: &GroupVersionKind) -> Option<&ResourceRef> {
        self.search(&self.by_kind, kind_of, (&gvk.group, &gvk.version, &gvk.kind))
    }

    fn search(&self, sorted: &[usize], key_of: fn(&Resource) -> Key<'_>, key: Key<'_>) -> Option<&ResourceRef> {
        let found = sorted.binary_search_by(|&place| key_of(&self.rows[place]).cmp(&key)).ok()?;
        Some(&self.rows[sorted[found]])
    }

    /// The row in whose version objects of this resource are stored: the resource's own where the stored version is not served.
    pub fn stored<'a>(&'a self, resource: &'a ResourceRef) -> &'a ResourceRef {
        if resource.gvk == resource.storage_gvk {
            return resource;
        }
        self.find_kind(&resource.storage_gvk).unwrap_or(resource)
    }

    /// The resources whose objects lie at one place in the store, in the order of discovery: versions of one resource, or views of the
    /// same objects in several groups. None lies at the empty place.
    pub fn sharing(&self, storage_prefix: &str) -> &[ResourceRef] {
        self.by_place.get(storage_prefix).map_or(&[], Vec::as_slice)
    }

    /// The shape of any kind that a client may send or get: of resources, of subresources (`Scale`, `Eviction`, `TokenRequest`),
    /// of lists (`PodList`) and of options (`DeleteOptions`).
    pub fn schema_of(&self, gvk: &GroupVersionKind) -> Option<SchemaRef> {
        tables::schema_of(gvk).or_else(|| self.find_kind(gvk).map(|row| row.schema.clone()))
    }

    /// Whether anything of the group is served.
    pub fn has_group(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row.gvr.group == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Conversion;

    /// `widgets.example.com`, in one version, stored in `stored`.
    fn widgets(version: &'static str, stored: &'static str) -> Arc<Resource> {
        let gvr = GroupVersionResource { group: "example.com".into(), version: version.into(), resource: "widgets".into() };
        Arc::new(Resource {
            gvr,
            gvk: GroupVersionKind::of("example.com", version, "Widget"),
            singular: "widget".into(),
            short_names: [].as_slice().into(),
            categories: [].as_slice().into(),
            scope: ResourceScope::Namespaced,
            verbs: [].as_slice().into(),
            subresources: [].as_slice().into(),
            schema: tables::find("", "v1", "configmaps").expect("built in").schema.clone(),
            storage_gvk: GroupVersionKind::of("example.com", stored, "Widget"),
            storage_prefix: "example.com/widgets".into(),
            selectable_fields: [].as_slice().into(),
            storage_version_hash: "".into(),
            deprecation: "".into(),
            conversion: Conversion::default(),
        })
    }

    #[test]
    fn built_in_kinds_are_found_as_in_the_table() {
        let catalogue = Catalogue::built_in();
        assert_eq!(catalogue.resources().len(), tables::resources().len());
        for row in tables::resources() {
            let same = |found: Option<&ResourceRef>| found.is_some_and(|found| std::ptr::eq(&**found, row));
            assert!(same(catalogue.find(&row.gvr.group, &row.gvr.version, &row.gvr.resource)), "{}", row.gvr);
            assert!(same(catalogue.find_kind(&row.gvk)), "{}", row.gvk);
            assert!(catalogue.schema_of(&row.gvk).is_some() && catalogue.has_group(&row.gvr.group));
        }
        let stored: Vec<&str> = catalogue.stored_resources().map(|row| &*row.storage_prefix).collect();
        assert!(stored.is_sorted() && stored.contains(&"pods") && !stored.contains(&""), "{stored:?}");
        // All versions of a resource agree on the one that is stored.
        for stored in catalogue.stored_resources() {
            assert!(catalogue.sharing(&stored.storage_prefix).iter().all(|row| catalogue.stored(row).is(stored)), "{}", stored.gvr);
        }
    }

    #[test]
    fn kinds_come_and_go() {
        let before = Catalogue::built_in();
        let after = before.with([widgets("v1", "v1"), widgets("v1beta1", "v1")]);
        assert_eq!(after.resources().len(), before.resources().len() + 2);
        let older = after.find("example.com", "v1beta1", "widgets").expect("it was added");
        assert_eq!(&*after.stored(older).gvk.version, "v1");
        assert_eq!(after.sharing("example.com/widgets").len(), 2);
        assert_eq!(after.stored_resources().filter(|row| row.storage_prefix == "example.com/widgets").count(), 1);
        assert!(after.schema_of(&older.gvk).is_some() && after.has_group("example.com") && !before.has_group("example.com"));

        let again = widgets("v1", "v1");
        let replaced = after.with([again.clone()]);
        assert_eq!(replaced.resources().len(), after.resources().len());
        assert!(std::ptr::eq(&**replaced.find_kind(&again.gvk).expect("there"), &*again));
        let gone = after.without(&again.gvr).without(&older.gvr);
        assert!(gone.find_kind(&again.gvk).is_none() && gone.sharing("example.com/widgets").is_empty());
    }
}
