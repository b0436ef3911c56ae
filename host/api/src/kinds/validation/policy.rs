//! Small cluster-wide kinds: runtime classes, priority classes, leases.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use super::{At, Errors, metadata, resources, scheduling, selector};
use crate::Resource;
use crate::kinds::value;

const USER_PRIORITY_MAX: i64 = 1_000_000_000;

/// `RuntimeClass`
pub(crate) fn validate_runtime_class(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let root = At::root(object);
    let handler = root.child("handler");
    if handler.text().is_empty() {
        errors.push(handler.required(""));
    } else {
        handler.dns_label(&mut errors);
    }
    for (name, entry) in root.child("overhead").entries("podFixed") {
        let entry = entry.renamed(root.child("overhead").child("limits").path.key(name));
        resources::container_resource_name(name, &entry, &mut errors);
        resources::quantity_value(name, &entry, &mut errors);
    }
    if let Some(scheduling) = root.some("scheduling") {
        selector::labels(&scheduling.child("nodeSelector"), &mut errors);
        scheduling::tolerations(&scheduling, &mut errors);
        let mut seen: HashSet<[&str; 4]> = HashSet::new();
        for toleration in scheduling.items("tolerations") {
            let key = ["key", "operator", "value", "effect"].map(|name| value::text(toleration.value, name));
            if seen.contains(&key) {
                errors.push(toleration.duplicate());
            }
            seen.insert(key);
        }
    }
    errors
}

/// `RuntimeClass`
pub(crate) fn validate_runtime_class_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update_generic(object, old, &mut errors);
    At::root(object).child("handler").immutable(&At::root(old).child("handler"), &mut errors);
    errors
}

/// `PriorityClass`
pub(crate) fn validate_priority_class(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = At::root(object);
    let (priority, name) = (root.child("value"), root.child("metadata").child("name"));
    if name.text().starts_with("system-") {
        let known = match name.text() {
            "system-node-critical" => Some(2_000_001_000),
            "system-cluster-critical" => Some(2_000_000_000),
            _ => None,
        };
        let why = match known {
            None => Some(format!("{} is not a known system priority class", name.text())),
            Some(value) if value != priority.int() => Some(format!("value of {} PriorityClass must be {value}", name.text())),
            Some(_) if root.flag("globalDefault") => Some(format!("globalDefault of {} PriorityClass must be false", name.text())),
            Some(_) => None,
        };
        if let Some(why) = why {
            errors.push(
                name.forbidden(&format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}")),
            );
        }
    } else if priority.int() > USER_PRIORITY_MAX {
        errors.push(priority.forbidden(&format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}")));
    }
    if let Some(policy) = root.some("preemptionPolicy").filter(|policy| !matches!(policy.text(), "PreemptLowerPriority" | "Never")) {
        errors.push(policy.unsupported(&["PreemptLowerPriority", "Never"]));
    }
    errors
}

/// `PriorityClass`
pub(crate) fn validate_priority_class_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let (root, before) = (At::root(object), At::root(old));
    if root.child("value").int() != before.child("value").int() {
        errors.push(root.child("value").forbidden("may not be changed in an update."));
    }
    root.child("preemptionPolicy").immutable(&before.child("preemptionPolicy"), &mut errors);
    errors
}

fn lease_spec(spec: &At<'_>, errors: &mut Errors) {
    if let Some(seconds) = spec.some("leaseDurationSeconds").filter(|seconds| seconds.int() <= 0) {
        errors.push(seconds.invalid("must be greater than 0"));
    }
    if let Some(transitions) = spec.some("leaseTransitions").filter(|transitions| transitions.int() < 0) {
        errors.push(transitions.invalid("must be greater than or equal to 0"));
    }
    if let Some(strategy) = spec.some("strategy") {
        let at = strategy.renamed(strategy.path.child("strategy"));
        if !strategy.text().contains('/') && strategy.text() != "OldestEmulationVersion" {
            errors.push(at.unsupported(&["OldestEmulationVersion"]));
        } else if strategy.text().contains('/') {
            errors.extend(name::is_qualified_name(strategy.text()).iter().map(|problem| at.invalid(problem)));
        }
    }
    if !spec.is_empty("preferredHolder") && spec.is_empty("strategy") {
        errors.push(spec.child("preferredHolder").forbidden("may only be specified if `strategy` is defined"));
    }
}

/// `Lease`
pub(crate) fn validate_lease(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    lease_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `Lease`
pub(crate) fn validate_lease_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update_generic(object, old, &mut errors);
    lease_spec(&At::root(object).child("spec"), &mut errors);
    errors
}
