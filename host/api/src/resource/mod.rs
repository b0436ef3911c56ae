//! The kinds of `resource.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod claim_spec;
pub(crate) mod device_class;
pub(crate) mod device_taint_rule;
pub(crate) mod resource_claim;
pub(crate) mod resource_claim_template;
pub(crate) mod resource_slice;
pub(crate) mod shared;
