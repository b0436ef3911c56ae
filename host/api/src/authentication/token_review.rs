//! TokenReview: its row of the table of kinds (upstream: `pkg/registry/authentication/tokenreview`). It is answered and not stored.

use crate::kinds::action::{Action, Review};
use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind = Kind::new("authentication.k8s.io", "TokenReview").actions(&[("", Action::Review(Review::Token))]);
