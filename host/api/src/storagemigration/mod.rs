//! The kinds of `storagemigration.k8s.io`, a file or a folder each, and what they have in common.

pub(crate) mod storage_version_migration;
