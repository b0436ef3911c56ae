//! ServiceAccount: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/serviceaccount`).

use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::action::Action;
use crate::kinds::kind::Kind;
use crate::kinds::printers::name_and_age;
use crate::shared::field_value::Errors;
use crate::shared::metadata;
use crate::shared::value::{list_mut, text};
use crate::shared::warnings::Warnings;

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "ServiceAccount")
    .prepare(prepare)
    .validate_update(validate_update)
    .warn(warn)
    .printer(name_and_age)
    .returns_deleted_object()
    .actions(&[("token", Action::IssueToken)]);

/// References to secrets are names.
fn prepare(_: &Resource, account: &mut Value, _: Option<&Value>) {
    for secret in list_mut(account, "secrets") {
        let name = text(secret, "name").to_owned();
        *secret = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
    }
}

/// Kinds whose update repeats what is asked of a new object's metadata: `ServiceAccount`, `LimitRange`.
fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    errors
}

/// An annotation that is newly set.
fn warn(account: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
    let has = |account: &Value| account.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(ENFORCE).is_some());
    if has(account) && !old.is_some_and(has) {
        warnings.push(format!(
            "metadata.annotations[{ENFORCE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        ));
    }
}
