//! NetworkPolicy: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/networking/networkpolicy`).

use apimachinery::validation::ip::parse_cidr_sloppy;
use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::kind::{Kind, SPEC};
use crate::shared::cell::{self, age, cells, selector};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Rule, field};
use crate::shared::selector::label_selector;
use crate::shared::validation::legacy_cidr;
use crate::shared::value::{self, if_nil, if_zero, list, list_mut, object_at};
use crate::shared::warnings::{self, Warnings};

/// The row.
pub(crate) static KIND: Kind = Kind::new("networking.k8s.io", "NetworkPolicy")
    .generation(SPEC)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row);

fn default(_: &Resource, policy: &mut Value) {
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

fn policy_spec(spec: &FieldValue<'_>, stored: &[&str], errors: &mut Errors) {
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
    rules::check(&[field("policyTypes", &[Rule::Each(&[Rule::Enum(&["Ingress", "Egress"])])])], spec, None, errors);
}

fn policy_port(at: &FieldValue<'_>, errors: &mut Errors) {
    let (protocol, port, end) = (at.child("protocol"), at.child("port"), at.child("endPort"));
    rules::check_value(&[Rule::Optional, Rule::Enum(&["TCP", "UDP", "SCTP"])], &protocol, None, errors);
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

fn policy_peer(at: &FieldValue<'_>, stored: &[&str], errors: &mut Errors) {
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
    let spec = FieldValue::root(object).child("spec");
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

fn ip_block(at: &FieldValue<'_>, stored: &[&str], errors: &mut Errors) {
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

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    policy_spec(&FieldValue::root(object).child("spec"), &[], &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    policy_spec(&FieldValue::root(object).child("spec"), &policy_cidrs(old), &mut errors);
    errors
}

/// Networks.
fn warn(policy: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let spec = FieldValue::root(policy).child("spec");
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for block in spec.items(direction).flat_map(|rule| rule.items(peers)).filter_map(|peer| peer.some("ipBlock")) {
            warnings::network(&block.child("cidr"), warnings);
            block.items("except").for_each(|except| warnings::network(&except, warnings));
        }
    }
}

fn row(policy: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(policy), selector(policy, "/spec/podSelector"), age(policy, now)]
}
