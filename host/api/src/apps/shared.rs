//! What several kinds of `apps` have in common: a selector, and a template that it selects.

use serde_json::Value;

use crate::shared::cell::int;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::validation::validate_template;
use crate::shared::selector::{self, label_selector};
use crate::shared::workload::always_running;

pub(crate) fn template_labels(spec: &FieldValue<'_>, errors: &mut Errors) -> bool {
    let labels = spec.child("template").child("metadata").child("labels");
    match selector::selects(spec.child("selector").value, labels.value) {
        Some(false) => {
            errors.push(labels.invalid("`selector` does not match template `labels`"));
            true
        }
        Some(true) => true,
        None => false,
    }
}

pub(crate) fn required_selector(spec: &FieldValue<'_>, noun: &str, errors: &mut Errors) {
    let selector = spec.child("selector");
    if selector.value.is_null() {
        return errors.push(selector.required(""));
    }
    label_selector(&selector, errors);
    if selector::is_empty(selector.value) {
        errors.push(selector.invalid(&format!("empty selector is invalid for {noun}")));
    }
}

/// The selector, then the template that it must select; nothing is selected by no selector.
pub(crate) fn selected_template(spec: &FieldValue<'_>, kind: &str, bad_selector: &str, errors: &mut Errors) {
    let selector = spec.child("selector");
    let before = errors.len();
    let known = if selector.value.is_null() {
        let labels = spec.child("template").child("metadata").child("labels");
        errors.push(labels.invalid("`selector` does not match template `labels`"));
        true
    } else if selector::is_empty(selector.value) {
        true
    } else {
        template_labels(spec, errors)
    };
    if !known {
        errors.truncate(before);
        return errors.push(selector.invalid(bad_selector));
    }
    let template = spec.child("template");
    validate_template(&template, errors);
    always_running(&template, kind, errors);
}

pub(crate) fn ready_of_desired(set: &Value) -> String {
    format!("{}/{}", int(set, "/status/readyReplicas"), int(set, "/spec/replicas"))
}
