//! RuntimeClass: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/node/runtimeclass`).

use std::collections::HashSet;

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{age, cells, name, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, Field, Format, Rule, field, immutable};
use crate::shared::value::{self, entries};
use crate::shared::warnings::{self, Warnings};
use crate::shared::{metadata, resources, scheduling, selector};

const HANDLER: Field = field("handler", &[Rule::Required, Rule::Format(Format::DnsLabel)]);

/// The row.
pub(crate) static KIND: Kind = Kind::new("node.k8s.io", "RuntimeClass")
    .create_on_update()
    .conditional_update()
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row);

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let root = FieldValue::root(object);
    rules::check(&[HANDLER], &root, None, &mut errors);
    for (name, entry) in root.child("overhead").entries("podFixed") {
        let entry = entry.renamed(root.child("overhead").child("limits").path.key(name));
        resources::container_resource_name(name, &entry, &mut errors);
        resources::quantity_value(name, &entry, &mut errors);
    }
    if let Some(scheduling) = root.some("scheduling") {
        selector::labels(&scheduling.child("nodeSelector"), &mut errors);
        scheduling::tolerations(&scheduling, &mut errors);
        let mut seen: HashSet<[&str; 4]> = HashSet::new();
        for toleration in scheduling.items("tolerations") {
            let key = ["key", "operator", "value", "effect"].map(|name| value::text(toleration.value, name));
            if seen.contains(&key) {
                errors.push(toleration.duplicate());
            }
            seen.insert(key);
        }
    }
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update_generic(object, old, &mut errors);
    rules::check(&[immutable("handler")], &FieldValue::root(object), Some(&FieldValue::root(old)), &mut errors);
    errors
}

/// Labels of nodes. The path is upstream's, which does not say which label.
fn warn(class: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    for (label, _) in entries(&class["scheduling"], "nodeSelector") {
        if let Some(why) = warnings::deprecated_node_label(label) {
            warnings.push(format!("scheduling.nodeSelector: {why}"));
        }
    }
}

fn row(class: &Value, now: i64) -> Vec<Value> {
    cells![name(class), text(class, "/handler"), age(class, now)]
}
