//! Compares discovery with what upstream's server answers, where the recorded facts are at hand.

use std::path::PathBuf;

use serde_json::Value;
use wasmgate_api::bootstrap::bootstrap_objects;
use wasmgate_api::catalogue::discovery;
use wasmgate_api::{openapi, tables};

#[path = "../../../tests/skipped.rs"]
mod skipped;
use skipped::skipped;

/// A recorded document; `None` where the records are not there.
fn fact(name: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle/facts").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        skipped(&format!("no recordings in {}", path.parent().unwrap_or(&path).display()));
        return None;
    };
    Some(serde_json::from_str(&text).expect("a recorded document is JSON"))
}

#[track_caller]
fn same(name: &str, ours: &Value) {
    let Some(theirs) = fact(name) else { return };
    let found = differences(&theirs, ours, String::new());
    assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
}

/// Where two documents differ, for a message that can be read.
fn differences(theirs: &Value, ours: &Value, at: String) -> Vec<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let mut keys: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
            keys.sort();
            keys.dedup();
            keys.iter()
                .flat_map(|key| {
                    differences(
                        &theirs.get(*key).cloned().unwrap_or_default(),
                        &ours.get(*key).cloned().unwrap_or_default(),
                        format!("{at}/{key}"),
                    )
                })
                .collect()
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            theirs.iter().zip(ours).enumerate().flat_map(|(i, (theirs, ours))| differences(theirs, ours, format!("{at}/{i}"))).collect()
        }
        (theirs, ours) if theirs == ours => Vec::new(),
        (theirs, ours) => vec![format!("{at}: {theirs} but {ours}")],
    }
}

#[test]
fn discovery_is_upstreams() {
    let groups = discovery::groups(tables::resources());
    same("api.json", &discovery::api_versions("192.0.2.10:7443"));
    same("apis.json", &discovery::api_group_list(&groups));
    same("api.aggregated.v2.json", &discovery::aggregated(&groups, true));
    same("apis.aggregated.v2.json", &discovery::aggregated(&groups, false));
    for group in &groups {
        if !group.name.is_empty() {
            same(&format!("discovery/{}.json", group.name), &discovery::api_group(group));
        }
        for version in &group.versions {
            let dotted = if group.name.is_empty() { version.name.to_owned() } else { format!("{}.{}", group.name, version.name) };
            same(&format!("discovery/{dotted}.resources.json"), &discovery::api_resource_list(group.name, version));
        }
    }
}

#[test]
fn bootstrap_objects_are_upstreams() {
    let objects = bootstrap_objects();
    for (file, kind) in [
        ("namespaces", "Namespace"),
        ("clusterroles", "ClusterRole"),
        ("clusterrolebindings", "ClusterRoleBinding"),
        ("roles", "Role"),
        ("rolebindings", "RoleBinding"),
        ("priorityclasses", "PriorityClass"),
        ("flowschemas", "FlowSchema"),
        ("prioritylevelconfigurations", "PriorityLevelConfiguration"),
        ("apiservices", "APIService"),
    ] {
        let name = format!("objects/{file}.json");
        let Some(Value::Array(mut theirs)) = fact(&name).map(|mut list| list["items"].take()) else { return };
        let mut ours: Vec<Value> =
            objects.iter().filter(|(resource, _)| resource.gvk.kind == kind).map(|(_, object)| object.clone()).collect();
        let key = |object: &Value| (object["metadata"]["namespace"].to_string(), object["metadata"]["name"].to_string());
        ours.sort_by_key(key);
        theirs.sort_by_key(key);
        for object in &mut theirs {
            let metadata = object["metadata"].as_object_mut().expect("an object");
            for given in ["uid", "creationTimestamp", "resourceVersion", "managedFields"] {
                metadata.remove(given);
            }
            for condition in object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
                condition["lastTransitionTime"] = Value::Null;
            }
        }
        for object in &mut ours {
            let object = object.as_object_mut().expect("an object");
            object.remove("kind");
            object.remove("apiVersion");
        }
        let found = differences(&Value::Array(theirs), &Value::Array(ours), String::new());
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}

#[test]
fn root_paths_are_upstreams() {
    let Some(recorded) = fact("root-paths.json") else { return };
    let all: Vec<&str> = recorded["paths"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let others = all.iter().copied().filter(|path| !path.starts_with("/api"));
    same("root-paths.json", &discovery::root_paths(&discovery::groups(tables::resources()), others));
}

/// Without what is ours: words of parameters, and their names in `#/parameters/`.
fn without_words(value: &mut Value, parameters: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/parameters/")) {
                *value = parameters[name].clone();
                return without_words(value, parameters);
            }
            if map.contains_key("in") {
                map.remove("description");
            }
            map.values_mut().for_each(|value| without_words(value, parameters));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| without_words(value, parameters)),
        _ => {}
    }
}

/// The words about values of an enumeration are upstream's own.
fn without_enum_words(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("enum") {
                map.remove("description");
            }
            map.values_mut().for_each(without_enum_words);
        }
        Value::Array(list) => list.iter_mut().for_each(without_enum_words),
        _ => {}
    }
}

#[track_caller]
fn same_document(name: &str, mut ours: Value) {
    let Some(mut theirs) = fact(name) else { return };
    for document in [&mut ours, &mut theirs] {
        let parameters = document["parameters"].take();
        without_words(&mut document["paths"], &parameters);
        without_enum_words(document);
        // The package of definitions lacks these two's words; ours stand there.
        for name in ["io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"] {
            for root in ["/definitions", "/components/schemas"] {
                if let Some(definition) = document.pointer_mut(root).and_then(|all| all.get_mut(name)).and_then(Value::as_object_mut) {
                    assert!(definition.remove("description").is_some());
                }
            }
        }
    }
    let found = differences(&theirs, &ours, String::new());
    assert!(found.is_empty(), "{name}: {} differences\n{}", found.len(), found[..found.len().min(40)].join("\n"));
}

#[test]
fn openapi_v3_is_upstreams() {
    for (path, document) in openapi::v3_paths() {
        let ours: Value = serde_json::from_slice(&document.inflate()).expect("a document is JSON");
        same_document(&format!("openapi/v3/{}.json", path.replace('/', "__")), ours);
    }
    let Some(theirs) = fact("openapi/v3/index.json") else { return };
    let paths = |index: &Value| index["paths"].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&theirs), paths(&openapi::v3_index([])));
}

#[test]
fn openapi_v2_is_upstreams() {
    let ours: Value = serde_json::from_slice(&openapi::v2().inflate()).expect("a document is JSON");
    same_document("openapi/v2.json", ours);
}
