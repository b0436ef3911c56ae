//! Services: their number, their ports of nodes and their load balancers; upstream's `pkg/quota/v1/evaluator/core/services.go`.

use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

use crate::amounts::ResourceList;

/// What is looked at of a Service.
pub const FIELDS: &[&str] = &["spec/type", "spec/allocateLoadBalancerNodePorts", "spec/ports/*/nodePort"];

const LIMITED: [&str; 4] = ["count/services", "services", "services.nodeports", "services.loadbalancers"];

/// A Service.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Service {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Spec {
    r#type: Option<String>,
    allocate_load_balancer_node_ports: Option<bool>,
    ports: Option<Vec<Port>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Port {
    node_port: Option<i64>,
}

/// Whether this is a Service's to take.
pub fn limits(name: &str) -> bool {
    LIMITED.contains(&name)
}

impl Service {
    /// What it takes. Ports of nodes are counted by what is asked for: on a create none may have been given out yet.
    pub fn usage(&self) -> ResourceList {
        let ports = || self.spec.ports.iter().flatten();
        let with_node_port = || ports().filter(|port| port.node_port.is_some_and(|number| number != 0));
        let (node_ports, load_balancers) = match self.spec.r#type.as_deref() {
            Some("NodePort") => (ports().count(), 0),
            Some("LoadBalancer") if self.spec.allocate_load_balancer_node_ports == Some(false) => (with_node_port().count(), 1),
            Some("LoadBalancer") => (ports().count(), 1),
            _ => (0, 0),
        };
        let whole = |count: usize| Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX));
        LIMITED.iter().map(|name| (*name).to_owned()).zip([1, 1, node_ports, load_balancers].map(whole)).collect()
    }
}
