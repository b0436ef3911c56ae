//! The kinds of `coordination.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod lease;
pub(crate) mod lease_candidate;
