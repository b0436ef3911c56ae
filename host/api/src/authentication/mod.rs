//! The kinds of `authentication.k8s.io`, a file each.

pub(crate) mod self_subject_review;
pub(crate) mod token_review;
