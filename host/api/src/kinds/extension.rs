//! Kinds that extend the API: CustomResourceDefinition and APIService.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::value::{entries, flag, has, if_nil, if_zero, list, object_at, object_mut, set, text};
use super::warnings::Warnings;
use crate::Resource;
use crate::strategy::Context;

/// `CustomResourceDefinition`
pub(super) fn default_definition(_: &Resource, definition: &mut Value) {
    let spec = object_at(definition, "spec");
    let names = object_at(spec, "names");
    let kind = text(names, "kind").to_owned();
    if !kind.is_empty() {
        if_zero(names, "singular", kind.to_lowercase());
        if_zero(names, "listKind", format!("{kind}List"));
    }
    if_nil(spec, "conversion", json!({ "strategy": "None" }));
    if let Some(service) = spec.pointer_mut("/conversion/webhook/clientConfig/service") {
        if_nil(service, "port", 443);
    }
    let stored = storage_version(definition);
    let status = object_at(definition, "status");
    if let Some(stored) = stored.filter(|_| list(status, "storedVersions").is_empty()) {
        set(status, "storedVersions", json!([stored]));
    }
}

fn storage_version(definition: &Value) -> Option<String> {
    list(&definition["spec"], "versions").iter().find(|version| flag(version, "storage")).map(|version| text(version, "name").to_owned())
}

/// `CustomResourceDefinition`: versions in which objects may be stored are remembered.
pub(super) fn prepare_definition(_: &Resource, definition: &mut Value, _: Option<&Value>) {
    let Some(stored) = storage_version(definition) else { return };
    let status = object_at(definition, "status");
    let mut versions = list(status, "storedVersions").to_vec();
    if !versions.iter().any(|version| *version == *stored) {
        versions.push(stored.into());
        set(status, "storedVersions", versions);
    }
}

/// `APIService`
pub(super) fn default_api_service(_: &Resource, service: &mut Value) {
    if let Some(service) = object_mut(object_at(service, "spec"), "service") {
        if_nil(service, "port", 443);
    }
}

/// `APIService`: what this server serves itself is there.
pub(super) fn stamp_api_service(service: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    if old.is_none() && !has(&service["spec"], "service") {
        let condition = json!({
            "type": "Available",
            "status": "True",
            "reason": "Local",
            "message": "Local APIServices are always available",
            "lastTransitionTime": context.now,
        });
        set(object_at(service, "status"), "conditions", json!([condition]));
    }
}

/// `CustomResourceDefinition`: formats that nobody checks, where they are new.
pub(super) fn warn_of_definition(definition: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let before = old.map(unrecognized_formats).unwrap_or_default();
    for format in unrecognized_formats(definition).difference(&before) {
        warnings.push(format!("unrecognized format {}", apimachinery::field::go_quote(format)));
    }
}

/// The formats of all schemas of a definition that upstream does not know.
fn unrecognized_formats(definition: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let versions = list(&definition["spec"], "versions");
    let mut schemas: Vec<&Value> = versions.iter().filter_map(|version| version.pointer("/schema/openAPIV3Schema")).collect();
    while let Some(schema) = schemas.pop() {
        let (format, kind) = (text(schema, "format"), text(schema, "type"));
        if !format.is_empty() && !is_recognized_format(kind, format) {
            found.insert(format);
        }
        for name in ["items", "not", "additionalProperties", "additionalItems"] {
            schemas.extend(schema.get(name).filter(|schema| schema.is_object()));
        }
        for name in ["items", "allOf", "anyOf", "oneOf"] {
            schemas.extend(list(schema, name));
        }
        for name in ["properties", "patternProperties", "definitions", "dependencies"] {
            schemas.extend(entries(schema, name).map(|(_, schema)| schema).filter(|schema| schema.is_object()));
        }
    }
    found
}

fn is_recognized_format(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => FORMATS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// Formats of strings, without dashes.
const FORMATS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];
