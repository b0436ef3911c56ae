//! LeaseCandidate: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/coordination/leasecandidate`).

use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind = Kind::new("coordination.k8s.io", "LeaseCandidate").create_on_update().conditional_update();
