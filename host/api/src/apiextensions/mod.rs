//! The kinds of `apiextensions.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod custom_resource_definition;
