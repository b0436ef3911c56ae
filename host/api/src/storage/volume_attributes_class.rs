//! VolumeAttributesClass: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storage/volumeattributesclass`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{age, cells, name, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::storage::storage_class::{parameters, provisioner};

/// The row.
pub(crate) static KIND: Kind = Kind::new("storage.k8s.io", "VolumeAttributesClass")
    .validate(validate)
    .validate_update(validate_update)
    .printer(row)
    .returns_deleted_object();

fn validate(resource: &Resource, class: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, class, metadata::subdomain, &mut errors);
    let root = FieldValue::root(class);
    provisioner(&root.child("driverName"), &mut errors);
    parameters(&root.child("parameters"), &mut errors);
    if root.is_empty("parameters") {
        errors.push(root.child("parameters").required("must contain at least one key/value pair"));
    }
    errors
}

fn validate_update(resource: &Resource, class: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(class, old, &mut errors);
    for name in ["driverName", "parameters"] {
        if class.get(name) != old.get(name) {
            errors.push(FieldValue::root(class).child(name).forbidden(&format!("updates to {name} are forbidden.")));
        }
    }
    errors.extend(validate(resource, class));
    errors
}

fn row(class: &Value, now: i64) -> Vec<Value> {
    cells![name(class), text(class, "/driverName"), age(class, now)]
}
