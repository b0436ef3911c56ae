//! ControllerRevision: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/apps/controllerrevision`).

use apimachinery::GroupVersion;
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{NONE, age, cells, int, items, name, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, count, immutable};

/// The row.
pub(crate) static KIND: Kind = Kind::new("apps", "ControllerRevision").validate(validate).validate_update(validate_update).printer(row);

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = FieldValue::root(object);
    rules::check(&[count("revision")], &root, None, &mut errors);
    match root.child("data") {
        data if data.value.is_null() => errors.push(data.required("data is mandatory")),
        data if !data.value.is_object() => errors.push(data.required("data must be a valid JSON object")),
        _ => {}
    }
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    rules::check(&[count("revision"), immutable("data")], &FieldValue::root(object), Some(&FieldValue::root(old)), &mut errors);
    errors
}

fn row(revision: &Value, now: i64) -> Vec<Value> {
    let owner = items(revision, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true);
    let controller = owner.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let group = GroupVersion::parse(text(owner, "/apiVersion")).map(|version| version.group).unwrap_or_default();
            let kind = text(owner, "/kind").to_lowercase();
            let dot = if group.is_empty() { "" } else { "." };
            format!("{kind}{dot}{}/{}", group.to_lowercase(), name_of(owner))
        },
    );
    cells![name(revision), controller, int(revision, "/revision"), age(revision, now)]
}

fn name_of(reference: &Value) -> &str {
    text(reference, "/name")
}
