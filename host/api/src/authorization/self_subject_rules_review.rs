//! SelfSubjectRulesReview: its row of the table of kinds (upstream: `pkg/registry/authorization/selfsubjectrulesreview`). It is answered and not stored.

use crate::kinds::action::{Action, Review};
use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("authorization.k8s.io", "SelfSubjectRulesReview").actions(&[("", Action::Review(Review::SelfSubjectRules))]);
