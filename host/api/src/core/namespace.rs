//! Namespace: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/namespace`).

use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::shared::cell::{self, age, cells};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::value::{if_zero, list, object_at, restore, set, text};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Namespace")
    .status(StatusMetadata::Free)
    .default(default)
    .prepare(prepare)
    .prepare_subresource(prepare_subresource)
    .validate(validate)
    .validate_subresource(validate_subresource)
    .printer(row)
    .returns_deleted_object()
    .own_finalizers("/spec/finalizers", mark_terminating);

/// A label with its name.
fn default(_: &Resource, namespace: &mut Value) {
    if_zero(object_at(namespace, "status"), "phase", "Active");
    let metadata = object_at(namespace, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        set(object_at(metadata, "labels"), "kubernetes.io/metadata.name", name);
    }
}

/// The name of a namespace may have been generated after it was decoded.
fn default_namespace_name(namespace: &mut Value) {
    let metadata = object_at(namespace, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        set(object_at(metadata, "labels"), "kubernetes.io/metadata.name", name);
    }
}

/// Active, and ended by a finalizer that only the `finalize` subresource takes away.
fn prepare(_: &Resource, namespace: &mut Value, old: Option<&Value>) {
    let spec = object_at(namespace, "spec");
    match old {
        Some(old) => restore(spec, &old["spec"], "finalizers"),
        None => {
            let mut finalizers = list(spec, "finalizers").to_vec();
            if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
                finalizers.push("kubernetes".into());
            }
            set(spec, "finalizers", finalizers);
            set(namespace, "status", json!({ "phase": "Active" }));
            default_namespace_name(namespace);
        }
    }
}

/// `finalize` does not touch the status.
fn prepare_subresource(_: &Resource, subresource: &str, namespace: &mut Value, old: &Value) {
    if subresource == "finalize" {
        restore(namespace, old, "status");
    }
}

fn namespace_finalizer(at: &FieldValue<'_>, text: &str, errors: &mut Errors) {
    errors.extend(name::is_qualified_name(text).iter().map(|problem| at.invalid_as(text, problem)));
    if !text.contains('/') && text != "kubernetes" {
        errors.push(at.invalid_as(text, "name is neither a standard finalizer name nor is it fully qualified"));
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::label, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    for finalizer in spec.texts("finalizers") {
        namespace_finalizer(&spec.child("finalizers"), finalizer, &mut errors);
    }
    errors
}

/// Its status, or its end.
fn validate_subresource(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let root = FieldValue::root(object);
    if subresource == "finalize" {
        for finalizer in root.child("spec").items("finalizers") {
            namespace_finalizer(&finalizer, finalizer.text(), &mut errors);
        }
        return errors;
    }
    let status = root.child("status");
    let phase = status.child("phase").renamed(status.path.child("Phase"));
    let (wanted, when) = if apimachinery::object::is_being_deleted(object) { ("Terminating", "not empty") } else { ("Active", "empty") };
    if phase.text() != wanted {
        errors.push(phase.invalid_as(phase.text(), &format!("may only be '{wanted}' if `deletionTimestamp` is {when}")));
    }
    errors
}

fn row(namespace: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(namespace), cell::text(namespace, "/status/phase"), age(namespace, now)]
}

/// A namespace whose deletion begins is emptied by its controller before it goes.
fn mark_terminating(namespace: &mut Value) {
    set(object_at(namespace, "status"), "phase", "Terminating");
}
