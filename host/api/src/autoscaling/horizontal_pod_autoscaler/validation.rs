//! What is wrong with a HorizontalPodAutoscaler, in upstream's order and words (`pkg/apis/autoscaling/validation`).

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, Format, Rule, count, field};
use crate::shared::{metadata, resources, value};

const STABILIZATION_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;

/// What is asked of the API group of a reference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Unchecked,
    Any,
    Named,
}

fn reference(at: &FieldValue<'_>, group: Group, errors: &mut Errors) {
    for name in ["kind", "name"] {
        let field = at.child(name);
        rules::check_value(&[Rule::Required, Rule::Format(Format::PathSegment)], &field, None, errors);
    }
    let version = at.child("apiVersion");
    if group == Group::Unchecked {
        return;
    }
    match version.text().split('/').count() {
        1 | 2 if group == Group::Named && (!version.text().contains('/') || version.text().starts_with('/')) => {
            errors.push(version.invalid_as(version.text(), "apiVersion must specify API group"));
        }
        1 | 2 => {}
        _ => errors.push(version.invalid(&format!("unexpected GroupVersion string: {}", version.text()))),
    }
}

fn spec(at: &FieldValue<'_>, old: Option<&Value>, errors: &mut Errors) {
    let (min, max) = (at.child("minReplicas"), at.child("maxReplicas"));
    if !min.value.is_null() && min.int() < 1 {
        errors.push(min.invalid("must be greater than or equal to 1"));
    }
    if max.int() == 0 {
        errors.push(max.required("must be set and greater than 0"));
    } else if max.int() < 0 {
        errors.push(max.invalid("must be greater than or equal to 1"));
    }
    if !min.value.is_null() && max.int() < min.int() {
        errors.push(max.invalid_as(max.int(), "must be greater than or equal to `minReplicas`"));
    }
    let target = at.child("scaleTargetRef");
    let kept =
        old.is_some_and(|old| ["apiVersion", "kind"].iter().all(|name| target.text_of(name) == value::text(&old["scaleTargetRef"], name)));
    let group = if kept {
        Group::Unchecked
    } else if target.text_of("kind") == "ReplicationController" {
        Group::Any
    } else {
        Group::Named
    };
    reference(&target, group, errors);
    let mut scales_to_zero = false;
    for metric in at.items("metrics") {
        metric_spec(&metric, errors);
        scales_to_zero |= matches!(metric.text_of("type"), "Object" | "External");
    }
    if !min.value.is_null() && min.int() == 0 && !scales_to_zero {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(at.child("metrics").forbidden(detail));
    }
    if let Some(behavior) = at.some("behavior") {
        for rules in ["scaleUp", "scaleDown"] {
            if let Some(rules) = behavior.some(rules) {
                scaling_rules(&rules, errors);
            }
        }
    }
}

fn scaling_rules(at: &FieldValue<'_>, errors: &mut Errors) {
    if let Some(window) = at.some("stabilizationWindowSeconds") {
        if window.int() < 0 {
            errors.push(window.invalid("must be greater than or equal to zero"));
        }
        if window.int() > STABILIZATION_SECONDS_MAX {
            errors.push(window.invalid(&format!("must be less than or equal to {STABILIZATION_SECONDS_MAX}")));
        }
    }
    rules::check(&[field("selectPolicy", &[Rule::Optional, Rule::Enum(&["Disabled", "Max", "Min"])])], at, None, errors);
    if at.is_empty("policies") {
        errors.push(at.child("policies").required("must specify at least one Policy"));
    }
    for policy in at.items("policies") {
        let (kind, value, period) = (policy.child("type"), policy.child("value"), policy.child("periodSeconds"));
        rules::check_value(&[Rule::Enum(&["Percent", "Pods"])], &kind, None, errors);
        value.positive(errors);
        period.positive(errors);
        if period.int() > PERIOD_SECONDS_MAX {
            errors.push(period.invalid(&format!("must be less than or equal to {PERIOD_SECONDS_MAX}")));
        }
    }
    resources::non_negative_quantity(&at.child("tolerance"), errors);
}

fn metric_spec(at: &FieldValue<'_>, errors: &mut Errors) {
    const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    const SOURCES: [(&str, &str); 5] = [
        ("Object", "object"),
        ("External", "external"),
        ("Pods", "pods"),
        ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
    ];
    let kind = at.child("type");
    if kind.text().is_empty() {
        errors.push(kind.required("must specify a metric source type"));
    }
    if !TYPES.contains(&kind.text()) {
        errors.push(kind.unsupported(&TYPES));
    }
    let present: Vec<&str> = SOURCES.iter().map(|(_, field)| *field).filter(|field| at.has(field)).collect();
    if let Some(first) = present.first() {
        metric_source(first, &at.child(first), errors);
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind.text()).map(|(_, field)| *field);
    match expected {
        Some(field) if !at.has(field) => errors.push(at.child(field).required("must populate information for the given metric source")),
        Some(_) => {}
        None => errors.push(kind.unsupported(&TYPES)),
    }
    if present.len() != 1 {
        for other in present.iter().filter(|field| Some(**field) != expected) {
            errors.push(at.child(other).forbidden("must populate the given metric source only"));
        }
    }
}

fn metric_source(kind: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    let target = at.child("target");
    let (value, average, utilization) = (target.child("value"), target.child("averageValue"), target.child("averageUtilization"));
    let missing = |at: &FieldValue<'_>| at.value.is_null();
    match kind {
        "object" => reference(&at.child("describedObject"), Group::Any, errors),
        "resource" if at.is_empty("name") => errors.push(at.child("name").required("must specify a resource name")),
        "containerResource" => {
            let (name, container) = (at.child("name"), at.child("container"));
            if name.text().is_empty() {
                errors.push(name.required("must specify a resource name"));
            } else {
                resources::container_resource_name(name.text(), &name, errors);
            }
            if container.text().is_empty() {
                errors.push(container.required("must specify a container"));
            } else {
                container.dns_label(errors);
            }
        }
        _ => {}
    }
    if matches!(kind, "object" | "external" | "pods") {
        let name = at.child("metric").child("name");
        if name.text().is_empty() {
            errors.push(name.required("must specify a metric name"));
        } else {
            name.problems(name::is_path_segment_name(name.text()), errors);
        }
    }
    metric_target(&target, errors);
    match kind {
        "object" if missing(&value) && missing(&average) => errors.push(average.required("must set either a target value or averageValue")),
        "external" if missing(&value) && missing(&average) => {
            errors.push(average.required("must set either a target value for metric or a per-pod target"));
        }
        "external" if !missing(&value) && !missing(&average) => {
            errors.push(value.forbidden("may not set both a target value for metric and a per-pod target"));
        }
        "pods" if missing(&average) => errors.push(average.required("must specify a positive target averageValue")),
        "resource" | "containerResource" if missing(&utilization) && missing(&average) => {
            errors.push(utilization.required("must set either a target raw value or a target utilization"));
        }
        "resource" | "containerResource" if !missing(&utilization) && !missing(&average) => {
            errors.push(average.forbidden("may not set both a target raw value and a target utilization"));
        }
        _ => {}
    }
}

fn metric_target(at: &FieldValue<'_>, errors: &mut Errors) {
    let kind = at.child("type");
    if kind.text().is_empty() {
        errors.push(kind.required("must specify a metric target type"));
    }
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        errors.push(kind.invalid_as(kind.text(), "must be either Utilization, Value, or AverageValue"));
    }
    for name in ["value", "averageValue"] {
        if let Some(value) = at.some(name).filter(|value| value.quantity().is_some_and(|quantity| quantity.sign() <= 0)) {
            errors.push(value.invalid("must be positive"));
        }
    }
    if let Some(utilization) = at.some("averageUtilization").filter(|utilization| utilization.int() < 1) {
        errors.push(utilization.invalid("must be greater than 0"));
    }
}

pub(crate) fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    spec(&FieldValue::root(object).child("spec"), None, &mut errors);
    errors
}

pub(crate) fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    spec(&FieldValue::root(object).child("spec"), Some(&old["spec"]), &mut errors);
    errors
}

pub(crate) fn validate_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    rules::check(&[count("currentReplicas"), count("desiredReplicas")], &FieldValue::root(object).child("status"), None, &mut errors);
    errors
}
