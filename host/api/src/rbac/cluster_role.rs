//! ClusterRole: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/rbac/clusterrole`).

use crate::kinds::kind::Kind;
use crate::rbac::roles;

/// The row.
pub(crate) static KIND: Kind = Kind::new("rbac.authorization.k8s.io", "ClusterRole")
    .create_on_update()
    .validate(roles::validate_role)
    .validate_update(roles::validate_role_update);
