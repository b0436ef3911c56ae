//! What the user may do: a request's attributes as authorizers see them, and a refusal in upstream's words.

use std::sync::Arc;

use apimachinery::field::go_quote as quoted;
use apimachinery::request_info::RequestInfo;
use apimachinery::selector::{self, Operator};
use apimachinery::{FieldSelector, GroupResource, LabelSelector, Status};
use auth::{Attributes, SelectorRequirement, UserInfo};

/// What the request wants to do, as authorizers see it.
pub fn attributes(info: &RequestInfo, user: &Arc<UserInfo>) -> Attributes {
    Attributes {
        user: user.clone(),
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
    }
}

/// Selectors that cannot be read count as none, here and below: the authorizer then judges the wider request.
fn field_requirements(selector: &str) -> Vec<SelectorRequirement> {
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

fn label_requirements(selector: &str) -> Vec<SelectorRequirement> {
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

/// Upstream's 403.
pub fn forbidden(attributes: &Attributes, reason: &str) -> Status {
    let message = sanitized(&forbidden_message(attributes));
    let why = if reason.is_empty() { message } else { format!("{message}: {reason}") };
    let resource = GroupResource::new(attributes.api_group.clone(), attributes.resource.clone());
    Status::forbidden(&resource, &attributes.name, &why)
}

fn forbidden_message(attributes: &Attributes) -> String {
    let Attributes { user, verb, namespace, api_group, resource, subresource, resource_request, path, .. } = attributes;
    let user = quoted(&user.name);
    if !resource_request {
        return format!("User {user} cannot {verb} path {}", quoted(path));
    }
    let resource = if subresource.is_empty() { quoted(resource) } else { quoted(&format!("{resource}/{subresource}")) };
    let group = quoted(api_group);
    match namespace.as_str() {
        "" => format!("User {user} cannot {verb} resource {resource} in API group {group} at the cluster scope"),
        namespace => format!("User {user} cannot {verb} resource {resource} in API group {group} in the namespace {}", quoted(namespace)),
    }
}

/// Errors must not look like HTML.
pub(crate) fn sanitized(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_in_upstream_s_words() {
        let user = Arc::new(UserInfo { name: "jane".into(), ..UserInfo::default() });
        let rows = [
            (
                "GET",
                "/api/v1/namespaces/n/pods",
                "why",
                r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "n": why"#,
            ),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/n/deployments/d/scale",
                "",
                r#"deployments.apps "d" is forbidden: User "jane" cannot patch resource "deployments/scale" in API group "apps" in the namespace "n""#,
            ),
            (
                "DELETE",
                "/api/v1/nodes/x",
                "",
                r#"nodes "x" is forbidden: User "jane" cannot delete resource "nodes" in API group "" at the cluster scope"#,
            ),
            ("GET", "/healthz/ping", "", r#"forbidden: User "jane" cannot get path "/healthz/ping""#),
            ("GET", "/<b>\"&", "", r#"forbidden: User "jane" cannot get path "/&lt;b&gt;\"&amp;""#),
        ];
        for (method, path, reason, want) in rows {
            let info = RequestInfo::parse(method, path, None).unwrap();
            let status = forbidden(&attributes(&info, &user), reason);
            assert_eq!((status.code, status.message.as_str()), (403, want));
        }
    }
}
