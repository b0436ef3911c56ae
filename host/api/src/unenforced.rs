//! Kinds that are stored and validated, and that this server does not act on yet. Who writes one is told so in a warning, and the
//! status of a CustomResourceDefinition says it as well: nothing is let through in silence.

use serde_json::{Value, json};

use crate::Resource;

/// What does not happen, by kind. A kind that the server learns to act on leaves the table.
const MISSING: [(&str, &str); 11] = [
    ("APIService", "no request is passed on to it"),
    ("CustomResourceDefinition", "its resources are not served"),
    ("FlowSchema", "requests are not ordered by it"),
    ("MutatingAdmissionPolicy", "no object is changed by it"),
    ("MutatingAdmissionPolicyBinding", "no object is changed by it"),
    ("MutatingWebhookConfiguration", "no webhook is called"),
    ("PriorityLevelConfiguration", "requests are not limited by it"),
    ("ResourceQuota", "its limits do not hold, and nothing is counted"),
    ("ValidatingAdmissionPolicy", "no request is judged by it"),
    ("ValidatingAdmissionPolicyBinding", "no request is judged by it"),
    ("ValidatingWebhookConfiguration", "no webhook is called"),
];

/// The condition of a definition whose resources are not served.
const ESTABLISHED: &str = "Established";

fn missing(kind: &str) -> Option<&'static str> {
    MISSING.iter().find(|(known, _)| *known == kind).map(|(_, what)| *what)
}

fn words(kind: &str, what: &str) -> String {
    format!("this server stores the {kind} and does not act on it yet: {what}")
}

/// What the writer of an object is warned of.
pub fn warning(resource: &Resource, object: &[u8]) -> Option<String> {
    let kind = &*resource.gvk.kind;
    let what = missing(kind)?;
    // An APIService without a service is about what this server serves itself.
    if kind == "APIService" {
        let object: Value = serde_json::from_slice(object).unwrap_or_default();
        object.pointer("/spec/service").filter(|service| !service.is_null())?;
    }
    Some(words(kind, what))
}

/// The condition that a CustomResourceDefinition lacks, which says that its resources are not served. `now` is RFC 3339. None where it is
/// established or not by what somebody has said already: another server of the cluster may serve it.
pub fn definition_condition(definition: &Value, now: &str) -> Option<Value> {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    if conditions.is_some_and(|conditions| conditions.iter().any(|condition| condition["type"] == ESTABLISHED)) {
        return None;
    }
    let kind = "CustomResourceDefinition";
    let message = words(kind, missing(kind)?);
    Some(json!({ "type": ESTABLISHED, "status": "False", "reason": "NotServed", "message": message, "lastTransitionTime": now }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables;

    #[test]
    fn every_version_of_such_a_kind_warns_and_no_other_does() {
        for (kind, what) in MISSING {
            let rows: Vec<_> = tables::resources().iter().filter(|row| &*row.gvk.kind == kind).collect();
            assert!(!rows.is_empty(), "{kind} is served");
            for row in rows {
                let warned = warning(row, br#"{"spec":{"service":{"name":"s"}}}"#).expect("a warning");
                assert!(warned.contains(kind) && warned.ends_with(what), "{warned}");
            }
        }
        let warned = tables::resources().iter().filter(|row| warning(row, br#"{"spec":{"service":{}}}"#).is_some());
        assert!(warned.into_iter().all(|row| missing(&row.gvk.kind).is_some()));
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
