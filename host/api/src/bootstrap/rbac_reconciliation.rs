//! How default roles and bindings are healed (upstream's `component-helpers/auth/rbac/reconciliation`): what is missing is added, and
//! nothing is taken away, unless the object's annotation says that it is to be left alone.

use serde_json::{Map, Value, json};

use super::Reconciled;

const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(existing: &Value, wanted: &Value) -> Reconciled {
    if is_protected(existing) {
        return Reconciled::Unchanged;
    }
    let mut role = with_metadata(existing, wanted);
    let missing = missing_rules(list(&existing["rules"]), list(&wanted["rules"]));
    if !missing.is_empty() {
        role["rules"] = [list(&existing["rules"]), &missing].concat().into();
    }
    let selectors = |role: &Value| list(&role["aggregationRule"]["clusterRoleSelectors"]).to_vec();
    let (has, wants) = (selectors(existing), selectors(wanted));
    let lacks: Vec<Value> = wants.into_iter().filter(|selector| !has.contains(selector)).collect();
    if wanted["aggregationRule"].is_null() && !existing["aggregationRule"].is_null() {
        role.as_object_mut().expect("a role is an object").remove("aggregationRule");
    } else if !lacks.is_empty() {
        role["aggregationRule"]["clusterRoleSelectors"] = [has, lacks].concat().into();
    }
    updated(existing, role)
}

pub(super) fn binding(existing: &Value, wanted: &Value) -> Reconciled {
    if is_protected(existing) {
        return Reconciled::Unchanged;
    }
    if role_ref(existing) != role_ref(wanted) {
        return Reconciled::Recreate;
    }
    let mut binding = with_metadata(existing, wanted);
    let has: Vec<_> = list(&existing["subjects"]).iter().map(subject).collect();
    let missing: Vec<Value> = list(&wanted["subjects"]).iter().filter(|wanted| !has.contains(&subject(wanted))).cloned().collect();
    if !missing.is_empty() {
        binding["subjects"] = [list(&existing["subjects"]), &missing].concat().into();
    }
    updated(existing, binding)
}

fn updated(existing: &Value, revised: Value) -> Reconciled {
    if revised == *existing { Reconciled::Unchanged } else { Reconciled::Update(revised) }
}

fn is_protected(existing: &Value) -> bool {
    existing["metadata"]["annotations"][AUTO_UPDATE] == "false"
}

/// With the labels and annotations that it lacks; those that it has stay as they are.
fn with_metadata(existing: &Value, wanted: &Value) -> Value {
    let mut object = existing.clone();
    for field in ["labels", "annotations"] {
        let empty = Map::new();
        let entries = |object: &Value| object["metadata"][field].as_object().unwrap_or(&empty).clone();
        let (has, mut merged) = (entries(existing), entries(wanted));
        merged.extend(has.clone());
        if merged != has {
            object["metadata"][field] = merged.into();
        }
    }
    object
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn role_ref(binding: &Value) -> [&str; 3] {
    ["apiGroup", "kind", "name"].map(|field| text(&binding["roleRef"], field))
}

/// A subject, with the group that users and groups have where none is said.
fn subject(subject: &Value) -> [&str; 4] {
    let group = match (text(subject, "apiGroup"), text(subject, "kind")) {
        ("", "User" | "Group") => RBAC_GROUP,
        (group, _) => group,
    };
    [group, text(subject, "kind"), text(subject, "namespace"), text(subject, "name")]
}

/// A rule for one verb on one resource (with or without one name), or on one URL.
struct AtomicRule<'a> {
    verb: &'a str,
    of: On<'a>,
}

enum On<'a> {
    Resource { group: &'a str, resource: &'a str, name: Option<&'a str> },
    Url(&'a str),
}

/// The parts of the wanted rules that no rule of the existing ones covers.
fn missing_rules(existing: &[Value], wanted: &[Value]) -> Vec<Value> {
    wanted
        .iter()
        .flat_map(atomic_rules)
        .filter(|part| !existing.iter().any(|rule| covers(rule, part)))
        .map(|part| part.into_rule())
        .collect()
}

fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    list(&rule[field]).iter().filter_map(Value::as_str)
}

fn atomic_rules(rule: &Value) -> Vec<AtomicRule<'_>> {
    let mut parts = Vec::new();
    let names: Vec<Option<&str>> = match list(&rule["resourceNames"]) {
        [] => vec![None],
        _ => texts(rule, "resourceNames").map(Some).collect(),
    };
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            for verb in texts(rule, "verbs") {
                parts.extend(names.iter().map(|&name| AtomicRule { verb, of: On::Resource { group, resource, name } }));
            }
        }
    }
    for url in texts(rule, "nonResourceURLs") {
        parts.extend(texts(rule, "verbs").map(|verb| AtomicRule { verb, of: On::Url(url) }));
    }
    parts
}

impl AtomicRule<'_> {
    fn into_rule(self) -> Value {
        match self.of {
            On::Url(url) => json!({ "verbs": [self.verb], "nonResourceURLs": [url] }),
            On::Resource { group, resource, name } => {
                let mut rule = json!({ "verbs": [self.verb], "apiGroups": [group], "resources": [resource] });
                if let Some(name) = name {
                    rule["resourceNames"] = json!([name]);
                }
                rule
            }
        }
    }
}

fn covers(rule: &Value, part: &AtomicRule<'_>) -> bool {
    let has = |field: &str, wanted: &str| texts(rule, field).any(|found| found == wanted);
    if !has("verbs", "*") && !has("verbs", part.verb) {
        return false;
    }
    match part.of {
        // Upstream asks for the rule's names here as well: one with names covers no URL.
        On::Url(url) => texts(rule, "nonResourceURLs").any(|found| url_covers(found, url)) && list(&rule["resourceNames"]).is_empty(),
        On::Resource { group, resource, name } => {
            let names = list(&rule["resourceNames"]);
            let below = |(_, subresource): (&str, &str)| has("resources", &format!("*/{subresource}"));
            (has("apiGroups", "*") || has("apiGroups", group))
                && (has("resources", "*") || has("resources", resource) || resource.split_once('/').is_some_and(below))
                && (names.is_empty() || name.is_some_and(|name| has("resourceNames", name)))
        }
    }
}

/// A `*` at the end stands for anything.
fn url_covers(owner: &str, url: &str) -> bool {
    owner == url || (owner.ends_with('*') && url.starts_with(owner.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster_role(rules: Value) -> Value {
        json!({
            "kind": "ClusterRole",
            "metadata": { "name": "x", "labels": { "a": "1" }, "annotations": { AUTO_UPDATE: "true" } },
            "rules": rules,
        })
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Value {
        let mut rule = json!({ "verbs": verbs, "apiGroups": groups, "resources": resources });
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    }

    fn urls(verbs: &[&str], urls: &[&str]) -> Value {
        json!({ "verbs": verbs, "nonResourceURLs": urls })
    }

    #[test]
    fn missing_rules_are_added_and_no_others() {
        let pods = rule(&["get", "list"], &[""], &["pods"], &[]);
        for (existing, wanted, added) in [
            (json!([]), pods.clone(), vec![rule(&["get"], &[""], &["pods"], &[]), rule(&["list"], &[""], &["pods"], &[])]),
            (Value::Null, urls(&["get"], &["/x"]), vec![urls(&["get"], &["/x"])]),
            (json!([pods]), pods.clone(), vec![]),
            (json!([rule(&["*"], &["*"], &["*"], &[])]), pods.clone(), vec![]),
            (json!([rule(&["get"], &[""], &["pods"], &[])]), pods.clone(), vec![rule(&["list"], &[""], &["pods"], &[])]),
            (
                json!([rule(&["get", "list"], &[""], &["pods"], &["one"])]),
                pods.clone(),
                vec![rule(&["get"], &[""], &["pods"], &[]), rule(&["list"], &[""], &["pods"], &[])],
            ),
            (json!([pods]), rule(&["get"], &[""], &["pods"], &["one"]), vec![]),
            (json!([rule(&["get"], &[""], &["*/status"], &[])]), rule(&["get"], &[""], &["pods/status"], &[]), vec![]),
            (
                json!([rule(&["get"], &[""], &["*/status"], &[])]),
                rule(&["get"], &[""], &["pods"], &[]),
                vec![rule(&["get"], &[""], &["pods"], &[])],
            ),
            (json!([urls(&["get"], &["/api/*"])]), urls(&["get"], &["/api/v1"]), vec![]),
            (json!([urls(&["get"], &["/api"])]), urls(&["get"], &["/api/*"]), vec![urls(&["get"], &["/api/*"])]),
            (
                json!([rule(&["get"], &["apps"], &["pods"], &[])]),
                rule(&["get"], &[""], &["pods"], &[]),
                vec![rule(&["get"], &[""], &["pods"], &[])],
            ),
        ] {
            let before = cluster_role(existing.clone());
            let want = [list(&existing), &added].concat();
            match role(&before, &cluster_role(json!([wanted]))) {
                Reconciled::Unchanged => assert!(added.is_empty(), "{existing} {wanted}"),
                Reconciled::Update(after) => assert_eq!(after["rules"], json!(want), "{existing} {wanted}"),
                Reconciled::Recreate => panic!("recreated"),
            }
        }
    }

    #[test]
    fn labels_annotations_and_aggregation_come_back() {
        let mut wanted = cluster_role(Value::Null);
        wanted["aggregationRule"] = json!({ "clusterRoleSelectors": [{ "matchLabels": { "to": "x" } }] });
        let existing = json!({
            "kind": "ClusterRole",
            "metadata": { "name": "x", "labels": { "a": "2", "mine": "3" } },
            "rules": [rule(&["get"], &[""], &["pods"], &[])],
        });
        let Reconciled::Update(after) = role(&existing, &wanted) else { panic!("not updated") };
        assert_eq!(after["metadata"]["labels"], json!({ "a": "2", "mine": "3" }));
        assert_eq!(after["metadata"]["annotations"], json!({ AUTO_UPDATE: "true" }));
        assert_eq!(after["aggregationRule"], wanted["aggregationRule"]);
        assert_eq!(after["rules"], existing["rules"], "what the aggregation has made stays");
        assert_eq!(role(&after, &wanted), Reconciled::Unchanged);
        // One that is not to be aggregated.
        let Reconciled::Update(plain) = role(&after, &cluster_role(Value::Null)) else { panic!("not updated") };
        assert!(plain.get("aggregationRule").is_none());
        // One that is to be left alone.
        let mut protected = existing;
        protected["metadata"]["annotations"] = json!({ AUTO_UPDATE: "false" });
        assert_eq!(role(&protected, &wanted), Reconciled::Unchanged);
    }

    #[test]
    fn bindings_get_their_subjects_back() {
        let group = |name: &str| json!({ "kind": "Group", "apiGroup": RBAC_GROUP, "name": name });
        let make = |role: &str, subjects: Value| {
            json!({
                "kind": "ClusterRoleBinding",
                "metadata": { "name": "x" },
                "roleRef": { "apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role },
                "subjects": subjects,
            })
        };
        let wanted = make("r", json!([group("a"), group("b")]));
        for (subjects, want) in [
            (json!([group("b"), group("a")]), None),
            (json!([{ "kind": "Group", "name": "a" }, group("b")]), None),
            (json!([]), Some(json!([group("a"), group("b")]))),
            (Value::Null, Some(json!([group("a"), group("b")]))),
            (json!([group("c"), group("b")]), Some(json!([group("c"), group("b"), group("a")]))),
            (json!([{ "kind": "User", "name": "a" }, group("b")]), Some(json!([{ "kind": "User", "name": "a" }, group("b"), group("a")]))),
        ] {
            match (binding(&make("r", subjects.clone()), &wanted), want) {
                (Reconciled::Unchanged, None) => {}
                (Reconciled::Update(after), Some(want)) => assert_eq!(after["subjects"], want, "{subjects}"),
                (got, want) => panic!("{subjects}: {got:?}, not {want:?}"),
            }
        }
        assert_eq!(binding(&make("other", json!([group("a"), group("b")])), &wanted), Reconciled::Recreate);
        let mut protected = make("other", json!([]));
        protected["metadata"]["annotations"] = json!({ AUTO_UPDATE: "false" });
        assert_eq!(binding(&protected, &wanted), Reconciled::Unchanged);
    }
}
