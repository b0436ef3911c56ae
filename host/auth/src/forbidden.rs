//! The answer to a request that was not allowed, in upstream's words.

use apimachinery::field::go_quote;
use apimachinery::{GroupResource, Status};

use crate::Attributes;

/// 403: `pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default": reason`.
pub fn forbidden(attributes: &Attributes, reason: &str) -> Status {
    let mut why = refused(attributes);
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
