//! Discovery: what is served, as clients ask for it before anything else. Pure functions of the resources, so that custom
//! ones appear as soon as they are there.
//!
//! Documents are objects for the encoder (JSON or YAML as negotiated); all are small but the aggregated ones, which a
//! caller keeps as bytes until the set of resources changes.

use apimachinery::GroupVersionKind;
use serde_json::{Value, json};

use crate::version::compare_kube_aware;
use crate::{Resource, ResourceScope, tables};

/// A group and its versions, the preferred one first.
#[derive(Debug)]
pub struct Group<'a> {
    /// `apps`; empty for the core group.
    pub name: &'a str,
    /// At least one.
    pub versions: Vec<Version<'a>>,
}

/// A version of a group.
#[derive(Debug)]
pub struct Version<'a> {
    /// `v1`.
    pub name: &'a str,
    /// What it serves.
    pub resources: Vec<&'a Resource>,
}

/// Sorts resources into groups and versions in upstream's order: the built-in groups by their priority, then custom ones by
/// name; versions from the most stable and newest down.
pub fn groups<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Vec<Group<'a>> {
    let built_in = tables::group_versions();
    let rank = |group: &str, version: Option<&str>| {
        built_in
            .iter()
            .position(|known| known.group == group && version.is_none_or(|version| known.version == version))
            .unwrap_or(usize::MAX)
    };
    let mut groups: Vec<Group<'a>> = Vec::new();
    for resource in resources {
        let (group, version) = (&*resource.gvr.group, &*resource.gvr.version);
        let at = groups.iter().position(|known| known.name == group).unwrap_or_else(|| {
            groups.push(Group { name: group, versions: Vec::new() });
            groups.len() - 1
        });
        let versions = &mut groups[at].versions;
        let at = versions.iter().position(|known| known.name == version).unwrap_or_else(|| {
            versions.push(Version { name: version, resources: Vec::new() });
            versions.len() - 1
        });
        versions[at].resources.push(resource);
    }
    for group in &mut groups {
        let name = group.name;
        group
            .versions
            .sort_by(|a, b| rank(name, Some(a.name)).cmp(&rank(name, Some(b.name))).then_with(|| compare_kube_aware(b.name, a.name)));
        for version in &mut group.versions {
            version.resources.sort_by(|a, b| a.gvr.resource.cmp(&b.gvr.resource));
        }
    }
    groups.sort_by(|a, b| rank(a.name, None).cmp(&rank(b.name, None)).then_with(|| a.name.cmp(b.name)));
    groups
}

/// `/api`. The address is the one that clients outside are told to use, `host:port`.
pub fn api_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": server_address }],
    })
}

/// `/apis`.
pub fn api_group_list(groups: &[Group<'_>]) -> Value {
    let items: Vec<Value> = groups.iter().filter(|group| !group.name.is_empty()).map(group_body).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": items })
}

/// `/apis/<group>`.
pub fn api_group(group: &Group<'_>) -> Value {
    let mut body = group_body(group);
    body["kind"] = json!("APIGroup");
    body["apiVersion"] = json!("v1");
    body
}

fn group_body(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|version| json!({ "groupVersion": group_version(group.name, version.name), "version": version.name }))
        .collect();
    json!({ "name": group.name, "preferredVersion": versions[0], "versions": versions })
}

/// `/api/v1` and `/apis/<group>/<version>`.
pub fn api_resource_list(group: &str, version: &Version<'_>) -> Value {
    let resources: Vec<Value> = version.resources.iter().flat_map(|resource| api_resources(resource)).collect();
    let mut list = json!({ "kind": "APIResourceList", "groupVersion": group_version(group, version.name), "resources": resources });
    // Upstream leaves it out for the core group, which is older than the field.
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    list
}

fn api_resources(resource: &Resource) -> Vec<Value> {
    let mut body = json!({
        "name": resource.gvr.resource,
        "singularName": resource.singular,
        "namespaced": resource.namespaced(),
        "kind": resource.gvk.kind,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        body["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        body["categories"] = json!(resource.categories);
    }
    if !resource.storage_version_hash.is_empty() {
        body["storageVersionHash"] = json!(resource.storage_version_hash);
    }
    let mut all = vec![body];
    for subresource in resource.subresources.iter() {
        let mut body = json!({
            "name": format!("{}/{}", resource.gvr.resource, subresource.name),
            "singularName": "",
            "namespaced": resource.namespaced(),
            "kind": subresource.gvk.kind,
            "verbs": subresource.verbs,
        });
        if subresource.gvk.group_version() != resource.gvk.group_version() {
            body["group"] = json!(subresource.gvk.group);
            body["version"] = json!(subresource.gvk.version);
        }
        all.push(body);
    }
    all
}

/// `/api` (`core`) or `/apis`, as `APIGroupDiscoveryList`.
pub fn aggregated(groups: &[Group<'_>], core: bool) -> Value {
    let items: Vec<Value> = groups.iter().filter(|group| group.name.is_empty() == core).map(group_discovery).collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items })
}

fn group_discovery(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|version| {
            let resources: Vec<Value> = version.resources.iter().map(|resource| resource_discovery(resource)).collect();
            json!({ "version": version.name, "resources": resources, "freshness": "Current" })
        })
        .collect();
    let metadata = if group.name.is_empty() { json!({}) } else { json!({ "name": group.name }) };
    json!({ "metadata": metadata, "versions": versions })
}

fn resource_discovery(resource: &Resource) -> Value {
    let mut body = json!({
        "resource": resource.gvr.resource,
        "responseKind": response_kind(resource, &resource.gvk),
        "scope": match resource.scope {
            ResourceScope::Namespaced => "Namespaced",
            ResourceScope::Cluster => "Cluster",
        },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    if !resource.short_names.is_empty() {
        body["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        body["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|sub| json!({ "subresource": sub.name, "responseKind": response_kind(resource, &sub.gvk), "verbs": sub.verbs }))
        .collect();
    if !subresources.is_empty() {
        body["subresources"] = json!(subresources);
    }
    body
}

/// For built-in resources upstream leaves the group version empty where it is the resource's own; for custom ones it does not.
fn response_kind(resource: &Resource, gvk: &GroupVersionKind) -> Value {
    if gvk.group_version() == resource.gvk.group_version() && tables::is_built_in(resource) {
        json!({ "group": "", "version": "", "kind": gvk.kind })
    } else {
        json!({ "group": gvk.group, "version": gvk.version, "kind": gvk.kind })
    }
}

/// `/`: the paths of discovery, and all others that the server has registered.
pub fn root_paths<'a>(groups: &[Group<'_>], registered: impl IntoIterator<Item = &'a str>) -> Value {
    let mut paths: Vec<String> = vec!["/apis".to_owned(), "/apis/".to_owned()];
    for group in groups {
        let root = if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
        paths.extend(group.versions.iter().map(|version| format!("{root}/{}", version.name)));
        paths.push(root);
    }
    paths.extend(registered.into_iter().map(str::to_owned));
    paths.sort();
    paths.dedup();
    json!({ "paths": paths })
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}
