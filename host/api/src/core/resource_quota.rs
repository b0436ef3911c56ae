//! ResourceQuota: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/resourcequota`).

use std::collections::HashMap;

use apimachinery::field::ERRORS_COUNT_MAX;
use apimachinery::quantity::Quantity;
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::shared::cell::{age, at, cells, name, quantity};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::resources::round_up_quantities;
use crate::shared::resources::{self, quantity_value, resource_name};
use crate::shared::value::{self, has, object_mut};
use crate::shared::warnings::Warnings;

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "ResourceQuota")
    .status(StatusMetadata::Free)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .printer(row)
    .returns_deleted_object();

fn default(_: &Resource, object: &mut Value) {
    for (part, name) in [("spec", "hard"), ("status", "hard"), ("status", "used")] {
        if let Some(part) = object_mut(object, part) {
            round_up_quantities(part, name);
        }
    }
}

fn is_quota_resource(resource: &str) -> bool {
    // Upstream's `standardQuotaResources` are its `standardResources` without this one.
    resource != "storage" && resources::is_standard(resource)
}

fn quota_list(at: &FieldValue<'_>, list: &str, errors: &mut Errors) {
    for (resource, entry) in at.entries(list) {
        resource_name(resource, &entry, errors);
        if !resource.contains('/') && !is_quota_resource(resource) {
            errors.push(entry.invalid_as(resource, "must be a standard resource for quota"));
        }
        quantity_value(resource, &entry, errors);
    }
}

/// Which resources a scope can be asked of.
fn scope_fits(scope: &str, resource: &str) -> bool {
    let pods = matches!(
        resource,
        "pods"
            | "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
    );
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => pods,
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

const SCOPES: [&str; 7] =
    ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"];

fn conflicting(scopes: &[&str]) -> usize {
    [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]]
        .iter()
        .filter(|pair| pair.iter().all(|scope| scopes.contains(scope)))
        .count()
}

fn quota_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    quota_list(spec, "hard", errors);
    let resources: Vec<&str> = spec.entries("hard").map(|(resource, _)| resource).filter(|resource| is_quota_resource(resource)).collect();
    // Of each scope that there is, the resources that it cannot be of.
    let unfit: HashMap<&str, usize> =
        SCOPES.iter().map(|scope| (*scope, resources.iter().filter(|resource| !scope_fits(scope, resource)).count())).collect();
    let unfit = |scope: &str| unfit.get(scope).copied().unwrap_or(0);
    let scopes: Vec<&str> = spec.texts("scopes").collect();
    let list = spec.child("scopes");
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(list.invalid("unsupported scope"));
        }
        for _ in 0..unfit(scope).min(ERRORS_COUNT_MAX.saturating_sub(errors.len())) {
            errors.push(list.invalid("unsupported scope applied to resource"));
        }
    }
    errors.extend((0..conflicting(&scopes)).map(|_| list.invalid("conflicting scopes")));
    let Some(selector) = spec.some("scopeSelector") else { return };
    let at = selector.child("matchExpressions");
    let mut scopes: Vec<&str> = Vec::new();
    for requirement in selector.items("matchExpressions") {
        let requirement = requirement.renamed(at.path.clone());
        let (scope, operator, values) = (requirement.child("scopeName"), requirement.child("operator"), requirement.child("values"));
        if !SCOPES.contains(&scope.text()) {
            errors.push(scope.invalid("unsupported scope"));
        }
        for _ in 0..unfit(scope.text()).min(ERRORS_COUNT_MAX.saturating_sub(errors.len())) {
            errors.push(FieldValue { value: selector.value, path: at.path.clone() }.invalid("unsupported scope applied to resource"));
        }
        let exists_only =
            matches!(scope.text(), "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity");
        if exists_only && operator.text() != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                 ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(operator.invalid(detail));
        }
        match operator.text() {
            "In" | "NotIn" if requirement.is_empty("values") => {
                errors.push(values.required("must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
            }
            "Exists" | "DoesNotExist" if !requirement.is_empty("values") => {
                errors.push(values.invalid("must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.push(operator.invalid("not a valid selector operator")),
        }
        scopes.push(SCOPES.iter().find(|known| **known == scope.text()).copied().unwrap_or_default());
    }
    errors.extend((0..conflicting(&scopes)).map(|_| at.invalid_as(list.value.clone(), "conflicting scopes")));
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    quota_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    quota_spec(&spec, &mut errors);
    let sorted = |spec: &Value| {
        let mut scopes: Vec<String> = value::list(spec, "scopes").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        scopes.sort();
        scopes.dedup();
        scopes
    };
    if sorted(spec.value) != sorted(&old["spec"]) {
        errors.push(spec.child("scopes").invalid(field_value::IMMUTABLE));
    }
    errors
}

fn validate_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let status = FieldValue::root(object).child("status");
    quota_list(&status, "hard", &mut errors);
    quota_list(&status, "used", &mut errors);
    errors
}

/// As it is made, requests that may be more than the limits.
fn warn(quota: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_some() {
        return;
    }
    let hard = &quota["spec"]["hard"];
    let amount = |name: &str| hard.get(name).and_then(Quantity::of_json);
    for resource in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (mut request, limit) = (format!("requests.{resource}"), format!("limits.{resource}"));
        if matches!(resource, "cpu" | "memory") && !has(hard, &request) {
            resource.clone_into(&mut request);
        }
        if let (Some(asked), Some(most)) = (amount(&request), amount(&limit))
            && asked > most
        {
            warnings.push(format!("ResourceQuota {request} ({asked}) should be less than {limit} ({most})"));
        }
    }
}

fn row(quota: &Value, now: i64) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in at(quota, "/status/hard").as_object().into_iter().flatten() {
        let used = at(quota, "/status/used").get(resource);
        let used = used.map_or_else(|| "0".to_owned(), |used| quantity(Some(used)));
        let column = if resource.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push(format!("{resource}: {used}/{}", quantity(Some(hard))));
    }
    cells![name(quota), requests.join(", "), limits.join(", "), age(quota, now)]
}
