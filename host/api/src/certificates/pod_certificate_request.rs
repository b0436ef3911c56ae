//! PodCertificateRequest: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/certificates/podcertificaterequest`).

use crate::kinds::kind::{Kind, StatusMetadata};

/// The row.
pub(crate) static KIND: Kind = Kind::new("certificates.k8s.io", "PodCertificateRequest").status(StatusMetadata::Reset).conditional_update();
