//! Flow schemas and priority levels.

use serde_json::Value;

use super::value::{if_nil, if_zero, object_at, object_mut};
use crate::Resource;

/// `FlowSchema`
pub(super) fn default_flow_schema(_: &Resource, schema: &mut Value) {
    if_zero(object_at(schema, "spec"), "matchingPrecedence", 1000);
}

/// `PriorityLevelConfiguration`
pub(super) fn default_priority_level(_: &Resource, level: &mut Value) {
    let spec = object_at(level, "spec");
    if let Some(exempt) = object_mut(spec, "exempt") {
        if_nil(exempt, "nominalConcurrencyShares", 0);
        if_nil(exempt, "lendablePercent", 0);
    }
    let Some(limited) = object_mut(spec, "limited") else { return };
    if_nil(limited, "nominalConcurrencyShares", 30);
    if_nil(limited, "lendablePercent", 0);
    if let Some(queuing) = object_mut(limited, "limitResponse").and_then(|response| object_mut(response, "queuing")) {
        if_zero(queuing, "handSize", 8);
        if_zero(queuing, "queues", 64);
        if_zero(queuing, "queueLengthLimit", 50);
    }
}
