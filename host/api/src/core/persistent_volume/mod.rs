//! PersistentVolume: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/core/persistentvolume`).

mod columns;
pub(crate) mod defaults;
mod strategy;
mod validation;
mod warnings;

use crate::kinds::kind::{Kind, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "PersistentVolume")
    .status(StatusMetadata::Free)
    .default(defaults::default)
    .prepare(strategy::prepare)
    .stamp(strategy::stamp)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .warn(warnings::warn)
    .printer(columns::row)
    .returns_deleted_object();
