//! Admission `PodTopologyLabels`: a pod that is bound to a node gets that node's zone and region as labels.
//!
//! On a binding the labels go onto the Binding, and the registry copies them to the pod.

use std::collections::BTreeMap;

use wasmgate_sdk::cluster;
use wasmgate_sdk::patch::escape;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;

/// What is copied.
const LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// The plugin.
#[derive(Default)]
pub struct PodTopologyLabels;

impl Plugin for PodTopologyLabels {}

impl MutatingAdmission for PodTopologyLabels {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let Some(node) = node_name(request) else { return Ok(patch) };
        let internal = |error: LookupError| Denial::Status(Status::internal(&error.message));
        // A node that is not there is no reason to refuse: upstream binds to such, too.
        let Some(node) = cluster::get("", "nodes", "", &node).map_err(internal)? else { return Ok(patch) };
        let mut labels = node.parse::<Node>().unwrap_or_default().metadata.labels;
        labels.retain(|label, _| LABELS.contains(&label.as_str()));
        if labels.is_empty() {
            return Ok(patch);
        }
        let known = request.object().and_then(|object| object.get("/metadata/labels"));
        match known.as_ref().and_then(|known| known.as_object()) {
            Some(known) => {
                for (label, value) in labels.iter().filter(|(label, value)| known.get(*label).is_none_or(|known| known != *value)) {
                    patch.add(format!("/metadata/labels/{}", escape(label)), value);
                }
            }
            None => {
                patch.add("/metadata/labels", labels);
            }
        }
        Ok(patch)
    }
}

wasmgate_sdk::plugin!(PodTopologyLabels: mutating_admission);

/// The node that the pod is, or is to be, bound to.
fn node_name(request: &Request) -> Option<String> {
    let pods = request.operation == Operation::Create && request.resource.group.is_empty() && request.resource.resource == "pods";
    let object = request.object().filter(|_| pods)?;
    let name = match request.subresource.as_str() {
        "" => object.get_str("/spec/nodeName"),
        "binding" => object.get_str("/target/name").filter(|_| object.get_str("/target/kind").as_deref() == Some("Node")),
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Node {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
    use wasmgate_sdk::serde_json::{Value, json};
    use wasmgate_sdk::testing;

    use super::*;

    #[test]
    fn what_is_copied() {
        let [region, zone] = LABELS;
        testing::put("", "nodes", json!({"metadata": {"name": "n", "labels": {region: "r", zone: "z", "other": "x"}}}));
        testing::put("", "nodes", json!({"metadata": {"name": "bare"}}));
        let whole = json!([{"op": "add", "path": "/metadata/labels", "value": {region: "r", zone: "z"}}]);
        let one = json!([{"op": "add", "path": "/metadata/labels/topology.kubernetes.io~1zone", "value": "z"}]);
        let labelled = json!({"metadata": {"labels": {region: "r", zone: "y", "a": "b"}}, "spec": {"nodeName": "n"}});
        let rows = [
            ("", json!({"spec": {}}), json!([])),
            ("", json!({"spec": {"nodeName": "n"}}), whole.clone()),
            ("", labelled, one),
            ("", json!({"spec": {"nodeName": "bare"}}), json!([])),
            ("", json!({"spec": {"nodeName": "gone"}}), json!([])),
            ("binding", json!({"target": {"kind": "Node", "name": "n"}}), whole),
            ("binding", json!({"target": {"kind": "Other", "name": "n"}}), json!([])),
            ("status", json!({"spec": {"nodeName": "n"}}), json!([])),
        ];
        for (subresource, object, want) in rows {
            let resource = GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "pods".to_owned() };
            let attributes = Attributes { resource, subresource: subresource.to_owned(), ..Attributes::default() };
            let patch = PodTopologyLabels.admit(&Request::new(attributes, Some(Object::of(&object)), None)).expect("never refused");
            assert_eq!(Value::from(patch.operations()), want, "{subresource} {object}");
        }
    }
}
