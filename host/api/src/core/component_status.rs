//! ComponentStatus: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/componentstatus`).

use serde_json::Value;

use crate::kinds::action::Action;
use crate::kinds::kind::Kind;
use crate::shared::cell::{cells, condition, name, text};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "ComponentStatus").printer(row).actions(&[("", Action::ComponentStatuses)]);

fn row(component: &Value, _now: i64) -> Vec<Value> {
    match condition(component, "/conditions", "Healthy") {
        None => cells![name(component), "Unknown", "", ""],
        Some(healthy) => {
            let status = if text(healthy, "/status") == "True" { "Healthy" } else { "Unhealthy" };
            cells![name(component), status, text(healthy, "/message"), text(healthy, "/error")]
        }
    }
}
