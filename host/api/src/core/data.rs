//! What a ConfigMap and a Secret have in common: data of a bounded size that may be made immutable.

use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::value;

/// Of a Secret or ConfigMap.
pub(crate) const DATA_BYTES_MAX: usize = 1024 * 1024;

const WHEN_IMMUTABLE: &str = "field is immutable when `immutable` is set";

pub(crate) fn decoded_bytes(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    (text.len() / 4 * 3).saturating_sub(text.bytes().rev().take_while(|&b| b == b'=').count())
}

pub(crate) fn immutable_data(object: &Value, old: &Value, names: &[&str], errors: &mut Errors) {
    if !value::flag(old, "immutable") {
        return;
    }
    let root = FieldValue::root(object);
    if !root.flag("immutable") {
        errors.push(root.child("immutable").forbidden(WHEN_IMMUTABLE));
    }
    for name in names {
        if object.get(name) != old.get(name) {
            errors.push(root.child(name).forbidden(WHEN_IMMUTABLE));
        }
    }
}
