//! ConfigMap: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/configmap`).

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::core::data::{DATA_BYTES_MAX, decoded_bytes, immutable_data};
use crate::kinds::kind::Kind;
use crate::shared::cell::{self, age, cells, len};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "ConfigMap").validate(validate).validate_update(validate_update).printer(row);

fn config_map(resource: &Resource, object: &Value, errors: &mut Errors) {
    metadata::validate(resource, object, metadata::subdomain, errors);
    let root = FieldValue::root(object);
    let mut bytes = 0;
    for (key, entry) in root.entries("data") {
        errors.extend(name::is_config_map_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        if object["binaryData"].get(key).is_some() {
            errors.push(entry.invalid_as(key, "duplicate of key present in binaryData"));
        }
        bytes += entry.text().len();
    }
    for (key, entry) in root.entries("binaryData") {
        errors.extend(name::is_config_map_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        bytes += decoded_bytes(entry.value);
    }
    if bytes > DATA_BYTES_MAX {
        let mut error = apimachinery::field::Error::too_long(&root.path, DATA_BYTES_MAX);
        error.field = String::new();
        errors.push(error);
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    config_map(resource, object, &mut errors);
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    immutable_data(object, old, &["data", "binaryData"], &mut errors);
    config_map(resource, object, &mut errors);
    errors
}

fn row(map: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(map), len(map, "/data") + len(map, "/binaryData"), age(map, now)]
}
