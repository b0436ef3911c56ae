//! What clients may not set of a PersistentVolume, and what the server sets (upstream: `pkg/registry/core/persistentvolume`).

use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::strategy::Context;
use crate::shared::value::{has, object_at, restore, set, text};

/// Pending since it was made.
pub(crate) fn prepare(_: &Resource, volume: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        set(volume, "status", json!({ "phase": "Pending" }));
    }
}

/// Since when it is in its phase.
pub(crate) fn stamp(volume: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    const SINCE: &str = "lastPhaseTransitionTime";
    let status = object_at(volume, "status");
    let Some(old) = old else { return set(status, SINCE, context.now) };
    if context.subresource != Some("status") {
        return;
    }
    let old = &old["status"];
    if text(old, "phase") == text(status, "phase") {
        if !has(status, SINCE) {
            restore(status, old, SINCE);
        }
    } else if !has(status, SINCE) || status.get(SINCE) == old.get(SINCE) {
        set(status, SINCE, context.now);
    }
}
