//! RoleBinding: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/rbac/rolebinding`).

use crate::kinds::kind::Kind;
use crate::rbac::bindings;

/// The row.
pub(crate) static KIND: Kind = Kind::new("rbac.authorization.k8s.io", "RoleBinding")
    .create_on_update()
    .default(bindings::default_binding)
    .validate(bindings::validate_binding)
    .validate_update(bindings::validate_binding_update)
    .printer(bindings::role_binding);
