//! The table of resources: its file's form, and the statics made from it.

use std::fmt::Write;

use base64::Engine;
use sha2::{Digest, Sha256};

use crate::openapi::rows::Row;
pub use crate::openapi::rows::{Gvk, Subresource};
use crate::schemas::Schemas;

/// What `all` stands for.
const VERBS_ALL: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// A group version and what it serves, in the order of discovery.
pub struct GroupVersion {
    pub group: String,
    pub version: String,
    pub resources: Vec<Resource>,
}

pub struct Resource {
    pub plural: String,
    pub gvk: Gvk,
    pub singular: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub short: Vec<String>,
    pub categories: Vec<String>,
    pub fields: Vec<String>,
    pub subresources: Vec<Subresource>,
    pub stored: Gvk,
    pub hashed: Gvk,
    /// Empty where nothing is stored.
    pub prefix: String,
    /// A deletion is documented to answer with the object, and not with a `Status`.
    pub answers_deletion: bool,
    /// What every answer warns of; empty where nothing.
    pub deprecation: String,
}

impl Resource {
    /// What the OpenAPI documents show of it.
    pub fn row(&self) -> Row {
        Row {
            plural: self.plural.clone(),
            gvk: self.gvk.clone(),
            namespaced: self.namespaced,
            verbs: self.verbs.clone(),
            subresources: self.subresources.clone(),
            answers_deletion: self.answers_deletion,
            has_messages: true,
        }
    }
}

/// Reads the table. A mistake in it ends the build with the line.
pub fn parse(text: &str) -> Vec<GroupVersion> {
    let mut groups: Vec<GroupVersion> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            let (group, version) = words[0].split_once('/').unwrap_or(("", words[0]));
            groups.push(GroupVersion { group: group.to_owned(), version: version.to_owned(), resources: Vec::new() });
            continue;
        }
        let of = groups.last_mut().unwrap_or_else(|| panic!("no group version before: {line}"));
        match words[0].strip_prefix('/') {
            Some(name) => {
                let [_, kind, listed] = words[..] else { panic!("not a subresource: {line}") };
                let parent = of.resources.last_mut().unwrap_or_else(|| panic!("no resource before: {line}"));
                let gvk = gvk(kind, &parent.gvk);
                parent.subresources.push(Subresource { name: name.to_owned(), gvk, verbs: verbs(listed) });
            }
            None => {
                let resource = resource(&of.group, &of.version, &words).unwrap_or_else(|| panic!("not a resource: {line}"));
                of.resources.push(resource);
            }
        }
    }
    groups
}

fn resource(group: &str, version: &str, words: &[&str]) -> Option<Resource> {
    let [plural, kind, scope, listed, options @ ..] = words else { return None };
    let this = Gvk { group: group.to_owned(), version: version.to_owned(), kind: (*kind).to_owned() };
    let option = |name: &str| options.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let list = |name: &str| option(name).map(|value| value.split(',').map(str::to_owned).collect()).unwrap_or_default();
    let stored = option("stored").map_or_else(|| this.clone(), |text| gvk(text, &this));
    let prefix = if options.contains(&"virtual") { "" } else { option("at").unwrap_or(plural) };
    Some(Resource {
        plural: (*plural).to_owned(),
        singular: option("singular").map_or_else(|| kind.to_lowercase(), str::to_owned),
        namespaced: match *scope {
            "namespaced" => true,
            "cluster" => false,
            _ => return None,
        },
        verbs: verbs(listed),
        short: list("short"),
        categories: list("categories"),
        fields: list("fields"),
        subresources: Vec::new(),
        hashed: option("hashed").map_or_else(|| stored.clone(), |text| gvk(text, &this)),
        stored,
        prefix: prefix.to_owned(),
        answers_deletion: options.contains(&"answers-deletion"),
        deprecation: option("deprecated").map(|text| deprecation(text, &this)).unwrap_or_default(),
        gvk: this,
    })
}

/// `Scale`, `v1.Event` or `autoscaling/v1.Scale`: the group version, where it is left out, is the parent's.
fn gvk(text: &str, parent: &Gvk) -> Gvk {
    let Some((group_version, kind)) = text.rsplit_once('.') else { return Gvk { kind: text.to_owned(), ..parent.clone() } };
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
}

/// Upstream's warning of a version that is to go.
fn deprecation(text: &str, this: &Gvk) -> String {
    let (since, instead) = text.split_once(',').unwrap_or((text, ""));
    let named = |gvk: &Gvk| format!("{} {}", [&*gvk.group, &*gvk.version].join("/").trim_start_matches('/'), gvk.kind);
    let instead = if instead.is_empty() { String::new() } else { format!("; use {}", named(&gvk(instead, this))) };
    format!("{} is deprecated in v{since}+{instead}", named(this))
}

fn verbs(listed: &str) -> Vec<String> {
    if listed == "all" { VERBS_ALL.map(str::to_owned).to_vec() } else { listed.split(',').map(str::to_owned).collect() }
}

/// As discovery shows it: the start of a hash of the version that is stored.
fn storage_version_hash(gvk: &Gvk) -> String {
    let digest = Sha256::digest(format!("{}/{}/{}", gvk.group, gvk.version, gvk.kind));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

/// A `Cow<'static, [Text]>`.
fn texts(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| format!("Text::Borrowed({item:?})")).collect();
    format!("Cow::Borrowed(&[{}])", items.join(", "))
}

fn gvk_of(gvk: &Gvk) -> String {
    format!("GroupVersionKind::of({:?}, {:?}, {:?})", gvk.group, gvk.version, gvk.kind)
}

/// `RESOURCES`, in the order of discovery.
pub fn to_rust(groups: &[GroupVersion], schemas: &Schemas) -> String {
    let rows: Vec<&Resource> = groups.iter().flat_map(|group| &group.resources).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let _ = writeln!(out, "static SUBRESOURCES_{i}: [Subresource; {}] = [", row.subresources.len());
        for sub in &row.subresources {
            let (name, gvk, verbs) = (&sub.name, gvk_of(&sub.gvk), texts(&sub.verbs));
            let _ = writeln!(out, "    Subresource {{ name: Text::Borrowed({name:?}), gvk: {gvk}, verbs: {verbs} }},");
        }
        let _ = writeln!(out, "];");
    }
    let _ = writeln!(out, "pub(super) static RESOURCES: [Resource; {}] = [", rows.len());
    for (i, row) in rows.iter().enumerate() {
        let schema = schemas.index_of_kind(&row.gvk).unwrap_or_else(|| panic!("no definition of {}", gvk_of(&row.gvk)));
        let hash = if row.prefix.is_empty() { String::new() } else { storage_version_hash(&row.hashed) };
        let Gvk { group, version, .. } = &row.gvk;
        let _ = writeln!(
            out,
            "    Resource {{ gvr: GroupVersionResource::of({group:?}, {version:?}, {:?}), gvk: {}, singular: Text::Borrowed({:?}), \
             short_names: {}, categories: {}, scope: ResourceScope::{}, verbs: {}, subresources: Cow::Borrowed(&SUBRESOURCES_{i}), \
             schema: SchemaRef::Static(&SCHEMAS[{schema}]), storage_gvk: {}, storage_prefix: Text::Borrowed({:?}), \
             selectable_fields: {}, storage_version_hash: Text::Borrowed({hash:?}), deprecation: Text::Borrowed({:?}), conversion: Conversion::BuiltIn }},",
            row.plural,
            gvk_of(&row.gvk),
            row.singular,
            texts(&row.short),
            texts(&row.categories),
            if row.namespaced { "Namespaced" } else { "Cluster" },
            texts(&row.verbs),
            gvk_of(&row.stored),
            row.prefix,
            texts(&row.fields),
            row.deprecation,
        );
    }
    let _ = writeln!(out, "];");

    // The keys of a binary search.
    let mut by_plural: Vec<usize> = (0..rows.len()).collect();
    by_plural.sort_by_key(|&i| (&rows[i].gvk.group, &rows[i].gvk.version, &rows[i].plural));
    let _ = writeln!(out, "pub(super) static BY_PLURAL: [u16; {}] = {by_plural:?};", rows.len());
    let mut by_kind: Vec<usize> = (0..rows.len()).collect();
    by_kind.sort_by_key(|&i| (&rows[i].gvk.group, &rows[i].gvk.version, &rows[i].gvk.kind));
    let _ = writeln!(out, "pub(super) static BY_KIND: [u16; {}] = {by_kind:?};", rows.len());
    out
}
