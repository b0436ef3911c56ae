//! ResourceClaimTemplate: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/resource/resourceclaimtemplate`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::kinds::printers::name_and_age;
use crate::resource::claim_spec::{claim_spec, default_claim_spec};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, immutable};
use crate::shared::value::object_at;

/// The row.
pub(crate) static KIND: Kind = Kind::new("resource.k8s.io", "ResourceClaimTemplate")
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .printer(name_and_age)
    .returns_deleted_object();

fn default(_: &Resource, template: &mut Value) {
    default_claim_spec(object_at(object_at(template, "spec"), "spec"));
}

fn validate(resource: &Resource, template: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, template, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(template).child("spec");
    metadata::template(&spec.child("metadata"), &mut errors);
    claim_spec(&spec.child("spec"), &mut errors);
    errors
}

/// Its spec stays as it is.
fn validate_update(_: &Resource, template: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(template, old, &mut errors);
    rules::check(&[immutable("spec")], &FieldValue::root(template), Some(&FieldValue::root(old)), &mut errors);
    errors
}
