//! The kinds of `certificates.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod certificate_signing_request;
pub(crate) mod cluster_trust_bundle;
pub(crate) mod pod_certificate_request;
