//! Job: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/batch/job`).

mod columns;
mod strategy;
mod validation;

use apimachinery::GroupVersionKind;
use apimachinery::field::go_quote;
use serde_json::Value;

use crate::Resource;
use crate::batch::job_spec::{default_failure_policy, default_job_spec, warn_of_job_spec};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::field_value::FieldValue;
use crate::shared::pod::defaults::default_template;
use crate::shared::value::{if_zero, object_at};
use crate::shared::warnings::{self, Warnings};
use crate::shared::workload::{IN_POD_NAMES, spec_is_new, spec_mut};

/// The row.
pub(crate) static KIND: Kind = Kind::new("batch", "Job")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .orphans_dependents()
    .default(default)
    .prepare(strategy::prepare)
    .validate(validation::validate)
    .validate_update(validation::validate_update)
    .validate_subresource(validation::validate_status)
    .warn(warn)
    .orphaning_warning(strategy::PODS_STAY)
    .printer(columns::row)
    .pod_spec("/spec/template/spec")
    .unknown_field(unknown_field)
    .stored_paths(&[("status.successful", &["status.succeeded"])]);

pub(crate) fn default(_: &Resource, object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    let spec = spec_mut(object);
    default_job_spec(spec);
    default_failure_policy(spec);
    default_template(object_at(spec, "template"));
    if let Some(labels) = labels {
        if_zero(object_at(object, "metadata"), "labels", labels);
    }
}

fn warn(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let root = FieldValue::root(object);
    if old.is_none() {
        warnings::not_a_hostname(&root, IN_POD_NAMES, warnings);
    }
    if spec_is_new(object, old) {
        warn_of_job_spec(&root.child("spec"), warnings);
    }
}

/// Field selectors cannot name the field, in upstream's words for this kind.
fn unknown_field(_: &GroupVersionKind, field: &str) -> String {
    format!("field label {} not supported for Job", go_quote(field))
}
