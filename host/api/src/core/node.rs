//! Node: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/node`).

use std::collections::{BTreeSet, HashSet};

use apimachinery::codec;
use apimachinery::codec::node::Node;
use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::action::{Action, Connection};
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::shared::cell::{self, NONE, UNKNOWN, age, at, cells, flag, items, text_or};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::resources::quantity_value;
use crate::shared::resources::round_up_quantities;
use crate::shared::validation::legacy_cidr;
use crate::shared::value::{self, has, list, object_mut, remove, set, text};
use crate::shared::warnings::{self, Warnings};
use crate::shared::{metadata, scheduling};

const NODE_ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const NODE_ROLE: &str = "kubernetes.io/role";

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Node")
    .status(StatusMetadata::Free)
    .status_on_create()
    .default(default)
    .prepare(prepare)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .printer(row)
    .actions(&[("proxy", Action::Connect(Connection::NodeProxy))]);

/// All that it has can be given away.
fn default(_: &Resource, node: &mut Value) {
    if let Some(status) = object_mut(node, "status") {
        if let (false, Some(capacity)) = (has(status, "allocatable"), status.get("capacity").cloned()) {
            set(status, "allocatable", capacity);
        }
        round_up_quantities(status, "capacity");
        round_up_quantities(status, "allocatable");
    }
    let Some(spec) = object_mut(node, "spec") else { return };
    let single = text(spec, "podCIDR").to_owned();
    let first = list(spec, "podCIDRs").first().and_then(Value::as_str).map(str::to_owned);
    match first {
        Some(first) if single.is_empty() => set(spec, "podCIDR", first),
        Some(first) if first != single => set(spec, "podCIDRs", json!([single])),
        None if !single.is_empty() => set(spec, "podCIDRs", json!([single])),
        _ => {}
    }
}

/// Configuration by the API server is no more.
fn prepare(_: &Resource, node: &mut Value, old: Option<&Value>) {
    let in_use = old.is_some_and(|old| has(&old["spec"], "configSource"));
    if let Some(spec) = object_mut(node, "spec").filter(|_| !in_use) {
        remove(spec, "configSource");
    }
    if let Some(status) = object_mut(node, "status").filter(|_| old.is_none()) {
        remove(status, "config");
    }
}

fn node_common(root: &FieldValue<'_>, errors: &mut Errors) {
    for list in ["capacity", "allocatable"] {
        let status = root.child("status");
        for (resource, entry) in status.entries(list) {
            quantity_value(resource, &entry.renamed(status.path.child(list).child(resource)), errors);
        }
    }
}

/// Taints were an annotation once, which still has to be a list in JSON.
fn taints_annotation(root: &FieldValue<'_>, errors: &mut Errors) {
    const KEY: &str = "scheduler.alpha.kubernetes.io/taints";
    let annotations = root.child("metadata").child("annotations");
    let text = annotations.text_of(KEY);
    if text.is_empty() {
        return;
    }
    let kind = match codec::json::parse(text.as_bytes()) {
        Ok(Node::Array(_) | Node::Null) => return,
        Ok(Node::Object(_)) => "object",
        Ok(Node::Bool(_)) => "bool",
        Ok(Node::Number(_)) => "number",
        Ok(_) => "string",
        Err(why) => return errors.push(annotations.invalid_as(KEY, &why)),
    };
    errors.push(annotations.invalid_as(KEY, &format!("json: cannot unmarshal {kind} into Go value of type []core.Taint")));
}

fn taints(root: &FieldValue<'_>, errors: &mut Errors) {
    let path = root.child("metadata").child("taints").path;
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for (i, taint) in value::list(&root.value["spec"], "taints").iter().enumerate() {
        let at = FieldValue { value: taint, path: path.index(i) };
        let (key, effect) = (at.child("key"), at.child("effect"));
        errors.extend(name::is_label_key(key.text()).iter().map(|problem| key.invalid_as(key.text(), problem)));
        let problems = name::is_label_value(at.text_of("value"));
        if !problems.is_empty() {
            errors.push(at.child("value").invalid(&problems.join(";")));
        }
        if effect.text().is_empty() {
            errors.push(effect.required(""));
        } else {
            scheduling::taint_effect(&effect, errors);
        }
        let pair = (value::text(taint, "key"), value::text(taint, "effect"));
        if seen.contains(&pair) {
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{}}}",
                Value::from(pair.0),
                Value::from(at.text_of("value")),
                Value::from(pair.1),
                at.child("timeAdded").value
            );
            errors.push(apimachinery::field::Error {
                kind: apimachinery::field::ErrorType::Duplicate,
                field: at.path.to_string(),
                body: format!("Duplicate value: {shown}: taints must be unique by key and effect pair"),
                value: None,
            });
        }
        seen.insert(pair);
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = FieldValue::root(object);
    taints_annotation(&root, &mut errors);
    taints(&root, &mut errors);
    node_common(&root, &mut errors);
    let spec = root.child("spec");
    for cidr in spec.items("podCIDRs") {
        legacy_cidr(&cidr, &[], &mut errors);
    }
    let cidrs: Vec<&str> = spec.texts("podCIDRs").collect();
    let six = cidrs.iter().filter(|cidr| cidr.contains(':')).count();
    if cidrs.len() > 1 && (six == 0 || six == cidrs.len() || cidrs.len() > 2) {
        errors.push(spec.child("podCIDRs").invalid("may specify no more than one CIDR for each IP family"));
    }
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let root = FieldValue::root(object);
    taints_annotation(&root, &mut errors);
    node_common(&root, &mut errors);
    let mut seen: HashSet<&Value> = HashSet::new();
    for address in root.child("status").items("addresses") {
        if seen.contains(&address.value) {
            errors.push(address.duplicate());
        }
        seen.insert(address.value);
    }
    let spec = root.child("spec");
    let before = FieldValue::root(old).child("spec");
    let (new, was): (Vec<&str>, Vec<&str>) = (spec.texts("podCIDRs").collect(), before.texts("podCIDRs").collect());
    let words = "node updates may not change podCIDR except from \"\" to valid";
    if !was.is_empty() {
        let changes = if was.len() == new.len() { was.iter().zip(&new).filter(|(was, new)| was != new).count() } else { 1 };
        errors.extend((0..changes).map(|_| spec.child("podCIDRs").forbidden(words)));
    }
    if !before.is_empty("providerID") && before.text_of("providerID") != spec.text_of("providerID") {
        errors.push(spec.child("providerID").forbidden("node updates may not change providerID except from \"\" to valid"));
    }
    taints(&root, &mut errors);
    if spec.text_of("externalID") != before.text_of("externalID") {
        errors.push(spec.child("externalID").forbidden("may not be updated"));
    }
    errors
}

fn validate_status(resource: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    validate_update(resource, object, old)
}

/// Fields without effect, and networks.
fn warn(node: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let spec = FieldValue::root(node).child("spec");
    if spec.has("configSource") {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if !spec.is_empty("externalID") {
        warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    spec.items("podCIDRs").for_each(|network| warnings::network(&network, warnings));
}

fn row(node: &Value, now: i64) -> Vec<Value> {
    // Of several conditions of one type, the last counts.
    let ready = items(node, "/status/conditions").iter().rev().find(|condition| cell::text(condition, "/type") == "Ready");
    let mut status = match ready.map(|ready| cell::text(ready, "/status")) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    }
    .to_owned();
    if flag(node, "/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let info = at(node, "/status/nodeInfo");
    let address = |kind: &str| {
        let addresses = items(node, "/status/addresses");
        addresses.iter().find(|address| cell::text(address, "/type") == kind).map_or(NONE, |address| cell::text(address, "/address"))
    };
    let mut kernel = text_or(info, "/kernelVersion", UNKNOWN).to_owned();
    match cell::text(info, "/architecture") {
        "" => {}
        architecture => kernel.push_str(&format!(" ({architecture})")),
    }
    cells![
        cell::name(node),
        status,
        node_roles(node),
        age(node, now),
        cell::text(info, "/kubeletVersion"),
        address("InternalIP"),
        address("ExternalIP"),
        text_or(info, "/osImage", UNKNOWN),
        kernel,
        text_or(info, "/containerRuntimeVersion", UNKNOWN),
    ]
}

/// By the labels `node-role.kubernetes.io/<role>` and `kubernetes.io/role=<role>`.
fn node_roles(node: &Value) -> String {
    let mut roles: BTreeSet<&str> = BTreeSet::new();
    for (key, value) in at(node, "/metadata/labels").as_object().into_iter().flatten() {
        match key.strip_prefix(NODE_ROLE_PREFIX) {
            Some(role) => roles.insert(role),
            None if key == NODE_ROLE => roles.insert(value.as_str().unwrap_or_default()),
            None => false,
        };
    }
    roles.remove("");
    cell::or_none(cell::join(roles, ","))
}
