//! Deployment: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/apps/deployment`).

use apimachinery::selector::LabelSelector;
use serde_json::Value;

use crate::Resource;
use crate::apps::shared::{ready_of_desired, required_selector, selected_template};
use crate::kinds::action::{Action, ScaleSelector};
use crate::kinds::kind::{Generation, Kind, StatusMetadata, spec};
use crate::shared::cell::{age, cells, containers, int, name};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::defaults::default_template;
use crate::shared::rules::{self, Field, count, immutable};
use crate::shared::validation::int_or_percent_value;
use crate::shared::value::{if_nil, if_zero, object_at, remove, text};
use crate::shared::workload::{self, TEMPLATE, not_more_than_all, positive_int_or_percent, spec_mut};

const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

const STATUS: [Field; 8] = [
    count("observedGeneration"),
    count("replicas"),
    count("updatedReplicas"),
    count("readyReplicas"),
    count("availableReplicas"),
    count("unavailableReplicas"),
    count("terminatingReplicas"),
    count("collisionCount"),
];

/// The row.
pub(crate) static KIND: Kind = Kind::new("apps", "Deployment")
    .status(StatusMetadata::KeepLabels)
    .generation(Generation::From1(spec_or_annotations))
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(workload::warn_of_replicas)
    .printer(row)
    .pod_spec("/spec/template/spec")
    .round_trip_annotations(&[ROLLBACK_TO])
    .actions(&[("scale", Action::Scale(ScaleSelector::Expressions))]);

fn default(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_nil(spec, "replicas", 1);
    let strategy = object_at(spec, "strategy");
    if_zero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        if_nil(rolling, "maxUnavailable", "25%");
        if_nil(rolling, "maxSurge", "25%");
    }
    if_nil(spec, "revisionHistoryLimit", 10);
    if_nil(spec, "progressDeadlineSeconds", 600);
    default_template(object_at(spec, "template"));
    if let Some(annotations) = object.pointer_mut("/metadata/annotations")
        && text(annotations, ROLLBACK_TO).is_empty()
    {
        remove(annotations, ROLLBACK_TO);
    }
}

/// Annotations too: they are copied to replica sets.
fn spec_or_annotations(new: &Value, old: &Value) -> bool {
    spec(new, old) || new.pointer("/metadata/annotations") != old.pointer("/metadata/annotations")
}

fn deployment_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&[count("replicas")], spec, None, errors);
    required_selector(spec, "deployment", errors);
    selected_template(spec, "ReplicaSet", "invalid label selector", errors);
    let strategy = spec.child("strategy");
    let rolling = strategy.child("rollingUpdate");
    match strategy.text_of("type") {
        "Recreate" => {
            if !rolling.value.is_null() {
                errors.push(rolling.forbidden("may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            positive_int_or_percent(&unavailable, errors);
            positive_int_or_percent(&surge, errors);
            if int_or_percent_value(unavailable.value) == 0 && int_or_percent_value(surge.value) == 0 {
                errors.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
            }
            not_more_than_all(&unavailable, errors);
        }
        _ => errors.push(strategy.unsupported(&["Recreate", "RollingUpdate"])),
    }
    rules::check(&[count("minReadySeconds"), count("revisionHistoryLimit"), count("progressDeadlineSeconds")], spec, None, errors);
    let ready = spec.child("minReadySeconds").int();
    if let Some(deadline) = spec.some("progressDeadlineSeconds").filter(|deadline| deadline.int() <= ready) {
        errors.push(deadline.invalid("must be greater than minReadySeconds"));
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    deployment_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    deployment_spec(&spec, &mut errors);
    rules::check(&[immutable("selector")], &spec, Some(&FieldValue::root(old).child("spec")), &mut errors);
    errors
}

fn validate_status(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    if subresource == "status" {
        let (status, before) = (FieldValue::root(object).child("status"), FieldValue::root(old).child("status"));
        rules::check(&STATUS, &status, None, &mut errors);
        let limited = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        workload::within_replicas(&status, &limited, "cannot be greater than readyReplicas", &mut errors);
        workload::collisions_not_decremented(&status, &before, &mut errors);
    }
    errors
}

fn row(deployment: &Value, now: i64) -> Vec<Value> {
    let [names, images] = containers(deployment, TEMPLATE);
    // Unlike others', an empty selector is shown as it is.
    let selector = LabelSelector::from_object(deployment.pointer("/spec/selector"));
    cells![
        name(deployment),
        ready_of_desired(deployment),
        int(deployment, "/status/updatedReplicas"),
        int(deployment, "/status/availableReplicas"),
        age(deployment, now),
        names,
        images,
        selector.map_or_else(|_| "<invalid>".to_owned(), |selector| selector.to_string()),
    ]
}
