//! SelfSubjectReview: its row of the table of kinds (upstream: `pkg/registry/authentication/selfsubjectreview`). It is answered and not stored.

use crate::kinds::action::{Action, Review};
use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("authentication.k8s.io", "SelfSubjectReview").actions(&[("", Action::Review(Review::SelfSubject))]);
