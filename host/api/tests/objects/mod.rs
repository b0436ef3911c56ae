//! What tests of kinds share: resources by path, and merge patches of objects.

use serde_json::{Value, json};
use wasmgate_api::{Resource, tables};

/// `/api/v1/pods`, with or without its slashes.
pub fn resource_of(path: &str) -> &'static Resource {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = if parts[0] == "api" { ("", parts[1]) } else { (parts[1], parts[2]) };
    tables::find(group, version, parts[parts.len() - 1]).unwrap_or_else(|| panic!("no resource at {path}"))
}

/// Applies a merge patch.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    let map = target.as_object_mut().expect("made an object above");
    for (name, value) in patch {
        match value {
            Value::Null => drop(map.remove(name)),
            value => merge(map.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}
