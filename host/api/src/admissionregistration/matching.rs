//! Which requests a webhook or a policy is for, and the few words that all kinds of the group share.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, Rule, field};
use crate::shared::selector::label_selector;
use crate::shared::value::{self, if_nil, list_mut, object_mut};
use crate::shared::warnings::Warnings;

pub(crate) fn default_selectors(matcher: &mut Value) {
    if_nil(matcher, "matchPolicy", "Equivalent");
    if_nil(matcher, "namespaceSelector", json!({}));
    if_nil(matcher, "objectSelector", json!({}));
}

pub(crate) fn default_match_resources(spec: &mut Value, name: &str) {
    let Some(matcher) = object_mut(spec, name) else { return };
    default_selectors(matcher);
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in list_mut(matcher, rules) {
            if_nil(rule, "scope", "*");
        }
    }
}

/// All of them: names that belong to configurations in files.
pub(crate) fn warn_of_name(object: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    const SUFFIX: &str = ".static.k8s.io";
    if apimachinery::object::name(object).ends_with(SUFFIX) {
        warnings.push(format!(
            "metadata.name: names ending with \"{SUFFIX}\" are reserved for static manifest-based configurations and cannot be managed via the API"
        ));
    }
}

const CONDITIONS_MAX: usize = 64;
pub(crate) const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
pub(crate) const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];

fn has_wildcard(at: &FieldValue<'_>, name: &str) -> bool {
    at.texts(name).any(|text| text == "*")
}

pub(crate) fn rule(at: &FieldValue<'_>, errors: &mut Errors) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    let operations = at.child("operations");
    if at.is_empty("operations") {
        errors.push(operations.required(""));
    }
    if at.texts("operations").count() > 1 && has_wildcard(at, "operations") {
        errors.push(operations.invalid("if '*' is present, must not specify other operations"));
    }
    for operation in at.items("operations").filter(|operation| !OPERATIONS.contains(&operation.text())) {
        errors.push(operation.unsupported(&OPERATIONS));
    }
    for (name, noun) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = at.child(name);
        if at.is_empty(name) {
            errors.push(list.required(""));
        }
        if at.texts(name).count() > 1 && has_wildcard(at, name) {
            errors.push(list.invalid(&format!("if '*' is present, must not specify other {noun}")));
        }
    }
    for version in at.items("apiVersions").filter(|version| version.text().is_empty()) {
        errors.push(version.required(""));
    }
    resources(at, errors);
    rules::check(&[field("scope", &[Rule::Optional, Rule::Enum(&["*", "Cluster", "Namespaced"])])], at, None, errors);
}

fn resources(at: &FieldValue<'_>, errors: &mut Errors) {
    let list = at.child("resources");
    if at.is_empty("resources") {
        errors.push(list.required(""));
    }
    let (mut any_sub, mut any_resource): (HashSet<&str>, HashSet<&str>) = (HashSet::new(), HashSet::new());
    let (mut everything, mut star, mut plain) = (false, false, false);
    for item in at.items("resources") {
        let text = item.value.as_str().unwrap_or_default();
        if text.is_empty() {
            errors.push(item.required(""));
            continue;
        }
        everything |= text == "*/*";
        star |= text == "*";
        let Some((resource, sub)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if any_sub.contains(resource) {
            errors.push(item.invalid(&format!("if '{resource}/*' is present, must not specify {text}")));
        }
        if any_resource.contains(sub) {
            errors.push(item.invalid(&format!("if '*/{sub}' is present, must not specify {text}")));
        }
        if sub == "*" {
            any_sub.insert(resource);
        }
        if resource == "*" {
            any_resource.insert(sub);
        }
    }
    if at.texts("resources").count() > 1 && everything {
        errors.push(list.invalid("if '*/*' is present, must not specify other resources"));
    }
    if star && plain {
        errors.push(list.invalid("if '*' is present, must not specify other resources without subresources"));
    }
}

pub(crate) fn one_of(at: &FieldValue<'_>, valid: &[&str], errors: &mut Errors) {
    if !at.value.is_null() && !valid.contains(&at.text()) {
        errors.push(at.unsupported(valid));
    }
}

pub(crate) fn match_conditions(owner: &FieldValue<'_>, errors: &mut Errors) {
    let list = owner.child("matchConditions");
    let count = owner.items("matchConditions").count();
    if count > CONDITIONS_MAX {
        errors.push(apimachinery::field::Error::too_many(&list.path, count, CONDITIONS_MAX));
    }
    let mut names: HashSet<&str> = HashSet::new();
    for condition in owner.items("matchConditions") {
        if condition.text_of("expression").trim().is_empty() {
            errors.push(condition.child("expression").required(""));
        }
        let name = condition.child("name");
        let text = value::text(condition.value, "name");
        if text.is_empty() {
            errors.push(name.required(""));
            continue;
        }
        errors.extend(name::is_qualified_name(text).iter().map(|problem| name.invalid(problem)));
        if names.contains(&text) {
            errors.push(name.duplicate());
        }
        names.insert(text);
    }
}

pub(crate) fn match_resources(at: &FieldValue<'_>, errors: &mut Errors) {
    one_of(&at.child("matchPolicy"), &MATCH_POLICIES, errors);
    label_selector(&at.child("namespaceSelector"), errors);
    label_selector(&at.child("objectSelector"), errors);
    for list in ["resourceRules", "excludeResourceRules"] {
        for named in at.items(list) {
            let mut names: HashSet<&str> = HashSet::new();
            for name in named.items("resourceNames") {
                name.problems(name::is_path_segment_name(name.text()), errors);
                let text = name.value.as_str().unwrap_or_default();
                if names.contains(&text) {
                    errors.push(name.duplicate());
                }
                names.insert(text);
            }
            rule(&named, errors);
        }
    }
}
