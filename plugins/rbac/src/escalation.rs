//! Nobody grants more than they have: admission of roles and bindings.
//!
//! Without this, whoever may write roles in a namespace could give themselves anything there. Upstream does it in the
//! storage of the four kinds (`pkg/registry/rbac/*/policybased`), after mutation and before other validators; here it is a
//! validating plugin, so it sees the object as it will be stored. The ways around it are upstream's: the group
//! `system:masters`, the verb `escalate` on roles, the verb `bind` on the role that a binding refers to.

use std::collections::HashSet;

use wasmgate_sdk::admission::Request;
use wasmgate_sdk::authorization::Attributes;
use wasmgate_sdk::authorizer;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quote::{quote, quote_all};
use wasmgate_sdk::serde::de::DeserializeOwned;

use crate::index::Unresolved;
use crate::objects::{RoleRef, Rule};
use crate::permission::{Permission, describe};
use crate::rule::ALL;
use crate::{Rbac, aggregate};

const GROUP: &str = "rbac.authorization.k8s.io";
/// The server's own way in: it may do anything, whatever the roles are.
const PRIVILEGED_GROUP: &str = "system:masters";
/// Single permissions of one object that are compared; upstream's largest role has some hundreds.
const PERMISSIONS_MAX: usize = 20_000;

/// Admits a role or binding that grants nothing new.
pub fn check(rbac: &Rbac, request: &Request) -> Result<(), Denial> {
    let writes = matches!(request.operation, Operation::Create | Operation::Update);
    let Some(object) = request.object().filter(|_| writes && request.resource.group == GROUP) else { return Ok(()) };
    if request.user().groups.iter().any(|group| group == PRIVILEGED_GROUP) {
        return Ok(());
    }
    let granting = Granting { rbac, request, object };
    match request.resource.resource.as_str() {
        "roles" | "clusterroles" => granting.check_role(),
        "rolebindings" | "clusterrolebindings" => granting.check_binding(),
        _ => Ok(()),
    }
}

/// Somebody grants something.
struct Granting<'a, 'r> {
    rbac: &'a Rbac,
    request: &'a Request<'r>,
    object: &'a Object<'r>,
}

impl Granting<'_, '_> {
    fn check_role(&self) -> Result<(), Denial> {
        let resource = self.request.resource.resource.as_str();
        // Upstream takes the name from the path, and a create has none there: being allowed to escalate one role by its name
        // does not help to make it.
        let name = if self.request.operation == Operation::Create { "" } else { &self.request.name };
        if self.may("escalate", resource, name) || self.request.changes_only_owners() {
            return Ok(());
        }
        self.confirm_held(&self.read::<Vec<Rule>>("/rules")?)?;
        let aggregates = |object: &Object| {
            let selectors = object.get("/aggregationRule/clusterRoleSelectors");
            selectors.and_then(|selectors| Some(!selectors.as_array()?.is_empty())).unwrap_or_default()
        };
        if resource == "clusterroles" && (aggregates(self.object) || self.request.old().is_some_and(aggregates)) {
            // It gathers whatever there will be, and the old rule keeps its rules from being narrowed.
            self.confirm_held(&everything())
                .map_err(|_| self.forbidden("must have cluster-admin privileges to use the aggregationRule"))?;
        }
        Ok(())
    }

    fn check_binding(&self) -> Result<(), Denial> {
        if self.request.changes_only_owners() {
            return Ok(());
        }
        let role_ref: RoleRef = self.read("/roleRef")?;
        let may_bind = match role_ref.kind.as_str() {
            "ClusterRole" => self.may("bind", "clusterroles", &role_ref.name),
            "Role" => self.may("bind", "roles", &role_ref.name),
            _ => false,
        };
        if may_bind {
            return Ok(());
        }
        let rules = self.rbac.index.rules(&role_ref, &self.request.namespace).map_err(|unresolved| match unresolved {
            Unresolved::Missing { name, .. } => Status::not_found(GROUP, &self.request.resource.resource, name),
            Unresolved::Kind(_) => Status::new(500, "", unresolved.words(None)),
        })?;
        self.confirm_held(rules)
    }

    /// Whether the user may do this to a role, as all authorizers together say: another one may allow it, or deny it whatever the roles
    /// are.
    fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let attributes = Attributes {
            user: self.request.user().clone(),
            verb: verb.to_owned(),
            namespace: self.request.namespace.clone(),
            api_group: GROUP.to_owned(),
            api_version: ALL.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        authorizer::authorize(&attributes).is_ok_and(|answer| answer.decision == Decision::Allow)
    }

    /// Refuses rules that the user does not have in this namespace, and says which.
    fn confirm_held(&self, rules: &[Rule]) -> Result<(), Denial> {
        let count = rules.iter().map(Rule::permission_count).fold(0, usize::saturating_add);
        if count > PERMISSIONS_MAX {
            return Err(self.forbidden(&format!("it would grant {count} permissions, more than {PERMISSIONS_MAX} can be compared")));
        }
        let user = self.request.user();
        let (held, unresolved) = self.rbac.index.held(user, &self.request.namespace);
        let is_held = |permission: &Permission| held.iter().any(|rule| rule.covers(*permission));
        let missing: Vec<Permission> = rules.iter().flat_map(Rule::permissions).filter(|permission| !is_held(permission)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<String> = describe(&missing).into_iter().collect();
        let mut message = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&user.name),
            quote_all(user.groups.iter().map(String::as_str)),
            missing.join("\n"),
        );
        if !unresolved.is_empty() {
            let mut seen = HashSet::new();
            let errors = unresolved.iter().map(|error| error.words(Some(&self.request.resource.resource)));
            let errors = aggregate(errors.filter(|error| seen.insert(error.clone())));
            message.push_str(&format!("; resolution errors: [{errors}]"));
        }
        Err(self.forbidden(&message))
    }

    /// A field of the object; what is not there or null is empty. One that cannot be read is refused, never passed over.
    fn read<T: DeserializeOwned + Default>(&self, pointer: &str) -> Result<T, Denial> {
        let value = self.object.get_as::<Option<T>>(pointer).transpose();
        Ok(value.map_err(|error| self.forbidden(&format!("unable to read it: {error}")))?.flatten().unwrap_or_default())
    }

    /// A whole Status: the list of what is missing may be longer than a short refusal may be.
    fn forbidden(&self, message: &str) -> Denial {
        // A name that the server is yet to make up is none, in upstream's words.
        let generated = self.request.old().is_none() && self.object.get_str("/metadata/generateName").is_some_and(|name| !name.is_empty());
        let name = if generated { "" } else { &self.request.name };
        Status::forbidden(GROUP, &self.request.resource.resource, name, message).into()
    }
}

/// What a cluster's admin has.
fn everything() -> [Rule; 2] {
    let all = || vec![ALL.to_owned()];
    [
        Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() },
    ]
}

#[cfg(test)]
mod tests;
