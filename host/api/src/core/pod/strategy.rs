//! What clients may not set of a Pod, and what the server sets (upstream: `pkg/registry/core/pod`).

use std::collections::{BTreeMap, HashMap, VecDeque};

use apimachinery::quantity::Quantity;
use serde_json::{Value, json};

use crate::Resource;
use crate::core::pod::defaults::default_status;
use crate::core::pod::warnings;
use crate::shared::pod::defaults;
use crate::shared::value::{self, entries, if_nil, int, list, list_mut, object_at, object_mut, remove, restore, set, some, text};

/// A new pod is pending; a changed one keeps its status.
pub(crate) fn prepare(_: &Resource, pod: &mut Value, old: Option<&Value>) {
    if let Some(spec) = object_mut(pod, "spec") {
        defaults::sync_service_account(spec);
    }
    if old.is_some() {
        return;
    }
    let mut status = json!({ "phase": "Pending", "qosClass": qos_class(&pod["spec"]) });
    if !list(&pod["spec"], "schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": null,
        }]);
    }
    set(pod, "status", status);
    let labels = pod.pointer("/metadata/labels").cloned().unwrap_or_default();
    if let Some(spec) = object_mut(pod, "spec") {
        apply_label_keys(spec, &labels);
    }
    fill_in_app_armor(pod);
}

/// What only annotations say of AppArmor, the fields say too: kubelets read nothing else.
fn fill_in_app_armor(pod: &mut Value) {
    for found in warnings::app_armor_to_fill_in(pod) {
        let Some(profile) = found.profile else { continue };
        let (list, index) = found.container;
        if let Some(container) = list_mut(&mut pod["spec"], list).nth(index) {
            set(object_at(container, "securityContext"), "appArmorProfile", profile);
        }
    }
}

/// When the first condition came to be.
pub(crate) fn stamp(pod: &mut Value, old: Option<&Value>, context: &crate::kinds::strategy::Context<'_>) {
    if old.is_none()
        && let Some(status) = object_mut(pod, "status")
    {
        for condition in list_mut(status, "conditions") {
            if_nil(condition, "lastTransitionTime", context.now);
        }
    }
}

/// `matchLabelKeys` become part of the selector next to them.
fn apply_label_keys(spec: &mut Value, labels: &Value) {
    if let Some(affinity) = object_mut(spec, "affinity") {
        for which in ["podAffinity", "podAntiAffinity"] {
            let Some(affinity) = object_mut(affinity, which) else { continue };
            for term in list_mut(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
                if let Some(term) = object_mut(term, "podAffinityTerm") {
                    apply_keys_of(term, labels);
                }
            }
            for term in list_mut(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
                apply_keys_of(term, labels);
            }
        }
    }
    for constraint in list_mut(spec, "topologySpreadConstraints") {
        apply_keys_of(constraint, labels);
    }
}

fn apply_keys_of(term: &mut Value, labels: &Value) {
    let mut requirements = Vec::new();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in list(term, keys).iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                requirements.push(json!({ "key": key, "operator": operator, "values": [value] }));
            }
        }
    }
    let Some(selector) = object_mut(term, "labelSelector").filter(|_| !requirements.is_empty()) else { return };
    let mut all = list(selector, "matchExpressions").to_vec();
    all.extend(requirements);
    set(selector, "matchExpressions", all);
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn qos_class(spec: &Value) -> &'static str {
    type Sums = BTreeMap<String, Quantity>;
    let mut requests = Sums::new();
    let mut limits = Sums::new();
    let mut guaranteed = true;
    let mut take = |resources: &Value, of_pod: bool| {
        let mut both = 0;
        for (which, sums) in [("requests", &mut requests), ("limits", &mut limits)] {
            for (name, value) in entries(resources, which) {
                let Some(quantity) = Quantity::of_json(value).filter(|quantity| *quantity > Quantity::ZERO) else { continue };
                if matches!(name.as_str(), "cpu" | "memory") {
                    both += i32::from(which == "limits");
                    sums.entry(name.clone()).or_insert(Quantity::ZERO).add(&quantity);
                }
            }
        }
        let silent = of_pod && entries(resources, "limits").next().is_none();
        if both < 2 && !silent {
            guaranteed = false;
        }
    };
    match some(spec, "resources") {
        Some(resources) => take(resources, true),
        None => {
            for container in list(spec, "containers").iter().chain(list(spec, "initContainers")) {
                take(&container["resources"], false);
            }
        }
    }
    match (requests.is_empty() && limits.is_empty(), guaranteed && requests == limits) {
        (true, _) => "BestEffort",
        (_, true) => "Guaranteed",
        _ => "Burstable",
    }
}

/// What the subresources of a pod may change.
pub(crate) fn prepare_subresource(_: &Resource, subresource: &str, pod: &mut Value, old: &Value) {
    match subresource {
        "status" => prepare_status(pod, old),
        "ephemeralcontainers" => {
            let containers = remove(object_at(pod, "spec"), "ephemeralContainers");
            reset_for_subresource(pod, old);
            match containers {
                Some(containers) => set(object_at(pod, "spec"), "ephemeralContainers", containers),
                None => {
                    remove(object_at(pod, "spec"), "ephemeralContainers");
                }
            }
            bump_generation(pod, old);
        }
        "resize" => {
            prepare_resize(pod, old);
            bump_generation(pod, old);
        }
        _ => {}
    }
}

fn bump_generation(pod: &mut Value, old: &Value) {
    if pod.get("spec") != old.get("spec") {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
        set(object_at(pod, "metadata"), "generation", generation + 1);
    }
}

fn reset_for_subresource(pod: &mut Value, old: &Value) {
    restore(pod, old, "spec");
    restore(pod, old, "status");
    for name in ["deletionTimestamp", "generation", "selfLink", "labels", "annotations", "finalizers", "ownerReferences"] {
        value::restore_metadata(pod, old, name);
    }
}

/// The status keeps what an old kubelet does not know of.
fn prepare_status(pod: &mut Value, old: &Value) {
    let old_status = &old["status"];
    let status = object_at(pod, "status");
    default_status(status);
    for name in ["qosClass", "observedGeneration"] {
        if let Some(value) = some(old_status, name) {
            value::if_zero(status, name, value.clone());
        }
    }
    // Of conditions of one type the first old one belongs to the first new one, and so on.
    let mut generations: HashMap<&str, VecDeque<i64>> = HashMap::new();
    for condition in list(old_status, "conditions") {
        let generation = int(condition, "observedGeneration").unwrap_or(0);
        generations.entry(text(condition, "type")).or_default().push_back(generation);
    }
    for condition in list_mut(status, "conditions") {
        let generation = generations.get_mut(text(condition, "type")).and_then(VecDeque::pop_front).unwrap_or(0);
        if generation != 0 {
            value::if_zero(condition, "observedGeneration", generation);
        }
    }
}

/// Only containers' resources and resize policies; where containers come, go or change place, validation says so.
fn prepare_resize(pod: &mut Value, old: &Value) {
    let count = |pod: &Value, which: &str| list(&pod["spec"], which).len();
    if ["containers", "initContainers"].iter().any(|which| count(pod, which) != count(old, which)) {
        return;
    }
    let merged: Vec<Value> = ["containers", "initContainers"]
        .iter()
        .map(|which| {
            let (new, old) = (list(&pod["spec"], which), list(&old["spec"], which));
            if new.iter().zip(old).any(|(new, old)| new["name"] != old["name"]) {
                return Value::from(new.to_vec());
            }
            let merge = |(new, old): (&Value, &Value)| {
                let mut merged = old.clone();
                restore(&mut merged, new, "resources");
                restore(&mut merged, new, "resizePolicy");
                merged
            };
            new.iter().zip(old).map(merge).collect()
        })
        .collect();
    let resources = pod["spec"].get("resources").cloned();
    reset_for_subresource(pod, old);
    let spec = object_at(pod, "spec");
    for (which, containers) in ["containers", "initContainers"].iter().zip(merged) {
        if containers.as_array().is_some_and(|list| !list.is_empty()) {
            set(spec, which, containers);
        }
    }
    match resources {
        Some(resources) => set(spec, "resources", resources),
        None => {
            remove(spec, "resources");
        }
    }
}

/// A pod that runs somewhere is given time to end.
pub(crate) fn grace_period_seconds(pod: &Value, asked: Option<i64>) -> Option<i64> {
    let spec = &pod["spec"];
    let period = asked.or_else(|| int(spec, "terminationGracePeriodSeconds")).unwrap_or(0);
    let over = matches!(text(&pod["status"], "phase"), "Failed" | "Succeeded");
    if text(spec, "nodeName").is_empty() || over {
        return Some(0);
    }
    Some(if period < 0 { 1 } else { period })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_of_service() {
        let pod = |resources: Value| json!({ "containers": [{ "resources": resources }] });
        for (resources, class) in [
            (json!({}), "BestEffort"),
            (json!({ "requests": { "cpu": "0" } }), "BestEffort"),
            (json!({ "requests": { "cpu": "1" } }), "Burstable"),
            (json!({ "limits": { "cpu": "1", "memory": "1Gi" }, "requests": { "cpu": "1000m", "memory": "1Gi" } }), "Guaranteed"),
            (json!({ "limits": { "cpu": "1" }, "requests": { "cpu": "1" } }), "Burstable"),
        ] {
            assert_eq!(qos_class(&pod(resources.clone())), class, "{resources}");
        }
    }

    #[test]
    fn only_a_running_pod_is_given_time() {
        let pod = |node: &str, phase: &str| json!({ "spec": { "nodeName": node, "terminationGracePeriodSeconds": 30 }, "status": { "phase": phase } });
        for (node, phase, asked, given) in [
            ("n", "Running", None, 30),
            ("n", "Running", Some(5), 5),
            ("n", "Running", Some(-1), 1),
            ("", "Pending", Some(5), 0),
            ("n", "Failed", None, 0),
        ] {
            assert_eq!(grace_period_seconds(&pod(node, phase), asked), Some(given), "{node} {phase} {asked:?}");
        }
    }
}
