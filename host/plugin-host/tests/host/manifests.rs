//! What a manifest may say, and the words for every mistake.

use std::sync::Arc;

use admission::chain::Round;
use admission::{Attributes, EmptyChain, ObjectView, Operation, ResourceKind, Version};
use apimachinery::{GroupVersionKind, GroupVersionResource};
use serde_json::{Value, json};
use wasmgate_plugin_host::Manifest;
use wasmgate_plugin_host::manifest::{LookupRequirement, Operator, Unknown};

use crate::bench::create;

const HEAD: &str = "apiVersion: plugins.wasmgate.dev/v1alpha1\nkind: Plugin\nmetadata: {name: a}\n";

fn error(text: &str) -> String {
    match Manifest::parse(text) {
        Ok(manifest) => format!("fine: {manifest:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_mistake_is_named() {
    let cases = [
        ("", "apiVersion: is missing, must be \"plugins.wasmgate.dev/v1alpha1\""),
        ("apiVersion: v1\nkind: ConfigMap\n", "apiVersion: is \"v1\", must be"),
        ("apiVersion: plugins.wasmgate.dev/v1alpha1\nkind: Pluggin\n", "kind: is \"Pluggin\", must be \"Plugin\""),
        ("a: [", ""),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        if !error(text).starts_with(expected) || error(text).starts_with("fine") {
            wrong.push(format!("{text:?}: {}", error(text)));
        }
    }
    let cases = [
        ("", "spec"),
        ("spec: {}", "roles"),
        ("spec: {roles: []}", "spec.roles: must name at least one of"),
        ("spec: {roles: [king]}", "king"),
        ("spec: {roles: [authorizer, authorizer]}", "spec.roles[1]: Authorizer is there twice"),
        ("spec: {roles: [authorizer], colour: red}", "colour"),
        ("spec: {roles: [authorizer], roles: [authorizer]}", "duplicate"),
        ("spec: {roles: [authorizer], component: ../x.wasm}", "spec.component: \"../x.wasm\" must be the name of a file"),
        ("spec: {roles: [authorizer], match: [{}]}", "spec.match: is for the admission roles only"),
        ("spec: {roles: [authorizer], credentials: [bearer-token]}", "spec.credentials: is for the role authenticator only"),
        ("spec: {roles: [authorizer], fallback: true}", "spec.fallback: is for the role authenticator only"),
        ("spec: {roles: [authorizer], reads: [{resource: pods}]}", "spec.reads: needs the capability cluster"),
        ("spec: {roles: [authorizer], indexes: [{name: a, resource: pods, key: [[a]]}]}", "spec.indexes: needs the capability index"),
        (
            "spec: {roles: [authorizer], capabilities: [index], indexes: [{name: a, resource: pods, key: []}]}",
            "spec.indexes[0].key: must have 1 to 4 parts, each with a path",
        ),
        (
            "spec: {roles: [authorizer], capabilities: [index], indexes: [{name: a, resource: pods, key: [['a/*'], [b, c]]}]}",
            "spec.indexes[0].key: may have several paths, or *, in one of its parts only",
        ),
        (
            "spec: {roles: [authorizer], capabilities: [index], indexes: [{name: '', resource: pods, key: [[a]]}]}",
            "spec.indexes[0].name: \"\" must be a name that no other index has",
        ),
        (
            "spec: {roles: [authorizer], capabilities: [index], indexes: [{name: a, resource: '*', key: [[a]]}]}",
            "spec.indexes[0].resource: \"*\" must be one resource",
        ),
        ("spec: {roles: [authorizer], capabilities: [http]}", "spec.http: must say what the capability http may reach"),
        ("spec: {roles: [authorizer], http: {origins: ['https://a.example.com']}}", "spec.http: needs the capability http"),
        ("spec: {roles: [authorizer], capabilities: [http], http: {origins: []}}", "spec.http.origins: are 0, and not 1 to 64"),
        (
            "spec: {roles: [authorizer], capabilities: [http], http: {origins: ['https://*.example.com/x']}}",
            "spec.http.origins[0]: \"https://*.example.com/x\" must be an origin such as",
        ),
        (
            "spec: {roles: [authorizer], capabilities: [http], http: {origins: ['https://a.example.com'], ca: x}}",
            "spec.http.ca: there is no certificate in it",
        ),
        (
            "spec: {roles: [authorizer], capabilities: [http], http: {origins: ['https://a.example.com'], responseBytes: 99999999}}",
            "spec.http.responseBytes: 99999999 must be between 1 and 16777216",
        ),
        ("spec: {roles: [authorizer], limits: {counterKeys: 70000}}", "spec.limits.counterKeys: 70000 must be between 1 and 65536"),
        ("spec: {roles: [authorizer], mode: Shadow}", "spec.mode: is for plugins that have admission roles only"),
        ("spec: {roles: [validating-admission], pure: true}", "spec.pure: is for the roles authenticator and authorizer only"),
        ("spec: {roles: [authorizer], pure: true, input: [user, auditID]}", "spec.input[1]: differs between requests that ask the same"),
        ("spec: {roles: [authorizer], input: [user, frobnicate/x]}", "spec.input[1]: \"frobnicate/x\" must begin with a part of a request"),
        (
            "spec: {roles: [validating-admission], input: [object, object/spec]}",
            "spec.input[1]: \"object/spec\": object is asked for as a whole",
        ),
        (
            "spec: {roles: [validating-admission], input: [object/spec, object]}",
            "spec.input[1]: \"object\": object is asked for as a whole",
        ),
        (
            "spec: {roles: [validating-admission], match: [{exists: {resource: pods}}]}",
            "spec.match[0].exists: must be in spec.reads or spec.watches",
        ),
        (
            "spec: {roles: [validating-admission], match: [{lookup: {name: a, operator: Exists}}]}",
            "spec.match[0].lookup.name: \"a\" must be in spec.lookups",
        ),
        (
            "spec: {roles: [validating-admission], match: [{lookup: {name: a, field: status, operator: Exists}}]}",
            "spec.match[0].lookup.field: \"status\" must be a JSON Pointer",
        ),
        (
            "spec: {roles: [validating-admission], match: [{lookup: {name: a, operator: In}}]}",
            "spec.match[0].lookup.values: must be given with In and NotIn, and with nothing else",
        ),
        (
            "spec: {roles: [validating-admission], match: [{lookup: {name: a, operator: Exists, values: [x]}}]}",
            "spec.match[0].lookup.values: must be given with In and NotIn",
        ),
        ("spec: {roles: [validating-admission], match: [{lookup: {name: a, operator: Gt}}]}", "Gt"),
        (
            "spec: {roles: [authorizer], capabilities: [cluster], reads: [{resource: pods}], lookups: [{name: a, resource: pods}]}",
            "spec.lookups[0].name: look-ups come with calls of the admission roles only",
        ),
        (
            "spec: {roles: [validating-admission], lookups: [{name: a, resource: pods, nameDefault: x}]}",
            "spec.lookups[0].resource: pods must be in spec.reads",
        ),
        (
            "spec: {roles: [validating-admission], capabilities: [cluster], reads: [{resource: pods}], lookups: [{name: a, resource: pods}]}",
            "spec.lookups[0].nameFrom: must say where the object's name is",
        ),
        (
            "spec: {roles: [validating-admission], capabilities: [cluster], reads: [{resource: pods}], \
             lookups: [{name: a, resource: pods, nameFrom: [name]}]}",
            "spec.lookups[0].nameFrom: \"name\" must be a JSON Pointer",
        ),
        ("spec: {roles: [mutating-admission], charges: [{resource: a}]}", "spec.charges: is for the role validating-admission only"),
        (
            "spec: {roles: [validating-admission], charges: [{resource: a/status}]}",
            "spec.charges[0].resource: \"a/status\" must be one resource",
        ),
        ("spec: {roles: [validating-admission], charges: [{resource: a}, {resource: a}]}", "spec.charges[1]: a is there twice"),
        ("spec: {roles: [validating-admission], charges: [{resource: a, fields: [b]}]}", "fields"),
        ("spec: {roles: [authorizer], reinvocation: IfNeeded}", "spec.reinvocation: is for the role mutating-admission only"),
        ("spec: {roles: [authorizer], watches: [{resource: pods}]}", "spec.watches: needs `instances: Reused`"),
        (
            "spec: {roles: [authorizer], instances: Reused, watches: [{resource: pods/status}]}",
            "spec.watches[0].resource: \"pods/status\" must be one",
        ),
        ("spec: {roles: [authorizer], instances: Reused, watches: [{resource: a}, {resource: a}]}", "spec.watches[1]: a is there twice"),
        ("spec: {roles: [authorizer], limits: {memoryBytes: 0}}", "spec.limits.memoryBytes: 0 must be between 1 and 1073741824"),
        (
            "spec: {roles: [authorizer], limits: {timeoutMilliseconds: 60000}}",
            "spec.limits.timeoutMilliseconds: 60000 must be between 1 and 30000",
        ),
        ("spec: {roles: [authorizer], limits: {instances: 1000}}", "spec.limits.instances: 1000 must be between 1 and 64"),
        ("spec: {roles: [authorizer], limits: {memory: 5}}", "memory"),
        ("spec: {roles: [authorizer], failurePolicy: Perhaps}", "Perhaps"),
        ("spec: {roles: [authorizer], matchPolicy: Exact}", "spec.matchPolicy: is for the admission roles only"),
        ("spec: {roles: [validating-admission], matchPolicy: Similar}", "Similar"),
        ("spec: {roles: [authorizer], failurePolicy: Ignore}", "spec.failurePolicy: must be Fail or Ignore for an admission role"),
        ("spec: {roles: [validating-admission], failurePolicy: NoOpinion}", "spec.failurePolicy: must be Fail or Ignore"),
        ("spec: {roles: [authenticator], failurePolicy: Fail}", "a fault never authenticates"),
        (
            "spec: {roles: [validating-admission], match: [{operations: [create]}]}",
            "spec.match[0].operations[0]: \"create\" is none of CREATE",
        ),
        ("spec: {roles: [validating-admission], match: [{resources: [a/b/c]}]}", "spec.match[0].resources[0]: \"a/b/c\" must be like pods"),
        ("spec: {roles: [validating-admission], match: [{scope: Global}]}", "Global"),
    ];
    for (spec, expected) in cases {
        let text = format!("{HEAD}{spec}");
        let found = error(&text);
        if !found.contains(expected) || found.starts_with("fine") {
            wrong.push(format!("{spec:?}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for name in ["", "-a", "a_b", "a/b", &"a".repeat(300)] {
        let text = format!("{}spec: {{roles: [authorizer]}}", HEAD.replace("name: a", &format!("name: \"{name}\"")));
        assert!(error(&text).starts_with("metadata.name: "), "{name:?}: {}", error(&text));
    }
}

#[test]
fn a_requirement_of_a_look_up_reads_as_a_selector_does() {
    let active = br#"{"status": {"phase": "Active", "ready": true, "none": null}}"#.as_slice();
    let rows = [
        ("/status/phase", Operator::In, vec!["Active"], Some(active), true),
        ("/status/phase", Operator::In, vec!["Terminating", "Active"], Some(active), true),
        ("/status/phase", Operator::NotIn, vec!["Active"], Some(active), false),
        ("/status/phase", Operator::NotIn, vec!["Terminating"], Some(active), true),
        ("/status/phase", Operator::NotIn, vec!["Active"], None, true),
        ("/status/other", Operator::NotIn, vec!["Active"], Some(active), true),
        ("/status/other", Operator::In, vec!["Active"], Some(active), false),
        ("/status/ready", Operator::In, vec!["true"], Some(active), true),
        ("/status/none", Operator::Exists, vec![], Some(active), false),
        ("/status/phase", Operator::Exists, vec![], Some(active), true),
        ("/status/phase", Operator::DoesNotExist, vec![], Some(active), false),
        ("", Operator::Exists, vec![], Some(active), true),
        ("", Operator::DoesNotExist, vec![], None, true),
        // What cannot be read is as if it were not there.
        ("/status/phase", Operator::NotIn, vec!["Active"], Some(b"{".as_slice()), true),
    ];
    for (field, operator, values, object, holds) in rows {
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        let requirement = LookupRequirement { name: "a".into(), field: field.into(), operator, values };
        assert_eq!(requirement.holds(object), holds, "{requirement:?}");
    }
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = format!("{HEAD}spec:\n  roles: [mutating-admission]\n  order: -5\n  config: {{number: 1, list: [a, null]}}\n");
    let json = r#"{"apiVersion": "plugins.wasmgate.dev/v1alpha1", "kind": "Plugin", "metadata": {"name": "a"},
        "spec": {"roles": ["mutating-admission"], "order": -5, "config": {"number": 1, "list": ["a", null]}}}"#;
    let (yaml, json) = (Manifest::parse(&yaml).expect("YAML"), Manifest::parse(json).expect("JSON"));
    assert_eq!(format!("{yaml:?}"), format!("{json:?}"));
    assert_eq!(yaml.config, serde_json::json!({"number": 1, "list": ["a", null]}));
}

/// Which version a manifest selects: 0 is the requested one. `objects` are the object and the old one.
fn selects(
    manifest: &Manifest,
    round: Round,
    attributes: &Attributes,
    equivalents: &[ResourceKind],
    objects: [Option<&Value>; 2],
) -> Option<usize> {
    let [object, old] = objects.map(|object| object.map(ObjectView::new));
    let version = |resource, kind| Version { kind, resource, object: object.as_ref(), old: old.as_ref() };
    let requested = version(&attributes.resource, &attributes.kind);
    let all: Vec<_> = [requested].into_iter().chain(equivalents.iter().map(|other| version(&other.resource, &other.kind))).collect();
    manifest.selects(round, attributes, &all, &Unknown)
}

#[test]
fn a_rule_that_names_another_version_selects_it() {
    let mut attributes = create(Arc::new(EmptyChain));
    attributes.resource = GroupVersionResource::of("autoscaling", "v1", "horizontalpodautoscalers");
    let other = |group, version, resource| ResourceKind {
        resource: GroupVersionResource::of(group, version, resource),
        kind: GroupVersionKind::of(group, version, "HorizontalPodAutoscaler"),
    };
    let equivalents = [other("autoscaling", "v2", "horizontalpodautoscalers"), other("scaling.k8s.io", "v1", "autoscalers")];
    let cases = [
        ("[]", "", Some(0)),
        ("[{apiVersions: ['*'], resources: [horizontalpodautoscalers]}]", "", Some(0)),
        ("[{apiVersions: [v2]}, {apiVersions: [v1]}]", "", Some(0)),
        ("[{apiVersions: [v2], resources: [horizontalpodautoscalers]}]", "", Some(1)),
        ("[{apiVersions: [v2], resources: [horizontalpodautoscalers]}]", "Equivalent", Some(1)),
        ("[{apiVersions: [v2], resources: [horizontalpodautoscalers]}]", "Exact", None),
        ("[{apiGroups: [scaling.k8s.io]}, {apiVersions: [v2]}]", "", Some(2)),
        ("[{apiVersions: [v3]}]", "", None),
        ("[{apiVersions: [v2], operations: [DELETE]}]", "", None),
    ];
    for (rules, policy, expected) in cases {
        let policy = if policy.is_empty() { String::new() } else { format!(", matchPolicy: {policy}") };
        let text = format!("{HEAD}spec: {{roles: [validating-admission], match: {rules}{policy}}}");
        let manifest = Manifest::parse(&text).expect(&text);
        assert_eq!(selects(&manifest, Round::Validating, &attributes, &equivalents, [None, None]), expected, "{text}");
    }
}

#[test]
fn a_failure_policy_is_of_the_role_that_knows_the_word_and_the_others_are_strict() {
    use admission::chain::FailurePolicy::{Fail, Ignore};
    use auth::FailurePolicy::{Deny, NoOpinion};
    let both = "authorizer, validating-admission";
    for (roles, policy, admission, authorization, required) in [
        ("authorizer", "", Fail, Deny, true),
        ("authorizer", "Deny", Fail, Deny, true),
        ("authorizer", "NoOpinion", Fail, NoOpinion, false),
        ("mutating-admission", "", Fail, Deny, true),
        ("mutating-admission", "Fail", Fail, Deny, true),
        ("mutating-admission", "Ignore", Ignore, Deny, false),
        ("authenticator", "", Fail, Deny, true),
        (both, "", Fail, Deny, true),
        (both, "Ignore", Ignore, Deny, true),
        (both, "NoOpinion", Fail, NoOpinion, true),
    ] {
        let policy = if policy.is_empty() { String::new() } else { format!(", failurePolicy: {policy}") };
        let manifest = Manifest::parse(&format!("{HEAD}spec: {{roles: [{roles}]{policy}}}")).expect(roles);
        let found = (manifest.failure_policy, manifest.authorizer_failure_policy, manifest.is_required());
        assert_eq!(found, (admission, authorization, required), "{roles}{policy}");
    }
}

#[test]
fn an_authorizer_stands_behind_the_privileged_group_and_before_the_modes() {
    use wasmgate_plugin_host::Role;
    let manifest = |order: &str| Manifest::parse(&format!("{HEAD}spec: {{roles: [authorizer, mutating-admission]{order}}}")).expect(order);
    let orders = |order| [Role::Authorizer, Role::MutatingAdmission].map(|role| manifest(order).order_as(role));
    assert_eq!(orders(""), [15, 0]);
    assert_eq!(orders(", order: 3"), [3, 3]);
}

#[test]
fn rules_match_as_upstreams_do() {
    let pods = ("", "v1", "pods", "");
    let cases = [
        ("{}", pods, true),
        ("{operations: [UPDATE]}", pods, false),
        ("{operations: [UPDATE, CREATE]}", pods, true),
        ("{operations: ['*']}", pods, true),
        ("{apiGroups: ['']}", pods, true),
        ("{apiGroups: [apps]}", pods, false),
        ("{apiVersions: [v2]}", pods, false),
        ("{resources: [pods]}", pods, true),
        ("{resources: [pods]}", ("", "v1", "pods", "status"), false),
        ("{resources: ['*']}", ("", "v1", "pods", "status"), false),
        ("{resources: ['*/*']}", ("", "v1", "pods", "status"), true),
        ("{resources: ['*/*']}", pods, true),
        ("{resources: [pods/*]}", pods, true),
        ("{resources: ['*/status']}", ("", "v1", "pods", "status"), true),
        ("{resources: ['*/status']}", pods, false),
        ("{scope: Namespaced}", pods, true),
        ("{scope: Cluster}", pods, false),
        ("{scope: Cluster}", ("", "v1", "namespaces", ""), true),
        ("{scope: Namespaced}", ("", "v1", "namespaces", ""), false),
    ];
    for (rule, (group, version, resource, subresource), expected) in cases {
        let manifest = Manifest::parse(&format!("{HEAD}spec: {{roles: [validating-admission], match: [{rule}]}}")).expect(rule);
        let mut attributes = create(Arc::new(EmptyChain));
        attributes.operation = Operation::Create;
        attributes.resource = GroupVersionResource::of(group, version, resource);
        attributes.subresource = subresource.into();
        let found = selects(&manifest, Round::Validating, &attributes, &[], [None, None]);
        assert_eq!(found.is_some(), expected, "{rule} {resource}/{subresource}");
    }
}

#[test]
fn rules_of_a_role_and_of_fields() {
    let rules = "[{roles: [mutating-admission]}, {roles: [validating-admission], fields: [/spec/a, /spec/b]}]";
    let text = format!("{HEAD}spec: {{roles: [mutating-admission, validating-admission], match: {rules}}}");
    let manifest = Manifest::parse(&text).expect("a manifest");
    let (with, null, without) = (json!({"spec": {"b": 1}}), json!({"spec": {"a": null}}), json!({"spec": {}}));
    let matches = |round, object, old| selects(&manifest, round, &create(Arc::new(EmptyChain)), &[], [object, old]).is_some();
    assert!(matches(Round::Mutating, Some(&without), None));
    assert!(matches(Round::Validating, Some(&with), None));
    assert!(matches(Round::Validating, Some(&without), Some(&with)), "what an update takes away");
    assert!(matches(Round::Validating, None, Some(&with)), "what a deletion takes away");
    assert!(!matches(Round::Validating, Some(&null), Some(&without)));
    assert!(!matches(Round::Validating, None, None));
}

#[test]
fn the_standard_manifests_hold() {
    let folder = format!("{}/../../plugins", env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).expect(&folder) {
        let path = entry.expect("an entry").path().join("plugin.yaml");
        if let Ok(text) = std::fs::read_to_string(&path) {
            Manifest::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found += 1;
        }
    }
    assert!(found > 0);
}
