//! StorageVersionMigration: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storagemigration/storageversionmigration`).

use crate::kinds::kind::{Kind, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("storagemigration.k8s.io", "StorageVersionMigration").status(StatusMetadata::Reset).conditional_update();
