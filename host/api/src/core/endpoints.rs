//! Endpoints: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/endpoints`).

use std::net::IpAddr;

use apimachinery::validation::ip::parse_ip_sloppy;
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{self, NONE, age, cells, first_three, int, items};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, PROTOCOL};
use crate::shared::validation::legacy_ip;
use crate::shared::value::{if_zero, list_mut, text};
use crate::shared::warnings::{self, Warnings};

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Endpoints")
    .create_on_update()
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row);

fn default(_: &Resource, object: &mut Value) {
    for subset in list_mut(object, "subsets") {
        for port in list_mut(subset, "ports") {
            if_zero(port, "protocol", "TCP");
        }
    }
}

/// An address that can be somebody else's.
pub(crate) fn endpoint_ip(at: &FieldValue<'_>, errors: &mut Errors) {
    let Some(ip) = parse_ip_sloppy(at.text()) else { return errors.push(at.invalid("must be a valid IP address")) };
    let ip = ip.to_canonical();
    if ip.is_unspecified() {
        errors.push(at.invalid(&format!("may not be unspecified ({})", at.text())));
    }
    if ip.is_loopback() {
        errors.push(at.invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    let (unicast, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    if unicast {
        errors.push(at.invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if multicast {
        errors.push(at.invalid("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"));
    }
}

fn validate(resource: &Resource, endpoints: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, endpoints, metadata::subdomain, &mut errors);
    subsets(endpoints, &mut errors);
    errors
}

fn validate_update(resource: &Resource, endpoints: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(endpoints, old, &mut errors);
    metadata::validate(resource, endpoints, metadata::subdomain, &mut errors);
    if endpoints.get("subsets") != old.get("subsets") {
        subsets(endpoints, &mut errors);
    }
    errors
}

fn subsets(endpoints: &Value, errors: &mut Errors) {
    for subset in FieldValue::root(endpoints).items("subsets") {
        if subset.is_empty("addresses") && subset.is_empty("notReadyAddresses") {
            errors.push(subset.required("must specify `addresses` or `notReadyAddresses`"));
        }
        for address in ["addresses", "notReadyAddresses"].iter().flat_map(|list| subset.items(list)) {
            legacy_ip(&address.child("ip"), &[], errors);
            let hostname = address.child("hostname");
            if !hostname.text().is_empty() {
                hostname.dns_label(errors);
            }
            if let Some(node) = address.some("nodeName") {
                node.problems(metadata::subdomain(node.text(), false), errors);
            }
            endpoint_ip(&address.child("ip"), errors);
        }
        let many = subset.items("ports").count() > 1;
        for port in subset.items("ports") {
            let name = port.child("name");
            if !name.text().is_empty() {
                name.dns_label(errors);
            } else if many {
                errors.push(name.required(""));
            }
            let number = port.child("port");
            errors.extend(name::is_valid_port_num(number.int()).iter().map(|problem| number.invalid_as(number.int(), problem)));
            rules::check(&[PROTOCOL], &port, None, errors);
            if let Some(protocol) = port.some("appProtocol") {
                errors.extend(name::is_qualified_name(protocol.text()).iter().map(|problem| protocol.invalid_as(protocol.text(), problem)));
            }
        }
    }
}

/// Addresses. The controller's own are well-formed.
fn warn(endpoints: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let manager = endpoints.pointer("/metadata/labels").map_or("", |labels| text(labels, "endpoints.kubernetes.io/managed-by"));
    if manager == "endpoint-controller" {
        return;
    }
    for subset in FieldValue::root(endpoints).items("subsets") {
        for list in ["addresses", "notReadyAddresses"] {
            subset.items(list).for_each(|address| warnings::address(&address.child("ip"), warnings));
        }
    }
}

fn row(endpoints: &Value, now: i64) -> Vec<Value> {
    let subsets = items(endpoints, "/subsets");
    let mut addresses = Vec::new();
    for subset in subsets {
        let ips = || items(subset, "/addresses").iter().map(|address| cell::text(address, "/ip"));
        match items(subset, "/ports") {
            // A headless service needs no ports.
            [] => addresses.extend(ips().map(str::to_owned)),
            ports => addresses.extend(ports.iter().flat_map(|port| ips().map(|ip| host_and_port(ip, int(port, "/port"))))),
        }
    }
    let shown = if subsets.is_empty() { NONE.to_owned() } else { first_three(&addresses) };
    cells![cell::name(endpoints), shown, age(endpoints, now)]
}

fn host_and_port(host: &str, port: i64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
