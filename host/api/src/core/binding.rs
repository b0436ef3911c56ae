//! Binding: its row of the table of kinds (upstream: `pkg/registry/core/pod`). It is stored nowhere.

use crate::kinds::action::Action;
use crate::kinds::kind::Kind;

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Binding").actions(&[("", Action::Bind)]);
