//! Dynamic resources: claims, their templates, slices, taint rules.

use serde_json::Value;

use super::value::{if_nil, if_zero, list_mut, object_at, object_mut, text};
use super::warnings::Warnings;
use crate::Resource;
use crate::strategy::Context;

fn default_request(request: &mut Value) {
    if_zero(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" {
        if_zero(request, "count", 1);
    }
    for toleration in list_mut(request, "tolerations") {
        if_zero(toleration, "operator", "Equal");
    }
}

fn default_claim_spec(spec: &mut Value) {
    let Some(devices) = object_mut(spec, "devices") else { return };
    for request in list_mut(devices, "requests") {
        if let Some(exactly) = object_mut(request, "exactly") {
            default_request(exactly);
        }
        list_mut(request, "firstAvailable").for_each(default_request);
    }
}

/// `ResourceClaim`
pub(super) fn default_claim(_: &Resource, claim: &mut Value) {
    default_claim_spec(object_at(claim, "spec"));
    if let Some(devices) = claim.pointer_mut("/status/allocation/devices") {
        for result in list_mut(devices, "results") {
            for toleration in list_mut(result, "tolerations") {
                if_zero(toleration, "operator", "Equal");
            }
        }
    }
}

/// `ResourceClaimTemplate`
pub(super) fn default_claim_template(_: &Resource, template: &mut Value) {
    default_claim_spec(object_at(object_at(template, "spec"), "spec"));
}

/// `ResourceSlice`: since when a taint is there.
pub(super) fn stamp_slice(slice: &mut Value, _: Option<&Value>, context: &Context<'_>) {
    for device in list_mut(object_at(slice, "spec"), "devices") {
        for taint in list_mut(device, "taints") {
            if_nil(taint, "timeAdded", context.now);
        }
    }
}

/// `DeviceTaintRule`: since when the taint is there.
pub(super) fn stamp_taint_rule(rule: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    if let Some(taint) = object_mut(object_at(rule, "spec"), "taint") {
        let old = old.and_then(|old| old.pointer("/spec/taint"));
        let moved = old.is_some_and(|old| old.get("effect") != taint.get("effect") && old.get("timeAdded") == taint.get("timeAdded"));
        if moved {
            super::value::remove(taint, "timeAdded");
        }
        if_nil(taint, "timeAdded", context.now);
    }
}

/// `ResourceSlice`: the driver's name.
pub(super) fn warn_of_slice(slice: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let driver = text(&slice["spec"], "driver");
    if driver != driver.to_lowercase() {
        let driver = apimachinery::field::go_quote(driver);
        warnings.push(format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters"));
    }
}
