//! Roles and bindings.

use serde_json::Value;

use super::selector::{label_selector, selects};
use super::{At, Errors, metadata};
use crate::Resource;
use crate::kinds::rbac::GROUP;

fn policy_rule(at: &At<'_>, namespaced: bool, errors: &mut Errors) {
    if at.is_empty("verbs") {
        errors.push(at.child("verbs").required("verbs must contain at least one value"));
    }
    let urls = at.child("nonResourceURLs");
    if !at.is_empty("nonResourceURLs") {
        if namespaced {
            errors.push(urls.invalid("namespaced rules cannot apply to non-resource URLs"));
        }
        if ["apiGroups", "resources", "resourceNames"].iter().any(|name| !at.is_empty(name)) {
            errors.push(urls.invalid("rules cannot apply to both regular resources and non-resource URLs"));
        }
        return;
    }
    if at.is_empty("apiGroups") {
        errors.push(at.child("apiGroups").required("resource rules must supply at least one api group"));
    }
    if at.is_empty("resources") {
        errors.push(at.child("resources").required("resource rules must supply at least one resource"));
    }
}

/// `Role`, `ClusterRole`
pub(crate) fn validate_role(resource: &Resource, role: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, role, metadata::path_segment_name, &mut errors);
    let root = At::root(role);
    for rule in root.items("rules") {
        policy_rule(&rule, resource.namespaced(), &mut errors);
    }
    if let Some(aggregation) = root.some("aggregationRule") {
        if aggregation.is_empty("clusterRoleSelectors") {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(aggregation.child("clusterRoleSelectors").required(detail));
        }
        for selector in aggregation.items("clusterRoleSelectors") {
            label_selector(&selector, &mut errors);
            if selects(selector.value, &Value::Null).is_none() {
                errors.push(selector.invalid_as(Value::Null, "invalid label selector."));
            }
        }
    }
    errors
}

/// `Role`, `ClusterRole`
pub(crate) fn validate_role_update(resource: &Resource, role: &Value, old: &Value) -> Errors {
    let mut errors = validate_role(resource, role);
    metadata::validate_update(role, old, &mut errors);
    errors
}

/// `RoleBinding`, `ClusterRoleBinding`
pub(crate) fn validate_binding(resource: &Resource, binding: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, binding, metadata::path_segment_name, &mut errors);
    let root = At::root(binding);
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

fn validate_subject(at: &At<'_>, namespaced: bool, errors: &mut Errors) {
    let (name, group) = (at.child("name"), at.child("apiGroup"));
    if name.text().is_empty() {
        errors.push(name.required(""));
    }
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
                errors.push(super::unsupported(&group.path, &Value::from(group.text()), &[GROUP]));
            }
        }
        _ => errors.push(at.child("kind").unsupported(&["ServiceAccount", "User", "Group"])),
    }
}

/// `RoleBinding`, `ClusterRoleBinding`
pub(crate) fn validate_binding_update(resource: &Resource, binding: &Value, old: &Value) -> Errors {
    let mut errors = validate_binding(resource, binding);
    metadata::validate_update(binding, old, &mut errors);
    let reference = At::root(binding).child("roleRef");
    if *reference.value != old["roleRef"] {
        let field = |name: &str| Value::from(reference.text_of(name));
        let shown = format!("{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}", field("apiGroup"), field("kind"), field("name"));
        errors.push(super::invalid_shown(&reference.path, &shown, "cannot change roleRef"));
    }
    errors
}
