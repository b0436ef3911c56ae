//! Ingress: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/networking/ingress`).

use apimachinery::validation::ip::parse_ip_sloppy;
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::core::service::columns::load_balancer;
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{self, NONE, age, at, cells, items, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Format, Rule};
use crate::shared::validation::{self, legacy_ip};
use crate::shared::value::{self, has};
use crate::shared::warnings::{self, Warnings};

const HOSTS_SHOWN: usize = 3;

/// The row.
pub(crate) static KIND: Kind = Kind::new("networking.k8s.io", "Ingress")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .warn_of_status(warn_of_status)
    .printer(row);

fn ingress(resource: &Resource, object: &Value, errors: &mut Errors) {
    metadata::validate(resource, object, metadata::subdomain, errors);
    let spec = FieldValue::root(object).child("spec");
    let backend_at = spec.child("defaultBackend");
    if spec.is_empty("rules") && backend_at.value.is_null() {
        errors.push(validation::invalid_shown(&spec.path, "null", "either `defaultBackend` or `rules` must be specified"));
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

fn host_name(at: &FieldValue<'_>, errors: &mut Errors) {
    let problems =
        if at.text().contains('*') { name::is_wildcard_dns1123_subdomain(at.text()) } else { name::is_dns1123_subdomain(at.text()) };
    at.problems(problems, errors);
}

fn ingress_rule(rule: &FieldValue<'_>, errors: &mut Errors) {
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

fn backend(at: &FieldValue<'_>, errors: &mut Errors) {
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

pub(crate) fn typed_reference(at: &FieldValue<'_>, errors: &mut Errors) {
    if let Some(group) = at.some("apiGroup") {
        group.dns_subdomain(errors);
    }
    for name in ["kind", "name"] {
        let field = at.child(name);
        rules::check_value(&[Rule::Required, Rule::Format(Format::PathSegment)], &field, None, errors);
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    ingress(resource, object, &mut errors);
    const CLASS: &str = "kubernetes.io/ingress.class";
    let root = FieldValue::root(object);
    let annotation = root.child("metadata").child("annotations");
    if let (Some(old), Some(class)) = (annotation.some(CLASS), root.child("spec").some("ingressClassName"))
        && old.value != class.value
    {
        let path = root.child("annotations").child(CLASS).path;
        errors.push(old.renamed(path).invalid("must match `ingressClassName` when both are specified"));
    }
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    ingress(resource, object, &mut errors);
    errors
}

fn validate_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let before = FieldValue::root(old).child("status").child("loadBalancer");
    let stored: Vec<&str> = before.items("ingress").map(|point| value::text(point.value, "ip")).collect();
    for point in FieldValue::root(object).child("status").child("loadBalancer").items("ingress") {
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

/// The class by an annotation, as it is made.
fn warn(ingress: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    const CLASS: &str = "kubernetes.io/ingress.class";
    let annotated = ingress.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(CLASS).is_some());
    if old.is_none() && annotated && !has(&ingress["spec"], "ingressClassName") {
        warnings.push(format!("annotation \"{CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"));
    }
}

/// The addresses in its status.
fn warn_of_status(ingress: &Value, warnings: &mut Warnings) {
    warnings::load_balancer(&FieldValue::root(ingress), warnings);
}

fn row(ingress: &Value, now: i64) -> Vec<Value> {
    cells![
        cell::name(ingress),
        at(ingress, "/spec/ingressClassName").as_str().unwrap_or(NONE),
        hosts(items(ingress, "/spec/rules")),
        load_balancer(ingress),
        if items(ingress, "/spec/tls").is_empty() { "80" } else { "80, 443" },
        age(ingress, now),
    ]
}

/// Upstream counts rules, not hosts, for what is left out.
fn hosts(rules: &[Value]) -> String {
    let mut shown = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == HOSTS_SHOWN;
        match text(rule, "/host") {
            "" => {}
            host if !more => shown.push(host),
            _ => {}
        }
    }
    match shown.join(",") {
        hosts if hosts.is_empty() => "*".to_owned(),
        hosts if more => format!("{hosts} + {} more...", rules.len() - HOSTS_SHOWN),
        hosts => hosts,
    }
}
