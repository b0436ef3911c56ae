//! The kinds of `rbac.authorization.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod bindings;
pub(crate) mod cluster_role;
pub(crate) mod cluster_role_binding;
pub(crate) mod role;
pub(crate) mod role_binding;
pub(crate) mod roles;
