//! DeviceTaintRule: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/resource/devicetaintrule`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::kinds::strategy::Context;
use crate::resource::shared::{conditions, pool_name, taint};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::volume;
use crate::shared::value::{self, if_nil, object_at, object_mut};

/// The row.
pub(crate) static KIND: Kind = Kind::new("resource.k8s.io", "DeviceTaintRule")
    .status(StatusMetadata::Reset)
    .generation(SPEC)
    .stamp(stamp)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .returns_deleted_object();

/// Since when the taint is there.
fn stamp(rule: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    if let Some(taint) = object_mut(object_at(rule, "spec"), "taint") {
        let old = old.and_then(|old| old.pointer("/spec/taint"));
        let moved = old.is_some_and(|old| old.get("effect") != taint.get("effect") && old.get("timeAdded") == taint.get("timeAdded"));
        if moved {
            value::remove(taint, "timeAdded");
        }
        if_nil(taint, "timeAdded", context.now);
    }
}

fn taint_rule_spec(rule: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = FieldValue::root(rule).child("spec");
    let devices = spec.child("deviceSelector");
    if let Some(driver) = devices.some("driver") {
        volume::csi_driver_name(&driver, errors);
    }
    if let Some(pool) = devices.some("pool") {
        pool_name(&pool, errors);
    }
    if let Some(device) = devices.some("device") {
        device.dns_label(errors);
    }
    taint(&spec.child("taint"), old.and_then(|old| old.pointer("/spec/taint")), errors);
}

fn validate(resource: &Resource, rule: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, rule, metadata::subdomain, &mut errors);
    taint_rule_spec(rule, None, &mut errors);
    errors
}

fn validate_update(_: &Resource, rule: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(rule, old, &mut errors);
    taint_rule_spec(rule, Some(old), &mut errors);
    errors
}

fn validate_status(_: &Resource, _: &str, rule: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(rule, old, &mut errors);
    conditions(&FieldValue::root(rule).child("status"), &mut errors);
    errors
}
