//! Pod: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/core/pod`).

mod columns;
mod defaults;
mod strategy;
mod validation;
pub(crate) mod warnings;

use crate::kinds::action::{Action, Connection};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Pod")
    .status(StatusMetadata::KeepOwners)
    .generation(SPEC)
    .grace(strategy::grace_period_seconds)
    .default(defaults::default)
    .prepare(strategy::prepare)
    .prepare_subresource(strategy::prepare_subresource)
    .stamp(strategy::stamp)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .validate_subresource(validation::validate_subresource)
    .warn(warnings::warn)
    .warn_of_status(warnings::warn_of_status)
    .warn_before_preparation(warnings::warn_before_preparation)
    .printer(columns::row)
    .pod_spec("/spec")
    .row_conditions(columns::conditions)
    .returns_deleted_object()
    .indexed_field("spec.nodeName")
    .stored_fields(&[("spec.host", "spec.nodeName")])
    .actions(&[
        ("attach", Action::Connect(Connection::Container)),
        ("binding", Action::Bind),
        ("eviction", Action::Evict),
        ("exec", Action::Connect(Connection::Container)),
        ("log", Action::Log),
        ("portforward", Action::Connect(Connection::PodPorts)),
        ("proxy", Action::Connect(Connection::PodProxy)),
    ]);
