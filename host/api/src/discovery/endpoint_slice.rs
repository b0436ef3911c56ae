//! EndpointSlice: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/discovery/endpointslice`).

use std::collections::HashSet;

use apimachinery::validation::ip::{self, parse_ip_sloppy};
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::core::endpoints::endpoint_ip;
use crate::kinds::kind::{Generation, Kind};
use crate::shared::cell::{self, UNSET, age, at, cells, first_three, items};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, PROTOCOL, immutable};
use crate::shared::validation::legacy_ip;
use crate::shared::value::{self, if_nil, list, list_mut, remove, set, text};
use crate::shared::warnings::{self, Warnings};

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const ZONE_HINTS_MAX: usize = 8;

/// The row.
pub(crate) static KIND: Kind = Kind::new("discovery.k8s.io", "EndpointSlice")
    .generation(Generation::From1(content_or_labels))
    .default(default)
    .prepare(prepare)
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row);

fn default(_: &Resource, slice: &mut Value) {
    for port in list_mut(slice, "ports") {
        if_nil(port, "name", "");
        if_nil(port, "protocol", "TCP");
    }
}

fn content_or_labels(new: &Value, old: &Value) -> bool {
    let content = |object: &Value| -> Vec<(String, Value)> {
        let fields =
            object.as_object().into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "metadata" | "kind" | "apiVersion"));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    content(new) != content(old) || new.pointer("/metadata/labels") != old.pointer("/metadata/labels")
}

/// Topology as a map is no more.
fn prepare(_: &Resource, slice: &mut Value, old: Option<&Value>) {
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

fn endpoint_slice(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = FieldValue::root(object);
    let kind = root.child("addressType");
    match kind.text() {
        "" => errors.push(kind.required("")),
        "FQDN" | "IPv4" | "IPv6" => {}
        _ => errors.push(kind.unsupported(&["FQDN", "IPv4", "IPv6"])),
    }
    slice_ports(&root, errors);
    if old.is_none_or(|old| old.get("endpoints") != object.get("endpoints")) {
        slice_endpoints(&root, kind.text(), errors);
    }
}

fn slice_endpoints(root: &FieldValue<'_>, kind: &str, errors: &mut Errors) {
    let list = root.child("endpoints");
    let count = root.items("endpoints").count();
    if count > ENDPOINTS_MAX {
        return errors.push(apimachinery::field::Error::too_many(&list.path, count, ENDPOINTS_MAX));
    }
    for at in root.items("endpoints") {
        let addresses = at.child("addresses");
        let count = at.items("addresses").count();
        if count == 0 {
            errors.push(addresses.required("must contain at least 1 address"));
        } else if count > ADDRESSES_MAX {
            errors.push(apimachinery::field::Error::too_many(&addresses.path, count, ADDRESSES_MAX));
        }
        for address in at.items("addresses") {
            match kind {
                "IPv4" | "IPv6" => {
                    let before = errors.len();
                    if kind == "IPv4" {
                        legacy_ip(&address, &[], errors);
                    } else {
                        errors.extend(ip::is_valid_ip(&address.path, address.text()));
                    }
                    if errors.len() == before {
                        let six = parse_ip_sloppy(address.text()).is_some_and(|ip| ip.is_ipv6());
                        if six != (kind == "IPv6") {
                            errors.push(address.renamed(addresses.path.clone()).invalid(&format!("must be an {kind} address")));
                        }
                        endpoint_ip(&address, errors);
                    }
                }
                "FQDN" => fully_qualified(&address, errors),
                _ => {}
            }
        }
        if let Some(node) = at.some("nodeName") {
            node.problems(metadata::subdomain(node.text(), false), errors);
        }
        for (key, entry) in at.entries("deprecatedTopology") {
            errors.extend(name::is_label_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        }
        if let Some(hostname) = at.some("hostname") {
            hostname.dns_label(errors);
        }
        if let Some(hints) = at.some("hints") {
            let zones = hints.child("forZones");
            let count = hints.items("forZones").count();
            if count > ZONE_HINTS_MAX {
                errors.push(apimachinery::field::Error::too_many(&zones.path, count, ZONE_HINTS_MAX));
            } else {
                let mut seen: HashSet<&str> = HashSet::new();
                for zone in hints.items("forZones") {
                    let name = value::text(zone.value, "name");
                    if seen.contains(&name) {
                        errors.push(apimachinery::field::Error::duplicate(&zone.path, name));
                    }
                    seen.insert(name);
                    let at = zone.child("name");
                    errors.extend(name::is_label_value(name).iter().map(|problem| at.invalid_as(name, problem)));
                }
            }
        }
    }
}

fn fully_qualified(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    let text = at.text().strip_suffix('.').unwrap_or(at.text());
    let problems = name::is_dns1123_subdomain(text);
    if !problems.is_empty() {
        errors.extend(problems.iter().map(|problem| at.invalid_as(text, problem)));
    } else if text.split('.').count() < 2 {
        errors.push(at.invalid_as(text, "should be a domain with at least two segments separated by dots"));
    } else {
        for label in text.split('.') {
            errors.extend(name::is_dns1123_label(label).iter().map(|problem| at.invalid_as(label, problem)));
        }
    }
}

fn slice_ports(root: &FieldValue<'_>, errors: &mut Errors) {
    let list = root.child("ports");
    let count = root.items("ports").count();
    if count > PORTS_MAX {
        return errors.push(apimachinery::field::Error::too_many(&list.path, count, PORTS_MAX));
    }
    let mut names: HashSet<&str> = HashSet::new();
    for port in root.items("ports") {
        let name = port.child("name");
        let text = value::text(port.value, "name");
        if !text.is_empty() {
            name.dns_label(errors);
        }
        if names.contains(&text) {
            errors.push(name.duplicate());
        } else {
            names.insert(text);
        }
        rules::check(&[PROTOCOL], &port, None, errors);
        if let Some(protocol) = port.some("appProtocol") {
            errors.extend(name::is_qualified_name(protocol.text()).iter().map(|problem| protocol.invalid_as(protocol.text(), problem)));
        }
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    endpoint_slice(object, None, &mut errors);
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    endpoint_slice(object, Some(old), &mut errors);
    rules::check(&[immutable("addressType")], &FieldValue::root(object), Some(&FieldValue::root(old)), &mut errors);
    errors
}

/// Addresses, and as it is made their kind. The controllers' own are well-formed.
fn warn(slice: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_none() && text(slice, "addressType") == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    let manager = slice.pointer("/metadata/labels").map_or("", |labels| text(labels, "endpointslice.kubernetes.io/managed-by"));
    if matches!(manager, "endpointslice-controller.k8s.io" | "endpointslicemirroring-controller.k8s.io") {
        return;
    }
    for address in FieldValue::root(slice).items("endpoints").flat_map(|endpoint| endpoint.items("addresses")) {
        warnings::address(&address, warnings);
    }
}

fn row(slice: &Value, now: i64) -> Vec<Value> {
    let port = |port: &Value| match (at(port, "/port").as_i64(), at(port, "/name").as_str()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = items(slice, "/ports").iter().map(port).collect();
    let addresses = items(slice, "/endpoints").iter().flat_map(|endpoint| items(endpoint, "/addresses"));
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    let or_unset = |shown: String| if shown.is_empty() { UNSET.to_owned() } else { shown };
    cells![
        cell::name(slice),
        cell::text(slice, "/addressType"),
        or_unset(first_three(&ports)),
        or_unset(first_three(&addresses)),
        age(slice, now)
    ]
}
