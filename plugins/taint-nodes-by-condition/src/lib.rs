//! Admission `TaintNodesByCondition`: a new node is tainted as not ready, so that no pod goes there before the node
//! controller has seen that it is.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde_json::{Value, json};

const KEY: &str = "node.kubernetes.io/not-ready";
const EFFECT: &str = "NoSchedule";

/// The plugin.
#[derive(Default)]
pub struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {}

impl MutatingAdmission for TaintNodesByCondition {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let creates = request.operation == Operation::Create && request.is("", "nodes");
        let Some(node) = request.object().filter(|_| creates) else { return Ok(patch) };
        let taint = json!({"key": KEY, "effect": EFFECT});
        match node.get("/spec/taints") {
            Some(Value::Array(taints)) => {
                if !taints.iter().any(|taint| taint["key"] == KEY && taint["effect"] == EFFECT) {
                    patch.add("/spec/taints/-", taint);
                }
            }
            _ if node.get("/spec").is_some_and(|spec| spec.is_object()) => {
                patch.add("/spec/taints", [taint]);
            }
            _ => {
                patch.add("/spec", json!({"taints": [taint]}));
            }
        }
        Ok(patch)
    }
}

wasmgate_sdk::plugin!(TaintNodesByCondition: mutating_admission);

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource};

    use super::*;

    #[test]
    fn a_new_node_is_not_ready() {
        let taint = json!({"key": KEY, "effect": EFFECT});
        let other = json!({"key": KEY, "effect": "NoExecute"});
        let set = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
        let rows = [
            ("", json!({}), set("/spec", json!({"taints": [taint]}))),
            ("", json!({"spec": {}}), set("/spec/taints", json!([taint]))),
            ("", json!({"spec": {"taints": null}}), set("/spec/taints", json!([taint]))),
            ("", json!({"spec": {"taints": [other]}}), set("/spec/taints/-", taint.clone())),
            ("", json!({"spec": {"taints": [{"key": KEY, "effect": EFFECT, "value": "x"}]}}), json!([])),
            ("status", json!({}), json!([])),
        ];
        for (subresource, node, want) in rows {
            let resource = GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "nodes".to_owned() };
            let attributes = Attributes { resource, subresource: subresource.to_owned(), ..Attributes::default() };
            let request = Request::new(attributes, Some(wasmgate_sdk::admission::Object::of(&node)), None);
            let patch = TaintNodesByCondition.admit(&request).expect("never refused");
            assert_eq!(Value::from(patch.operations()), want, "{subresource} {node}");
        }
    }
}
