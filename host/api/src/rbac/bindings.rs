//! What RoleBinding and ClusterRoleBinding have in common.

use serde_json::Value;

use crate::Resource;
use crate::shared::cell::{self, age, cells, items, join, name};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Rule};
use crate::shared::validation;
use crate::shared::value::{if_zero, list_mut, object_at, text};

/// `rbac.authorization.k8s.io`
const GROUP: &str = "rbac.authorization.k8s.io";

/// `RoleBinding`, `ClusterRoleBinding`
pub(crate) fn default_binding(_: &Resource, binding: &mut Value) {
    if_zero(object_at(binding, "roleRef"), "apiGroup", GROUP);
    for subject in list_mut(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            if_zero(subject, "apiGroup", GROUP);
        }
    }
}

/// `RoleBinding`, `ClusterRoleBinding`
pub(crate) fn validate_binding(resource: &Resource, binding: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, binding, metadata::path_segment_name, &mut errors);
    let root = FieldValue::root(binding);
    let reference = root.child("roleRef");
    let (group, kind, name) = (reference.child("apiGroup"), reference.child("kind"), reference.child("name"));
    if group.text() != GROUP {
        errors.push(group.unsupported(&[GROUP]));
    }
    let kinds: &[&str] = if resource.namespaced() { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind.text()) {
        errors.push(kind.unsupported(kinds));
    }
    if name.text().is_empty() {
        errors.push(name.required(""));
    } else {
        name.problems(metadata::path_segment_name(name.text(), false), &mut errors);
    }
    for subject in root.items("subjects") {
        validate_subject(&subject, resource.namespaced(), &mut errors);
    }
    errors
}

fn validate_subject(at: &FieldValue<'_>, namespaced: bool, errors: &mut Errors) {
    let (name, group) = (at.child("name"), at.child("apiGroup"));
    rules::check_value(&[Rule::Required], &name, None, errors);
    match at.text_of("kind") {
        "ServiceAccount" => {
            if !name.text().is_empty() {
                name.problems(metadata::subdomain(name.text(), false), errors);
            }
            if !group.text().is_empty() {
                errors.push(group.unsupported(&[""]));
            }
            if !namespaced && at.is_empty("namespace") {
                errors.push(at.child("namespace").required(""));
            }
        }
        "User" | "Group" => {
            if group.text() != GROUP {
                errors.push(field_value::unsupported(&group.path, &Value::from(group.text()), &[GROUP]));
            }
        }
        _ => errors.push(at.child("kind").unsupported(&["ServiceAccount", "User", "Group"])),
    }
}

/// `RoleBinding`, `ClusterRoleBinding`
pub(crate) fn validate_binding_update(resource: &Resource, binding: &Value, old: &Value) -> Errors {
    let mut errors = validate_binding(resource, binding);
    metadata::validate_update(binding, old, &mut errors);
    let reference = FieldValue::root(binding).child("roleRef");
    if *reference.value != old["roleRef"] {
        let field = |name: &str| Value::from(reference.text_of(name));
        let shown = format!("{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}", field("apiGroup"), field("kind"), field("name"));
        errors.push(validation::invalid_shown(&reference.path, &shown, "cannot change roleRef"));
    }
    errors
}

pub(crate) fn role_binding(binding: &Value, now: i64) -> Vec<Value> {
    let subjects = |kind: &str| -> Vec<&Value> { items(binding, "/subjects").iter().filter(|s| cell::text(s, "/kind") == kind).collect() };
    let names = |kind: &str| join(subjects(kind).into_iter().map(|subject| cell::text(subject, "/name")), ", ");
    let account = |subject: &Value| format!("{}/{}", cell::text(subject, "/namespace"), cell::text(subject, "/name"));
    let accounts: Vec<String> = subjects("ServiceAccount").into_iter().map(account).collect();
    let role = format!("{}/{}", cell::text(binding, "/roleRef/kind"), cell::text(binding, "/roleRef/name"));
    cells![name(binding), role, age(binding, now), names("User"), names("Group"), accounts.join(", ")]
}
