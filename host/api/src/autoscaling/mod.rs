//! The kinds of `autoscaling`, a file or a folder each, and what they have in common.

pub(crate) mod horizontal_pod_autoscaler;
pub(crate) mod scale;
