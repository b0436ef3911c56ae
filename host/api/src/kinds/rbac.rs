//! Roles and bindings.

use serde_json::Value;

use super::value::{if_zero, list_mut, object_at, text};
use crate::Resource;

/// `rbac.authorization.k8s.io`
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// `RoleBinding`, `ClusterRoleBinding`
pub(super) fn default_binding(_: &Resource, binding: &mut Value) {
    if_zero(object_at(binding, "roleRef"), "apiGroup", GROUP);
    for subject in list_mut(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            if_zero(subject, "apiGroup", GROUP);
        }
    }
}
