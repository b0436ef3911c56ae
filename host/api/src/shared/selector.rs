//! Labels and label selectors.

use apimachinery::LabelSelector;
use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};

/// A map of labels.
pub(crate) fn labels(at: &FieldValue<'_>, errors: &mut Errors) {
    for (key, value) in at.value.as_object().into_iter().flatten() {
        errors.extend(name::is_label_key(key).iter().map(|problem| at.invalid_as(key.as_str(), problem)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(name::is_label_value(value).iter().map(|problem| at.invalid_as(value, problem)));
    }
}

/// A `LabelSelector`.
pub(crate) fn label_selector(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.value.is_null() {
        return;
    }
    labels(&at.child("matchLabels"), errors);
    for requirement in at.items("matchExpressions") {
        let values = requirement.child("values");
        match requirement.text_of("operator") {
            "In" | "NotIn" if requirement.is_empty("values") => {
                errors.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if !requirement.is_empty("values") => {
                errors.push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.push(requirement.child("operator").invalid("not a valid selector operator")),
        }
        requirement.child("key").label_key(errors);
        for value in requirement.items("values") {
            value.problems(name::is_label_value(value.text()), errors);
        }
    }
}

/// A selector of nothing at all: neither labels nor expressions.
pub(crate) fn is_empty(selector: &Value) -> bool {
    let empty = |name: &str| match selector.get(name) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    };
    empty("matchLabels") && empty("matchExpressions")
}

/// Whether a `LabelSelector` selects labels; `None` where it is no selector.
pub(crate) fn selects(selector: &Value, labels: &Value) -> Option<bool> {
    let selector = LabelSelector::from_object(Some(selector)).ok()?;
    let object = serde_json::json!({ "metadata": { "labels": labels } });
    Some(selector.matches_object(&object))
}
