//! DaemonSet: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/apps/daemonset`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{self, age, cells, containers, int, labels, name};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::defaults::default_template;
use crate::shared::pod::validation::validate_template;
use crate::shared::pod::warnings;
use crate::shared::rules::{self, Field, count, immutable};
use crate::shared::selector::{self, label_selector};
use crate::shared::validation::int_or_percent_value;
use crate::shared::value::{if_nil, if_zero, object_at, set, text};
use crate::shared::warnings::Warnings;
use crate::shared::workload::{self, TEMPLATE, always_running, not_more_than_all, positive_int_or_percent, spec_mut};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const STATUS: [Field; 9] = [
    count("currentNumberScheduled"),
    count("numberMisscheduled"),
    count("desiredNumberScheduled"),
    count("numberReady"),
    count("observedGeneration"),
    count("updatedNumberScheduled"),
    count("numberAvailable"),
    count("numberUnavailable"),
    count("collisionCount"),
];

/// The row.
pub(crate) static KIND: Kind = Kind::new("apps", "DaemonSet")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .default(default)
    .prepare(prepare)
    .prepare_subresource(prepare_status)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .printer(row)
    .pod_spec("/spec/template/spec")
    .round_trip_annotations(&[TEMPLATE_GENERATION]);

fn default(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    let strategy = object_at(spec, "updateStrategy");
    if_zero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        if_nil(rolling, "maxUnavailable", 1);
        if_nil(rolling, "maxSurge", 0);
    }
    if_nil(spec, "revisionHistoryLimit", 10);
    default_template(object_at(spec, "template"));
    if template_generation(object).is_none() {
        set(object_at(object_at(object, "metadata"), "annotations"), TEMPLATE_GENERATION, "0");
    }
}

/// An annotation counts the changes of the template.
fn prepare(_: &Resource, object: &mut Value, old: Option<&Value>) {
    let generation = match old {
        None => template_generation(object).unwrap_or(0).max(1),
        Some(old) => {
            let changed = old.pointer("/spec/template") != object.pointer("/spec/template");
            template_generation(old).unwrap_or(0) + i64::from(changed)
        }
    };
    set(object_at(object_at(object, "metadata"), "annotations"), TEMPLATE_GENERATION, generation.to_string());
}

/// What counts the changes of the template is not the status' to change.
fn prepare_status(_: &Resource, _: &str, object: &mut Value, old: &Value) {
    let generation = template_generation(old).unwrap_or(0);
    set(object_at(object_at(object, "metadata"), "annotations"), TEMPLATE_GENERATION, generation.to_string());
}

fn daemon_set_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    let selector = spec.child("selector");
    label_selector(&selector, errors);
    let labels = spec.child("template").child("metadata").child("labels");
    if selector::selects(selector.value, labels.value) == Some(false) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    if !selector.value.is_null() && selector::is_empty(selector.value) {
        errors.push(selector.invalid("empty selector is invalid for daemonset"));
    }
    let template = spec.child("template");
    validate_template(&template, errors);
    always_running(&template, "DaemonSet", errors);
    rules::check(&[count("minReadySeconds")], spec, None, errors);
    let strategy = spec.child("updateStrategy");
    let rolling = strategy.child("rollingUpdate");
    match strategy.text_of("type") {
        "OnDelete" => {}
        "RollingUpdate" if rolling.value.is_null() => errors.push(rolling.required("")),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            positive_int_or_percent(&unavailable, errors);
            positive_int_or_percent(&surge, errors);
            not_more_than_all(&unavailable, errors);
            not_more_than_all(&surge, errors);
            match (int_or_percent_value(unavailable.value) != 0, int_or_percent_value(surge.value) != 0) {
                (true, true) => errors.push(surge.invalid("may not be set when maxUnavailable is non-zero")),
                (false, false) => errors.push(unavailable.required("cannot be 0 when maxSurge is 0")),
                _ => {}
            }
        }
        _ => errors.push(strategy.unsupported(&["RollingUpdate", "OnDelete"])),
    }
    rules::check(&[count("revisionHistoryLimit")], spec, None, errors);
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    daemon_set_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    rules::check(&[immutable("selector")], &spec, Some(&FieldValue::root(old).child("spec")), &mut errors);
    daemon_set_spec(&spec, &mut errors);
    errors
}

fn template_generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/annotations").map(|annotations| text(annotations, TEMPLATE_GENERATION))?.parse().ok()
}

fn warn(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_none_or(|old| template_generation(old) != template_generation(object)) {
        warnings::template(&FieldValue::root(object).child("spec").child("template"), warnings);
    }
}

fn validate_status(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    if subresource == "status" {
        let (status, before) = (FieldValue::root(object).child("status"), FieldValue::root(old).child("status"));
        rules::check(&STATUS, &status, None, &mut errors);
        workload::collisions_not_decremented(&status, &before, &mut errors);
    }
    errors
}

fn row(set: &Value, now: i64) -> Vec<Value> {
    let [names, images] = containers(set, TEMPLATE);
    cells![
        name(set),
        int(set, "/status/desiredNumberScheduled"),
        int(set, "/status/currentNumberScheduled"),
        int(set, "/status/numberReady"),
        int(set, "/status/updatedNumberScheduled"),
        int(set, "/status/numberAvailable"),
        labels(set, "/spec/template/spec/nodeSelector"),
        age(set, now),
        names,
        images,
        cell::selector(set, "/spec/selector"),
    ]
}
