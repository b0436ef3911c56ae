//! What the user may do: a request's attributes as authorizers see them.

use admission::RequestContext;
use apimachinery::request_info::RequestInfo;
use apimachinery::selector::{self, Operator};
use apimachinery::{FieldSelector, LabelSelector};
use auth::{Attributes, SelectorRequirement};

/// What the request wants to do, as authorizers see it.
pub fn attributes(info: &RequestInfo, context: &RequestContext) -> Attributes {
    Attributes {
        user: context.user.clone(),
        verb: info.verb.to_string(),
        namespace: info.namespace.clone(),
        api_group: info.api_group.clone(),
        api_version: info.api_version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        name: info.name.clone(),
        resource_request: info.is_resource_request,
        path: info.path.clone(),
        field_selector: field_requirements(&info.field_selector),
        label_selector: label_requirements(&info.label_selector),
        asked_for: context.asking(),
    }
}

/// Selectors that cannot be read count as none, here and below: the authorizer then judges the wider request.
pub(crate) fn field_requirements(selector: &str) -> Vec<SelectorRequirement> {
    if selector.is_empty() {
        return Vec::new();
    }
    let parsed = FieldSelector::parse(selector).unwrap_or_default();
    let requirement = |r: &selector::field::Requirement| SelectorRequirement {
        key: r.field.clone(),
        operator: operator(r.operator).into(),
        values: vec![r.value.clone()],
    };
    parsed.requirements().iter().map(requirement).collect()
}

pub(crate) fn label_requirements(selector: &str) -> Vec<SelectorRequirement> {
    if selector.is_empty() {
        return Vec::new();
    }
    let Ok(parsed) = LabelSelector::parse(selector) else { return Vec::new() };
    // An authorizer is not shown comparisons of numbers, as upstream's webhook is not.
    let shown = parsed.requirements().iter().filter(|r| !matches!(r.operator(), Operator::GreaterThan | Operator::LessThan));
    shown
        .map(|r| SelectorRequirement { key: r.key().to_owned(), operator: operator(r.operator()).into(), values: r.values().to_vec() })
        .collect()
}

/// The words of KEP-4601.
fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::In | Operator::Equals | Operator::DoubleEquals | Operator::GreaterThan | Operator::LessThan => "In",
        Operator::NotIn | Operator::NotEquals => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
    }
}
