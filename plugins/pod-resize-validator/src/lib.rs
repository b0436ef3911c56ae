//! Admission `PodResizeValidator`: a pod that runs on a node is resized only to what the node has.

mod requests;

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::cluster;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde_json::Value;

use crate::requests::PodSpec;

/// Where a node says what it runs on; one that does not say is taken for Linux.
const OS_LABEL: &str = "/metadata/labels/kubernetes.io~1os";

/// The plugin.
#[derive(Default)]
pub struct PodResizeValidator;

impl Plugin for PodResizeValidator {}

impl ValidatingAdmission for PodResizeValidator {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let of_pods = request.resource.group.is_empty() && request.resource.resource == "pods";
        let resizes = request.operation == Operation::Update && of_pods && request.subresource == "resize";
        let (true, Some(pod), Some(old)) = (resizes, request.object(), request.old()) else { return Ok(()) };
        let Some(node) = pod.get_str("/spec/nodeName").filter(|node| !node.is_empty()) else { return Ok(()) };
        // The generation stays where nothing of the spec changes.
        if generation(pod) == generation(old) {
            return Ok(());
        }
        let found = cluster::get("", "nodes", "", &node).map_err(|why| deny_forbidden(format!("failed to get node {node:?}: {why}")))?;
        let Some(found) = found.map(|node| node.value()) else { return Err(deny_forbidden(format!("node {node:?} not found"))) };
        let refused = |reason: &str, message: &str| Denial::Status(request.forbidden(message).cause(reason, "", ""));
        if let Some(os) = found.pointer(OS_LABEL).and_then(Value::as_str).filter(|os| *os != "linux") {
            let message = format!("pod resize is only supported on linux nodes, node {node:?} is {os:?}");
            return Err(refused("UnsupportedPlatform", &message));
        }
        let spec: PodSpec = pod.get_as("/spec").transpose().map_err(deny_forbidden)?.unwrap_or_default();
        match lacking(&spec, &found) {
            lacking if lacking.is_empty() => Ok(()),
            lacking => {
                let message = format!("node didn't have enough allocatable resources: {}", lacking.join("; "));
                Err(refused("NodeCapacity", &message))
            }
        }
    }
}

wasmgate_sdk::plugin!(PodResizeValidator: validating_admission);

fn generation(pod: &Object) -> Option<Value> {
    pod.get("/metadata/generation")
}

/// What the pod asks for beyond what the node can give to all its pods together.
fn lacking(spec: &PodSpec, node: &Value) -> Vec<String> {
    type Shown = fn(&Quantity) -> i64;
    let shown: [(&str, Shown); 2] = [("cpu", Quantity::milli_value), ("memory", Quantity::value)];
    let words = shown.iter().filter_map(|(resource, shown)| {
        let has = node.pointer(&format!("/status/allocatable/{resource}")).and_then(Value::as_str).and_then(Quantity::parse);
        let (asked, has) = (spec.request(resource), has.unwrap_or_default());
        (asked > has).then(|| format!("{resource}, requested: {}, allocatable: {}", shown(&asked), shown(&has)))
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
    use wasmgate_sdk::serde_json::json;
    use wasmgate_sdk::testing;

    use super::*;

    fn pod(node: &str, generation: i64, cpu: &str) -> Value {
        let containers = json!([{ "name": "c", "resources": { "requests": { "cpu": cpu, "memory": "64Mi" } } }]);
        json!({ "metadata": { "name": "p", "generation": generation }, "spec": { "nodeName": node, "containers": containers } })
    }

    #[test]
    fn a_node_gives_what_it_has() {
        let node = |name: &str, os: &str, cpu: &str| json!({ "metadata": { "name": name, "labels": { "kubernetes.io/os": os } }, "status": { "allocatable": { "cpu": cpu, "memory": "1Gi" } } });
        testing::put("", "nodes", node("large", "linux", "4"));
        testing::put("", "nodes", node("small", "linux", "100m"));
        testing::put("", "nodes", node("other", "windows", "4"));
        testing::put("", "nodes", json!({ "metadata": { "name": "bare" } }));
        let rows = [
            ("large", 2, "2", "resize", ""),
            ("", 2, "9", "resize", ""),
            ("small", 1, "9", "resize", ""),
            ("small", 2, "9", "status", ""),
            ("none", 2, "1", "resize", r#"node "none" not found"#),
            (
                "small",
                2,
                "200m",
                "resize",
                r#"pods "p" is forbidden: node didn't have enough allocatable resources: cpu, requested: 200, allocatable: 100"#,
            ),
            (
                "bare",
                2,
                "1",
                "resize",
                "pods \"p\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 1000, allocatable: 0; memory, \
                 requested: 67108864, allocatable: 0",
            ),
            ("other", 2, "1", "resize", r#"pods "p" is forbidden: pod resize is only supported on linux nodes, node "other" is "windows""#),
        ];
        for (node, generation, cpu, subresource, want) in rows {
            let (old, new) = (pod(node, 1, "10m"), pod(node, generation, cpu));
            let resource = GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "pods".to_owned() };
            let attributes = Attributes {
                operation: Operation::Update,
                resource,
                subresource: subresource.to_owned(),
                name: "p".to_owned(),
                ..Attributes::default()
            };
            let request = Request::new(attributes, Some(Object::of(&new)), Some(Object::of(&old)));
            let message = match PodResizeValidator.validate(&request) {
                Ok(()) => String::new(),
                Err(Denial::Forbidden(message)) => message,
                Err(Denial::Status(status)) => status.message().to_owned(),
            };
            assert_eq!(message, want, "{node} {cpu} {subresource}");
        }
    }
}
