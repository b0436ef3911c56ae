//! The answer to a request that was not allowed, in upstream's words.

use apimachinery::field::go_quote;
use apimachinery::{GroupResource, Status};

use crate::Attributes;

/// 403: `pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default": reason`.
pub fn forbidden(attributes: &Attributes, reason: &str) -> Status {
    let mut why = sanitized(&refused(attributes));
    if !reason.is_empty() {
        why = format!("{why}: {reason}");
    }
    let resource = GroupResource::new(attributes.api_group.clone(), attributes.resource.clone());
    Status::forbidden(&resource, &attributes.name, &why)
}

fn refused(attributes: &Attributes) -> String {
    let user = go_quote(&attributes.user.name);
    let verb = &attributes.verb;
    if !attributes.resource_request {
        return format!("User {user} cannot {verb} path {}", go_quote(&attributes.path));
    }
    let resource = match attributes.subresource.as_str() {
        "" => go_quote(&attributes.resource),
        subresource => go_quote(&format!("{}/{subresource}", attributes.resource)),
    };
    let group = go_quote(&attributes.api_group);
    match attributes.namespace.as_str() {
        "" => format!("User {user} cannot {verb} resource {resource} in API group {group} at the cluster scope"),
        namespace => format!("User {user} cannot {verb} resource {resource} in API group {group} in the namespace {}", go_quote(namespace)),
    }
}

/// Errors must not look like HTML.
pub fn sanitized(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::UserInfo;

    #[test]
    fn refusals_are_in_upstream_s_words() {
        let about = |verb: &str, group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| Attributes {
            user: Arc::new(UserInfo { name: "jane".into(), ..UserInfo::default() }),
            verb: verb.into(),
            api_group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: name.into(),
            resource_request: true,
            ..Attributes::default()
        };
        let path = |path: &str| Attributes { resource_request: false, path: path.into(), ..about("get", "", "", "", "", "") };
        let rows = [
            (
                about("list", "", "pods", "", "n", ""),
                "why",
                r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "n": why"#,
            ),
            (
                about("patch", "apps", "deployments", "scale", "n", "d"),
                "",
                r#"deployments.apps "d" is forbidden: User "jane" cannot patch resource "deployments/scale" in API group "apps" in the namespace "n""#,
            ),
            (
                about("delete", "", "nodes", "", "", "x"),
                "",
                r#"nodes "x" is forbidden: User "jane" cannot delete resource "nodes" in API group "" at the cluster scope"#,
            ),
            (path("/healthz/ping"), "", r#"forbidden: User "jane" cannot get path "/healthz/ping""#),
            (path("/<b>\"&"), "", r#"forbidden: User "jane" cannot get path "/&lt;b&gt;\"&amp;""#),
        ];
        for (attributes, reason, want) in rows {
            let status = forbidden(&attributes, reason);
            assert_eq!((status.code, status.message.as_str()), (403, want));
        }
    }
}
