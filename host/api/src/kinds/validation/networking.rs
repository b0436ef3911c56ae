//! Ingresses, their classes, network policies, endpoint slices, IP addresses, service networks.

use std::collections::HashSet;

use apimachinery::validation::ip::{self, parse_cidr_sloppy, parse_ip_sloppy};
use apimachinery::validation::name;
use serde_json::Value;

use super::selector::label_selector;
use super::service::endpoint_ip;
use super::{At, Errors, job, legacy_cidr, legacy_ip, metadata};
use crate::Resource;
use crate::kinds::value;

const CONTROLLER_BYTES_MAX: usize = 250;
const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const ZONE_HINTS_MAX: usize = 8;

fn ingress(resource: &Resource, object: &Value, errors: &mut Errors) {
    metadata::validate(resource, object, metadata::subdomain, errors);
    let spec = At::root(object).child("spec");
    let backend_at = spec.child("defaultBackend");
    if spec.is_empty("rules") && backend_at.value.is_null() {
        errors.push(super::invalid_shown(&spec.path, "null", "either `defaultBackend` or `rules` must be specified"));
    }
    if !backend_at.value.is_null() {
        backend(&backend_at, errors);
    }
    for rule in spec.items("rules") {
        ingress_rule(&rule, errors);
    }
    for tls in spec.items("tls") {
        for host in tls.items("hosts") {
            host_name(&host, errors);
        }
        let secret = tls.child("secretName");
        if !secret.text().is_empty() {
            secret.problems(metadata::subdomain(secret.text(), false), errors);
        }
    }
    if let Some(class) = spec.some("ingressClassName") {
        class.problems(metadata::subdomain(class.text(), false), errors);
    }
}

fn host_name(at: &At<'_>, errors: &mut Errors) {
    let problems =
        if at.text().contains('*') { name::is_wildcard_dns1123_subdomain(at.text()) } else { name::is_dns1123_subdomain(at.text()) };
    at.problems(problems, errors);
}

fn ingress_rule(rule: &At<'_>, errors: &mut Errors) {
    let host = rule.child("host");
    if !host.text().is_empty() {
        if parse_ip_sloppy(host.text()).is_some() {
            errors.push(host.invalid("must be a DNS name, not an IP address"));
        }
        host_name(&host, errors);
    }
    let Some(http) = rule.some("http") else { return };
    if http.is_empty("paths") {
        errors.push(http.child("paths").required(""));
    }
    for at in http.items("paths") {
        let (kind, path) = (at.child("pathType"), at.child("path"));
        if kind.value.is_null() {
            errors.push(kind.required("pathType must be specified"));
            continue;
        }
        let absolute = path.text().starts_with('/');
        match kind.text() {
            "Exact" | "Prefix" => {
                if !absolute {
                    errors.push(path.invalid_as(path.text(), "must be an absolute path"));
                }
                for bad in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|bad| path.text().contains(**bad)) {
                    errors.push(path.invalid(&format!("must not contain '{bad}'")));
                }
                for bad in ["/..", "/."].iter().filter(|bad| path.text().ends_with(**bad)) {
                    errors.push(path.invalid(&format!("cannot end with '{bad}'")));
                }
            }
            "ImplementationSpecific" => {
                if !path.text().is_empty() && !absolute {
                    errors.push(path.invalid("must be an absolute path"));
                }
            }
            _ => errors.push(kind.unsupported(&["Exact", "ImplementationSpecific", "Prefix"])),
        }
        backend(&at.child("backend"), errors);
    }
}

fn backend(at: &At<'_>, errors: &mut Errors) {
    match (at.some("resource"), at.some("service")) {
        (Some(_), Some(_)) => errors.push(at.invalid_as("", "cannot set both resource and service backends")),
        (Some(resource), None) => typed_reference(&resource, errors),
        (None, Some(service)) => {
            let name = service.child("name");
            if name.text().is_empty() {
                errors.push(name.required(""));
            } else {
                name.problems(metadata::label(name.text(), false), errors);
            }
            let (port, number) = (service.child("port").child("name"), service.child("port").child("number"));
            match (!port.text().is_empty(), number.int() != 0) {
                (true, true) => errors.push(at.invalid_as("", "cannot set both port name & port number")),
                (true, false) => port.problems(name::is_valid_port_name(port.text()), errors),
                (false, true) => number.problems(name::is_valid_port_num(number.int()), errors),
                (false, false) => errors.push(at.required("port name or number is required")),
            }
        }
        (None, None) => errors.push(at.invalid_as("", "resource or service backend is required")),
    }
}

fn typed_reference(at: &At<'_>, errors: &mut Errors) {
    if let Some(group) = at.some("apiGroup") {
        group.dns_subdomain(errors);
    }
    for name in ["kind", "name"] {
        let field = at.child(name);
        if field.text().is_empty() {
            errors.push(field.required(""));
        } else {
            field.problems(name::is_path_segment_name(field.text()), errors);
        }
    }
}

/// `Ingress`
pub(crate) fn validate_ingress(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    ingress(resource, object, &mut errors);
    const CLASS: &str = "kubernetes.io/ingress.class";
    let root = At::root(object);
    let annotation = root.child("metadata").child("annotations");
    if let (Some(old), Some(class)) = (annotation.some(CLASS), root.child("spec").some("ingressClassName"))
        && old.value != class.value
    {
        let path = root.child("annotations").child(CLASS).path;
        errors.push(old.renamed(path).invalid("must match `ingressClassName` when both are specified"));
    }
    errors
}

/// `Ingress`
pub(crate) fn validate_ingress_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    ingress(resource, object, &mut errors);
    errors
}

/// `Ingress`
pub(crate) fn validate_ingress_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let before = At::root(old).child("status").child("loadBalancer");
    let stored: Vec<&str> = before.items("ingress").map(|point| value::text(point.value, "ip")).collect();
    for point in At::root(object).child("status").child("loadBalancer").items("ingress") {
        let (ip, hostname) = (point.child("ip"), point.child("hostname"));
        if !ip.text().is_empty() {
            legacy_ip(&ip, &stored, &mut errors);
        }
        if !hostname.text().is_empty() {
            hostname.dns_subdomain(&mut errors);
            if parse_ip_sloppy(hostname.text()).is_some() {
                errors.push(hostname.invalid("must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}

/// `IngressClass`
pub(crate) fn validate_ingress_class(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let spec = At::root(object).child("spec");
    let controller = spec.child("controller");
    if controller.text().len() > CONTROLLER_BYTES_MAX {
        errors.push(apimachinery::field::Error::too_long(&controller.path, CONTROLLER_BYTES_MAX));
    }
    job::domain_prefixed_path(&controller, &mut errors);
    let Some(parameters) = spec.some("parameters") else { return errors };
    typed_reference(&parameters, &mut errors);
    let (scope, namespace) = (parameters.child("scope"), parameters.child("namespace"));
    match scope.text() {
        "" => errors.push(scope.required("")),
        "Namespace" if namespace.value.is_null() => errors.push(namespace.required("`parameters.scope` is set to 'Namespace'")),
        "Namespace" => namespace.problems(metadata::label(namespace.text(), false), &mut errors),
        "Cluster" if !namespace.value.is_null() => errors.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'")),
        "Cluster" => {}
        _ => errors.push(scope.unsupported(&["Cluster", "Namespace"])),
    }
    errors
}

/// `IngressClass`
pub(crate) fn validate_ingress_class_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let controller = |object| At::root(object).child("spec").child("controller");
    let (new, was) = (controller(object), controller(old));
    new.immutable(&was, &mut errors);
    errors.extend(validate_ingress_class(resource, object));
    errors
}

fn policy_spec(spec: &At<'_>, stored: &[&str], errors: &mut Errors) {
    label_selector(&spec.child("podSelector"), errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.items(direction) {
            for port in rule.items("ports") {
                policy_port(&port, errors);
            }
            for peer in rule.items(peers) {
                policy_peer(&peer, stored, errors);
            }
        }
    }
    if spec.texts("policyTypes").count() > 2 {
        return errors.push(spec.child("policyTypes").invalid("may not specify more than two policyTypes"));
    }
    for kind in spec.items("policyTypes").filter(|kind| !matches!(kind.text(), "Ingress" | "Egress")) {
        errors.push(kind.unsupported(&["Ingress", "Egress"]));
    }
}

fn policy_port(at: &At<'_>, errors: &mut Errors) {
    let (protocol, port, end) = (at.child("protocol"), at.child("port"), at.child("endPort"));
    if !protocol.value.is_null() && !matches!(protocol.text(), "TCP" | "UDP" | "SCTP") {
        errors.push(protocol.unsupported(&["TCP", "UDP", "SCTP"]));
    }
    match port.value {
        Value::Null => {
            if !end.value.is_null() {
                errors.push(end.invalid("may not be specified when `port` is not specified"));
            }
        }
        Value::String(text) => {
            if !end.value.is_null() {
                errors.push(end.invalid("may not be specified when `port` is non-numeric"));
            }
            port.problems(name::is_valid_port_name(text), errors);
        }
        _ => {
            port.problems(name::is_valid_port_num(port.int()), errors);
            if !end.value.is_null() {
                if end.int() < port.int() {
                    errors.push(end.invalid_as(port.int(), "must be greater than or equal to `port`"));
                }
                end.problems(name::is_valid_port_num(end.int()), errors);
            }
        }
    }
}

fn policy_peer(at: &At<'_>, stored: &[&str], errors: &mut Errors) {
    let block = at.some("ipBlock");
    let selectors = ["podSelector", "namespaceSelector"].iter().filter(|name| at.has(name)).count();
    for name in ["podSelector", "namespaceSelector"] {
        label_selector(&at.child(name), errors);
    }
    if let Some(block) = &block {
        ip_block(block, stored, errors);
    }
    match (selectors, block.is_some()) {
        (0, false) => errors.push(at.required("must specify a peer")),
        (1.., true) => errors.push(at.forbidden("may not specify both ipBlock and another peer")),
        _ => {}
    }
}

/// The networks of all peers.
fn policy_cidrs(object: &Value) -> Vec<&str> {
    let spec = At::root(object).child("spec");
    let mut cidrs = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.items(direction) {
            for block in rule.items(peers).filter_map(|peer| peer.some("ipBlock")) {
                cidrs.push(value::text(block.value, "cidr"));
                cidrs.extend(block.texts("except"));
            }
        }
    }
    cidrs
}

fn ip_block(at: &At<'_>, stored: &[&str], errors: &mut Errors) {
    let cidr = at.child("cidr");
    if cidr.text().is_empty() {
        return errors.push(cidr.required(""));
    }
    legacy_cidr(&cidr, stored, errors);
    let Some(outer) = parse_cidr_sloppy(cidr.text()) else { return };
    for except in at.items("except") {
        legacy_cidr(&except, stored, errors);
        let Some(inner) = parse_cidr_sloppy(except.text()) else { continue };
        if !outer.contains(inner.network()) || outer.prefix >= inner.prefix {
            errors.push(except.invalid("must be a strict subset of `cidr`"));
        }
    }
}

/// `NetworkPolicy`
pub(crate) fn validate_policy(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    policy_spec(&At::root(object).child("spec"), &[], &mut errors);
    errors
}

/// `NetworkPolicy`
pub(crate) fn validate_policy_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    policy_spec(&At::root(object).child("spec"), &policy_cidrs(old), &mut errors);
    errors
}

fn ip_name(text: &str, _prefix: bool) -> Vec<String> {
    let lead = format!("Invalid value: {}: ", apimachinery::field::go_quote(text));
    let errors = ip::is_valid_ip(&apimachinery::field::Path::default(), text);
    errors.into_iter().map(|error| error.body.strip_prefix(&lead).unwrap_or(&error.body).to_owned()).collect()
}

/// `IPAddress`
pub(crate) fn validate_ip_address(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, ip_name, &mut errors);
    let parent = At::root(object).child("spec").child("parentRef");
    if parent.value.is_null() {
        errors.push(parent.required(""));
        return errors;
    }
    let (group, namespace) = (parent.child("group"), parent.child("namespace"));
    if !group.text().is_empty() {
        group.dns_subdomain(&mut errors);
    }
    for name in ["resource", "name"] {
        let field = parent.child(name);
        if field.text().is_empty() {
            errors.push(field.required(""));
        } else {
            field.problems(name::is_path_segment_name(field.text()), &mut errors);
        }
    }
    if !namespace.text().is_empty() {
        namespace.problems(name::is_path_segment_name(namespace.text()), &mut errors);
    }
    errors
}

/// `IPAddress`
pub(crate) fn validate_ip_address_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let parent = |object| At::root(object).child("spec").child("parentRef");
    let (new, was) = (parent(object), parent(old));
    new.immutable(&was, &mut errors);
    errors
}

/// `ServiceCIDR`
pub(crate) fn validate_service_cidr(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let spec = At::root(object).child("spec");
    let list = spec.child("cidrs");
    let cidrs: Vec<&str> = spec.texts("cidrs").collect();
    if cidrs.is_empty() {
        errors.push(list.required("at least one CIDR required"));
        return errors;
    }
    if cidrs.len() > 2 {
        errors.push(super::invalid_shown(&list.path, &format!("{{\"CIDRs\":{}}}", list.value), "may only hold up to 2 values"));
        return errors;
    }
    for cidr in spec.items("cidrs") {
        errors.extend(ip::is_valid_cidr(&cidr.path, cidr.text()));
    }
    if cidrs.len() == 2 && cidrs.iter().all(|cidr| parse_cidr_sloppy(cidr).is_some()) && cidrs[0].contains(':') == cidrs[1].contains(':') {
        errors.push(list.invalid("may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"));
    }
    errors
}

/// `ServiceCIDR`
pub(crate) fn validate_service_cidr_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    let list = spec.child("cidrs");
    let (new, was): (Vec<&str>, Vec<&str>) =
        (spec.texts("cidrs").collect(), value::list(&old["spec"], "cidrs").iter().filter_map(Value::as_str).collect());
    if new.len() == was.len() || (was.len() == 1 && new.len() == 2) {
        for (i, item) in spec.items("cidrs").enumerate().take(was.len()) {
            if item.text() != was[i] {
                errors.push(item.invalid(super::IMMUTABLE));
            }
        }
        if new.len() > was.len() {
            let mut fresh = Errors::new();
            fresh.extend(validate_service_cidr(resource, object));
            errors.extend(fresh.into_iter().filter(|error| error.field.starts_with("spec")));
        }
    } else {
        errors.push(list.invalid(super::IMMUTABLE));
    }
    errors
}

fn endpoint_slice(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::root(object);
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

fn slice_endpoints(root: &At<'_>, kind: &str, errors: &mut Errors) {
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

fn fully_qualified(at: &At<'_>, errors: &mut Errors) {
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

fn slice_ports(root: &At<'_>, errors: &mut Errors) {
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
        port.child("protocol").one_of(&["SCTP", "TCP", "UDP"], errors);
        if let Some(protocol) = port.some("appProtocol") {
            errors.extend(name::is_qualified_name(protocol.text()).iter().map(|problem| protocol.invalid_as(protocol.text(), problem)));
        }
    }
}

/// `EndpointSlice`
pub(crate) fn validate_endpoint_slice(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    endpoint_slice(object, None, &mut errors);
    errors
}

/// `EndpointSlice`
pub(crate) fn validate_endpoint_slice_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    endpoint_slice(object, Some(old), &mut errors);
    At::root(object).child("addressType").immutable(&At::root(old).child("addressType"), &mut errors);
    errors
}
