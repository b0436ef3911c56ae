//! What claims of volumes are, whether they stand alone, in a pod's volume or in a stateful set.

use apimachinery::quantity::Quantity;
use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::resources::{default_resources, round_up_quantities};
use crate::shared::selector::{self, label_selector};
use crate::shared::validation;
use crate::shared::value::{if_nil, if_zero, object_at, object_mut};
use crate::shared::warnings::{self, Warnings};

/// A claim, alone or as a template of a stateful set.
pub(crate) fn default_claim_value(claim: &mut Value) {
    let status = object_at(claim, "status");
    if_zero(status, "phase", "Pending");
    round_up_quantities(status, "capacity");
    round_up_quantities(status, "allocatedResources");
    default_claim_spec(object_at(claim, "spec"));
}

/// The spec of a claim, also that of an ephemeral volume.
pub(crate) fn default_claim_spec(spec: &mut Value) {
    if_nil(spec, "volumeMode", "Filesystem");
    if let Some(resources) = object_mut(spec, "resources") {
        default_resources(resources);
    }
}

/// The spec of a claim, also that of an ephemeral volume or of a stateful set's template.
pub(crate) fn warn_of_claim_spec(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    for list in ["requests", "limits"] {
        warnings::fractional_bytes(&spec.child("resources").child(list), "storage", warnings);
    }
}

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
pub(crate) const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// The template of a claim, in an ephemeral volume.
pub(crate) fn claim_template(at: &FieldValue<'_>, errors: &mut Errors) {
    let meta = at.child("metadata");
    selector::labels(&meta.child("labels"), errors);
    metadata::annotations(&meta.child("annotations"), errors);
    claim_spec(&at.child("spec"), errors);
}

pub(crate) fn access_modes(at: &FieldValue<'_>, detail: &str, errors: &mut Errors) {
    let list = at.child("accessModes");
    if at.is_empty("accessModes") {
        errors.push(list.required(detail));
    }
    let modes: Vec<&str> = at.texts("accessModes").collect();
    for mode in at.items("accessModes").filter(|mode| !ACCESS_MODES.contains(&mode.text())) {
        errors.push(mode.renamed(list.path.clone()).unsupported(&ACCESS_MODES));
    }
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        errors.push(list.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

/// The spec of a claim.
pub(crate) fn claim_spec(at: &FieldValue<'_>, errors: &mut Errors) {
    access_modes(at, "at least 1 access mode is required", errors);
    label_selector(&at.child("selector"), errors);
    let storage = at.child("resources").child("requests");
    match storage.value.get("storage") {
        None => errors.push(FieldValue { value: at.value, path: at.path.child("resources").key("storage") }.required("")),
        Some(amount) => {
            let at = FieldValue { value: amount, path: at.path.child("resources").key("storage") };
            let quantity = Quantity::of_json(amount).unwrap_or(Quantity::ZERO);
            if quantity.sign() <= 0 {
                errors.push(at.invalid_as(quantity.to_string(), "must be greater than zero"));
            }
        }
    }
    let class = at.child("storageClassName");
    if !class.text().is_empty() {
        class.problems(metadata::subdomain(class.text(), false), errors);
    }
    if let Some(mode) = at.some("volumeMode").filter(|mode| !VOLUME_MODES.contains(&mode.text())) {
        errors.push(mode.unsupported(&VOLUME_MODES));
    }
    data_source(&at.child("dataSource"), errors);
    let reference = at.child("dataSourceRef");
    data_source(&reference, errors);
    let namespace = reference.child("namespace");
    if !namespace.text().is_empty() {
        namespace.problems(metadata::label(namespace.text(), false), errors);
    }
    // What upstream shows as the value is a path, which has nothing that can be shown.
    let unlike = |detail: &str| validation::invalid_shown(&at.path, "{}", detail);
    if let Some(source) = at.some("dataSource").filter(|_| !reference.value.is_null()) {
        if !namespace.text().is_empty() {
            errors.push(unlike("may not be specified when dataSourceRef.namespace is specified"));
        } else if ["kind", "name", "apiGroup"].iter().any(|name| source.text_of(name) != reference.text_of(name)) {
            errors.push(unlike("must match dataSourceRef"));
        }
    }
    if let Some(attributes) = at.some("volumeAttributesClassName").filter(|class| !class.text().is_empty()) {
        attributes.problems(metadata::subdomain(attributes.text(), false), errors);
    }
}

fn data_source(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.value.is_null() {
        return;
    }
    for name in ["name", "kind"] {
        if at.is_empty(name) {
            errors.push(at.child(name).required(""));
        }
    }
    let group = at.text_of("apiGroup");
    if group.is_empty() && at.text_of("kind") != "PersistentVolumeClaim" {
        errors.push(at.invalid_as(at.text_of("kind"), "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
    }
    if !group.is_empty() {
        at.child("apiGroup").dns_subdomain(errors);
    }
}
