//! ReplicationController: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/replicationcontroller`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::action::{Action, ScaleSelector};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::labels;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::defaults::default_template;
use crate::shared::pod::validation::validate_template;
use crate::shared::pod::warnings;
use crate::shared::rules::{self, count};
use crate::shared::value::{if_nil, if_zero, object_at, object_mut};
use crate::shared::warnings::Warnings;
use crate::shared::workload::{self, always_running, replicas, spec_is_new, spec_mut, warn_of_replicas};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "ReplicationController")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .orphans_dependents()
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(workload::validate_replicas_status)
    .warn(warn)
    .printer(row)
    .pod_spec("/spec/template/spec")
    .actions(&[("scale", Action::Scale(ScaleSelector::Labels))]);

fn default(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_nil(spec, "replicas", 1);
    let mut labels = None;
    if let Some(template) = object_mut(spec, "template") {
        labels = template.pointer("/metadata/labels").cloned();
        default_template(template);
    }
    if let Some(labels) = labels {
        if_zero(spec, "selector", labels.clone());
        if_zero(object_at(object, "metadata"), "labels", labels);
    }
}

fn replication_controller_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&[count("minReadySeconds")], spec, None, errors);
    if spec.is_empty("selector") {
        errors.push(spec.child("selector").required(""));
    }
    rules::check(&[count("replicas")], spec, None, errors);
    let template = spec.child("template");
    if template.value.is_null() {
        return errors.push(template.required(""));
    }
    let labels = template.child("metadata").child("labels");
    if spec.entries("selector").any(|(key, value)| labels.value.get(key) != Some(value.value)) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    validate_template(&template, errors);
    always_running(&template, "ReplicationController", errors);
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain_once, &mut errors);
    replication_controller_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    replication_controller_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

/// On update upstream looks at the template that was there before.
fn warn(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    match old {
        None => warn_of_replicas(object, None, warnings),
        Some(before) if spec_is_new(object, old) => {
            warnings::template(&FieldValue::root(before).child("spec").child("template"), warnings);
        }
        Some(_) => {}
    }
}

fn row(controller: &Value, now: i64) -> Vec<Value> {
    replicas(controller, now, labels(controller, "/spec/selector"))
}
