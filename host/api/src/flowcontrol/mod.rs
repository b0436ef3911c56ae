//! The kinds of `flowcontrol.apiserver.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod flow_schema;
pub(crate) mod priority_level_configuration;
pub(crate) mod shared;
