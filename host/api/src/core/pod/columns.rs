//! A pod's row: the one that says more than its fields (upstream: `pkg/printers/internalversion/printers.go`). `STATUS` is a walk over the
//! containers' states.

use std::collections::HashSet;

use apimachinery::time::human_duration;
use serde_json::{Value, json};

use crate::shared::cell::{NONE, age, at, cells, condition, flag, int, is_deleted, items, name, seconds, some, text, text_or};

/// What is added up over containers.
#[derive(Default)]
struct Tally {
    restarts: i64,
    last_restart: Option<i64>,
}

impl Tally {
    fn add(&mut self, container: &Value) {
        self.restarts += int(container, "/restartCount");
        // Missing is before all others.
        self.last_restart = self.last_restart.max(seconds(at(container, "/lastState/terminated/finishedAt")));
    }
}

pub(crate) fn row(pod: &Value, now: i64) -> Vec<Value> {
    let phase = text(pod, "/status/phase");
    let mut reason = text_or(pod, "/status/reason", phase).to_owned();
    let gated = |condition: &Value| text(condition, "/type") == "PodScheduled" && text(condition, "/reason") == "SchedulingGated";
    if items(pod, "/status/conditions").iter().any(gated) {
        reason = "SchedulingGated".to_owned();
    }
    let init_containers = items(pod, "/spec/initContainers");
    let always = || init_containers.iter().filter(|container| text(container, "/restartPolicy") == "Always");
    let restartable: HashSet<&str> = always().map(|container| text(container, "/name")).collect();
    let total = items(pod, "/spec/containers").len() + always().count();
    let mut ready = 0;
    let (mut tally, mut sidecars) = (Tally::default(), Tally::default());

    let mut initializing = false;
    for (i, container) in items(pod, "/status/initContainerStatuses").iter().enumerate() {
        let is_sidecar = restartable.contains(text(container, "/name"));
        tally.add(container);
        if is_sidecar {
            sidecars.add(container);
        }
        let terminated = some(container, "/state/terminated");
        if terminated.is_some_and(|terminated| int(terminated, "/exitCode") == 0) {
            continue;
        }
        if is_sidecar && flag(container, "/started") {
            ready += usize::from(flag(container, "/ready"));
            continue;
        }
        let waiting = text(container, "/state/waiting/reason");
        reason = match terminated {
            Some(terminated) => format!("Init:{}", end(terminated)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            None => format!("Init:{i}/{}", init_containers.len()),
        };
        initializing = true;
        break;
    }

    let is_true = |kind: &str| condition(pod, "/status/conditions", kind).is_some_and(|c| text(c, "/status") == "True");
    if !initializing || is_true("Initialized") {
        tally = sidecars;
        let mut running = false;
        let mut failure = String::new();
        for container in items(pod, "/status/containerStatuses").iter().rev() {
            tally.add(container);
            let waiting = text(container, "/state/waiting/reason");
            if !waiting.is_empty() {
                reason = waiting.to_owned();
            } else if let Some(terminated) = some(container, "/state/terminated") {
                reason = end(terminated);
                if int(terminated, "/exitCode") != 0 {
                    failure = reason.clone();
                }
            } else if flag(container, "/ready") && some(container, "/state/running").is_some() {
                running = true;
                ready += 1;
            }
        }
        // One container has completed; the pod has not, while another one runs.
        if reason == "Completed" {
            if running && has_ready_condition(pod) {
                reason = "Running".to_owned();
            } else if !failure.is_empty() {
                reason = failure;
            } else if running {
                reason = "NotReady".to_owned();
            }
        }
    }
    if is_deleted(pod) {
        if text(pod, "/status/reason") == "NodeLost" {
            reason = "Unknown".to_owned();
        } else if phase != "Succeeded" && phase != "Failed" {
            reason = "Terminating".to_owned();
        }
    }
    let restarts = match tally {
        Tally { restarts, last_restart: Some(last) } if restarts != 0 => format!("{restarts} ({} ago)", human_duration(now - last)),
        Tally { restarts, .. } => restarts.to_string(),
    };
    cells![
        name(pod),
        format!("{ready}/{total}"),
        reason,
        restarts,
        age(pod, now),
        text_or(at(pod, "/status/podIPs/0"), "/ip", NONE),
        text_or(pod, "/spec/nodeName", NONE),
        text_or(pod, "/status/nominatedNodeName", NONE),
        readiness_gates(pod),
    ]
}

/// How a container came to its end.
fn end(terminated: &Value) -> String {
    match (text(terminated, "/reason"), int(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", int(terminated, "/exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Any of them, unlike all other conditions, of which the first counts.
fn has_ready_condition(pod: &Value) -> bool {
    items(pod, "/status/conditions").iter().any(|condition| text(condition, "/type") == "Ready" && text(condition, "/status") == "True")
}

fn readiness_gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    let open =
        |gate: &&Value| condition(pod, "/status/conditions", text(gate, "/conditionType")).is_some_and(|c| text(c, "/status") == "True");
    match gates.len() {
        0 => NONE.to_owned(),
        count => format!("{}/{count}", gates.iter().filter(open).count()),
    }
}

/// A row's conditions: clients show completed pods apart.
pub(crate) fn conditions(object: &Value) -> Option<Value> {
    let (reason, message) = match text(object, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{ "type": "Completed", "status": "True", "reason": reason, "message": message }]))
}
