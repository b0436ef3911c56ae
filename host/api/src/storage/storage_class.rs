//! StorageClass: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storage/storageclass`).

use std::collections::HashSet;

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{age, at, cells, flag, name, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Field, Rule, field, immutable};
use crate::shared::value::if_nil;
use crate::shared::warnings::{self, Warnings};

const DEFAULT_CLASS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

const MODES: [Field; 2] = [
    field("reclaimPolicy", &[Rule::OptionalOrEmpty, Rule::Enum(&["Delete", "Retain"])]),
    field("volumeBindingMode", &[Rule::Present, Rule::Enum(&["Immediate", "WaitForFirstConsumer"])]),
];
const FIXED: [Field; 4] = [immutable("parameters"), immutable("provisioner"), immutable("reclaimPolicy"), immutable("volumeBindingMode")];

/// The row.
pub(crate) static KIND: Kind = Kind::new("storage.k8s.io", "StorageClass")
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row)
    .returns_deleted_object();

fn default(_: &Resource, class: &mut Value) {
    if_nil(class, "reclaimPolicy", "Delete");
    if_nil(class, "volumeBindingMode", "Immediate");
}

pub(crate) fn provisioner(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    let lower = at.text().to_lowercase();
    errors.extend(apimachinery::validation::name::is_qualified_name(&lower).iter().map(|problem| at.invalid_as(lower.as_str(), problem)));
}

pub(crate) fn parameters(at: &FieldValue<'_>, errors: &mut Errors) {
    const COUNT_MAX: usize = 512;
    const BYTES_MAX: usize = 256 * 1024;
    let entries: Vec<(&String, &Value)> = at.value.as_object().into_iter().flatten().collect();
    if entries.len() > COUNT_MAX {
        return errors.push(apimachinery::field::Error::too_long(&at.path, COUNT_MAX));
    }
    for _ in entries.iter().filter(|(key, _)| key.is_empty()) {
        errors.push(at.invalid_as("", "field can not be empty."));
    }
    if entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum::<usize>() > BYTES_MAX {
        errors.push(apimachinery::field::Error::too_long(&at.path, BYTES_MAX));
    }
}

fn validate(resource: &Resource, class: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, class, metadata::subdomain, &mut errors);
    let root = FieldValue::root(class);
    provisioner(&root.child("provisioner"), &mut errors);
    parameters(&root.child("parameters"), &mut errors);
    rules::check(&MODES, &root, None, &mut errors);
    let mut seen: HashSet<&Value> = HashSet::new();
    for term in root.items("allowedTopologies") {
        for expression in term.items("matchLabelExpressions") {
            let values = expression.child("values");
            if expression.is_empty("values") {
                errors.push(values.required(""));
            }
            let mut known: HashSet<&Value> = HashSet::new();
            for value in expression.items("values") {
                if known.contains(&value.value) {
                    errors.push(value.duplicate());
                }
                known.insert(value.value);
            }
            expression.child("key").label_key(&mut errors);
        }
        if seen.contains(&term.value) {
            errors.push(apimachinery::field::Error::duplicate(&term.child("matchLabelExpressions").path, ""));
        }
        seen.insert(term.value);
    }
    errors
}

/// What made volumes does not change.
fn validate_update(_: &Resource, class: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(class, old, &mut errors);
    rules::check(&FIXED, &FieldValue::root(class), Some(&FieldValue::root(old)), &mut errors);
    errors
}

/// Labels of nodes.
fn warn(class: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    for expression in FieldValue::root(class).items("allowedTopologies").flat_map(|topology| topology.items("matchLabelExpressions")) {
        if let Some(why) = warnings::deprecated_node_label(expression.text_of("key")) {
            warnings.at(&expression.path.child("key"), why);
        }
    }
}

fn row(class: &Value, now: i64) -> Vec<Value> {
    let annotations = at(class, "/metadata/annotations");
    let is_default = DEFAULT_CLASS.iter().any(|annotation| annotations.get(annotation).is_some_and(|value| value == "true"));
    let shown = if is_default { format!("{} (default)", name(class)) } else { name(class).to_owned() };
    cells![
        shown,
        text(class, "/provisioner"),
        at(class, "/reclaimPolicy").as_str().unwrap_or("Delete"),
        at(class, "/volumeBindingMode").as_str().unwrap_or("Immediate"),
        flag(class, "/allowVolumeExpansion"),
        age(class, now),
    ]
}
