//! Networking: network policies, ingress classes, endpoint slices.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::validation::At;
use super::value::{has, if_nil, if_zero, list, list_mut, object_at, object_mut, remove, set, text};
use super::warnings::{self, Warnings};
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
    let known: HashSet<Value> = old
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

/// `NetworkPolicy`: networks.
pub(super) fn warn_of_policy(policy: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let spec = At::root(policy).child("spec");
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for block in spec.items(direction).flat_map(|rule| rule.items(peers)).filter_map(|peer| peer.some("ipBlock")) {
            warnings::network(&block.child("cidr"), warnings);
            block.items("except").for_each(|except| warnings::network(&except, warnings));
        }
    }
}

/// `Ingress`: the class by an annotation, as it is made.
pub(super) fn warn_of_ingress(ingress: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    const CLASS: &str = "kubernetes.io/ingress.class";
    let annotated = ingress.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(CLASS).is_some());
    if old.is_none() && annotated && !has(&ingress["spec"], "ingressClassName") {
        warnings.push(format!("annotation \"{CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"));
    }
}

/// `Ingress`: the addresses in its status.
pub(super) fn warn_of_ingress_status(ingress: &Value, warnings: &mut Warnings) {
    warnings::load_balancer(&At::root(ingress), warnings);
}

/// `EndpointSlice`: addresses, and as it is made their kind. The controllers' own are well-formed.
pub(super) fn warn_of_endpoint_slice(slice: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_none() && text(slice, "addressType") == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    let manager = slice.pointer("/metadata/labels").map_or("", |labels| text(labels, "endpointslice.kubernetes.io/managed-by"));
    if matches!(manager, "endpointslice-controller.k8s.io" | "endpointslicemirroring-controller.k8s.io") {
        return;
    }
    for address in At::root(slice).items("endpoints").flat_map(|endpoint| endpoint.items("addresses")) {
        warnings::address(&address, warnings);
    }
}
