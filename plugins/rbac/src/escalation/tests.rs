//! Cases as data: who holds what, what they write, and upstream's answer.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
use wasmgate_sdk::serde_json::{Value, json};
use wasmgate_sdk::testing;

use super::*;

/// `jane` may write roles in `a` and get pods there; the others are named for what they may.
fn cluster() -> Rbac {
    let mut rbac = Rbac::default();
    let mut reset = |resource: &str, objects: Value| {
        let put = |object| Change::put(GroupResource::new(GROUP, resource), object);
        rbac.apply(objects.as_array().expect("a list").iter().map(put).collect());
    };
    let write = |resource: &str| json!({"verbs": ["create", "update"], "apiGroups": [GROUP], "resources": [resource]});
    let rule = |verb: &str, resource: &str| json!({"verbs": [verb], "apiGroups": [GROUP], "resources": [resource]});
    let named = |verb: &str, resource: &str, name: &str| json!({"verbs": [verb], "apiGroups": [GROUP], "resources": [resource], "resourceNames": [name]});
    let bound = |namespace: &str, kind: &str, role: &str, user: &str| {
        json!({"metadata": {"name": format!("{user}-{role}"), "namespace": namespace}, "roleRef": {"kind": kind, "name": role},
            "subjects": [{"kind": "User", "name": user}]})
    };
    let get_pods = || json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
    let all = || json!(["*"]);
    let everything = json!({"verbs": all(), "apiGroups": all(), "resources": all()});
    reset(
        "clusterroles",
        json!([
            {"metadata": {"name": "secrets"}, "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets", "pods"]}]},
            {"metadata": {"name": "escalate"}, "rules": [rule("escalate", "roles"), rule("escalate", "clusterroles")]},
            {"metadata": {"name": "escalate-z"}, "rules": [named("escalate", "roles", "z"), named("escalate", "clusterroles", "z")]},
            {"metadata": {"name": "bind"}, "rules": [rule("bind", "roles"), rule("bind", "clusterroles")]},
            {"metadata": {"name": "bind-secrets"}, "rules": [named("bind", "clusterroles", "secrets")]},
            {"metadata": {"name": "resources"}, "rules": [{"verbs": ["get", "list"], "apiGroups": all(), "resources": all()}]},
            {"metadata": {"name": "paths"}, "rules": [{"verbs": all(), "nonResourceURLs": all()}]},
            {"metadata": {"name": "everything"}, "rules": [everything, {"verbs": all(), "nonResourceURLs": all()}]},
            {"metadata": {"name": "aggregated"}, "rules": null},
        ]),
    );
    reset(
        "clusterrolebindings",
        json!([
            bound("", "ClusterRole", "escalate", "escalator"),
            bound("", "ClusterRole", "bind", "binder"),
            bound("", "ClusterRole", "resources", "reader"),
            bound("", "ClusterRole", "paths", "reader"),
            bound("", "ClusterRole", "everything", "admin"),
            bound("", "ClusterRole", "nope", "lost"),
        ]),
    );
    reset(
        "roles",
        json!([
            {"metadata": {"name": "jane", "namespace": "a"}, "rules": [write("roles"), get_pods()]},
            {"metadata": {"name": "pods", "namespace": "a"}, "rules": [get_pods()]},
            {"metadata": {"name": "pods", "namespace": "b"}, "rules": [get_pods()]},
        ]),
    );
    reset(
        "rolebindings",
        json!([
            bound("a", "Role", "jane", "jane"),
            bound("a", "ClusterRole", "escalate", "escalator-a"),
            bound("a", "ClusterRole", "escalate-z", "escalator-z"),
            bound("a", "ClusterRole", "bind-secrets", "binder-a"),
            bound("a", "Role", "nope", "lost"),
            bound("a", "Role", "absent", "lost"),
        ]),
    );
    rbac
}

/// The words of the refusal; empty: admitted.
fn answer(user: &str, (operation, resource): (Operation, &str), namespace: &str, object: &Value, old: Option<&Value>) -> String {
    let (user, groups) = user.split_once('+').unwrap_or((user, ""));
    let attributes = Attributes {
        operation,
        resource: GroupVersionResource { group: GROUP.to_owned(), version: "v1".to_owned(), resource: resource.to_owned() },
        namespace: namespace.to_owned(),
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        ..Attributes::default()
    };
    let user = UserInfo { groups: groups.split_terminator('+').map(str::to_owned).collect(), ..UserInfo::new(user) };
    // This server has no authorizer besides.
    let rbac = cluster();
    testing::set_authorizer(move |attributes| rbac.authorize(attributes));
    match cluster().validate(&Request::new(attributes, Some(Object::of(object)), old.map(Object::of)).by(user)) {
        Ok(()) => String::new(),
        Err(Denial::Status(status)) => format!("{} {}", status.as_value()["code"], status.message()),
        Err(Denial::Forbidden(message)) => panic!("the host would shorten it: {message}"),
    }
}

/// `verbs resources names` in the core group, or `verbs /path`.
fn rules(texts: &[&str]) -> Value {
    let list = |text: Option<&str>| json!(text.map(|text| text.split(',').collect::<Vec<_>>()).unwrap_or_default());
    let rule = |text: &&str| {
        let mut words = text.split(' ');
        let (verbs, what) = (list(words.next()), words.next());
        if what.is_some_and(|what| what.starts_with('/')) {
            return json!({"verbs": verbs, "nonResourceURLs": list(what)});
        }
        json!({"verbs": verbs, "apiGroups": [""], "resources": list(what), "resourceNames": list(words.next())})
    };
    Value::Array(texts.iter().map(rule).collect())
}

fn refused(resource: &str, user: &str, missing: &[&str]) -> String {
    let (user, groups) = user.split_once('+').unwrap_or((user, ""));
    let groups = quote_all(groups.split_terminator('+'));
    format!(
        "403 {resource}.{GROUP} \"z\" is forbidden: user \"{user}\" (groups={groups}) is attempting to grant RBAC permissions not \
         currently held:\n{}",
        missing.join("\n")
    )
}

const GET_SECRETS: &str = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}"#;
const GET_PODS: &str = r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#;

#[test]
fn roles() {
    // `nope` is missing twice, as a ClusterRole and as a Role: upstream's words for both are the same, and said once. The
    // cluster's come first, then the namespace's by the bindings' names.
    let lost = format!("; resolution errors: [[roles.{GROUP} \"nope\" not found, roles.{GROUP} \"absent\" not found]]");
    let rows: &[(&str, &str, &[&str], String)] = &[
        ("jane", "a", &["get pods"], String::new()),
        ("jane", "a", &["get pods x"], String::new()),
        ("jane", "a", &[], String::new()),
        ("jane", "b", &["get pods"], refused("roles", "jane", &[GET_PODS])),
        ("jane+x+y", "a", &["get pods,secrets"], refused("roles", "jane+x+y", &[GET_SECRETS])),
        ("jane", "a", &["get,list,watch secrets,pods"], {
            let pods = r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#;
            let secrets = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "watch"]}"#;
            refused("roles", "jane", &[pods, secrets])
        }),
        ("jane", "a", &["get /healthz"], refused("roles", "jane", &[r#"{NonResourceURLs:["/healthz"], Verbs:["get"]}"#])),
        ("u\"\n+system:masters", "a", &["get secrets"], String::new()),
        ("escalator", "a", &["get secrets"], String::new()),
        ("escalator-a", "a", &["get secrets"], String::new()),
        ("escalator-a", "b", &["get secrets"], refused("roles", "escalator-a", &[GET_SECRETS])),
        ("escalator-z", "a", &["get secrets"], refused("roles", "escalator-z", &[GET_SECRETS])),
        ("binder", "a", &["get secrets"], refused("roles", "binder", &[GET_SECRETS])),
        ("reader", "a", &["get secrets", "put /x"], String::new()),
        ("admin", "a", &["* *"], String::new()),
        ("lost", "a", &["get secrets"], refused("roles", "lost", &[GET_SECRETS]) + &lost),
    ];
    for (user, namespace, texts, want) in rows {
        let role = json!({"metadata": {"name": "z", "namespace": namespace}, "rules": rules(texts)});
        assert_eq!(answer(user, (Operation::Create, "roles"), namespace, &role, None), *want, "{user} {namespace} {texts:?}");
    }
}

#[test]
fn a_name_that_is_yet_to_be_made_is_not_in_the_words() {
    let role = json!({"metadata": {"generateName": "z-", "name": "z-abcde"}, "rules": rules(&["get secrets"])});
    let words = answer("jane", (Operation::Create, "roles"), "a", &role, None);
    assert!(words.starts_with(&format!("403 roles.{GROUP} is forbidden: user \"jane\" (groups=[]) is")), "{words}");
}

#[test]
fn more_than_can_be_compared_is_refused() {
    let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let rule = json!({"verbs": many, "apiGroups": many, "resources": many, "resourceNames": many});
    let role = json!({"metadata": {"name": "z"}, "rules": vec![rule; 100]});
    let words = answer("admin-of-nothing", (Operation::Create, "roles"), "a", &role, None);
    assert!(words.contains("it would grant 160000000000 permissions"), "{words}");
    // What cannot be read is refused, too.
    let role = json!({"metadata": {"name": "z"}, "rules": [{"verbs": "get"}]});
    assert!(answer("jane", (Operation::Create, "roles"), "a", &role, None).contains("unable to read it"));
}

#[test]
fn updates_of_roles() {
    let of = |metadata: Value, texts: &[&str]| {
        let mut role = json!({"metadata": {"name": "z", "resourceVersion": "5"}, "rules": rules(texts)});
        role["metadata"].as_object_mut().expect("a map").extend(metadata.as_object().expect("a map").clone());
        role
    };
    let old = of(json!({"finalizers": ["x"], "labels": {"a": "b"}}), &["get secrets"]);
    let more = of(json!({"labels": {"a": "b"}}), &["get secrets", "get pods"]);
    let rows = [
        // The garbage collector holds nothing.
        ("nobody", of(json!({"labels": {"a": "b"}, "annotations": {}}), &["get secrets"]), true),
        ("nobody", of(json!({"labels": {"a": "b"}, "ownerReferences": [{"name": "o"}], "managedFields": [{}]}), &["get secrets"]), true),
        // A label may be what an aggregation gathers by.
        ("nobody", of(json!({"labels": {"a": "c"}}), &["get secrets"]), false),
        ("nobody", of(json!({"labels": {"a": "b", "c": ""}}), &["get secrets"]), false),
        ("nobody", of(json!({"labels": {"a": "b"}}), &[]), true),
        ("nobody", more.clone(), false),
        ("jane", more.clone(), false),
        ("reader", more.clone(), true),
        ("escalator-z", more.clone(), true),
    ];
    for (user, role, want) in rows {
        let words = answer(user, (Operation::Update, "roles"), "a", &role, Some(&old));
        assert_eq!(words.is_empty(), want, "{user} {role}: {words}");
    }
    let mut other = more;
    other["metadata"]["name"] = json!("y");
    assert_ne!(answer("escalator-z", (Operation::Update, "roles"), "a", &other, Some(&old)), "");
}

#[test]
fn aggregation_needs_everything() {
    let words = format!("403 clusterroles.{GROUP} \"z\" is forbidden: must have cluster-admin privileges to use the aggregationRule");
    let plain = json!({"metadata": {"name": "z"}, "rules": []});
    let empty = json!({"metadata": {"name": "z"}, "aggregationRule": {"clusterRoleSelectors": []}});
    let gathers = json!({"metadata": {"name": "z"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    let rows = [
        ("reader", &plain, None, true),
        ("reader", &empty, None, true),
        ("reader", &gathers, None, false),
        ("admin", &gathers, None, true),
        ("escalator", &gathers, None, true),
        ("escalator-a", &gathers, None, false),
        ("x+system:masters", &gathers, None, true),
        ("reader", &plain, Some(&gathers), false),
        ("reader", &gathers, Some(&plain), false),
        ("reader", &gathers, Some(&gathers), true),
        ("admin", &plain, Some(&gathers), true),
    ];
    for (user, object, old, want) in rows {
        let operation = if old.is_some() { Operation::Update } else { Operation::Create };
        let got = answer(user, (operation, "clusterroles"), "", object, old);
        assert_eq!(got, if want { "" } else { words.as_str() }, "{user} {object} {old:?}");
    }
    // What is granted beside it is looked at first.
    let mut both = gathers;
    both["rules"] = rules(&["delete secrets"]);
    let missing = refused("clusterroles", "reader", &[r#"{APIGroups:[""], Resources:["secrets"], Verbs:["delete"]}"#]);
    assert_eq!(answer("reader", (Operation::Create, "clusterroles"), "", &both, None), missing);
}

#[test]
fn bindings() {
    let (of_cluster, of_namespace) = ("clusterrolebindings", "rolebindings");
    let secrets = r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}"#;
    let pods = r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#;
    let list_pods = r#"{APIGroups:[""], Resources:["pods"], Verbs:["list"]}"#;
    let rows = [
        ("jane", of_namespace, "a", "Role", "pods", String::new()),
        ("jane", of_namespace, "b", "Role", "pods", refused(of_namespace, "jane", &[GET_PODS])),
        ("jane", of_namespace, "a", "ClusterRole", "secrets", refused(of_namespace, "jane", &[list_pods, secrets])),
        ("jane", of_namespace, "a", "ClusterRole", "aggregated", String::new()),
        ("jane", of_namespace, "a", "Role", "nope", format!("404 rolebindings.{GROUP} \"nope\" not found")),
        ("jane", of_namespace, "a", "ClusterRole", "nope", format!("404 rolebindings.{GROUP} \"nope\" not found")),
        ("jane", of_cluster, "", "ClusterRole", "nope", format!("404 clusterrolebindings.{GROUP} \"nope\" not found")),
        ("jane", of_namespace, "a", "Group", "nope", "500 unsupported role reference kind: \"Group\"".to_owned()),
        ("binder", of_namespace, "a", "ClusterRole", "secrets", String::new()),
        ("binder", of_namespace, "a", "Role", "nope", String::new()),
        ("binder", of_cluster, "", "ClusterRole", "everything", String::new()),
        ("binder-a", of_namespace, "a", "ClusterRole", "secrets", String::new()),
        ("binder-a", of_namespace, "a", "Role", "pods", refused(of_namespace, "binder-a", &[GET_PODS])),
        ("binder-a", of_namespace, "b", "ClusterRole", "secrets", refused(of_namespace, "binder-a", &[pods, secrets])),
        ("binder-a", of_cluster, "", "ClusterRole", "secrets", refused(of_cluster, "binder-a", &[pods, secrets])),
        ("escalator", of_cluster, "", "ClusterRole", "secrets", refused(of_cluster, "escalator", &[pods, secrets])),
        ("reader", of_cluster, "", "ClusterRole", "secrets", String::new()),
        ("admin", of_cluster, "", "ClusterRole", "everything", String::new()),
        ("reader", of_cluster, "", "ClusterRole", "everything", {
            refused(of_cluster, "reader", &[r#"{APIGroups:["*"], Resources:["*"], Verbs:["*"]}"#])
        }),
        ("x+system:masters", of_cluster, "", "ClusterRole", "nope", String::new()),
    ];
    for (user, resource, namespace, kind, role, want) in rows {
        let binding = |finalizers: &[&str], subject: &str| {
            json!({"metadata": {"name": "z", "namespace": namespace, "finalizers": finalizers},
                "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}, "subjects": [{"kind": "User", "name": subject}]})
        };
        let (old, new) = (binding(&["x"], "a"), binding(&[], "b"));
        assert_eq!(answer(user, (Operation::Create, resource), namespace, &new, None), want, "{user} {resource} {namespace} {kind} {role}");
        // To bind somebody else is to grant again; to let the garbage collector go on is not.
        assert_eq!(answer(user, (Operation::Update, resource), namespace, &new, Some(&old)), want, "update: {user} {resource} {role}");
        assert_eq!(answer(user, (Operation::Update, resource), namespace, &binding(&[], "a"), Some(&old)), "", "{user} {resource} {role}");
    }
}

#[test]
fn what_is_not_granting_is_left_alone() {
    let object = json!({"metadata": {"name": "z"}, "rules": rules(&["get secrets"])});
    assert_eq!(answer("jane", (Operation::Delete, "roles"), "a", &object, Some(&object)), "");
}
