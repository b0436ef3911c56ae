//! Pods: defaults beyond those of templates, the first status, quality of service, and how long a pod is given to end.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use apimachinery::quantity::Quantity;
use serde_json::{Value, json};

use super::value::{entries, has, if_nil, int, list, list_mut, object_at, object_mut, remove, restore, set, some, text};
use super::{pod_template, pod_warnings};
use crate::Resource;

/// Fills in a pod.
pub(super) fn default(_: &Resource, pod: &mut Value) {
    if let Some(metadata) = object_mut(pod, "metadata") {
        pod_template::drop_annotations(metadata);
    }
    if let Some(status) = object_mut(pod, "status") {
        default_status(status);
    }
    let Some(spec) = object_mut(pod, "spec") else { return };
    pod_template::default_requests(spec);
    default_pod_level_resources(spec);
    if_nil(spec, "enableServiceLinks", true);
    pod_template::default_host_ports(spec);
    pod_template::default_spec(spec);
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        set(spec, "terminationGracePeriodSeconds", 1);
    }
}

/// `podIP` is the first of `podIPs`.
fn default_status(status: &mut Value) {
    let ip = text(status, "podIP").to_owned();
    let first = list(status, "podIPs").first().map(|first| text(first, "ip").to_owned());
    match first {
        Some(first) if ip.is_empty() => set(status, "podIP", first),
        Some(first) if first != ip => set(status, "podIPs", json!([{ "ip": ip }])),
        None if !ip.is_empty() => set(status, "podIPs", json!([{ "ip": ip }])),
        _ => {}
    }
}

fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// The sum of what containers ask for, as a scheduler sees it.
pub(super) fn aggregate(spec: &Value, which: &str) -> BTreeMap<String, Quantity> {
    type Sums = BTreeMap<String, Quantity>;
    fn add(to: &mut Sums, more: &Sums) {
        for (name, quantity) in more {
            to.entry(name.clone()).or_insert(Quantity::ZERO).add(quantity);
        }
    }
    fn raise(to: &mut Sums, name: String, quantity: Quantity) {
        let most = to.entry(name).or_insert(Quantity::ZERO);
        if *most < quantity {
            *most = quantity;
        }
    }
    let of = |container: &Value| -> Sums {
        entries(&container["resources"], which).filter_map(|(name, value)| Some((name.clone(), Quantity::of_json(value)?))).collect()
    };
    let mut sums = Sums::new();
    for container in list(spec, "containers") {
        add(&mut sums, &of(container));
    }
    let (mut sidecars, mut init) = (Sums::new(), Sums::new());
    for container in list(spec, "initContainers") {
        let mut these = of(container);
        if text(container, "restartPolicy") == "Always" {
            add(&mut sums, &these);
            add(&mut sidecars, &these);
            these = sidecars.clone();
        } else {
            add(&mut these, &sidecars);
        }
        for (name, quantity) in these {
            raise(&mut init, name, quantity);
        }
    }
    for (name, quantity) in init {
        raise(&mut sums, name, quantity);
    }
    sums
}

/// What a pod as a whole asks for follows from its containers where it says nothing.
fn default_pod_level_resources(spec: &mut Value) {
    let Some(resources) = some(spec, "resources") else { return };
    let said = |which: &str, name: &str| has(&resources[which], name);
    let empty = |which: &str| entries(resources, which).next().is_none();
    let mut limits: Vec<(String, Value)> = Vec::new();
    if !(empty("limits") && empty("requests")) {
        for (name, quantity) in aggregate(spec, "limits") {
            if name.starts_with("hugepages-") && !said("requests", &name) && !said("limits", &name) {
                limits.push((name, Value::String(quantity.to_string())));
            }
        }
    }
    let mut requests: Vec<(String, Value)> = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    if !(empty("limits") && limits.is_empty()) {
        for (name, quantity) in aggregate(spec, "requests") {
            if matches!(name.as_str(), "cpu" | "memory") && !said("requests", &name) {
                names.insert(name.clone());
                requests.push((name, Value::String(quantity.to_string())));
            }
        }
        let all_limits = entries(resources, "limits").map(|(name, value)| (name.clone(), value.clone())).chain(limits.iter().cloned());
        for (name, quantity) in all_limits {
            if is_pod_level_resource(&name) && !said("requests", &name) && names.insert(name.clone()) {
                requests.push((name, quantity));
            }
        }
    }
    for (which, additions) in [("limits", limits), ("requests", requests)] {
        if !additions.is_empty() {
            let list = object_at(object_at(spec, "resources"), which);
            additions.into_iter().for_each(|(name, quantity)| set(list, &name, quantity));
        }
    }
}

/// A new pod is pending; a changed one keeps its status.
pub(super) fn prepare(_: &Resource, pod: &mut Value, old: Option<&Value>) {
    if let Some(spec) = object_mut(pod, "spec") {
        pod_template::sync_service_account(spec);
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
    for found in pod_warnings::app_armor_to_fill_in(pod) {
        let Some(profile) = found.profile else { continue };
        let (list, index) = found.container;
        if let Some(container) = list_mut(&mut pod["spec"], list).nth(index) {
            set(object_at(container, "securityContext"), "appArmorProfile", profile);
        }
    }
}

/// When the first condition came to be.
pub(super) fn stamp(pod: &mut Value, old: Option<&Value>, context: &crate::strategy::Context<'_>) {
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
pub(super) fn prepare_subresource(_: &Resource, subresource: &str, pod: &mut Value, old: &Value) {
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
        super::value::restore_metadata(pod, old, name);
    }
}

/// The status keeps what an old kubelet does not know of.
fn prepare_status(pod: &mut Value, old: &Value) {
    let old_status = &old["status"];
    let status = object_at(pod, "status");
    default_status(status);
    for name in ["qosClass", "observedGeneration"] {
        if let Some(value) = some(old_status, name) {
            super::value::if_zero(status, name, value.clone());
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
            super::value::if_zero(condition, "observedGeneration", generation);
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
pub(super) fn grace_period_seconds(pod: &Value, asked: Option<i64>) -> Option<i64> {
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
