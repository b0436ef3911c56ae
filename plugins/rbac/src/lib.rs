//! Authorizer `RBAC`: roles, and bindings of roles to users, groups and service accounts.
//!
//! It never says no: what no binding allows, it has no opinion on. The objects come by the change feed and are kept in an
//! index by subject, so that a request costs what its user is bound to and not what the cluster has.
//!
//! It is also validating admission for those objects: nobody grants more than they have ([`escalation`]).

mod escalation;
mod index;
mod objects;
mod permission;
mod rule;

use std::collections::BTreeSet;

use wasmgate_sdk::authorization::{Attributes, NonResourceRule, ResourceRule, UserRules};
use wasmgate_sdk::prelude::*;

use index::Index;
use objects::Rule;

/// The plugin.
#[derive(Default)]
pub struct Rbac {
    index: Index,
}

impl Plugin for Rbac {}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Authorization {
        let mut missing = BTreeSet::new();
        for binding in self.index.bindings_of(&attributes.user, &attributes.namespace) {
            match self.index.rules(&binding.role_ref, &binding.namespace) {
                Ok(rules) if rules.iter().any(|rule| rule.allows(attributes)) => {
                    return Authorization::allow(format!("RBAC: allowed by {}", binding.describe(&attributes.user)));
                }
                Ok(_) => {}
                Err(error) => {
                    missing.insert(error.words(None));
                }
            }
        }
        // Upstream puts these into the reason and not beside it: the client is shown them.
        Authorization::no_opinion(if missing.is_empty() { String::new() } else { format!("RBAC: {}", aggregate(missing)) })
    }
}

impl Rules for Rbac {
    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules {
        let mut answer = UserRules::default();
        let (rules, unresolved) = self.index.held(user, namespace);
        rules.into_iter().for_each(|rule| list(rule, &mut answer));
        let unresolved: BTreeSet<String> = unresolved.iter().map(|error| error.words(None)).collect();
        answer.evaluation_error = if unresolved.is_empty() { String::new() } else { aggregate(unresolved) };
        answer
    }
}

impl ValidatingAdmission for Rbac {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        escalation::check(self, request)
    }
}

impl Changes for Rbac {
    fn reset(&mut self, resource: GroupResource) {
        self.index.reset(&resource.resource);
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.index.apply(&change.resource.resource, &change.namespace, &change.name, change.object.as_ref());
        }
    }
}

wasmgate_sdk::plugin!(Rbac: authorizer, rules, validating_admission, changes);

fn list(rule: &Rule, answer: &mut UserRules) {
    if !rule.resources.is_empty() {
        answer.resource_rules.push(ResourceRule {
            verbs: rule.verbs.clone(),
            api_groups: rule.api_groups.clone(),
            resources: rule.resources.clone(),
            resource_names: rule.resource_names.clone(),
        });
    }
    if !rule.non_resource_urls.is_empty() {
        answer.non_resource_rules.push(NonResourceRule { verbs: rule.verbs.clone(), non_resource_urls: rule.non_resource_urls.clone() });
    }
}

/// One error is itself, several are a list, as Go's aggregate prints them.
fn aggregate(errors: impl IntoIterator<Item = String>) -> String {
    let errors: Vec<String> = errors.into_iter().collect();
    if errors.len() == 1 { errors.concat() } else { format!("[{}]", errors.join(", ")) }
}

#[cfg(test)]
mod tests;
