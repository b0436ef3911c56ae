//! Role: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/rbac/role`).

use crate::kinds::kind::Kind;
use crate::rbac::roles;

/// The row.
pub(crate) static KIND: Kind = Kind::new("rbac.authorization.k8s.io", "Role")
    .create_on_update()
    .validate(roles::validate_role)
    .validate_update(roles::validate_role_update);
