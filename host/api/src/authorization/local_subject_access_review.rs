//! LocalSubjectAccessReview: its row of the table of kinds (upstream: `pkg/registry/authorization/localsubjectaccessreview`). It is answered and not stored.

use crate::kinds::action::{Action, Review};
use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("authorization.k8s.io", "LocalSubjectAccessReview").actions(&[("", Action::Review(Review::LocalSubjectAccess))]);
