//! The kinds of `admissionregistration.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod bindings;
pub(crate) mod matching;
pub(crate) mod mutating_admission_policy;
pub(crate) mod mutating_admission_policy_binding;
pub(crate) mod mutating_webhook_configuration;
pub(crate) mod policies;
pub(crate) mod validating_admission_policy;
pub(crate) mod validating_admission_policy_binding;
pub(crate) mod validating_webhook_configuration;
pub(crate) mod webhooks;
