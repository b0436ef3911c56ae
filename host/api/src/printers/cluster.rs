//! Kinds that run the cluster: rights, certificates, leases, flow control, classes, devices, aggregated servers.

use apimachinery::time::human_duration;
use serde_json::Value;

use super::cell::{NONE, age, at, cells, condition, flag, int, is_deleted, items, join, name, some, text, text_or};
use crate::Resource;

/// The order of rows. Flow schemas come in the order in which they are tried, whatever the list's order is.
pub(super) fn in_order<'a>(resource: &Resource, objects: &'a [Value]) -> Vec<&'a Value> {
    let mut rows: Vec<&Value> = objects.iter().collect();
    if resource.gvr.group == "flowcontrol.apiserver.k8s.io" && resource.gvr.resource == "flowschemas" {
        rows.sort_by_key(|schema| (int(schema, "/spec/matchingPrecedence"), name(schema)));
    }
    rows
}

pub(super) fn role_binding(binding: &Value, now: i64) -> Vec<Value> {
    let subjects = |kind: &str| -> Vec<&Value> { items(binding, "/subjects").iter().filter(|s| text(s, "/kind") == kind).collect() };
    let names = |kind: &str| join(subjects(kind).into_iter().map(|subject| text(subject, "/name")), ", ");
    let account = |subject: &Value| format!("{}/{}", text(subject, "/namespace"), text(subject, "/name"));
    let accounts: Vec<String> = subjects("ServiceAccount").into_iter().map(account).collect();
    let role = format!("{}/{}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
    cells![name(binding), role, age(binding, now), names("User"), names("Group"), accounts.join(", ")]
}

pub(super) fn certificate_signing_request(request: &Value, now: i64) -> Vec<Value> {
    let has = |kind: &str| condition(request, "/status/conditions", kind).is_some();
    let mut status = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !text(request, "/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    let duration = at(request, "/spec/expirationSeconds").as_i64();
    cells![
        name(request),
        age(request, now),
        text_or(request, "/spec/signerName", NONE),
        text(request, "/spec/username"),
        duration.map_or_else(|| NONE.to_owned(), human_duration),
        status,
    ]
}

pub(super) fn lease(lease: &Value, now: i64) -> Vec<Value> {
    cells![name(lease), text(lease, "/spec/holderIdentity"), age(lease, now)]
}

pub(super) fn flow_schema(schema: &Value, now: i64) -> Vec<Value> {
    let dangling = condition(schema, "/status/conditions", "Dangling");
    cells![
        name(schema),
        text(schema, "/spec/priorityLevelConfiguration/name"),
        int(schema, "/spec/matchingPrecedence"),
        some(schema, "/spec/distinguisherMethod").map_or(NONE, |method| text(method, "/type")),
        age(schema, now),
        dangling.map_or("?", |condition| text(condition, "/status")),
    ]
}

pub(super) fn priority_level_configuration(level: &Value, now: i64) -> Vec<Value> {
    let limited = some(level, "/spec/limited");
    let queuing = limited.and_then(|limited| some(limited, "/limitResponse/queuing"));
    // Numbers where there are any, in columns of strings.
    let number = |of: Option<&Value>, pointer: &str| of.map_or_else(|| Value::from(NONE), |of| int(of, pointer).into());
    cells![
        name(level),
        text(level, "/spec/type"),
        number(limited, "/nominalConcurrencyShares"),
        number(queuing, "/queues"),
        number(queuing, "/handSize"),
        number(queuing, "/queueLengthLimit"),
        age(level, now),
    ]
}

pub(super) fn priority_class(class: &Value, now: i64) -> Vec<Value> {
    cells![name(class), int(class, "/value"), flag(class, "/globalDefault"), age(class, now), text(class, "/preemptionPolicy")]
}

pub(super) fn runtime_class(class: &Value, now: i64) -> Vec<Value> {
    cells![name(class), text(class, "/handler"), age(class, now)]
}

pub(super) fn resource_claim(claim: &Value, now: i64) -> Vec<Value> {
    let (deleted, allocated) = (is_deleted(claim), some(claim, "/status/allocation").is_some());
    let states = [
        ("deleted", deleted),
        ("pending", !allocated && !deleted),
        ("allocated", allocated),
        ("reserved", allocated && !items(claim, "/status/reservedFor").is_empty()),
    ];
    cells![name(claim), join(states.into_iter().filter(|(_, holds)| *holds).map(|(state, _)| state), ","), age(claim, now)]
}

pub(super) fn resource_slice(slice: &Value, now: i64) -> Vec<Value> {
    cells![name(slice), text(slice, "/spec/nodeName"), text(slice, "/spec/driver"), text(slice, "/spec/pool/name"), age(slice, now)]
}

pub(super) fn api_service(service: &Value, now: i64) -> Vec<Value> {
    let served_by = some(service, "/spec/service").map(|by| format!("{}/{}", text(by, "/namespace"), text(by, "/name")));
    let available = match condition(service, "/status/conditions", "Available") {
        None => "Unknown".to_owned(),
        Some(condition) => match (text(condition, "/status"), text(condition, "/reason")) {
            (status @ "True", _) | (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        },
    };
    cells![name(service), served_by.unwrap_or_else(|| "Local".to_owned()), available, age(service, now)]
}
