//! CSIStorageCapacity: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storage/csistoragecapacity`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, immutable};
use crate::shared::selector::label_selector;
use crate::shared::warnings::{self, Warnings};
use crate::shared::{metadata, resources};

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("storage.k8s.io", "CSIStorageCapacity").conditional_update().validate(validate).validate_update(validate_update).warn(warn);

fn validate(resource: &Resource, capacity: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, capacity, metadata::subdomain, &mut errors);
    let root = FieldValue::root(capacity);
    label_selector(&root.child("nodeTopology"), &mut errors);
    let class = root.child("storageClassName");
    errors.extend(metadata::subdomain(class.text(), false).iter().map(|problem| class.invalid_as(class.text(), problem)));
    resources::non_negative_quantity(&root.child("capacity"), &mut errors);
    errors
}

fn validate_update(_: &Resource, capacity: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(capacity, old, &mut errors);
    rules::check(
        &[immutable("nodeTopology"), immutable("storageClassName")],
        &FieldValue::root(capacity),
        Some(&FieldValue::root(old)),
        &mut errors,
    );
    errors
}

/// Labels of nodes.
fn warn(capacity: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let topology = FieldValue::root(capacity).child("nodeTopology");
    warnings::node_label_expressions(&topology, warnings);
    let labels = topology.path.child("matchLabels");
    for (label, _) in topology.entries("matchLabels") {
        if let Some(why) = warnings::deprecated_node_label(label) {
            warnings.at(&labels.child(label), why);
        }
    }
}
