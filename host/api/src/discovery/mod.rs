//! The kinds of `discovery.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod endpoint_slice;
