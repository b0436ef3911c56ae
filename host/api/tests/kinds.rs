//! Creates of the recorded cases, driven through defaults and preparation: what is left to compare is what upstream answered. Runs where
//! the recordings are present. One case is LimitRanger's.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_api::strategy::Context;

#[path = "../../../tests/skipped.rs"]
mod skipped;
use skipped::skipped;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle/cases");

/// What admission and the registry's allocators add, which strategies do not.
const NOT_OURS: [&str; 14] = [
    "/metadata/managedFields",
    "/metadata/finalizers",
    "/metadata/resourceVersion",
    "/spec/tolerations",
    "/spec/priority",
    "/spec/preemptionPolicy",
    "/spec/serviceAccount",
    "/spec/serviceAccountName",
    "/spec/clusterIP",
    "/spec/clusterIPs",
    "/spec/ipFamilies",
    "/spec/ipFamilyPolicy",
    "/spec/username",
    "/spec/groups",
];

fn resource_of(path: &str) -> Option<(&'static wasmgate_api::Resource, Option<String>)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    match rest {
        ["namespaces", namespace, plural] => Some((wasmgate_api::tables::find(group, version, plural)?, Some((*namespace).to_owned()))),
        [plural] => Some((wasmgate_api::tables::find(group, version, plural)?, None)),
        _ => None,
    }
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    if let Some(parent) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(name);
    }
}

fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => differences(&format!("{path}/{name}"), a, b, found),
                    (a, b) => found.push(format!("{path}/{name}: ours {} theirs {}", show(a), show(b))),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{i}"), a, b, found);
            }
        }
        (a, b) if a == b || matches!(b.as_str(), Some("<time>" | "<nodeport>")) => {}
        (a, b) => found.push(format!("{path}: ours {a} theirs {b}")),
    }
}

fn show(value: Option<&Value>) -> String {
    value.map_or("nothing".to_owned(), Value::to_string)
}

fn created(step: &Value) -> Option<(Value, String)> {
    let path = step["path"].as_str()?;
    let (resource, namespace) = resource_of(path)?;
    let mut object = step.get("body").filter(|body| body.is_object())?.clone();
    if step.pointer("/query/dryRun").is_some() || resource.storage_prefix.is_empty() {
        return None;
    }
    object["apiVersion"] = resource.gvk.api_version().into();
    object["kind"] = (*resource.gvk.kind).into();
    let strategy = wasmgate_api::kinds::strategy(resource);
    strategy.default(resource, &mut object);
    object["metadata"]["uid"] = "<uid>".into();
    object["metadata"]["creationTimestamp"] = "<time>".into();
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!(format!("{}<rand>", object["metadata"]["generateName"].as_str().unwrap_or("")));
    }
    strategy.prepare_for_create(resource, &mut object);
    strategy.stamp(resource, &mut object, None, &Context { now: "<time>", ..Context::default() });
    Some((object, resource.gvk.to_string()))
}

#[test]
fn creates_are_answered_as_recorded() {
    if !Path::new(CASES).is_dir() {
        return skipped(&format!("no recordings in {CASES}"));
    }
    let (mut all, mut same) = (0, 0);
    for file in ["defaulting", "lifecycle"] {
        let text = fs::read_to_string(format!("{CASES}/{file}.json")).expect("a file of cases");
        let cases: Value = serde_json::from_str(&text).expect("JSON");
        for case in cases["cases"].as_array().expect("cases") {
            let steps = case["steps"].as_array().expect("steps").iter().zip(case["answers"].as_array().expect("answers"));
            for (step, answer) in steps.filter(|(step, answer)| step["method"] == "POST" && answer["status"] == 201) {
                let Some((mut ours, kind)) = created(step) else { continue };
                let mut theirs = answer["body"].clone();
                for pointer in NOT_OURS {
                    remove(&mut ours, pointer);
                    remove(&mut theirs, pointer);
                }
                let mut found = Vec::new();
                differences("", &ours, &theirs, &mut found);
                found.retain(|line| {
                    !(line.starts_with("/spec/ports") && line.contains("odePort")
                        || line.contains("/spec/extra")
                        || line.contains("healthCheckNodePort"))
                });
                all += 1;
                same += usize::from(found.is_empty());
                for line in &found {
                    println!("{} {kind}: {line}", case["name"]);
                }
            }
        }
    }
    println!("creates: {same} of {all} as recorded");
    assert!(same + 1 >= all, "{same} of {all}");
}
