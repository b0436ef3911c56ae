//! ValidatingAdmissionPolicy: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/validatingadmissionpolicy`).

use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::matching::{self, warn_of_name};
use crate::admissionregistration::policies::{self, parameter_kind};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{age, cells, len, name};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::warnings::Warnings;

/// The row.
pub(crate) static KIND: Kind = Kind::new("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")
    .status(StatusMetadata::Reset)
    .generation(SPEC)
    .conditional_update()
    .default(policies::default_policy)
    .validate(policies::validate_policy)
    .validate_update(policies::validate_policy_update)
    .validate_subresource(validate_status)
    .warn(matching::warn_of_name)
    .warn_of_status(warn_of_status)
    .printer(row)
    .unenforced("no request is judged by it");

/// What its controller found, and nothing else.
fn validate_status(_: &Resource, _: &str, object: &Value, _: &Value) -> Errors {
    let mut errors = Errors::new();
    let status = FieldValue::root(object).child("status");
    for warning in status.child("typeChecking").items("expressionWarnings") {
        for name in ["warning", "fieldRef"] {
            let field = warning.child(name);
            if field.text().trim().is_empty() {
                errors.push(field.required(""));
            }
        }
    }
    let conditions = status.child("conditions");
    errors.extend(apimachinery::validation::meta::validate_conditions(Some(conditions.value), &conditions.path));
    errors
}

/// Its status is as its spec in this.
fn warn_of_status(policy: &Value, warnings: &mut Warnings) {
    warn_of_name(policy, None, warnings);
}

fn row(policy: &Value, now: i64) -> Vec<Value> {
    cells![name(policy), len(policy, "/spec/validations"), parameter_kind(policy), age(policy, now)]
}
