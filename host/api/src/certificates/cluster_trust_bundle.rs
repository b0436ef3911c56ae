//! ClusterTrustBundle: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/certificates/clustertrustbundle`).

use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind = Kind::new("certificates.k8s.io", "ClusterTrustBundle").conditional_update();
