//! Kinds of the core group that are no workloads, networks or volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cell::{NONE, UNKNOWN, age, at, cells, condition, flag, int, items, len, name, quantity, seconds, since, some, text, text_or};

const NODE_ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const NODE_ROLE: &str = "kubernetes.io/role";

pub(super) fn component_status(component: &Value, _now: i64) -> Vec<Value> {
    match condition(component, "/conditions", "Healthy") {
        None => cells![name(component), "Unknown", "", ""],
        Some(healthy) => {
            let status = if text(healthy, "/status") == "True" { "Healthy" } else { "Unhealthy" };
            cells![name(component), status, text(healthy, "/message"), text(healthy, "/error")]
        }
    }
}

pub(super) fn config_map(map: &Value, now: i64) -> Vec<Value> {
    cells![name(map), len(map, "/data") + len(map, "/binaryData"), age(map, now)]
}

pub(super) fn secret(secret: &Value, now: i64) -> Vec<Value> {
    cells![name(secret), text(secret, "/type"), len(secret, "/data"), age(secret, now)]
}

pub(super) fn namespace(namespace: &Value, now: i64) -> Vec<Value> {
    cells![name(namespace), text(namespace, "/status/phase"), age(namespace, now)]
}

/// Of both groups: `events.k8s.io` calls the same fields by other names.
pub(super) fn event(event: &Value, now: i64) -> Vec<Value> {
    let new = event["apiVersion"] == "events.k8s.io/v1";
    let field = |old: &'static str, renamed: &'static str| if new { renamed } else { old };
    let first = match seconds(at(event, field("/firstTimestamp", "/deprecatedFirstTimestamp"))) {
        Some(_) => since(event, field("/firstTimestamp", "/deprecatedFirstTimestamp"), now),
        None => since(event, "/eventTime", now),
    };
    let mut last = match seconds(at(event, field("/lastTimestamp", "/deprecatedLastTimestamp"))) {
        Some(_) => since(event, field("/lastTimestamp", "/deprecatedLastTimestamp"), now),
        None => first.clone(),
    };
    // An event that happened once has no count.
    let mut count = int(event, field("/count", "/deprecatedCount")).max(1);
    if some(event, "/series").is_some() {
        last = since(event, "/series/lastObservedTime", now);
        count = int(event, "/series/count");
    }
    let object = at(event, field("/involvedObject", "/regarding"));
    let kind = text(object, "/kind").to_lowercase();
    let target = match name_of(object) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = at(event, field("/source", "/deprecatedSource"));
    let component = text_or(source, "/component", text(event, field("/reportingComponent", "/reportingController")));
    let instance = text_or(source, "/host", text(event, "/reportingInstance"));
    cells![
        last,
        text(event, "/type"),
        text(event, "/reason"),
        target,
        text(object, "/fieldPath"),
        if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") },
        text(event, field("/message", "/note")).trim(),
        first,
        count,
        name(event),
    ]
}

fn name_of(reference: &Value) -> &str {
    text(reference, "/name")
}

pub(super) fn node(node: &Value, now: i64) -> Vec<Value> {
    // Of several conditions of one type, the last counts.
    let ready = items(node, "/status/conditions").iter().rev().find(|condition| text(condition, "/type") == "Ready");
    let mut status = match ready.map(|ready| text(ready, "/status")) {
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
        addresses.iter().find(|address| text(address, "/type") == kind).map_or(NONE, |address| text(address, "/address"))
    };
    let mut kernel = text_or(info, "/kernelVersion", UNKNOWN).to_owned();
    match text(info, "/architecture") {
        "" => {}
        architecture => kernel.push_str(&format!(" ({architecture})")),
    }
    cells![
        name(node),
        status,
        node_roles(node),
        age(node, now),
        text(info, "/kubeletVersion"),
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
    super::cell::or_none(super::cell::join(roles, ","))
}

pub(super) fn resource_quota(quota: &Value, now: i64) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in at(quota, "/status/hard").as_object().into_iter().flatten() {
        let used = at(quota, "/status/used").get(resource);
        let used = used.map_or_else(|| "0".to_owned(), |used| quantity(Some(used)));
        let column = if resource.starts_with("limits.") { &mut limits } else { &mut requests };
        column.push(format!("{resource}: {used}/{}", quantity(Some(hard))));
    }
    cells![name(quota), requests.join(", "), limits.join(", "), age(quota, now)]
}
