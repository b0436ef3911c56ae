//! CertificateSigningRequest: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/certificates/certificates`).

mod columns;
mod strategy;
mod validation;

use crate::kinds::kind::{Kind, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("certificates.k8s.io", "CertificateSigningRequest")
    .status(StatusMetadata::Free)
    .prepare(strategy::prepare)
    .prepare_subresource(strategy::prepare_subresource)
    .stamp(strategy::stamp)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .validate_subresource(validation::validate_subresource)
    .printer(columns::row);
