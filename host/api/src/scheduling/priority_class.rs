//! PriorityClass: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/scheduling/priorityclass`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Generation, Kind};
use crate::shared::cell::{self, age, cells, flag, int, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, PREEMPTION_POLICY, immutable};
use crate::shared::{metadata, value};

const USER_PRIORITY_MAX: i64 = 1_000_000_000;

/// The row.
pub(crate) static KIND: Kind = Kind::new("scheduling.k8s.io", "PriorityClass")
    .generation(Generation::From1(never))
    .refuses_deletion(refuses_deletion)
    .default(|_, class| value::if_nil(class, "preemptionPolicy", "PreemptLowerPriority"))
    .validate(validate)
    .validate_update(validate_update)
    .printer(row);

fn never(_: &Value, _: &Value) -> bool {
    false
}

/// Pods of the system rely on these two.
fn refuses_deletion(name: &str) -> Option<&'static str> {
    matches!(name, "system-node-critical" | "system-cluster-critical").then_some("this is a system priority class and cannot be deleted")
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = FieldValue::root(object);
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
    rules::check(&[PREEMPTION_POLICY], &root, None, &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let (root, before) = (FieldValue::root(object), FieldValue::root(old));
    if root.child("value").int() != before.child("value").int() {
        errors.push(root.child("value").forbidden("may not be changed in an update."));
    }
    rules::check(&[immutable("preemptionPolicy")], &root, Some(&before), &mut errors);
    errors
}

fn row(class: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(class), int(class, "/value"), flag(class, "/globalDefault"), age(class, now), text(class, "/preemptionPolicy")]
}
