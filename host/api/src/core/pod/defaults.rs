//! What is filled in of a Pod (upstream: `pkg/apis/core/v1/defaults.go`).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::Resource;
use crate::shared::pod::defaults;
use crate::shared::pod::requests::aggregate;
use crate::shared::value::{self, entries, flag, has, if_nil, if_zero, int, list, list_mut, object_at, object_mut, set, some, text};

/// Fills in a pod.
pub(crate) fn default(_: &Resource, pod: &mut Value) {
    if let Some(metadata) = object_mut(pod, "metadata") {
        defaults::drop_annotations(metadata);
    }
    if let Some(status) = object_mut(pod, "status") {
        default_status(status);
    }
    let Some(spec) = object_mut(pod, "spec") else { return };
    default_requests(spec);
    default_pod_level_resources(spec);
    if_nil(spec, "enableServiceLinks", true);
    default_host_ports(spec);
    defaults::default_spec(spec);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        set(spec, "terminationGracePeriodSeconds", 1);
    }
}

/// `podIP` is the first of `podIPs`.
pub(crate) fn default_status(status: &mut Value) {
    let ip = text(status, "podIP").to_owned();
    let first = list(status, "podIPs").first().map(|first| text(first, "ip").to_owned());
    match first {
        Some(first) if ip.is_empty() => set(status, "podIP", first),
        Some(first) if first != ip => set(status, "podIPs", json!([{ "ip": ip }])),
        None if !ip.is_empty() => set(status, "podIPs", json!([{ "ip": ip }])),
        _ => {}
    }
}

fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// What a pod as a whole asks for follows from its containers where it says nothing.
fn default_pod_level_resources(spec: &mut Value) {
    let Some(resources) = some(spec, "resources") else { return };
    let said = |which: &str, name: &str| has(&resources[which], name);
    let empty = |which: &str| entries(resources, which).next().is_none();
    let mut limits: Vec<(String, Value)> = Vec::new();
    if !(empty("limits") && empty("requests")) {
        for (name, quantity) in aggregate(spec, "limits") {
            if name.starts_with("hugepages-") && !said("requests", &name) && !said("limits", &name) {
                limits.push((name, Value::String(quantity.to_string())));
            }
        }
    }
    let mut requests: Vec<(String, Value)> = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    if !(empty("limits") && limits.is_empty()) {
        for (name, quantity) in aggregate(spec, "requests") {
            if matches!(name.as_str(), "cpu" | "memory") && !said("requests", &name) {
                names.insert(name.clone());
                requests.push((name, Value::String(quantity.to_string())));
            }
        }
        let all_limits = entries(resources, "limits").map(|(name, value)| (name.clone(), value.clone())).chain(limits.iter().cloned());
        for (name, quantity) in all_limits {
            if is_pod_level_resource(&name) && !said("requests", &name) && names.insert(name.clone()) {
                requests.push((name, quantity));
            }
        }
    }
    for (which, additions) in [("limits", limits), ("requests", requests)] {
        if !additions.is_empty() {
            let list = object_at(object_at(spec, "resources"), which);
            additions.into_iter().for_each(|(name, quantity)| set(list, &name, quantity));
        }
    }
}

/// Containers' requests are their limits where they say nothing.
fn default_requests(spec: &mut Value) {
    for name in ["containers", "initContainers"] {
        for container in list_mut(spec, name) {
            let Some(resources) = object_mut(container, "resources") else { continue };
            let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { continue };
            let requests = value::object_at(resources, "requests");
            for (resource, quantity) in limits {
                if !has(requests, &resource) {
                    set(requests, &resource, quantity);
                }
            }
        }
    }
}

/// On the host's network a container's port is the host's.
fn default_host_ports(spec: &mut Value) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for name in ["containers", "initContainers"] {
        for container in list_mut(spec, name) {
            for port in list_mut(container, "ports") {
                let number = port.get("containerPort").cloned().unwrap_or(Value::from(0));
                if_zero(port, "hostPort", number);
            }
        }
    }
}
