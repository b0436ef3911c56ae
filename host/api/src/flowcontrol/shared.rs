//! The status of FlowSchema and PriorityLevelConfiguration.

use std::collections::HashSet;

use serde_json::Value;

use crate::Resource;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::value;

pub(crate) fn status_conditions(object: &Value, errors: &mut Errors) {
    let mut seen: HashSet<&str> = HashSet::new();
    for condition in FieldValue::root(object).child("status").items("conditions") {
        let kind = value::text(condition.value, "type");
        if seen.contains(&kind) {
            errors.push(condition.child("type").duplicate());
        }
        seen.insert(kind);
        if kind.is_empty() {
            errors.push(condition.child("type").required(""));
        }
    }
}

/// The status of both kinds.
pub(crate) fn validate_status(_: &Resource, _: &str, object: &Value, _: &Value) -> Errors {
    let mut errors = Errors::new();
    status_conditions(object, &mut errors);
    errors
}
