//! The objects that every server starts with: system namespaces, default roles and bindings, priority classes, flow schemas
//! and their priority levels, and the APIServices of the built-in groups.
//!
//! They are complete but for what the store gives: no uid, no times, no resourceVersion, no managedFields. Where a condition
//! has a time, it is null, for the caller to fill in. What depends on flags is made elsewhere: the service `kubernetes` with
//! its endpoints and addresses, the ServiceCIDR, the ConfigMaps of `kube-system`.

use serde_json::{Value, json};

use crate::{Resource, tables};

mod flow_control;
mod rbac_reconciliation;

const RBAC: &str = include_str!("../../data/bootstrap/rbac.txt");
const OBJECTS: &str = include_str!("../../data/bootstrap/objects.json");
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// All of them, in the order in which upstream makes them within a kind: namespaces first, so that what lies in one finds it.
///
/// One that is there already is brought up to date by [`reconcile`].
pub fn bootstrap_objects() -> Vec<(&'static Resource, Value)> {
    let plain: Vec<Value> = serde_json::from_str(OBJECTS).expect("data of ours is JSON");
    let all = plain.into_iter().chain(rbac());
    all.map(|object| {
        let kind = object["kind"].as_str().expect("data of ours has a kind");
        let api_version = object["apiVersion"].as_str().expect("data of ours has an apiVersion");
        let group_version = apimachinery::GroupVersion::parse(api_version).expect("data of ours has a valid apiVersion");
        let resource = tables::find_kind(&group_version.with_kind(kind.to_owned())).expect("data of ours is of built-in kinds");
        (resource, object)
    })
    .collect()
}

/// What is to be done with an object that every server starts with, and that is there already.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconciled {
    /// Nothing.
    Unchanged,
    /// It becomes this.
    Update(Value),
    /// It is removed, and made anew: what differs cannot be changed.
    Recreate,
}

/// Brings an existing object up to date as upstream does when it starts. Roles and bindings get back the rules and subjects that they
/// lack; flow schemas and priority levels their spec, unless somebody has changed it. The others are made where they are missing, and
/// are then whoever's they are.
pub fn reconcile(existing: &Value, wanted: &Value) -> Reconciled {
    match wanted["kind"].as_str().unwrap_or_default() {
        "ClusterRole" | "Role" => rbac_reconciliation::role(existing, wanted),
        "ClusterRoleBinding" | "RoleBinding" => rbac_reconciliation::binding(existing, wanted),
        "FlowSchema" | "PriorityLevelConfiguration" => flow_control::reconcile(existing, wanted),
        _ => Reconciled::Unchanged,
    }
}

/// Whether a running server keeps it up to date, and not only one that starts.
pub fn is_kept_up(wanted: &Value) -> bool {
    matches!(wanted["kind"].as_str(), Some("FlowSchema" | "PriorityLevelConfiguration" | "Namespace"))
}

/// Whether an object that is none of those that every server starts with was one in an earlier version, and is to go.
pub fn is_outdated(existing: &Value) -> bool {
    matches!(existing["kind"].as_str(), Some("FlowSchema" | "PriorityLevelConfiguration")) && flow_control::is_auto_updated(existing)
}

/// The binding whose subjects, labels and annotations a missing one takes over: what somebody may do without being known was once in
/// `system:discovery`, and who was taken out of that one must not get it back.
pub fn split_from(wanted: &Value) -> Option<&'static str> {
    let is_split = wanted["kind"] == "ClusterRoleBinding" && wanted["metadata"]["name"] == "system:public-info-viewer";
    is_split.then_some("system:discovery")
}

/// Reads `data/bootstrap/rbac.txt`; its form is described there.
fn rbac() -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    for line in RBAC.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            objects.push(header(line));
            continue;
        }
        let object = objects.last_mut().expect("a rule or subject follows its object");
        let (list, item) = if object.get("roleRef").is_some() { ("subjects", subject(line.trim())) } else { ("rules", rule(line.trim())) };
        match &mut object[list] {
            Value::Array(items) => items.push(item),
            missing => *missing = json!([item]),
        }
    }
    objects
}

fn header(line: &str) -> Value {
    let mut words = line.split(' ');
    let mut word = || words.next().expect("a kind and a name");
    let (kind, path) = (word(), word());
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": path,
            "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
            "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
        },
    });
    // Names of the default roles have colons and no slashes.
    if let Some((namespace, name)) = path.split_once('/') {
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(namespace);
    }
    if kind.ends_with("Binding") {
        let (role_kind, role) = word().split_once('/').expect("a kind and a name of a role");
        object["roleRef"] = json!({ "apiGroup": RBAC_GROUP, "kind": role_kind, "name": role });
    } else {
        object["rules"] = Value::Null;
    }
    for option in words {
        match option.split_once('=').expect("an option has a value") {
            ("aggregates", label) => {
                let selector = json!({ "matchLabels": { format!("{RBAC_GROUP}/{label}"): "true" } });
                object["aggregationRule"] = json!({ "clusterRoleSelectors": [selector] });
            }
            (_, label) => object["metadata"]["labels"][format!("{RBAC_GROUP}/{label}")] = json!("true"),
        }
    }
    object
}

fn rule(line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    let list = |text: &str| Value::from(text.split(',').collect::<Vec<_>>());
    if let [verbs, urls] = words[..] {
        return json!({ "verbs": list(verbs), "nonResourceURLs": list(urls.trim_start_matches("url:")) });
    }
    let groups: Vec<&str> = words[1].split(',').map(|group| if group == "core" { "" } else { group }).collect();
    let mut rule = json!({ "verbs": list(words[0]), "apiGroups": groups, "resources": list(words[2]) });
    if let Some(names) = words.get(3) {
        rule["resourceNames"] = list(names);
    }
    rule
}

fn subject(text: &str) -> Value {
    let (kind, path) = text.split_once('/').expect("a kind and a name of a subject");
    match (kind, path.split_once('/')) {
        ("ServiceAccount", Some((namespace, name))) => json!({ "kind": kind, "name": name, "namespace": namespace }),
        _ => json!({ "kind": kind, "apiGroup": RBAC_GROUP, "name": path }),
    }
}
