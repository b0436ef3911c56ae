//! SubjectAccessReview and its two narrower forms: may this user do that?

use std::collections::BTreeMap;
use std::sync::Arc;

use api::kinds::action::Review;
use apimachinery::selector::{FieldSelector, LabelSelector};
use apimachinery::validation::name;
use apimachinery::{GroupKind, Status, field};
use auth::{Attributes, Decision, SelectorRequirement, UserInfo};
use serde_json::{Map, Value, json};

use super::super::request_scope::RequestScope;
use super::strings;
use crate::filters::authorization::{field_requirements, label_requirements};
use crate::request::Authorized;

/// Puts the answer into the review.
pub(super) async fn answer(scope: &RequestScope, request: &Authorized, asked: Review, review: &mut Value) -> Result<(), Status> {
    let errors = validate(scope, asked, review);
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::of("authorization.k8s.io", ""), "", &errors));
    }
    let user = if asked == Review::SelfSubjectAccess { request.context().user.clone() } else { Arc::new(subject(review)) };
    let (attributes, unread) = attributes(review, user);
    let answer = request.context().chain.authorize(&attributes).await;
    let mut status = json!({ "allowed": answer.decision == Decision::Allow });
    if answer.decision == Decision::Deny {
        status["denied"] = true.into();
    }
    if !answer.reason.is_empty() {
        status["reason"] = answer.reason.into();
    }
    let mut troubles: Vec<String> = answer.evaluation_error.filter(|_| answer.decision != Decision::Allow).into_iter().collect();
    troubles.extend(unread);
    if !troubles.is_empty() {
        status["evaluationError"] = troubles.join("; ").into();
    }
    review["status"] = status;
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn validate(scope: &RequestScope, asked: Review, review: &Value) -> Vec<field::Error> {
    let spec = field::Path::new("spec");
    let some = |name: &str| review["spec"].get(name).filter(|value| !value.is_null());
    let (resource, other) = (some("resourceAttributes"), some("nonResourceAttributes"));
    let (resource_at, other_at) = (spec.child("resourceAttributes"), spec.child("nonResourceAttributes"));
    let shown = |other: &Value| json!({ "Path": text(other, "path"), "Verb": text(other, "verb") });
    let mut errors = Vec::new();
    match (resource, other) {
        (Some(_), Some(other)) => {
            errors.push(field::Error::invalid(&other_at, shown(other), "cannot be specified in combination with resourceAttributes"));
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.push(field::Error::invalid(&resource_at, Value::Null, detail));
        }
        _ => {}
    }
    let user = text(&review["spec"], "user");
    if asked != Review::SelfSubjectAccess && user.is_empty() && strings(review.pointer("/spec/groups")).is_empty() {
        errors.push(field::Error::invalid(&spec.child("user"), user, "at least one of user or group must be specified"));
    }
    if let Some(resource) = resource {
        selector(resource.get("fieldSelector"), &resource_at.child("fieldSelector"), false, &mut errors);
        selector(resource.get("labelSelector"), &resource_at.child("labelSelector"), true, &mut errors);
    }
    metadata(asked, review, &mut errors);
    if asked == Review::LocalSubjectAccess {
        if let Some(namespace) = resource.map(|resource| text(resource, "namespace")).filter(|namespace| *namespace != scope.namespace) {
            errors.push(field::Error::invalid(&resource_at.child("namespace"), namespace, "must match metadata.namespace"));
        }
        if let Some(other) = other {
            errors.push(field::Error::invalid(&other_at, shown(other), "disallowed on this kind of request"));
        }
    }
    errors
}

/// A review has no name and nothing else of an object's.
fn metadata(asked: Review, review: &Value, errors: &mut Vec<field::Error>) {
    let given: Map<String, Value> = review["metadata"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| {
            *name != "managedFields" && !(asked == Review::LocalSubjectAccess && *name == "namespace") && !value.is_null() && **value != ""
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !given.is_empty() {
        let detail = if asked == Review::LocalSubjectAccess { "must be empty except for namespace" } else { "must be empty" };
        errors.push(field::Error::invalid(&field::Path::new("metadata"), Value::Object(given), detail));
    }
}

/// A selector is a text or a list of requirements; an operator that is not known here may be known to the authorizer.
fn selector(selector: Option<&Value>, at: &field::Path, of_labels: bool, errors: &mut Vec<field::Error>) {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return };
    let raw = text(selector, "rawSelector");
    let requirements = selector.get("requirements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match (raw.is_empty(), requirements.is_empty()) {
        (false, false) => {
            errors.push(field::Error::invalid(&at.child("rawSelector"), raw, "may not specified at the same time as requirements"));
        }
        (true, true) => {
            let detail = format!("when {at} is specified, requirements or rawSelector is required");
            errors.push(field::Error::required(&at.child("requirements"), &detail));
        }
        _ => {}
    }
    for (i, requirement) in requirements.iter().enumerate() {
        validate_requirement(requirement, &at.child("requirements").index(i), of_labels, errors);
    }
}

fn validate_requirement(requirement: &Value, at: &field::Path, of_labels: bool, errors: &mut Vec<field::Error>) {
    let (key, values) = (text(requirement, "key"), strings(requirement.get("values")));
    if !of_labels && key.is_empty() {
        errors.push(field::Error::required(&at.child("key"), "must be specified"));
    }
    match text(requirement, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(field::Error::required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.push(field::Error::forbidden(&at.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        _ => {}
    }
    if of_labels {
        errors.extend(name::is_label_key(key).iter().map(|problem| field::Error::invalid(&at.child("key"), key, problem)));
        for (i, value) in values.iter().enumerate() {
            let path = at.child("values").index(i);
            errors.extend(name::is_label_value(value).iter().map(|problem| field::Error::invalid(&path, value.as_str(), problem)));
        }
    }
}

fn subject(review: &Value) -> UserInfo {
    let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let extra: BTreeMap<String, Vec<String>> = review
        .pointer("/spec/extra")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.to_ascii_lowercase(), strings(Some(values))))
        .collect();
    UserInfo { name: text("/spec/user"), uid: text("/spec/uid"), groups: strings(review.pointer("/spec/groups")), extra }
}

/// What is asked, and what of it could not be read: the authorizer then judges the wider request.
fn attributes(review: &Value, user: Arc<UserInfo>) -> (Attributes, Vec<String>) {
    let Some(resource) = review.pointer("/spec/resourceAttributes").filter(|resource| !resource.is_null()) else {
        let asked = |name: &str| text(&review["spec"]["nonResourceAttributes"], name).to_owned();
        return (Attributes { user, verb: asked("verb"), path: asked("path"), ..Attributes::default() }, Vec::new());
    };
    let asked = |name: &str| text(resource, name).to_owned();
    let fields = read(&resource["fieldSelector"], field_requirements, |raw| FieldSelector::parse(raw).is_ok(), field_is_known);
    let labels = read(&resource["labelSelector"], label_requirements, |raw| LabelSelector::parse(raw).is_ok(), label_is_known);
    let mut unread = Vec::new();
    for (name, (requirements, whole)) in [("fieldSelector", &fields), ("labelSelector", &labels)] {
        if !whole {
            let how = if requirements.is_empty() { "ignored" } else { "partially ignored" };
            unread.push(format!("spec.resourceAttributes.{name} {how} due to parse error"));
        }
    }
    let attributes = Attributes {
        user,
        verb: asked("verb"),
        namespace: asked("namespace"),
        api_group: asked("group"),
        api_version: Some(asked("version")).filter(|version| !version.is_empty()).unwrap_or_else(|| "*".into()),
        resource: asked("resource"),
        subresource: asked("subresource"),
        name: asked("name"),
        resource_request: true,
        path: String::new(),
        field_selector: fields.0,
        label_selector: labels.0,
        ..Attributes::default()
    };
    (attributes, unread)
}

/// A selector's requirements, and whether that is all of them.
fn read(
    selector: &Value,
    parse: fn(&str) -> Vec<SelectorRequirement>,
    parses: fn(&str) -> bool,
    is_known: fn(&SelectorRequirement) -> bool,
) -> (Vec<SelectorRequirement>, bool) {
    let raw = text(selector, "rawSelector");
    if !raw.is_empty() {
        return (parse(raw), parses(raw));
    }
    let all: Vec<SelectorRequirement> = selector
        .get("requirements")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| SelectorRequirement {
            key: text(item, "key").to_owned(),
            operator: text(item, "operator").to_owned(),
            values: strings(item.get("values")),
        })
        .collect();
    let count = all.len();
    let known: Vec<SelectorRequirement> = all.into_iter().filter(is_known).collect();
    let whole = known.len() == count;
    (known, whole)
}

/// Field selectors compare with one value.
fn field_is_known(requirement: &SelectorRequirement) -> bool {
    matches!(requirement.operator.as_str(), "In" | "NotIn") && requirement.values.len() == 1
}

fn label_is_known(requirement: &SelectorRequirement) -> bool {
    matches!(requirement.operator.as_str(), "In" | "NotIn" | "Exists" | "DoesNotExist")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_far_as_they_can_be() {
        let item = |key: &str, operator: &str, values: &[&str]| json!({ "key": key, "operator": operator, "values": values });
        let rows = [
            (json!({ "fieldSelector": { "rawSelector": "a=b" } }), 1, ""),
            (json!({ "fieldSelector": { "requirements": [item("a", "In", &["b"])] } }), 1, ""),
            (json!({ "fieldSelector": { "requirements": [item("a", "Exists", &[])] } }), 0, "fieldSelector ignored"),
            (
                json!({ "fieldSelector": { "requirements": [item("a", "In", &["b"]), item("a", "New", &["b"])] } }),
                1,
                "fieldSelector partially ignored",
            ),
            (json!({ "labelSelector": { "requirements": [item("a", "Exists", &[])] } }), 1, ""),
            (json!({ "labelSelector": { "rawSelector": "a in (" } }), 0, "labelSelector ignored"),
        ];
        for (resource, count, want) in rows {
            let review = json!({ "spec": { "resourceAttributes": resource } });
            let (attributes, unread) = attributes(&review, Arc::default());
            assert_eq!(attributes.field_selector.len() + attributes.label_selector.len(), count, "{review}");
            let want = if want.is_empty() { String::new() } else { format!("spec.resourceAttributes.{want} due to parse error") };
            assert_eq!(unread.join("; "), want, "{review}");
        }
    }

    #[test]
    fn a_selector_is_one_thing_or_the_other() {
        let label = json!({ "key": "a b", "operator": "Exists", "values": ["x"] });
        let rows = [
            (json!({}), true, "at.requirements"),
            (json!({ "rawSelector": "a", "requirements": [{ "key": "a", "operator": "New" }] }), false, "at.rawSelector"),
            (json!({ "requirements": [{ "key": "", "operator": "In" }] }), false, "at.requirements[0].key at.requirements[0].values"),
            (json!({ "requirements": [label] }), true, "at.requirements[0].values at.requirements[0].key"),
        ];
        for (given, of_labels, want) in rows {
            let mut errors = Vec::new();
            selector(Some(&given), &field::Path::new("at"), of_labels, &mut errors);
            assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>().join(" "), want, "{given}");
        }
    }
}
