//! DeviceClass: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/resource/deviceclass`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, SPEC};
use crate::kinds::printers::name_and_age;
use crate::resource::shared::{CONFIGS_COUNT_MAX, SELECTORS_COUNT_MAX, configuration, each, selector};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::resources::is_extended;

/// The row.
pub(crate) static KIND: Kind = Kind::new("resource.k8s.io", "DeviceClass")
    .generation(SPEC)
    .validate(validate)
    .validate_update(validate_update)
    .printer(name_and_age)
    .returns_deleted_object();

fn validate(resource: &Resource, class: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, class, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(class).child("spec");
    each(&spec, "selectors", SELECTORS_COUNT_MAX, &mut errors, selector);
    each(&spec, "config", CONFIGS_COUNT_MAX, &mut errors, configuration);
    if let Some(extended) = spec.some("extendedResourceName").filter(|extended| !is_extended(extended.text())) {
        errors.push(extended.invalid("must be a valid extended resource name"));
    }
    errors
}

fn validate_update(resource: &Resource, class: &Value, old: &Value) -> Errors {
    let mut errors = validate(resource, class);
    metadata::validate_update(class, old, &mut errors);
    errors
}
