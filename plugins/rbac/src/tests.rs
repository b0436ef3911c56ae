//! Cases as data: objects, a request, and upstream's answer.

use wasmgate_sdk::serde_json::{Value, json};

use super::*;

const GROUP: &str = "rbac.authorization.k8s.io";

fn cluster() -> Rbac {
    let mut rbac = Rbac::default();
    let mut reset = |resource: &str, objects: Value| {
        let put = |object| Change::put(GroupResource::new(GROUP, resource), object);
        rbac.apply(objects.as_array().expect("a list").iter().map(put).collect());
    };
    reset(
        "clusterroles",
        json!([
            {"metadata": {"name": "reader"}, "rules": [
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps", "pods/log"]},
                {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/metrics/*"]},
            ]},
            {"metadata": {"name": "all"}, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]},
            {"metadata": {"name": "empty"}, "rules": null},
        ]),
    );
    reset(
        "clusterrolebindings",
        json!([
            {"metadata": {"name": "readers"}, "roleRef": {"kind": "ClusterRole", "name": "reader"}, "subjects": [
                {"kind": "Group", "name": "team"}, {"kind": "User", "name": "jane"}]},
            {"metadata": {"name": "robots"}, "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": [
                {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"}]},
            {"metadata": {"name": "gone"}, "roleRef": {"kind": "ClusterRole", "name": "nope"}, "subjects": [{"kind": "User", "name": "joe"}]},
            {"metadata": {"name": "nobody"}, "roleRef": {"kind": "ClusterRole", "name": "empty"}},
        ]),
    );
    reset(
        "roles",
        json!([{"metadata": {"name": "r", "namespace": "a"}, "rules": [
            {"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"]},
            {"verbs": ["get"], "apiGroups": ["*"], "resources": ["*/scale"]}]}]),
    );
    reset(
        "rolebindings",
        json!([
            {"metadata": {"name": "rb", "namespace": "a"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
                {"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "local"}]},
            {"metadata": {"name": "gone", "namespace": "a"}, "roleRef": {"kind": "Role", "name": "nope"}, "subjects": [
                {"kind": "User", "name": "joe"}]},
            {"metadata": {"name": "adm", "namespace": "a"}, "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": [
                {"kind": "Group", "name": "admins"}]},
        ]),
    );
    rbac
}

/// `verb group/resource/subresource:name` in a namespace, or `verb /path`.
fn request(user: &str, namespace: &str, what: &str) -> Attributes {
    let (user, groups) = user.split_once('+').unwrap_or((user, ""));
    let (verb, what) = what.split_once(' ').expect("a verb");
    let mut attributes = Attributes { verb: verb.to_owned(), namespace: namespace.to_owned(), ..Attributes::default() };
    attributes.user = UserInfo { groups: groups.split_terminator('+').map(str::to_owned).collect(), ..UserInfo::new(user) };
    if what.starts_with('/') && namespace == "-" {
        attributes.path = what.to_owned();
        return attributes;
    }
    let (what, name) = what.split_once(':').unwrap_or((what, ""));
    let mut parts = what.split('/');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    (attributes.api_group, attributes.resource, attributes.subresource) = (part(), part(), part());
    attributes.name = name.to_owned();
    attributes.resource_request = true;
    attributes
}

#[test]
fn decisions_and_their_words() {
    let no = "";
    let rows = [
        ("jane", "b", "get /configmaps:x", r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "jane""#),
        ("jane+team", "b", "get /configmaps:x", r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "team""#),
        ("x+team", "", "list /configmaps", r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "team""#),
        ("jane", "b", "delete /configmaps:x", no),
        ("jane", "b", "get /pods:x", no),
        ("jane", "b", "get /pods/log:x", r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "jane""#),
        ("jane", "b", "get apps/configmaps:x", no),
        ("jane", "-", "get /healthz", r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "jane""#),
        ("jane", "-", "get /metrics/x", r#"RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "jane""#),
        ("jane", "-", "get /healthz/ping", no),
        ("jane", "a", "get apps/deployments:web", r#"RBAC: allowed by RoleBinding "rb/a" of Role "r" to User "jane""#),
        ("jane", "a", "get apps/deployments:other", no),
        ("jane", "a", "get apps/deployments", no),
        ("jane", "b", "get apps/deployments:web", no),
        ("jane", "a", "get apps/replicasets/scale:x", r#"RBAC: allowed by RoleBinding "rb/a" of Role "r" to User "jane""#),
        (
            "system:serviceaccount:a:local",
            "a",
            "get /x/scale:x",
            r#"RBAC: allowed by RoleBinding "rb/a" of Role "r" to ServiceAccount "local/a""#,
        ),
        ("system:serviceaccount:b:local", "a", "get /x/scale:x", no),
        ("system:serviceaccount:ci:robot", "z", "delete apps/deployments:x", {
            r#"RBAC: allowed by ClusterRoleBinding "robots" of ClusterRole "all" to ServiceAccount "robot/ci""#
        }),
        ("u+admins", "a", "delete /secrets:x", r#"RBAC: allowed by RoleBinding "adm/a" of ClusterRole "all" to Group "admins""#),
        ("u+admins", "", "list /secrets", no),
        ("joe", "", "get /nodes:x", r#"RBAC: clusterrole.rbac.authorization.k8s.io "nope" not found"#),
        ("joe", "a", "get /pods:x", {
            r#"RBAC: [clusterrole.rbac.authorization.k8s.io "nope" not found, role.rbac.authorization.k8s.io "nope" not found]"#
        }),
    ];
    let rbac = cluster();
    for (user, namespace, what, want) in rows {
        let answer = rbac.authorize(&request(user, namespace, what));
        assert_eq!(answer.reason, want, "{user} {namespace} {what}");
        let allowed = want.starts_with("RBAC: allowed by");
        assert_eq!(answer.decision, if allowed { Decision::Allow } else { Decision::NoOpinion }, "{user} {namespace} {what}");
    }
}

#[test]
fn a_change_counts_at_once() {
    let mut rbac = cluster();
    let change = |resource: &str, namespace: &str, name: &str, object: Option<Value>| Change {
        resource: GroupResource::new(GROUP, resource),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        revision: 1,
        object: object.as_ref().map(Json::from),
    };
    let binding = |subject: &str| {
        Some(json!({"metadata": {"name": "new", "namespace": "b"}, "roleRef": {"kind": "Role", "name": "r2"}, "subjects": [
            {"kind": "User", "name": subject}]}))
    };
    let role = |verb: &str| {
        Some(json!({"metadata": {"name": "r2", "namespace": "b"}, "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]}))
    };
    let steps = [
        (change("rolebindings", "b", "new", binding("ann")), "ann", false),
        (change("roles", "b", "r2", role("get")), "ann", true),
        (change("roles", "b", "r2", role("list")), "ann", false),
        (change("roles", "b", "r2", role("*")), "ann", true),
        (change("rolebindings", "b", "new", binding("bob")), "ann", false),
        (change("rolebindings", "b", "new", binding("bob")), "bob", true),
        (change("rolebindings", "b", "new", None), "bob", false),
        (change("rolebindings", "b", "new", binding("bob")), "bob", true),
        (change("rolebindings", "b", "new", Some(json!({"metadata": {"name": "new", "namespace": "b"}, "subjects": 1}))), "bob", false),
        (change("rolebindings", "b", "new", binding("bob")), "bob", true),
        (change("roles", "b", "r2", None), "bob", false),
    ];
    for (at, (change, user, want)) in steps.into_iter().enumerate() {
        rbac.apply(vec![change]);
        assert_eq!(rbac.authorize(&request(user, "b", "get /pods:x")).decision == Decision::Allow, want, "step {at}");
    }
    rbac.reset(GroupResource::new(GROUP, "clusterrolebindings"));
    assert_eq!(rbac.authorize(&request("jane", "b", "get /configmaps:x")).decision, Decision::NoOpinion);
    assert_eq!(rbac.authorize(&request("jane", "a", "get apps/deployments:web")).decision, Decision::Allow);
}

#[test]
fn rules_of_a_user() {
    let rbac = cluster();
    let user = |text: &str| request(text, "", "get /x").user;
    let rules = rbac.rules_for(&user("jane+team"), "a");
    let resources: Vec<_> = rules.resource_rules.iter().map(|rule| rule.resources.join(",")).collect();
    assert_eq!(resources, ["configmaps,pods/log", "deployments", "*/scale"]);
    assert_eq!(rules.non_resource_rules[0].non_resource_urls, ["/healthz", "/metrics/*"]);
    assert_eq!((rules.incomplete, rules.evaluation_error.as_str()), (false, ""));
    assert_eq!(rbac.rules_for(&user("jane"), "b").resource_rules.len(), 1);
    assert_eq!(rbac.rules_for(&user("joe"), "").evaluation_error, r#"clusterrole.rbac.authorization.k8s.io "nope" not found"#);
}
