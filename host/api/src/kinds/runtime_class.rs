//! Runtime classes.

use serde_json::Value;

use super::value::entries;
use super::warnings::{self, Warnings};

/// Labels of nodes. The path is upstream's, which does not say which label.
pub(super) fn warn(class: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    for (label, _) in entries(&class["scheduling"], "nodeSelector") {
        if let Some(why) = warnings::deprecated_node_label(label) {
            warnings.push(format!("scheduling.nodeSelector: {why}"));
        }
    }
}
