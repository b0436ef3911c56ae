//! What a pod asks for, as a scheduler counts it.

use std::collections::BTreeMap;

use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

type List = BTreeMap<String, Quantity>;

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Resources {
    requests: Option<List>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Container {
    resources: Option<Resources>,
    restart_policy: Option<String>,
}

/// A pod's `spec`.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct PodSpec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    resources: Option<Resources>,
    overhead: Option<List>,
}

fn of(resources: Option<&Resources>, name: &str) -> Option<Quantity> {
    resources?.requests.as_ref()?.get(name).copied()
}

impl PodSpec {
    /// All containers and sidecars together, or one init container with the sidecars that were started before it, whichever is more.
    /// What is said of the pod itself counts instead. The pod's own cost comes on top.
    pub fn request(&self, name: &str) -> Quantity {
        let asked = |container: &Container| of(container.resources.as_ref(), name).unwrap_or_default();
        let mut total = self.containers.iter().flatten().map(asked).fold(Quantity::default(), Quantity::plus);
        let (mut sidecars, mut init) = (Quantity::default(), Quantity::default());
        for container in self.init_containers.iter().flatten() {
            let moment = sidecars.plus(asked(container));
            init = init.max(moment);
            if container.restart_policy.as_deref() == Some("Always") {
                total = total.plus(asked(container));
                sidecars = moment;
            }
        }
        let total = of(self.resources.as_ref(), name).unwrap_or(total.max(init));
        total.plus(self.overhead.as_ref().and_then(|list| list.get(name)).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::serde_json::{self, json};

    use super::*;

    #[test]
    fn the_hungriest_moment_counts() {
        let container = |cpu: &str| json!({ "resources": { "requests": { "cpu": cpu } } });
        let sidecar = |cpu: &str| json!({ "restartPolicy": "Always", "resources": { "requests": { "cpu": cpu } } });
        let rows = [
            (json!({}), "0"),
            (json!({ "containers": [container("1"), container("500m"), {}] }), "1500m"),
            (json!({ "containers": [container("1")], "initContainers": [container("3"), container("2")] }), "3"),
            (json!({ "containers": [container("1")], "initContainers": [sidecar("1"), container("3"), sidecar("1")] }), "4"),
            (json!({ "containers": [container("3")], "initContainers": [container("3"), sidecar("1")] }), "4"),
            (json!({ "containers": [container("1")], "resources": { "requests": { "cpu": "5" } }, "overhead": { "cpu": "1" } }), "6"),
        ];
        for (spec, want) in rows {
            let spec: PodSpec = serde_json::from_value(spec).expect("a spec");
            assert_eq!(spec.request("cpu"), Quantity::parse(want).expect(want), "{want}");
        }
    }
}
