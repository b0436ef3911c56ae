//! The one document of OpenAPI v2, made from the paths of all documents of v3.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::paths::Paths;
use crate::definitions::Definitions;

/// In the order in which v2 documents list what is sent and answered.
const ORDER: [&str; 6] = [
    "text/plain",
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// The document. Parameters that stand there more than once are shared.
pub fn document(paths: &Paths, definitions: &Definitions, info: &Value, security: &Value) -> Value {
    let mut shared = Shared::default();
    for item in paths.values() {
        shared.count_item(item);
    }
    let paths: Map<String, Value> = paths.iter().map(|(path, item)| (path.clone(), convert_item(item, &mut shared))).collect();
    let mut used = Vec::new();
    references(&Value::Object(paths.clone()), &mut used);
    used.extend(shared.bodies());
    let mut named = Map::new();
    while let Some(name) = used.pop() {
        if !named.contains_key(&name) {
            let schema = Value::Object(definitions.get(&name).unwrap_or_else(|| panic!("no definition of {name}")).schema.clone());
            references(&schema, &mut used);
            named.insert(name, schema);
        }
    }
    json!({
        "swagger": "2.0",
        "info": info,
        "paths": paths,
        "definitions": named,
        "parameters": shared.rendered,
        "securityDefinitions": { "BearerToken": security },
        "security": [{ "BearerToken": [] }],
    })
}

/// Parameters by their text, with how often they are there.
#[derive(Default)]
struct Shared {
    counts: BTreeMap<String, usize>,
    rendered: Map<String, Value>,
}

impl Shared {
    fn count_item(&mut self, item: &Value) {
        for (key, value) in item.as_object().expect("an item is an object") {
            let (listed, body) = if key == "parameters" { (Some(value), None) } else { (value.get("parameters"), body_parameter(value)) };
            let listed = listed.and_then(Value::as_array).into_iter().flatten().map(parameter);
            for one in listed.chain(body) {
                *self.counts.entry(one.to_string()).or_default() += 1;
            }
        }
    }

    /// The parameter, or a reference to it.
    fn place(&mut self, parameter: Value) -> Value {
        let text = parameter.to_string();
        if self.counts.get(&text).is_none_or(|&count| count < 10) {
            return parameter;
        }
        let digest = Sha256::digest(text.as_bytes());
        let hash: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{hash}", parameter["name"].as_str().expect("a parameter has a name"));
        self.rendered.insert(name.clone(), parameter);
        json!({ "$ref": format!("#/parameters/{name}") })
    }

    fn bodies(&self) -> Vec<String> {
        let mut found = Vec::new();
        references(&Value::Object(self.rendered.clone()), &mut found);
        found
    }
}

fn convert_item(item: &Value, shared: &mut Shared) -> Value {
    let mut converted = Map::new();
    for (key, value) in item.as_object().expect("an item is an object") {
        let value = if key == "parameters" {
            let all = value.as_array().expect("a list");
            Value::Array(all.iter().map(|one| shared.place(parameter(one))).collect())
        } else {
            convert_operation(value, shared)
        };
        converted.insert(key.clone(), value);
    }
    Value::Object(converted)
}

fn convert_operation(operation: &Value, shared: &mut Shared) -> Value {
    let mut converted = operation.as_object().expect("an operation is an object").clone();
    converted.insert("schemes".to_owned(), json!(["https"]));
    let mut parameters: Vec<Value> = body_parameter(operation).into_iter().collect();
    parameters.extend(operation.get("parameters").and_then(Value::as_array).into_iter().flatten().map(parameter));
    let parameters: Vec<Value> = parameters.into_iter().map(|one| shared.place(one)).collect();
    if parameters.is_empty() {
        converted.remove("parameters");
    } else {
        converted.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let produces = media_types(&operation["responses"]["200"]["content"]);
    // What is not an operation on a resource consumes what it produces, where that is a form of the API.
    let is_resource = operation.get("x-kubernetes-action").is_some();
    let consumes = match converted.remove("requestBody") {
        Some(body) if operation["x-kubernetes-action"] == "patch" => patch_types(&body),
        _ if is_resource => vec!["*/*".to_owned()],
        _ if produces.iter().any(|media_type| media_type == "application/json") && operation["tags"][0] != "WellKnown" => produces.clone(),
        _ => Vec::new(),
    };
    if !consumes.is_empty() {
        converted.insert("consumes".to_owned(), json!(consumes));
    }
    converted.insert("produces".to_owned(), json!(produces));
    let responses = operation["responses"].as_object().expect("an operation answers");
    let responses = responses.iter().map(|(code, response)| {
        let mut simple = json!({ "description": response["description"] });
        if let Some(content) = response.get("content").and_then(Value::as_object).and_then(|content| content.values().next()) {
            simple["schema"] = moved(&content["schema"]);
        }
        (code.clone(), simple)
    });
    converted.insert("responses".to_owned(), Value::Object(responses.collect()));
    Value::Object(converted)
}

fn patch_types(body: &Value) -> Vec<String> {
    let mut found: Vec<String> = body["content"].as_object().expect("content").keys().cloned().collect();
    let order = ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];
    found.sort_by_key(|name| order.iter().position(|known| known == name).unwrap_or(order.len()));
    found
}

fn media_types(content: &Value) -> Vec<String> {
    let mut found: Vec<String> = content.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    found.sort_by_key(|name| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
    found
}

fn body_parameter(operation: &Value) -> Option<Value> {
    let body = operation.get("requestBody")?;
    let schema = moved(&body["content"].as_object()?.values().next()?["schema"]);
    let mut parameter = json!({ "name": "body", "in": "body", "schema": schema });
    if body.get("required").is_some() {
        parameter["required"] = json!(true);
    }
    Some(parameter)
}

fn parameter(of: &Value) -> Value {
    let mut converted = of.as_object().expect("a parameter is an object").clone();
    if let Some(Value::Object(schema)) = converted.remove("schema") {
        converted.extend(schema);
    }
    Value::Object(converted)
}

fn moved(schema: &Value) -> Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => json!({ "$ref": reference.replace("#/components/schemas/", "#/definitions/") }),
        None => schema.clone(),
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/definitions/")) {
                found.push(name.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
