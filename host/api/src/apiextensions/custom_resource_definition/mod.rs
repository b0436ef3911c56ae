//! CustomResourceDefinition: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: apiextensions-apiserver, `pkg/registry/customresourcedefinition`).

mod defaults;
mod schema;
mod strategy;
mod validation;
mod warnings;

use crate::kinds::kind::{Kind, SPEC, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("apiextensions.k8s.io", "CustomResourceDefinition")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .conditional_update()
    .default(defaults::default)
    .prepare(strategy::prepare)
    .warn(warnings::warn)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .validate_subresource(validation::validate_status)
    .unenforced("its resources are not served")
    .status_without_table();
