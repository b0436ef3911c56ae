//! What clients are warned of about a CustomResourceDefinition.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::shared::value::{entries, list, text};
use crate::shared::warnings::Warnings;

/// Formats that nobody checks, where they are new.
pub(crate) fn warn(definition: &Value, old: Option<&Value>, warnings: &mut Warnings) {
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
