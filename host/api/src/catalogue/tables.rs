//! The built-in kinds, generated at build time from `data/resources.txt` and Kubernetes' published definitions.

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::schema::SchemaRef;
use apimachinery::{GroupVersion, GroupVersionKind};

use crate::Resource;

mod generated {
    use std::borrow::Cow;

    use apimachinery::group_version::Text;
    use apimachinery::message::{Content, Form, Message, Part};
    use apimachinery::schema::{Field, FieldType, ListType, Schema, SchemaRef};
    use apimachinery::{GroupVersionKind, GroupVersionResource};

    use crate::catalogue::resource::{Resource, ResourceScope, Subresource};
    use crate::convert::Conversion;

    include!(concat!(env!("OUT_DIR"), "/schemas.rs"));
    include!(concat!(env!("OUT_DIR"), "/resources.rs"));
}

/// All built-in resources, in the order of discovery.
pub fn resources() -> &'static [Resource] {
    &generated::RESOURCES
}

/// The resource of that group, version and plural.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    search(
        &generated::BY_PLURAL,
        |resource| (&*resource.gvr.group, &*resource.gvr.version, &*resource.gvr.resource),
        (group, version, plural),
    )
}

/// The resource of that kind.
pub fn find_kind(gvk: &GroupVersionKind) -> Option<&'static Resource> {
    let key = (&*gvk.group, &*gvk.version, &*gvk.kind);
    search(&generated::BY_KIND, |resource| (&*resource.gvk.group, &*resource.gvk.version, &*resource.gvk.kind), key)
}

/// The row in whose version objects of this resource are stored: the resource's own where the stored version is not served.
pub fn stored(resource: &'static Resource) -> &'static Resource {
    if resource.gvk == resource.storage_gvk {
        return resource;
    }
    find_kind(&resource.storage_gvk).unwrap_or(resource)
}

/// The resources whose objects lie at one place in the store, in the order of discovery: versions of one resource, or views of the same
/// objects in several groups. None lies at the empty place.
pub fn sharing(storage_prefix: &str) -> &'static [&'static Resource] {
    static BY_PLACE: LazyLock<HashMap<&'static str, Vec<&'static Resource>>> = LazyLock::new(|| {
        let mut found: HashMap<&str, Vec<&Resource>> = HashMap::new();
        for resource in resources().iter().filter(|resource| !resource.storage_prefix.is_empty()) {
            found.entry(&*resource.storage_prefix).or_default().push(resource);
        }
        found
    });
    BY_PLACE.get(storage_prefix).map_or(&[], Vec::as_slice)
}

/// Whether this very row is one of the table's, not a custom resource.
pub fn is_built_in(resource: &Resource) -> bool {
    generated::RESOURCES.as_ptr_range().contains(&std::ptr::from_ref(resource))
}

/// The shape of any kind that a client may send or get: of resources, of subresources (`Scale`, `Eviction`, `TokenRequest`),
/// of lists (`PodList`) and of options (`DeleteOptions`).
pub fn schema_of(gvk: &GroupVersionKind) -> Option<SchemaRef> {
    let key = (&*gvk.group, &*gvk.version, &*gvk.kind);
    let i = generated::KINDS.binary_search_by(|(group, version, kind, _)| (*group, *version, *kind).cmp(&key)).ok()?;
    Some(SchemaRef::Static(&generated::SCHEMAS[usize::from(generated::KINDS[i].3)]))
}

/// The shape of that name, for example `io.k8s.api.core.v1.PodSpec`.
pub fn schema_named(name: &str) -> Option<SchemaRef> {
    let i = generated::SCHEMAS.binary_search_by(|schema| (*schema.name).cmp(name)).ok()?;
    Some(SchemaRef::Static(&generated::SCHEMAS[i]))
}

/// All group versions, in the order of discovery: the first of a group is its preferred one.
pub fn group_versions() -> Vec<GroupVersion> {
    let mut found: Vec<GroupVersion> = Vec::new();
    for resource in resources() {
        let group_version = resource.gvr.group_version();
        if !found.contains(&group_version) {
            found.push(group_version);
        }
    }
    found
}

type Key<'a> = (&'a str, &'a str, &'a str);

fn search(sorted: &[u16], key_of: impl Fn(&'static Resource) -> Key<'static>, key: Key<'_>) -> Option<&'static Resource> {
    let row = |i: u16| &generated::RESOURCES[usize::from(i)];
    sorted.binary_search_by(|&i| key_of(row(i)).cmp(&key)).ok().map(|found| row(sorted[found]))
}

#[cfg(test)]
mod tests {
    use apimachinery::schema::{FieldType, ListType};

    use super::*;

    #[test]
    fn every_resource_is_found_by_plural_and_by_kind() {
        for resource in resources() {
            let found = find(&resource.gvr.group, &resource.gvr.version, &resource.gvr.resource).expect("by plural");
            assert!(std::ptr::eq(found, resource), "{}", resource.gvr);
            assert!(std::ptr::eq(find_kind(&resource.gvk).expect("by kind"), resource), "{}", resource.gvk);
            assert_eq!(schema_of(&resource.gvk).expect("a schema").name, resource.schema.name);
            assert!(schema_of(&resource.storage_gvk).is_some(), "{}", resource.storage_gvk);
        }
        assert!(find("apps", "v1", "pods").is_none());
        assert!(find("", "v2", "pods").is_none());
    }

    #[test]
    fn kinds_that_are_no_resources_have_schemas() {
        for (group, version, kind) in [
            ("autoscaling", "v1", "Scale"),
            ("policy", "v1", "Eviction"),
            ("authentication.k8s.io", "v1", "TokenRequest"),
            ("authentication.k8s.io", "v1", "TokenReview"),
            ("", "v1", "Binding"),
            ("", "v1", "PodList"),
            ("", "v1", "DeleteOptions"),
            ("apps", "v1", "DeleteOptions"),
            ("", "v1", "Status"),
        ] {
            assert!(schema_of(&GroupVersionKind::of(group, version, kind)).is_some(), "{group}/{version} {kind}");
        }
        assert!(schema_of(&GroupVersionKind::of("", "v1", "Nothing")).is_none());
    }

    #[test]
    fn fields_are_sorted_and_typed() {
        for resource in resources() {
            assert!(resource.schema.fields.windows(2).all(|pair| pair[0].name < pair[1].name), "{}", resource.gvk);
        }
        let port = schema_named("io.k8s.api.core.v1.ContainerPort").expect("a schema");
        assert_eq!(port.field("protocol").and_then(|field| field.default.as_deref()), Some("\"TCP\""));
        assert!(port.field("containerPort").is_some_and(|field| field.required && matches!(field.kind, FieldType::Int32)));
        let spec = schema_named("io.k8s.api.core.v1.PodSpec").expect("a schema");
        let volumes = spec.field("volumes").expect("a field");
        assert!(volumes.patch_merge && volumes.patch_retain_keys);
        assert_eq!((volumes.list_type, volumes.patch_merge_key.as_deref()), (ListType::Map, Some("name")));
        let resources = schema_named("io.k8s.api.core.v1.ResourceRequirements").expect("a schema");
        let limits = resources.field("limits").expect("a field");
        assert!(matches!(limits.kind.values(), Some(FieldType::Quantity)));
        assert!(schema_named("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector").expect("a schema").atomic);
    }
}
