//! MutatingAdmissionPolicyBinding: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/admissionregistration/mutatingadmissionpolicybinding`).

use crate::admissionregistration::{bindings, matching};
use crate::kinds::kind::{Kind, SPEC};

/// The row.
pub(crate) static KIND: Kind = Kind::new("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding")
    .generation(SPEC)
    .conditional_update()
    .default(bindings::default_binding)
    .validate(bindings::validate_binding)
    .validate_update(bindings::validate_binding_update)
    .warn(matching::warn_of_name)
    .printer(bindings::policy_binding)
    .unenforced("no object is changed by it");
