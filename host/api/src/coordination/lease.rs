//! Lease: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/coordination/lease`).

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{self, age, cells, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, Field, Rule, count, field};
use crate::shared::{metadata, value};

const SPEC: [Field; 2] =
    [field("leaseDurationSeconds", &[Rule::Optional, Rule::Min(1, "must be greater than 0")]), count("leaseTransitions")];

/// The row.
pub(crate) static KIND: Kind = Kind::new("coordination.k8s.io", "Lease")
    .create_on_update()
    .conditional_update()
    .prepare(prepare)
    .validate(validate)
    .validate_update(validate_update)
    .printer(row);

/// Two fields behind a gate that is off by default.
fn prepare(_: &Resource, lease: &mut Value, old: Option<&Value>) {
    for name in ["strategy", "preferredHolder"] {
        let in_use = old.is_some_and(|old| value::has(&old["spec"], name));
        if let Some(spec) = value::object_mut(lease, "spec").filter(|_| !in_use) {
            value::remove(spec, name);
        }
    }
}

fn lease_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&SPEC, spec, None, errors);
    if let Some(strategy) = spec.some("strategy") {
        let at = strategy.renamed(strategy.path.child("strategy"));
        if !strategy.text().contains('/') && strategy.text() != "OldestEmulationVersion" {
            errors.push(at.unsupported(&["OldestEmulationVersion"]));
        } else if strategy.text().contains('/') {
            errors.extend(name::is_qualified_name(strategy.text()).iter().map(|problem| at.invalid(problem)));
        }
    }
    if !spec.is_empty("preferredHolder") && spec.is_empty("strategy") {
        errors.push(spec.child("preferredHolder").forbidden("may only be specified if `strategy` is defined"));
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    lease_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update_generic(object, old, &mut errors);
    lease_spec(&FieldValue::root(object).child("spec"), &mut errors);
    errors
}

fn row(lease: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(lease), text(lease, "/spec/holderIdentity"), age(lease, now)]
}
