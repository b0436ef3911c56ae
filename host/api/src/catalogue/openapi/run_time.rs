//! OpenAPI v3 of kinds that come while the server runs: the same paths and the same form of schemas as those of built-in kinds have.

use std::collections::BTreeMap;
use std::io::Write as _;

use apimachinery::schema::{FieldType, ListType, Schema};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};

use super::rows::{Gvk, Row, Subresource};
use super::{Document, paths};
use crate::{Catalogue, Resource};

/// The built-in document whose definitions run-time ones borrow: it has all of `meta/v1`, and `autoscaling/v1`'s `Scale`.
const DEFINITIONS: &str = "apis/apps/v1";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const REFERENCE: &str = "#/components/schemas/";
/// How deep objects without a name of their own are shown in each other.
const DEPTH_MAX: usize = 64;

/// The documents of all group versions that the catalogue serves and that are not built in, by path.
pub fn documents(catalogue: &Catalogue) -> BTreeMap<String, Document> {
    let mut by_path: BTreeMap<String, Vec<&Resource>> = BTreeMap::new();
    for row in catalogue.resources() {
        let gvr = &row.gvr;
        let path = format!("apis/{}/{}", gvr.group, gvr.version);
        if super::v3(&path).is_none() && !gvr.group.is_empty() {
            by_path.entry(path).or_default().push(row);
        }
    }
    if by_path.is_empty() {
        return BTreeMap::new();
    }
    let built_in = super::v3(DEFINITIONS).map(|document| document.inflate()).unwrap_or_default();
    let built_in: Value = serde_json::from_slice(&built_in).unwrap_or_default();
    by_path.into_iter().map(|(path, rows)| (path, document(&rows, &built_in))).collect()
}

/// One document, of the resources of one group version.
fn document(rows: &[&Resource], built_in: &Value) -> Document {
    let (group, version) = (&rows[0].gvr.group, &rows[0].gvr.version);
    let shown: Vec<Row> = rows.iter().map(|row| row_of(row)).collect();
    let paths = json!(paths::of_group_version(group, version, &shown, &definition_of));
    let mut schemas = Map::new();
    for row in rows {
        let name = definition_name(&row.gvk.group, &row.gvk.version, &row.gvk.kind);
        let gvk = json!([{ "group": row.gvk.group, "version": row.gvk.version, "kind": row.gvk.kind }]);
        let mut own = object(&row.schema, 0);
        own["x-kubernetes-group-version-kind"] = gvk;
        schemas.insert(format!("{name}List"), list(row, &name));
        schemas.insert(name, own);
    }
    add_reachable(&paths, &mut schemas, &built_in["components"]["schemas"]);
    let text = json!({
        "openapi": "3.0.0",
        "info": built_in["info"],
        "paths": paths,
        "components": { "securitySchemes": built_in["components"]["securitySchemes"], "schemas": schemas },
    })
    .to_string();
    let hash = Sha512::digest(&text).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory takes all");
    Document { gzip: encoder.finish().expect("memory takes all").into(), hash: hash.into(), size_bytes: text.len() }
}

fn row_of(resource: &Resource) -> Row {
    let gvk = |gvk: &apimachinery::GroupVersionKind| Gvk {
        group: gvk.group.to_string(),
        version: gvk.version.to_string(),
        kind: gvk.kind.to_string(),
    };
    let verbs = |verbs: &[apimachinery::group_version::Text]| verbs.iter().map(|verb| verb.to_string()).collect::<Vec<_>>();
    let subresource = |sub: &crate::Subresource| Subresource { name: sub.name.to_string(), gvk: gvk(&sub.gvk), verbs: verbs(&sub.verbs) };
    Row {
        plural: resource.gvr.resource.to_string(),
        gvk: gvk(&resource.gvk),
        namespaced: resource.namespaced(),
        verbs: verbs(&resource.verbs),
        subresources: resource.subresources.iter().map(subresource).collect(),
        answers_deletion: false,
        has_messages: resource.schema.message.is_some(),
    }
}

/// What a definition is called: of a kind of our own as in the document, of any other by its group, backwards: `com.example.v1.Widget`.
fn definition_of(gvk: &Gvk) -> String {
    match (gvk.group.as_str(), gvk.version.as_str(), gvk.kind.as_str()) {
        ("autoscaling", version, kind) => format!("io.k8s.api.autoscaling.{version}.{kind}"),
        (group, version, kind) => definition_name(group, version, kind),
    }
}

fn definition_name(group: &str, version: &str, kind: &str) -> String {
    let group: Vec<&str> = group.split('.').rev().collect();
    format!("{}.{version}.{kind}", group.join("."))
}

/// `WidgetList`.
fn list(row: &Resource, item: &str) -> Value {
    let gvk = &row.gvk;
    json!({
        "description": format!("{}List is a list of {}", gvk.kind, gvk.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "allOf": [{ "$ref": format!("{REFERENCE}{META}ListMeta") }] },
            "items": { "type": "array", "items": { "$ref": format!("{REFERENCE}{item}") } },
        },
        "x-kubernetes-group-version-kind": [{ "group": gvk.group, "version": gvk.version, "kind": format!("{}List", gvk.kind) }],
    })
}

fn object(schema: &Schema, depth: usize) -> Value {
    let mut shown = json!({ "type": "object" });
    if schema.preserve_unknown {
        shown["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    let required: Vec<&str> = schema.fields.iter().filter(|field| field.required).map(|field| &*field.name).collect();
    if !required.is_empty() {
        shown["required"] = json!(required);
    }
    if schema.fields.is_empty() || depth == DEPTH_MAX {
        return shown;
    }
    let mut properties = Map::new();
    for field in schema.fields.iter() {
        let mut property = value(&field.kind, depth + 1);
        if let Some(default) = field.default.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            property["default"] = default;
        }
        match field.list_type {
            ListType::Set => property["x-kubernetes-list-type"] = "set".into(),
            ListType::Map => {
                property["x-kubernetes-list-type"] = "map".into();
                property["x-kubernetes-list-map-keys"] = json!(field.list_map_keys);
            }
            ListType::Atomic => {}
        }
        properties.insert(field.name.to_string(), property);
    }
    shown["properties"] = properties.into();
    shown
}

fn value(kind: &FieldType, depth: usize) -> Value {
    let formatted = |kind: &str, format: &str| json!({ "type": kind, "format": format });
    match kind {
        FieldType::Any => json!({ "x-kubernetes-preserve-unknown-fields": true }),
        FieldType::Bool => json!({ "type": "boolean" }),
        FieldType::Int32 => formatted("integer", "int32"),
        FieldType::Int64 => formatted("integer", "int64"),
        FieldType::Float => formatted("number", "double"),
        FieldType::String | FieldType::Duration => json!({ "type": "string" }),
        FieldType::Bytes => formatted("string", "byte"),
        FieldType::Time | FieldType::MicroTime => formatted("string", "date-time"),
        FieldType::Quantity | FieldType::IntOrString => {
            json!({ "x-kubernetes-int-or-string": true, "oneOf": [{ "type": "integer" }, { "type": "string" }] })
        }
        FieldType::List(_) | FieldType::SharedList(_) => {
            json!({ "type": "array", "items": kind.items().map(|items| value(items, depth)) })
        }
        FieldType::Map(_) | FieldType::SharedMap(_) => {
            json!({ "type": "object", "additionalProperties": kind.values().map(|values| value(values, depth)) })
        }
        FieldType::Object(schema) if schema.name.starts_with(META) => {
            json!({ "allOf": [{ "$ref": format!("{REFERENCE}{}", schema.name) }] })
        }
        FieldType::Object(schema) => object(schema, depth),
    }
}

/// Adds the built-in definitions that the paths and what they lead to refer to.
fn add_reachable(paths: &Value, schemas: &mut Map<String, Value>, built_in: &Value) {
    let mut open = Vec::new();
    references(paths, &mut open);
    schemas.values().for_each(|schema| references(schema, &mut open));
    while let Some(name) = open.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let Some(schema) = built_in.get(&name) else { continue };
        references(schema, &mut open);
        schemas.insert(name, schema.clone());
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(REFERENCE)).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
