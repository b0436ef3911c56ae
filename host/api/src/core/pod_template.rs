//! PodTemplate: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/podtemplate`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Generation, Kind};
use crate::shared::cell::{cells, containers, labels, name};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::defaults::default_template;
use crate::shared::pod::validation::validate_template;
use crate::shared::pod::warnings;
use crate::shared::value::object_at;
use crate::shared::warnings::Warnings;
use crate::shared::workload::spec_is_new;

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "PodTemplate")
    .generation(Generation::From1(template))
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row)
    .pod_spec("/template/spec")
    .returns_deleted_object();

fn default(_: &Resource, object: &mut Value) {
    default_template(object_at(object, "template"));
}

fn template(new: &Value, old: &Value) -> bool {
    new.get("template") != old.get("template")
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    validate_template(&FieldValue::root(object).child("template"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    validate_template(&FieldValue::root(object).child("template"), &mut errors);
    errors
}

fn warn(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if spec_is_new(object, old) {
        warnings::template(&FieldValue::root(object).child("template"), warnings);
    }
}

fn row(template: &Value, _now: i64) -> Vec<Value> {
    let [names, images] = containers(template, "/template/spec");
    cells![name(template), names, images, labels(template, "/template/metadata/labels")]
}
