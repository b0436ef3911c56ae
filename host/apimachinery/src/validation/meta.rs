//! Checks of what many kinds share: label selectors, conditions, numbers that may not be negative
//! (`k8s.io/apimachinery/pkg/apis/meta/v1/validation`).

use std::collections::HashSet;

use serde_json::Value;

use super::name::{is_label_key, is_label_value, regex_error};
use crate::field::{Error, Path};

/// Bytes of a condition's reason.
pub const CONDITION_REASON_BYTES_MAX: usize = 1024;
/// Bytes of a condition's message.
pub const CONDITION_MESSAGE_BYTES_MAX: usize = 32 * 1024;

pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn items<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Pairs of a map of strings.
pub(super) fn pairs(map: Option<&Value>) -> impl Iterator<Item = (&String, &str)> {
    map.and_then(Value::as_object).into_iter().flatten().map(|(key, value)| (key, value.as_str().unwrap_or_default()))
}

/// A value that is at least zero.
pub fn validate_nonnegative_field(value: i64, path: &Path) -> Vec<Error> {
    if value < 0 { vec![Error::invalid(path, value, "must be greater than or equal to 0")] } else { Vec::new() }
}

/// A value that may not change. Absent and null are the same.
pub fn validate_immutable_field(new: Option<&Value>, old: Option<&Value>, path: &Path) -> Vec<Error> {
    let (new, old) = (new.unwrap_or(&Value::Null), old.unwrap_or(&Value::Null));
    if new == old { Vec::new() } else { vec![Error::invalid(path, new.clone(), "field is immutable")] }
}

/// A label's key.
pub fn validate_label_name(name: &str, path: &Path) -> Vec<Error> {
    is_label_key(name).iter().map(|problem| Error::invalid(path, name, problem)).collect()
}

/// A map of labels.
pub fn validate_labels(labels: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (key, value) in pairs(labels) {
        errors.extend(validate_label_name(key, path));
        errors.extend(is_label_value(value).iter().map(|problem| Error::invalid(path, value, problem)));
    }
    errors
}

/// A `LabelSelector`; `allow_invalid_values` where it was already stored with some.
pub fn validate_label_selector(selector: Option<&Value>, allow_invalid_values: bool, path: &Path) -> Vec<Error> {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Vec::new() };
    let mut errors = validate_labels(selector.get("matchLabels"), &path.child("matchLabels"));
    for (i, expression) in items(selector, "matchExpressions").enumerate() {
        errors.extend(validate_label_selector_requirement(expression, allow_invalid_values, &path.child("matchExpressions").index(i)));
    }
    errors
}

fn validate_label_selector_requirement(expression: &Value, allow_invalid_values: bool, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let operator = text(expression, "operator");
    let has_values = items(expression, "values").next().is_some();
    let values = path.child("values");
    match operator {
        "In" | "NotIn" if !has_values => {
            errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if has_values => {
            errors.push(Error::forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.push(Error::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
    errors.extend(validate_label_name(text(expression, "key"), &path.child("key")));
    if !allow_invalid_values {
        for (i, value) in items(expression, "values").filter_map(Value::as_str).enumerate() {
            errors.extend(is_label_value(value).iter().map(|problem| Error::invalid(&values.index(i), value, problem)));
        }
    }
    errors
}

/// A list of conditions.
pub fn validate_conditions(conditions: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (i, condition) in conditions.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = path.index(i);
        let kind = text(condition, "type");
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        errors.extend(validate_condition(condition, &path));
    }
    errors
}

fn validate_condition(condition: &Value, path: &Path) -> Vec<Error> {
    let mut errors = validate_label_name(text(condition, "type"), &path.child("type"));
    let status = text(condition, "status");
    if !matches!(status, "True" | "False" | "Unknown") {
        errors.push(Error::not_supported(&path.child("status"), status, &["False", "True", "Unknown"]));
    }
    let generation = condition.get("observedGeneration").and_then(Value::as_i64).unwrap_or(0);
    errors.extend(validate_nonnegative_field(generation, &path.child("observedGeneration")));
    if text(condition, "lastTransitionTime").is_empty() {
        errors.push(Error::required(&path.child("lastTransitionTime"), ""));
    }
    let (reason, at) = (text(condition, "reason"), path.child("reason"));
    if reason.is_empty() {
        errors.push(Error::required(&at, ""));
    } else {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b',' | b':');
        let ends = reason.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if !(reason.starts_with(|c: char| c.is_ascii_alphabetic()) && ends && reason.bytes().all(inner)) {
            let words = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters \
                         or '_,:', and must end with an alphanumeric character or '_'";
            let examples = ["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
            errors.push(Error::invalid(&at, reason, &regex_error(words, "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", &examples)));
        }
        if reason.len() > CONDITION_REASON_BYTES_MAX {
            errors.push(Error::too_long(&at, CONDITION_REASON_BYTES_MAX));
        }
    }
    if text(condition, "message").len() > CONDITION_MESSAGE_BYTES_MAX {
        errors.push(Error::too_long(&path.child("message"), CONDITION_MESSAGE_BYTES_MAX));
    }
    errors
}
