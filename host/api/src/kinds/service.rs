//! Services: their shape. Addresses and node ports are given out by the registry.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::validation::At;
use super::value::{flag, has, if_nil, if_zero, int, list, list_mut, object_at, remove, set, text};
use super::warnings::{self, Warnings};
use crate::Resource;

/// Three hours.
const AFFINITY_SECONDS: i64 = 10_800;

/// Fills in a service.
pub(super) fn default(_: &Resource, service: &mut Value) {
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
pub(super) fn externally_accessible(spec: &Value) -> bool {
    match text(spec, "type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !list(spec, "externalIPs").is_empty(),
        _ => false,
    }
}

/// What the old type needed and the new one does not goes, unless the client changed it.
pub(super) fn prepare(_: &Resource, service: &mut Value, old: Option<&Value>) {
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

/// `Service`: what is ignored, deprecated, or not written as it should be.
pub(super) fn warn(service: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let root = At::root(service);
    let spec = root.child("spec");
    let headless = spec.text_of("type") == "ClusterIP" && spec.text_of("clusterIP") == "None";
    let external = spec.text_of("type") == "ExternalName";
    if root.child("metadata").child("annotations").value.get(HINTS).is_some() {
        warnings.push(format!("annotation {HINTS} is deprecated, please use service.kubernetes.io/topology-mode instead"));
    }
    if !matches!(spec.text_of("clusterIP"), "" | "None") {
        spec.items("clusterIPs").for_each(|ip| warnings::address(&ip, warnings));
    }
    if headless {
        let ignored = [
            (!spec.is_empty("loadBalancerIP"), "spec.loadBalancerIP"),
            (!spec.is_empty("externalIPs"), "spec.externalIPs"),
            (spec.text_of("sessionAffinity") != "None", "spec.SessionAffinity"),
        ];
        for (_, field) in ignored.iter().filter(|(set, _)| *set) {
            warnings.push(format!("{field} is ignored for headless services"));
        }
    }
    spec.items("externalIPs").for_each(|ip| warnings::address(&ip, warnings));
    if !spec.is_empty("externalIPs") && !headless && !external {
        warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    if !spec.is_empty("loadBalancerIP") {
        warnings::address(&spec.child("loadBalancerIP"), warnings);
    }
    spec.items("loadBalancerSourceRanges").for_each(|range| warnings::network(&range, warnings));
    if external && !spec.is_empty("externalIPs") {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !spec.is_empty("externalName") {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.text_of("trafficDistribution") == "PreferClose" {
        warnings.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
}

/// `Service`: the addresses in its status.
pub(super) fn warn_of_status(service: &Value, warnings: &mut Warnings) {
    warnings::load_balancer(&At::root(service), warnings);
}
