//! Networking: network policies, ingress classes, endpoint slices.

use serde_json::{Value, json};

use super::value::{if_nil, if_zero, list, list_mut, object_at, object_mut, remove, set};
use crate::Resource;

/// `NetworkPolicy`
pub(super) fn default_policy(_: &Resource, policy: &mut Value) {
    let spec = object_at(policy, "spec");
    let types = if list(spec, "egress").is_empty() { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
    if_zero(spec, "policyTypes", types);
    for direction in ["ingress", "egress"] {
        for rule in list_mut(spec, direction) {
            for port in list_mut(rule, "ports") {
                if_nil(port, "protocol", "TCP");
            }
        }
    }
}

/// `IngressClass`
pub(super) fn default_ingress_class(_: &Resource, class: &mut Value) {
    if let Some(parameters) = object_mut(object_at(class, "spec"), "parameters") {
        if_nil(parameters, "scope", "Cluster");
    }
}

/// `EndpointSlice`
pub(super) fn default_endpoint_slice(_: &Resource, slice: &mut Value) {
    for port in list_mut(slice, "ports") {
        if_nil(port, "name", "");
        if_nil(port, "protocol", "TCP");
    }
}

/// `EndpointSlice`: topology as a map is no more.
pub(super) fn prepare_endpoint_slice(_: &Resource, slice: &mut Value, old: Option<&Value>) {
    if old.is_some_and(|old| old.get("endpoints") == slice.get("endpoints")) {
        return;
    }
    const HOST: &str = "kubernetes.io/hostname";
    let known: Vec<Value> = old
        .map(|old| list(old, "endpoints").iter().filter_map(|endpoint| endpoint["deprecatedTopology"].get(HOST).cloned()).collect())
        .unwrap_or_default();
    for endpoint in list_mut(slice, "endpoints") {
        let Some(topology) = remove(endpoint, "deprecatedTopology") else { continue };
        if let Some(host) = topology.get(HOST).filter(|host| known.contains(host))
            && endpoint.get("nodeName").is_none()
        {
            set(endpoint, "nodeName", host.clone());
        }
    }
}
