//! What Role and ClusterRole have in common.

use serde_json::Value;

use crate::Resource;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::selector::{label_selector, selects};

fn policy_rule(at: &FieldValue<'_>, namespaced: bool, errors: &mut Errors) {
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
    let root = FieldValue::root(role);
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
