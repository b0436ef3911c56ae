//! What kinds that keep a number of pods have in common.

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::shared::cell::{self, age, cells, containers, int};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::rules::{self, Field, count};
use crate::shared::validation::{int_or_percent, percent_of};
use crate::shared::value::object_at;
use crate::shared::warnings::{self, Warnings};
use crate::shared::{metadata, pod};

pub(crate) fn spec_mut(object: &mut Value) -> &mut Value {
    object_at(object, "spec")
}

pub(crate) const IN_POD_NAMES: &str = "Pod names and hostnames";

/// Whether an update counted as one of the spec: upstream looks at the templates of no other.
pub(crate) fn spec_is_new(object: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old.pointer("/metadata/generation") != object.pointer("/metadata/generation"))
}

/// `Deployment`, `ReplicaSet`
pub(crate) fn warn_of_replicas(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let root = FieldValue::root(object);
    if old.is_none() {
        warnings::not_a_hostname(&root, IN_POD_NAMES, warnings);
    }
    if spec_is_new(object, old) {
        pod::warnings::template(&root.child("spec").child("template"), warnings);
    }
}

/// The pods of a workload always run.
pub(crate) fn always_running(template: &FieldValue<'_>, kind: &str, errors: &mut Errors) {
    let spec = template.child("spec");
    let policy = spec.child("restartPolicy");
    if policy.text() != "Always" {
        errors.push(field_value::unsupported(&policy.path, &Value::from(policy.text()), &["Always"]));
    }
    if spec.has("activeDeadlineSeconds") {
        errors.push(spec.child("activeDeadlineSeconds").forbidden(&format!("activeDeadlineSeconds in {kind} is not Supported")));
    }
}

/// Not above 100 %.
pub(crate) fn not_more_than_all(at: &FieldValue<'_>, errors: &mut Errors) {
    if percent_of(at.value).is_some_and(|percent| percent > 100) {
        errors.push(at.invalid("must not be greater than 100%"));
    }
}

/// A number or percentage, not below zero.
pub(crate) fn positive_int_or_percent(at: &FieldValue<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => at.problems(name::is_valid_percent(text), errors),
        _ => int_or_percent(at, errors),
    }
}

/// Counts that are not above `status.replicas`, and no more that are available than are ready.
pub(crate) fn within_replicas(status: &FieldValue<'_>, limited: &[&str], ready_words: &str, errors: &mut Errors) {
    let replicas = status.child("replicas").int();
    for count in limited.iter().map(|name| status.child(name)).filter(|count| count.int() > replicas) {
        errors.push(count.invalid_as(count.int(), "cannot be greater than status.replicas"));
    }
    let available = status.child("availableReplicas");
    if available.int() > status.child("readyReplicas").int() {
        errors.push(available.invalid_as(available.int(), ready_words));
    }
}

/// How often two controllers collided does not get less.
pub(crate) fn collisions_not_decremented(status: &FieldValue<'_>, before: &FieldValue<'_>, errors: &mut Errors) {
    let (new, old) = (status.child("collisionCount"), before.child("collisionCount"));
    if !old.value.is_null() && (new.value.is_null() || new.int() < old.int()) {
        errors.push(new.invalid_as(new.int(), "cannot be decremented"));
    }
}

const REPLICAS_STATUS: [Field; 6] = [
    count("replicas"),
    count("fullyLabeledReplicas"),
    count("readyReplicas"),
    count("availableReplicas"),
    count("observedGeneration"),
    count("terminatingReplicas"),
];

/// A changed status of a ReplicaSet or a ReplicationController.
pub(crate) fn validate_replicas_status(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    if subresource == "status" {
        let status = FieldValue::root(object).child("status");
        rules::check(&REPLICAS_STATUS, &status, None, &mut errors);
        let limited = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        within_replicas(&status, &limited, "cannot be greater than readyReplicas", &mut errors);
    }
    errors
}

pub(crate) const TEMPLATE: &str = "/spec/template/spec";

pub(crate) fn replicas(set: &Value, now: i64, selector: String) -> Vec<Value> {
    let [names, images] = containers(set, TEMPLATE);
    cells![
        cell::name(set),
        int(set, "/spec/replicas"),
        int(set, "/status/replicas"),
        int(set, "/status/readyReplicas"),
        age(set, now),
        names,
        images,
        selector,
    ]
}
