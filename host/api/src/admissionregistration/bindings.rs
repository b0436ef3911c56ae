//! What the bindings of both kinds of policies have in common.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::matching::{default_match_resources, match_resources, one_of};
use crate::shared::cell::{self, UNSET, age, at, cells, items, join, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::selector::label_selector;
use crate::shared::value::object_at;

/// The bindings of both.
pub(crate) fn default_binding(_: &Resource, binding: &mut Value) {
    default_match_resources(object_at(binding, "spec"), "matchResources");
}

/// The bindings of both.
pub(crate) fn validate_binding(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    let policy = spec.child("policyName");
    if policy.text().is_empty() {
        errors.push(policy.required(""));
    } else {
        policy.problems(metadata::subdomain(policy.text(), false), &mut errors);
    }
    if let Some(reference) = spec.some("paramRef") {
        param_ref(&reference, &mut errors);
    }
    if let Some(matcher) = spec.some("matchResources") {
        match_resources(&matcher, &mut errors);
    }
    if &*resource.gvk.kind == "ValidatingAdmissionPolicyBinding" {
        actions(&spec, &mut errors);
    }
    errors
}

fn param_ref(at: &FieldValue<'_>, errors: &mut Errors) {
    let (name, selector, missing) = (at.child("name"), at.child("selector"), at.child("parameterNotFoundAction"));
    let named = !name.text().is_empty();
    if named {
        name.problems(name::is_path_segment_name(name.text()), errors);
        if !selector.value.is_null() {
            errors.push(name.forbidden("name and selector are mutually exclusive"));
        }
    }
    if !selector.value.is_null() {
        label_selector(&selector, errors);
        if named {
            errors.push(selector.forbidden("name and selector are mutually exclusive"));
        }
    }
    if !named && selector.value.is_null() {
        errors.push(at.required("one of name or selector must be specified"));
    }
    if missing.text().is_empty() {
        errors.push(missing.required(""));
    } else {
        one_of(&missing, &["Deny", "Allow"], errors);
    }
}

fn actions(spec: &FieldValue<'_>, errors: &mut Errors) {
    let list = spec.child("validationActions");
    let mut seen: HashSet<&str> = HashSet::new();
    for action in spec.items("validationActions") {
        one_of(&action, &["Audit", "Deny", "Warn"], errors);
        let text = action.value.as_str().unwrap_or_default();
        if seen.contains(&text) {
            errors.push(action.duplicate());
        }
        seen.insert(text);
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers \
             serves no purpose)";
        errors.push(list.invalid(detail));
    }
    if seen.is_empty() {
        errors.push(list.required("at least one validation action is required"));
    }
}

/// The bindings of both.
pub(crate) fn validate_binding_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_binding(resource, object)
}

pub(crate) fn policy_binding(binding: &Value, now: i64) -> Vec<Value> {
    let reference = at(binding, "/spec/paramRef");
    let parameter = match (text(reference, "/namespace"), text(reference, "/name"), some(reference, "/selector")) {
        (_, "", None) => UNSET.to_owned(),
        (_, "", Some(selector)) => go_label_selector(selector),
        // Whether parameters have namespaces cannot be told from here.
        ("", name, _) => format!("*/{name}"),
        (namespace, name, _) => format!("{namespace}/{name}"),
    };
    cells![cell::name(binding), text(binding, "/spec/policyName"), parameter, age(binding, now)]
}

/// As Go's generated `String()` has it: not the form of a selector in a URL.
fn go_label_selector(selector: &Value) -> String {
    let labels = at(selector, "/matchLabels").as_object().into_iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default())).collect();
    let expression = |expression: &Value| {
        let values = join(items(expression, "/values").iter().filter_map(Value::as_str), " ");
        let (key, operator) = (text(expression, "/key"), text(expression, "/operator"));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions: String = items(selector, "/matchExpressions").iter().map(expression).collect();
    format!("&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}")
}
