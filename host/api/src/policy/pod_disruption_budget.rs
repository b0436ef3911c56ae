//! PodDisruptionBudget: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/policy/poddisruptionbudget`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{age, at, cells, int, name};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, Field, Rule, count, field};
use crate::shared::selector::label_selector;
use crate::shared::workload::{not_more_than_all, positive_int_or_percent};

const EVICTION_POLICY: Field = field("unhealthyPodEvictionPolicy", &[Rule::Optional, Rule::Enum(&["AlwaysAllow", "IfHealthyBudget"])]);
const STATUS: [Field; 4] = [count("disruptionsAllowed"), count("currentHealthy"), count("desiredHealthy"), count("expectedPods")];

/// The row.
pub(crate) static KIND: Kind = Kind::new("policy", "PodDisruptionBudget")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .conditional_update()
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .printer(row);

/// Upstream asks nothing of its own of the metadata.
fn validate(_: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = FieldValue::root(object).child("spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        errors.push(spec.invalid("minAvailable and maxUnavailable cannot be both set"));
    }
    for name in ["minAvailable", "maxUnavailable"] {
        if let Some(count) = spec.some(name) {
            positive_int_or_percent(&count, &mut errors);
            not_more_than_all(&count, &mut errors);
        }
    }
    label_selector(&spec.child("selector"), &mut errors);
    rules::check(&[EVICTION_POLICY], &spec, None, &mut errors);
    errors
}

fn validate_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate(resource, object)
}

fn validate_status(_: &Resource, _: &str, object: &Value, _: &Value) -> Errors {
    let mut errors = Errors::new();
    rules::check(&STATUS, &FieldValue::root(object).child("status"), None, &mut errors);
    errors
}

fn row(budget: &Value, now: i64) -> Vec<Value> {
    let shown = |pointer: &str| match at(budget, pointer) {
        Value::Null => "N/A".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    cells![
        name(budget),
        shown("/spec/minAvailable"),
        shown("/spec/maxUnavailable"),
        int(budget, "/status/disruptionsAllowed"),
        age(budget, now),
    ]
}
