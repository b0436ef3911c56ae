//! The kinds of `apiregistration.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod api_service;
