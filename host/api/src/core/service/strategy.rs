//! What clients may not set of a Service, and what the server sets (upstream: `pkg/registry/core/service`).

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::Resource;
use crate::core::service::defaults::externally_accessible;
use crate::shared::value::{flag, has, if_zero, int, list, list_mut, object_at, remove, set, text};

/// What the old type needed and the new one does not goes, unless the client changed it.
pub(crate) fn prepare(_: &Resource, service: &mut Value, old: Option<&Value>) {
    let spec = object_at(service, "spec");
    let Some(old) = old else {
        if list(spec, "clusterIPs").is_empty() && !text(spec, "clusterIP").is_empty() {
            let ip = text(spec, "clusterIP").to_owned();
            set(spec, "clusterIPs", json!([ip]));
        }
        return;
    };
    let old = &old["spec"];
    keep_allocated(spec, old);
    let same = |spec: &Value, name: &str| spec.get(name) == old.get(name);
    let needs_ip = |spec: &Value| text(spec, "type") != "ExternalName";
    if needs_ip(old) && !needs_ip(spec) {
        if same(spec, "clusterIP") && same(spec, "clusterIPs") {
            remove(spec, "clusterIP");
            remove(spec, "clusterIPs");
        }
        for name in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if same(spec, name) {
                remove(spec, name);
            }
        }
    }
    let needs_node_port = |spec: &Value| matches!(text(spec, "type"), "NodePort" | "LoadBalancer");
    if needs_node_port(old) && !needs_node_port(spec) {
        let ports = |spec: &Value| -> HashSet<i64> { list(spec, "ports").iter().filter_map(|port| int(port, "nodePort")).collect() };
        if ports(spec).is_subset(&ports(old)) {
            for port in list_mut(spec, "ports") {
                remove(port, "nodePort");
            }
        }
    }
    let needs_health_port = |spec: &Value| text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local";
    if needs_health_port(old) && !needs_health_port(spec) && same(spec, "healthCheckNodePort") {
        remove(spec, "healthCheckNodePort");
    }
    let balanced = |spec: &Value| text(spec, "type") == "LoadBalancer";
    if balanced(old) && !balanced(spec) {
        if has(spec, "allocateLoadBalancerNodePorts")
            && flag(spec, "allocateLoadBalancerNodePorts") == flag(old, "allocateLoadBalancerNodePorts")
        {
            remove(spec, "allocateLoadBalancerNodePorts");
        }
        if same(spec, "loadBalancerClass") {
            remove(spec, "loadBalancerClass");
        }
    }
    if externally_accessible(old) && !externally_accessible(spec) && same(spec, "externalTrafficPolicy") {
        remove(spec, "externalTrafficPolicy");
    }
    if text(spec, "type") != "LoadBalancer" {
        set(object_at(service, "status"), "loadBalancer", json!({}));
    }
}

/// What was given out stays where an update does not say it.
fn keep_allocated(spec: &mut Value, old: &Value) {
    let needs_ip = |spec: &Value| text(spec, "type") != "ExternalName";
    if needs_ip(old) && needs_ip(spec) {
        for name in ["clusterIP", "clusterIPs"] {
            if let Some(value) = old.get(name) {
                if_zero(spec, name, value.clone());
            }
        }
    }
    let needs_port = |spec: &Value| matches!(text(spec, "type"), "NodePort" | "LoadBalancer");
    if needs_port(old) && needs_port(spec) {
        let ports = |spec: &Value| -> HashSet<i64> { list(spec, "ports").iter().filter_map(|port| int(port, "nodePort")).collect() };
        let used: HashSet<i64> = ports(old).intersection(&ports(spec)).copied().collect();
        // Of ports of one name the last.
        let before: HashMap<&str, &Value> = list(old, "ports").iter().map(|port| (text(port, "name"), port)).collect();
        for port in list_mut(spec, "ports") {
            let before = before.get(text(port, "name")).and_then(|old| int(old, "nodePort"));
            if let Some(before) = before.filter(|before| *before != 0 && !used.contains(before)) {
                if_zero(port, "nodePort", before);
            }
        }
    }
    let needs_health_port = |spec: &Value| text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local";
    if needs_health_port(old)
        && needs_health_port(spec)
        && let Some(port) = int(old, "healthCheckNodePort")
    {
        if_zero(spec, "healthCheckNodePort", port);
    }
    if list(old, "clusterIPs") == list(spec, "clusterIPs") && text(old, "clusterIP") != text(spec, "clusterIP") {
        match text(spec, "clusterIP").to_owned() {
            ip if ip.is_empty() => {
                remove(spec, "clusterIPs");
            }
            ip => set(spec, "clusterIPs", json!([ip])),
        }
    }
}
