//! What kinds warn of, by the table `tests/warnings.json`: an object as it is created, then merge patches of it, each with what the
//! client is warned of, in upstream's words and order. `tests/e2e/warned.py` sends the same to a server.

#![allow(missing_docs, reason = "a test")]

mod objects;

use objects::{merge, resource_of};
use serde_json::{Value, json};
use wasmgate_api::strategy::Strategy;
use wasmgate_api::{Resource, kinds};

const CASES: &str = include_str!("../../../tests/warnings.json");

/// As the registry does it.
fn create(strategy: &dyn Strategy, resource: &Resource, object: &mut Value) -> Vec<String> {
    strategy.default(resource, object);
    let mut warnings = strategy.warnings_before_preparation(object);
    strategy.prepare_for_create(resource, object);
    warnings.extend(strategy.warnings("", object, None));
    warnings
}

fn update(strategy: &dyn Strategy, resource: &Resource, subresource: &str, object: &mut Value, old: &Value) -> Vec<String> {
    strategy.default(resource, object);
    match subresource {
        "" => strategy.prepare_for_update(resource, object, old),
        subresource => strategy.prepare_for_subresource_update(resource, subresource, object, old),
    }
    strategy.warnings(subresource, object, Some(old))
}

#[test]
fn every_kind_warns_as_upstream_does() {
    let cases: Value = serde_json::from_str(CASES).expect("JSON");
    let mut wrong = Vec::new();
    let mut compare = |name: &str, step: usize, found: Vec<String>, wanted: &Value| {
        let wanted: Vec<&str> = wanted.as_array().expect("warnings").iter().map(|text| text.as_str().expect("text")).collect();
        if found != wanted {
            wrong.push(format!("{name}, step {step}:\n  found  {found:#?}\n  wanted {wanted:#?}"));
        }
    };
    for case in cases.as_array().expect("cases") {
        let text = |name: &str| case[name].as_str().expect("text");
        let resource = resource_of(text("path"));
        let strategy = kinds::strategy(resource);
        let mut object = case["object"].clone();
        let found = create(strategy, resource, &mut object);
        compare(text("name"), 0, found, &case["warnings"]);
        for (number, step) in case["then"].as_array().into_iter().flatten().enumerate() {
            let old = object.clone();
            merge(&mut object, &step["patch"]);
            let found = update(strategy, resource, step["subresource"].as_str().unwrap_or(""), &mut object, &old);
            compare(text("name"), number + 1, found, &step["warnings"]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A pod with so many of something that each with each would be a billion.
fn pod_with(spec: Value) -> Vec<String> {
    let resource = resource_of("/api/v1/pods");
    let mut pod = json!({"metadata": {"name": "many"}, "spec": spec});
    create(kinds::strategy(resource), resource, &mut pod)
}

#[test]
fn an_object_of_many_parts_makes_few_warnings() {
    const MANY: usize = 40_000;
    let alike: Vec<Value> = (0..MANY).map(|_| json!({"containerPort": 80, "hostPort": 0, "protocol": "TCP"})).collect();
    let apart: Vec<Value> = (0..MANY).map(|port| json!({"containerPort": 80, "hostPort": port + 1, "protocol": "TCP"})).collect();
    let chain: Vec<Value> = (1..1_000).map(|depth| json!({"key": "k", "path": "a/".repeat(depth)})).collect();
    let flat: Vec<Value> = (0..MANY).map(|number| json!({"key": "k", "path": format!("p{number}")})).collect();
    for (what, spec, most) in [
        ("ports alike", json!({"containers": [{"name": "c", "ports": alike}]}), kinds::WARNINGS_COUNT_MAX),
        ("ports apart", json!({"containers": [{"name": "c", "ports": apart}]}), 0),
        (
            "paths below each other",
            json!({"volumes": [{"name": "v", "configMap": {"name": "m", "items": chain}}]}),
            kinds::WARNINGS_COUNT_MAX,
        ),
        ("paths apart", json!({"volumes": [{"name": "v", "configMap": {"name": "m", "items": flat}}]}), 0),
    ] {
        assert_eq!(pod_with(spec).len(), most, "{what}");
    }
}

#[test]
fn what_annotations_say_of_app_armor_the_fields_say_too() {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let resource = resource_of("/api/v1/pods");
    let create = |pod_profile: Value, annotation: &str, os: &str| {
        let mut pod = json!({
            "metadata": {"name": "p", "annotations": {format!("{PREFIX}c"): annotation}},
            "spec": {"os": {"name": os}, "securityContext": {"appArmorProfile": pod_profile}, "containers": [{"name": "c"}]},
        });
        let warned = !self::create(kinds::strategy(resource), resource, &mut pod).is_empty();
        (pod["spec"]["containers"][0]["securityContext"]["appArmorProfile"].clone(), warned)
    };
    let localhost = json!({"type": "Localhost", "localhostProfile": "x"});
    for (of_pod, annotation, os, made, warned) in [
        (Value::Null, "runtime/default", "linux", json!({"type": "RuntimeDefault"}), true),
        (Value::Null, "unconfined", "linux", json!({"type": "Unconfined"}), true),
        (Value::Null, "localhost/x", "linux", localhost.clone(), true),
        (localhost, "localhost/x", "linux", Value::Null, false),
        (Value::Null, "localhost/", "linux", Value::Null, true),
        (Value::Null, "localhost/ padded", "linux", Value::Null, true),
        (Value::Null, "nonsense", "linux", Value::Null, true),
        (Value::Null, "unconfined", "windows", Value::Null, false),
    ] {
        assert_eq!(create(of_pod.clone(), annotation, os), (made, warned), "{annotation} {of_pod} {os}");
    }
}
