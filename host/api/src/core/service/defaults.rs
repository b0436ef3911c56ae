//! What is filled in of a Service (upstream: `pkg/apis/core/v1/defaults.go`).

use serde_json::{Value, json};

use crate::Resource;
use crate::shared::value::{if_nil, if_zero, int, list, list_mut, object_at, remove, set, text};

/// Three hours.
const AFFINITY_SECONDS: i64 = 10_800;

/// Fills in a service.
pub(crate) fn default(_: &Resource, service: &mut Value) {
    let spec = object_at(service, "spec");
    if_zero(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            remove(spec, "sessionAffinityConfig");
        }
        "ClientIP" if spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").is_none_or(Value::is_null) => {
            set(spec, "sessionAffinityConfig", json!({ "clientIP": { "timeoutSeconds": AFFINITY_SECONDS } }));
        }
        _ => {}
    }
    if_zero(spec, "type", "ClusterIP");
    for port in list_mut(spec, "ports") {
        if_zero(port, "protocol", "TCP");
        let number = int(port, "port").unwrap_or(0);
        if_zero(port, "targetPort", number);
    }
    if externally_accessible(spec) {
        if_zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(text(spec, "type"), "NodePort" | "LoadBalancer" | "ClusterIP") {
        if_nil(spec, "internalTrafficPolicy", "Cluster");
    }
    if text(spec, "type") == "LoadBalancer" {
        if_nil(spec, "allocateLoadBalancerNodePorts", true);
        if let Some(load_balancer) = service.pointer_mut("/status/loadBalancer") {
            for ingress in list_mut(load_balancer, "ingress") {
                if !text(ingress, "ip").is_empty() {
                    if_nil(ingress, "ipMode", "VIP");
                }
            }
        }
    }
}

/// Whether clients outside of the cluster can reach it.
pub(crate) fn externally_accessible(spec: &Value) -> bool {
    match text(spec, "type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !list(spec, "externalIPs").is_empty(),
        _ => false,
    }
}
