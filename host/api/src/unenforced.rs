//! Kinds that are stored and validated, and that this server does not act on yet. Who writes one is told so in a warning, and the
//! status of a CustomResourceDefinition says it as well: nothing is let through in silence.

use serde_json::{Value, json};

use crate::apiextensions::custom_resource_definition;
use crate::{Resource, kinds};

/// The condition of a definition whose resources are not served.
const ESTABLISHED: &str = "Established";

fn words(kind: &str, what: &str) -> String {
    format!("this server stores the {kind} and does not act on it yet: {what}")
}

/// What the writer of an object is warned of.
pub fn warning(resource: &Resource, object: &[u8]) -> Option<String> {
    let kind = kinds::of(resource);
    let what = kind.unenforced?;
    if let Some(is_so) = kind.unenforced_if {
        let object: Value = serde_json::from_slice(object).unwrap_or_default();
        is_so(&object).then_some(())?;
    }
    Some(words(&resource.gvk.kind, what))
}

/// The condition that a CustomResourceDefinition lacks, which says that its resources are not served. `now` is RFC 3339. None where it is
/// established or not by what somebody has said already: another server of the cluster may serve it.
pub fn definition_condition(definition: &Value, now: &str) -> Option<Value> {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    if conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition["type"] == ESTABLISHED)) {
        return None;
    }
    let kind = &custom_resource_definition::KIND;
    let message = words("CustomResourceDefinition", kind.unenforced?);
    Some(json!({ "type": ESTABLISHED, "status": "False", "reason": "NotServed", "message": message, "lastTransitionTime": now }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn every_version_of_such_a_kind_warns_and_no_other_does() {
        let silent: Vec<String> = tables::resources()
            .iter()
            .filter(|row| kinds::of(row).unenforced.is_some())
            .filter(|row| {
                let warned = warning(row, br#"{"spec":{"service":{"name":"s"}}}"#).unwrap_or_default();
                !(warned.contains(&*row.gvk.kind) && kinds::of(row).unenforced.is_some_and(|what| warned.ends_with(what)))
            })
            .map(|row| row.gvk.to_string())
            .collect();
        assert!(silent.is_empty(), "{silent:?}");
        let pods = tables::find("", "v1", "pods").expect("built in");
        let schemas = tables::find("flowcontrol.apiserver.k8s.io", "v1", "flowschemas").expect("built in");
        assert_eq!(warning(pods, b"{}"), None);
        assert!(warning(schemas, b"{}").is_some());
        let service = tables::find("apiregistration.k8s.io", "v1", "apiservices").expect("built in");
        assert_eq!(warning(service, br#"{"spec":{"group":"apps"}}"#), None, "a local one");
        assert_eq!(warning(service, br#"{"spec":{"service":null}}"#), None, "a local one");
    }

    #[test]
    fn a_definition_is_not_established_until_somebody_says_otherwise() {
        let condition = definition_condition(&json!({ "status": { "conditions": null } }), "now").expect("a condition");
        assert_eq!(
            (&condition["type"], &condition["status"], &condition["reason"]),
            (&json!("Established"), &json!("False"), &json!("NotServed"))
        );
        assert!(definition_condition(&json!({}), "now").is_some());
        let established = json!({ "status": { "conditions": [{ "type": "Established", "status": "True" }] } });
        assert_eq!(definition_condition(&established, "now"), None);
    }
}
