//! IngressClass: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/networking/ingressclass`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, SPEC};
use crate::networking::ingress::typed_reference;
use crate::shared::cell::{NONE, age, at, cells, name, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Rule};
use crate::shared::validation;
use crate::shared::value::{if_nil, object_at, object_mut};

const CONTROLLER_BYTES_MAX: usize = 250;
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// The row.
pub(crate) static KIND: Kind = Kind::new("networking.k8s.io", "IngressClass")
    .generation(SPEC)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .printer(row);

fn default(_: &Resource, class: &mut Value) {
    if let Some(parameters) = object_mut(object_at(class, "spec"), "parameters") {
        if_nil(parameters, "scope", "Cluster");
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    let controller = spec.child("controller");
    rules::check_value(&[Rule::MaxBytes(CONTROLLER_BYTES_MAX)], &controller, None, &mut errors);
    validation::domain_prefixed_path(&controller, &mut errors);
    let Some(parameters) = spec.some("parameters") else { return errors };
    typed_reference(&parameters, &mut errors);
    let (scope, namespace) = (parameters.child("scope"), parameters.child("namespace"));
    match scope.text() {
        "" => errors.push(scope.required("")),
        "Namespace" if namespace.value.is_null() => errors.push(namespace.required("`parameters.scope` is set to 'Namespace'")),
        "Namespace" => namespace.problems(metadata::label(namespace.text(), false), &mut errors),
        "Cluster" if !namespace.value.is_null() => errors.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'")),
        "Cluster" => {}
        _ => errors.push(scope.unsupported(&["Cluster", "Namespace"])),
    }
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let controller = |object| FieldValue::root(object).child("spec").child("controller");
    let (new, was) = (controller(object), controller(old));
    new.immutable(&was, &mut errors);
    errors.extend(validate(resource, object));
    errors
}

fn row(class: &Value, now: i64) -> Vec<Value> {
    let is_default = at(class, "/metadata/annotations").get(DEFAULT_CLASS).is_some_and(|value| value == "true");
    let shown = if is_default { format!("{} (default)", name(class)) } else { name(class).to_owned() };
    let parameters = some(class, "/spec/parameters").map_or_else(
        || NONE.to_owned(),
        |parameters| {
            let kind = text(parameters, "/kind");
            match at(parameters, "/apiGroup").as_str() {
                Some(group) => format!("{kind}.{group}/{}", text(parameters, "/name")),
                None => format!("{kind}/{}", text(parameters, "/name")),
            }
        },
    );
    cells![shown, text(class, "/spec/controller"), parameters, age(class, now)]
}
