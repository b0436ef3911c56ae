//! Definitions in OpenAPI v3's form, and those that a document needs.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use crate::definitions::{Definitions, INT_OR_STRING, QUANTITY};

/// All definitions that a document's paths lead to. `group` and `version` are the document's: the kinds that every group
/// version has (`DeleteOptions`, `WatchEvent`) are shown for this one and the core one only.
pub fn reachable(paths: &Value, all: &HashMap<&str, Value>, own: Option<(&str, &str)>) -> Map<String, Value> {
    let mut open: Vec<String> = Vec::new();
    references(paths, &mut open);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut found = Map::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let mut schema = all.get(name.as_str()).unwrap_or_else(|| panic!("no definition of {name}")).clone();
        references(&schema, &mut open);
        if let Some(Value::Array(kinds)) = schema.get_mut("x-kubernetes-group-version-kind")
            && kinds.len() > 1
        {
            kinds.retain(|kind| {
                let kind = (kind["group"].as_str().unwrap_or_default(), kind["version"].as_str().unwrap_or_default());
                kind == ("", "v1") || Some(kind) == own
            });
        }
        found.insert(name, schema);
    }
    found
}

/// All definitions as OpenAPI v3 has them.
pub fn convert(definitions: &Definitions) -> HashMap<&str, Value> {
    definitions.iter().map(|(name, definition)| (name.as_str(), schema(name, &definition.schema, &definition.defaults))).collect()
}

fn schema(name: &str, of: &Map<String, Value>, defaults: &std::collections::BTreeMap<String, String>) -> Value {
    let mut schema = of.clone();
    match name {
        QUANTITY => {
            schema.remove("type");
            schema.insert("oneOf".to_owned(), json!([{ "type": "string" }, { "type": "number" }]));
        }
        INT_OR_STRING => {
            schema.remove("type");
            schema.insert("oneOf".to_owned(), json!([{ "type": "integer" }, { "type": "string" }]));
        }
        _ => {}
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (field, property) in properties {
            let property = property.as_object_mut().expect("a property is a schema");
            if let Some(default) = defaults.get(field) {
                let default = serde_json::from_str(default).unwrap_or_else(|error| panic!("{name} {field}: {default}: {error}"));
                property.insert("default".to_owned(), default);
            }
            move_references(property);
        }
    }
    Value::Object(schema)
}

/// References are below another root, and beside anything else they stand in an `allOf`.
fn move_references(property: &mut Map<String, Value>) {
    for part in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = property.get_mut(part) {
            move_references(inner);
        }
    }
    let Some(Value::String(reference)) = property.get("$ref") else { return };
    let moved = reference.replace("#/definitions/", "#/components/schemas/");
    if property.len() == 1 {
        property.insert("$ref".to_owned(), Value::String(moved));
    } else {
        property.remove("$ref");
        property.insert("allOf".to_owned(), json!([{ "$ref": moved }]));
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/components/schemas/")) {
                found.push(name.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
