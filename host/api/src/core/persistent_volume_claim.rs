//! PersistentVolumeClaim: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/persistentvolumeclaim`).

use apimachinery::quantity::Quantity;
use serde_json::{Value, json};

use crate::Resource;
use crate::core::volumes::{STORAGE_CLASS_ANNOTATION, access_modes, class, phase, storage};
use crate::kinds::go_struct;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::shared::cell::{self, UNSET, age, at, cells, name};
use crate::shared::claim::{claim_spec, default_claim_value, warn_of_claim_spec};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::value::{self, has, object_at, remove, set, text};
use crate::shared::warnings::Warnings;
use crate::shared::{metadata, resources};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "PersistentVolumeClaim")
    .status(StatusMetadata::Free)
    .default(default)
    .prepare(prepare)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .printer(row)
    .returns_deleted_object();

fn default(_: &Resource, claim: &mut Value) {
    default_claim_value(claim);
}

/// The two ways to say where its content comes from are kept alike.
fn prepare(_: &Resource, claim: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        set(claim, "status", json!({ "phase": "Pending" }));
    }
    let spec = object_at(claim, "spec");
    let in_use = old.is_some_and(|old| has(&old["spec"], "dataSource") || has(&old["spec"], "dataSourceRef"));
    if !in_use && !has(spec, "dataSourceRef") {
        let source = &spec["dataSource"];
        let known = matches!(
            (text(source, "kind"), text(source, "apiGroup")),
            ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
        );
        if !known {
            remove(spec, "dataSource");
        }
    }
    match (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned()) {
        (Some(source), None) => set(spec, "dataSourceRef", source),
        (None, Some(reference)) if text(&reference, "namespace").is_empty() => {
            let mut source = reference;
            remove(&mut source, "namespace");
            set(spec, "dataSource", source);
        }
        _ => {}
    }
}

/// A new claim.
fn validate(resource: &Resource, claim: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, claim, metadata::subdomain, &mut errors);
    claim_spec(&FieldValue::root(claim).child("spec"), &mut errors);
    errors
}

/// A changed claim: only its size, and what a volume is made with.
fn validate_update(resource: &Resource, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(claim, old, &mut errors);
    errors.extend(validate(resource, claim));
    let spec = FieldValue::root(claim).child("spec");
    let before = &old["spec"];
    let mut copy = spec.value.clone();
    if value::text(before, "volumeName").is_empty() {
        value::restore(&mut copy, before, "volumeName");
    }
    class_annotation(claim, old, &mut errors);
    if !value::has(before, "storageClassName") {
        value::restore(&mut copy, before, "storageClassName");
    }
    if value::text(&claim["status"], "phase") == "Bound" {
        if let Some(requests) = copy.pointer_mut("/resources/requests") {
            value::restore(requests, before.pointer("/resources/requests").unwrap_or(field_value::NULL), "storage");
        }
        value::restore(&mut copy, before, "volumeAttributesClassName");
    }
    if copy != *before {
        const KIND: &str = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
        const WHY: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        // What may be set once is not shown as a change.
        let mut before = before.clone();
        if value::text(&before, "volumeName").is_empty() {
            value::restore(&mut before, spec.value, "volumeName");
            value::restore(&mut copy, spec.value, "volumeName");
        }
        let changes = go_struct::changes(&go_struct::definition(KIND), KIND, &before, &copy);
        errors.push(spec.forbidden(&format!("{WHY}\n{changes}")));
    }
    let size = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Quantity::of_json).unwrap_or(Quantity::ZERO);
    const REQUESTED: &str = "/resources/requests/storage";
    let new_size = size(spec.value, REQUESTED);
    if new_size < size(before, REQUESTED) && new_size <= size(old, "/status/capacity/storage") {
        let at = spec.child("resources").child("requests").child("storage");
        errors.push(at.forbidden("field can not be less than status.capacity"));
    }
    let mode = spec.child("volumeMode");
    if mode.value != before.get("volumeMode").unwrap_or(field_value::NULL) {
        errors.push(mode.renamed(apimachinery::field::Path::new("volumeMode")).invalid(field_value::IMMUTABLE));
    }
    let class = spec.child("volumeAttributesClassName");
    if class.value != before.get("volumeAttributesClassName").unwrap_or(field_value::NULL)
        && value::has(&old["status"], "currentVolumeAttributesClassName")
    {
        let what = if class.value.is_null() { "nil" } else { "empty string" };
        if class.text().is_empty() {
            errors.push(class.forbidden(&format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil")));
        }
    }
    errors
}

/// The class was an annotation once.
fn class_annotation(claim: &Value, old: &Value, errors: &mut Errors) {
    const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
    let of = |claim: &Value| {
        claim.pointer("/metadata/annotations").map(|annotations| value::text(annotations, CLASS).to_owned()).unwrap_or_default()
    };
    let (new, old) = (of(claim), of(old));
    if new != old && !(new.is_empty() && FieldValue::root(claim).child("spec").text_of("storageClassName") == old) {
        let path = FieldValue::root(claim).child("metadata").child("annotations").child(CLASS).path;
        errors.push(apimachinery::field::Error::invalid(&path, new, field_value::IMMUTABLE));
    }
}

/// A changed status of a claim.
fn validate_status(_: &Resource, _: &str, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(claim, old, &mut errors);
    let spec = FieldValue::root(claim).child("spec");
    if spec.is_empty("resources") {
        errors.push(spec.child("resources").child("requests").required(""));
    }
    for (_, quantity) in FieldValue::root(claim).child("status").entries("capacity") {
        resources::non_negative_quantity(&quantity, &mut errors);
    }
    errors
}

fn warn(claim: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let root = FieldValue::root(claim);
    let annotations = root.child("metadata").child("annotations");
    if annotations.value.get(STORAGE_CLASS_ANNOTATION).is_some() {
        let path = annotations.path.key(STORAGE_CLASS_ANNOTATION);
        warnings.at(&path, "deprecated since v1.8; use \"storageClassName\" attribute instead");
    }
    warn_of_claim_spec(&root.child("spec"), warnings);
}

fn row(claim: &Value, now: i64) -> Vec<Value> {
    let volume = cell::text(claim, "/spec/volumeName");
    // Until it is bound, a claim has neither a size nor modes.
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => (storage(at(claim, "/status/capacity")), access_modes(at(claim, "/status/accessModes"))),
    };
    cells![
        name(claim),
        phase(claim),
        volume,
        capacity,
        modes,
        class(claim),
        at(claim, "/spec/volumeAttributesClassName").as_str().unwrap_or(UNSET),
        age(claim, now),
        at(claim, "/spec/volumeMode").as_str().unwrap_or(UNSET),
    ]
}
