//! ResourceSlice: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/resource/resourceslice`).

mod validation;

use apimachinery::GroupVersionKind;
use serde_json::Value;

use crate::kinds::kind::{Kind, SPEC};
use crate::kinds::strategy::Context;
use crate::shared::cell::{self, age, cells, name};
use crate::shared::value::{if_nil, list_mut, object_at, text};
use crate::shared::warnings::Warnings;

/// The row.
pub(crate) static KIND: Kind = Kind::new("resource.k8s.io", "ResourceSlice")
    .generation(SPEC)
    .stamp(stamp)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .warn(warn)
    .printer(row)
    .unknown_field(unknown_field)
    .returns_deleted_object();

/// Since when a taint is there.
fn stamp(slice: &mut Value, _: Option<&Value>, context: &Context<'_>) {
    for device in list_mut(object_at(slice, "spec"), "devices") {
        for taint in list_mut(device, "taints") {
            if_nil(taint, "timeAdded", context.now);
        }
    }
}

/// The driver's name.
fn warn(slice: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let driver = text(&slice["spec"], "driver");
    if driver != driver.to_lowercase() {
        let driver = apimachinery::field::go_quote(driver);
        warnings.push(format!("spec.driver: driver names should be lowercase; {driver} contains uppercase characters"));
    }
}

fn row(slice: &Value, now: i64) -> Vec<Value> {
    cells![
        name(slice),
        cell::text(slice, "/spec/nodeName"),
        cell::text(slice, "/spec/driver"),
        cell::text(slice, "/spec/pool/name"),
        age(slice, now)
    ]
}

/// Field selectors cannot name the field, in upstream's words for this kind.
fn unknown_field(gvk: &GroupVersionKind, field: &str) -> String {
    format!("field label not supported for {}, Kind={}: {field}", gvk.api_version(), gvk.kind)
}
