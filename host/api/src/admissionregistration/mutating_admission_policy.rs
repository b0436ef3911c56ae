//! MutatingAdmissionPolicy: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/mutatingadmissionpolicy`).

use serde_json::Value;

use crate::admissionregistration::matching;
use crate::admissionregistration::policies::{self, parameter_kind};
use crate::kinds::kind::{Kind, SPEC};
use crate::shared::cell::{age, cells, len, name};

/// The row.
pub(crate) static KIND: Kind = Kind::new("admissionregistration.k8s.io", "MutatingAdmissionPolicy")
    .generation(SPEC)
    .conditional_update()
    .default(policies::default_policy)
    .validate(policies::validate_policy)
    .validate_update(policies::validate_policy_update)
    .warn(matching::warn_of_name)
    .printer(row)
    .unenforced("no object is changed by it");

fn row(policy: &Value, now: i64) -> Vec<Value> {
    cells![name(policy), len(policy, "/spec/mutations"), parameter_kind(policy), age(policy, now)]
}
