//! The kinds of `apps`, a file or a folder each, and what they have in common.

pub(crate) mod controller_revision;
pub(crate) mod daemon_set;
pub(crate) mod deployment;
pub(crate) mod replica_set;
pub(crate) mod shared;
pub(crate) mod stateful_set;
