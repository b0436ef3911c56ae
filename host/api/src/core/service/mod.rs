//! Service: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/core/service`).

pub(crate) mod columns;
mod defaults;
mod strategy;
pub(crate) mod validation;
mod warnings;

use crate::kinds::action::{Action, Connection};
use crate::kinds::kind::{Kind, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Service")
    .status(StatusMetadata::Free)
    .create_on_update()
    .default(defaults::default)
    .prepare(strategy::prepare)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .validate_subresource(validation::validate_status)
    .warn(warnings::warn)
    .warn_of_status(warnings::warn_of_status)
    .printer(columns::row)
    .returns_deleted_object()
    .actions(&[("proxy", Action::Connect(Connection::ServiceProxy))]);
