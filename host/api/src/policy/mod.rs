//! The kinds of `policy`, a file or a folder each, and what they have in common.

pub(crate) mod pod_disruption_budget;
