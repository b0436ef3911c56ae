//! ReplicaSet: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/apps/replicaset`).

use serde_json::Value;

use crate::Resource;
use crate::apps::shared::{required_selector, selected_template};
use crate::kinds::action::{Action, ScaleSelector};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::selector;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::defaults::default_template;
use crate::shared::rules::{self, count, immutable};
use crate::shared::value::{if_nil, object_at};
use crate::shared::workload::{self, replicas, spec_mut};

/// The row.
pub(crate) static KIND: Kind = Kind::new("apps", "ReplicaSet")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(workload::validate_replicas_status)
    .warn(workload::warn_of_replicas)
    .printer(row)
    .pod_spec("/spec/template/spec")
    .actions(&[("scale", Action::Scale(ScaleSelector::Expressions))]);

fn default(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_nil(spec, "replicas", 1);
    default_template(object_at(spec, "template"));
}

fn replica_set_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&[count("replicas"), count("minReadySeconds")], spec, None, errors);
    required_selector(spec, "deployment", errors);
    selected_template(spec, "ReplicaSet", "invalid label selector", errors);
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    replica_set_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    replica_set_spec(&spec, &mut errors);
    rules::check(&[immutable("selector")], &spec, Some(&FieldValue::root(old).child("spec")), &mut errors);
    errors
}

fn row(set: &Value, now: i64) -> Vec<Value> {
    replicas(set, now, selector(set, "/spec/selector"))
}
