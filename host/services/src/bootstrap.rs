//! What stands for the server itself in its cluster: the ServiceCIDR and the Service `kubernetes`, with its address and endpoints.

use std::net::IpAddr;

use api::{Catalogue, ResourceRef};
use registry::timestamp;
use serde_json::{Value, json};

use crate::addresses::ip_address;
use crate::family::Family;
use crate::range::AddressRange;
use crate::service_ranges::ServiceRanges;

/// The name of all of them.
pub(crate) const NAME: &str = "kubernetes";
/// The namespace of those that are in one.
pub(crate) const NAMESPACE: &str = "default";
/// What clients inside of the cluster connect to.
const SERVICE_PORT: u16 = 443;

/// The objects, complete but for what the store gives. `address` and `port` are where members of the cluster reach this server.
pub fn service_bootstrap(ranges: &ServiceRanges, address: IpAddr, port: u16, now_seconds: i64) -> Vec<(ResourceRef, Value)> {
    let mut objects = vec![service_cidr(ranges, now_seconds)];
    if let Some(ip) = ranges.networks.first().and_then(|network| AddressRange::of(*network)).map(|range| range.nth(0)) {
        objects.push(ip_address(NAMESPACE, NAME, ip));
        objects.push(service(ip, port));
    }
    objects.push(endpoints(&[address], port));
    objects.push(endpoint_slice(&[address], port));
    objects.into_iter().map(|object| (resource_of(&object), object)).collect()
}

pub(crate) fn resource_of(object: &Value) -> ResourceRef {
    let text = |name: &str| object[name].as_str().expect("an object of ours has a kind and a version");
    let version = apimachinery::GroupVersion::parse(text("apiVersion")).expect("an object of ours has a valid version");
    let kind = version.with_kind(text("kind").to_owned());
    Catalogue::built_in().find_kind(&kind).expect("an object of ours is of a built-in kind").clone()
}

fn service_cidr(ranges: &ServiceRanges, now_seconds: i64) -> Value {
    let cidrs: Vec<String> = ranges.networks.iter().map(|network| format!("{}/{}", network.network(), network.prefix)).collect();
    json!({
        "kind": "ServiceCIDR",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": { "name": NAME },
        "spec": { "cidrs": cidrs },
        "status": { "conditions": [{
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": timestamp(now_seconds),
            "reason": "",
            "message": "Kubernetes default Service CIDR is ready",
        }] },
    })
}

fn service(ip: IpAddr, port: u16) -> Value {
    json!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": { "component": "apiserver", "provider": "kubernetes" } },
        "spec": {
            "ports": [{ "name": "https", "protocol": "TCP", "port": SERVICE_PORT, "targetPort": port }],
            "clusterIP": ip.to_string(),
            "clusterIPs": [ip.to_string()],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": [Family::of(ip).as_str()],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": { "loadBalancer": {} },
    })
}

/// `Endpoints` of the servers.
pub(crate) fn endpoints(addresses: &[IpAddr], port: u16) -> Value {
    let shown: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip.to_string() })).collect();
    json!({
        "kind": "Endpoints",
        "apiVersion": "v1",
        "metadata": { "name": NAME, "namespace": NAMESPACE, "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" } },
        "subsets": [{ "addresses": shown, "ports": [{ "name": "https", "port": port, "protocol": "TCP" }] }],
    })
}

/// `EndpointSlice` of the servers.
pub(crate) fn endpoint_slice(addresses: &[IpAddr], port: u16) -> Value {
    let shown: Vec<Value> = addresses.iter().map(|ip| json!({ "addresses": [ip.to_string()], "conditions": { "ready": true } })).collect();
    json!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "generation": 1,
            "labels": { "kubernetes.io/service-name": NAME },
        },
        "addressType": addresses.first().map_or(Family::V4, |ip| Family::of(*ip)).as_str(),
        "endpoints": shown,
        "ports": [{ "name": "https", "protocol": "TCP", "port": port }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_shows_itself() {
        let ranges = ServiceRanges::new(["10.96.0.0/16"], 30000..=32767).expect("a network");
        let objects = service_bootstrap(&ranges, "192.0.2.10".parse().expect("an address"), 7443, 0);
        let kinds: Vec<&str> = objects.iter().map(|(resource, _)| &*resource.gvk.kind).collect();
        assert_eq!(kinds, ["ServiceCIDR", "IPAddress", "Service", "Endpoints", "EndpointSlice"]);
        assert_eq!(objects[1].1["metadata"]["name"], "10.96.0.1");
        assert_eq!(objects[2].1["spec"]["clusterIP"], "10.96.0.1");
        assert_eq!(objects[3].1["subsets"][0]["addresses"][0]["ip"], "192.0.2.10");
    }
}
