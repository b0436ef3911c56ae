//! What clients are warned of about a Service.

use serde_json::Value;

use crate::shared::field_value::FieldValue;
use crate::shared::warnings::{self, Warnings};

/// What is ignored, deprecated, or not written as it should be.
pub(crate) fn warn(service: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let root = FieldValue::root(service);
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

/// The addresses in its status.
pub(crate) fn warn_of_status(service: &Value, warnings: &mut Warnings) {
    warnings::load_balancer(&FieldValue::root(service), warnings);
}
