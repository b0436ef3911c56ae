//! Pods: their number, and what they ask for; upstream's `pkg/quota/v1/evaluator/core/pods.go`.

use std::collections::{BTreeMap, BTreeSet};

use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::Value;

use crate::amounts::{self, ResourceList};
use crate::quota::ScopeRequirement;

/// What is looked at of a pod.
pub const FIELDS: &[&str] = &[
    "metadata/deletionTimestamp",
    "metadata/deletionGracePeriodSeconds",
    "spec/activeDeadlineSeconds",
    "spec/priorityClassName",
    "spec/affinity",
    "spec/overhead",
    "spec/resources",
    "spec/containers/*/name",
    "spec/containers/*/resources",
    "spec/initContainers/*/name",
    "spec/initContainers/*/resources",
    "spec/initContainers/*/restartPolicy",
    "status/phase",
    "status/qosClass",
    "status/conditions",
    "status/containerStatuses/*/name",
    "status/containerStatuses/*/resources",
    "status/containerStatuses/*/allocatedResources",
    "status/initContainerStatuses/*/name",
    "status/initContainerStatuses/*/resources",
    "status/initContainerStatuses/*/allocatedResources",
];

/// What a quota of pods may limit, beside huge pages and extended resources.
const LIMITED: [&str; 11] = [
    "count/pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];

/// Of what every container must say how much it wants, where a quota limits it. Upstream regrets that, and adds nothing to it.
const REQUIRED: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

#[derive(Clone, Copy)]
enum Which {
    Requests,
    Limits,
}

#[derive(Clone, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Resources {
    requests: Option<ResourceList>,
    limits: Option<ResourceList>,
}

impl Resources {
    fn list(&self, which: Which) -> ResourceList {
        match which {
            Which::Requests => self.requests.clone(),
            Which::Limits => self.limits.clone(),
        }
        .unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Container {
    name: String,
    resources: Option<Resources>,
    restart_policy: Option<String>,
}

impl Container {
    fn list(&self, which: Which) -> ResourceList {
        self.resources.as_ref().map(|resources| resources.list(which)).unwrap_or_default()
    }

    /// An init container that goes on running.
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    resources: Option<Resources>,
    allocated_resources: Option<ResourceList>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Spec {
    active_deadline_seconds: Option<i64>,
    priority_class_name: Option<String>,
    affinity: Option<Value>,
    overhead: Option<ResourceList>,
    resources: Option<Resources>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    qos_class: Option<String>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Condition {
    r#type: String,
    reason: Option<String>,
}

/// A pod.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

/// Whether this is a pod's to take.
pub fn limits(name: &str) -> bool {
    LIMITED.contains(&name)
        || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
        || name.strip_prefix("requests.").is_some_and(is_extended)
}

/// `nvidia.com/gpu`: counted by what is requested of it. Kubernetes' own names are none, but those of device classes.
fn is_extended(name: &str) -> bool {
    name.starts_with("deviceclass.resource.kubernetes.io/") || name.contains('/') && !name.contains("kubernetes.io/")
}

fn at_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

impl Pod {
    /// Whether it ends by itself.
    pub fn is_terminating(&self) -> bool {
        self.spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0)
    }

    /// Whether a scope is the pod's.
    pub fn is_in(&self, scope: &ScopeRequirement) -> bool {
        match scope.scope_name.as_str() {
            "Terminating" => self.is_terminating(),
            "NotTerminating" => !self.is_terminating(),
            "BestEffort" => self.is_best_effort(),
            "NotBestEffort" => !self.is_best_effort(),
            "PriorityClass" => scope.holds_for(self.spec.priority_class_name.as_deref().filter(|name| !name.is_empty())),
            "CrossNamespacePodAffinity" => self.has_affinity_elsewhere(),
            _ => false,
        }
    }

    /// What it takes at a time.
    pub fn usage(&self, now_milliseconds: u64) -> ResourceList {
        let one = Quantity::whole(1);
        let mut usage = ResourceList::from([("count/pods".to_owned(), one)]);
        if !self.is_alive(now_milliseconds) {
            return usage;
        }
        amounts::add(&mut usage, &counted(&self.total(Which::Requests), &self.total(Which::Limits)));
        usage
    }

    /// What the pod's containers must say and do not, for those limits; none where they say all.
    pub fn missing(&self, limited: &[&str]) -> Option<String> {
        if self.has_pod_level(Which::Requests) || self.has_pod_level(Which::Limits) {
            return None;
        }
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for container in self.containers().chain(self.init_containers()) {
            let said = counted(&container.list(Which::Requests), &container.list(Which::Limits));
            for name in REQUIRED.iter().filter(|name| limited.contains(name) && !said.contains_key(**name)) {
                missing.entry(name).or_default().insert(&container.name);
            }
        }
        let of = |(name, containers): (&&str, &BTreeSet<&str>)| {
            format!("{name} for: {}", containers.iter().copied().collect::<Vec<_>>().join(","))
        };
        let texts: Vec<String> = missing.iter().map(of).collect();
        (!texts.is_empty()).then(|| format!("must specify {}", texts.join("; ")))
    }

    fn containers(&self) -> impl Iterator<Item = &Container> {
        self.spec.containers.iter().flatten()
    }

    fn init_containers(&self) -> impl Iterator<Item = &Container> {
        self.spec.init_containers.iter().flatten()
    }

    /// Whether it can still use anything: one whose time of deletion has passed is not held against its owner.
    fn is_alive(&self, now_milliseconds: u64) -> bool {
        if matches!(self.status.phase.as_deref(), Some("Failed" | "Succeeded")) {
            return false;
        }
        let Metadata { deletion_timestamp: Some(deleted), deletion_grace_period_seconds: Some(grace) } = &self.metadata else {
            return true;
        };
        let end = deleted.parse::<jiff::Timestamp>().ok().map(|deleted| deleted.as_second().saturating_add(*grace));
        end.is_none_or(|end| i128::from(now_milliseconds) <= i128::from(end) * 1000)
    }

    fn has_pod_level(&self, which: Which) -> bool {
        self.spec.resources.as_ref().is_some_and(|resources| resources.list(which).keys().any(|name| at_pod_level(name)))
    }

    /// What the pod needs at its hungriest moment: all containers and sidecars together, or one init container with the sidecars that
    /// were started before it. What is said of the pod itself counts before all of that.
    fn total(&self, which: Which) -> ResourceList {
        let statuses = self.statuses();
        let mut total = ResourceList::new();
        for container in self.containers() {
            amounts::add(&mut total, &self.effective(container, statuses.get(container.name.as_str()).copied(), which));
        }
        let (mut sidecars, mut init) = (ResourceList::new(), ResourceList::new());
        for container in self.init_containers() {
            if container.is_sidecar() {
                let list = self.effective(container, statuses.get(container.name.as_str()).copied(), which);
                amounts::add(&mut total, &list);
                amounts::add(&mut sidecars, &list);
                amounts::larger(&mut init, &sidecars);
            } else {
                let mut moment = container.list(which);
                amounts::add(&mut moment, &sidecars);
                amounts::larger(&mut init, &moment);
            }
        }
        amounts::larger(&mut total, &init);
        if let Some(resources) = &self.spec.resources {
            total.extend(resources.list(which).into_iter().filter(|(name, _)| at_pod_level(name)));
        }
        for (name, amount) in self.spec.overhead.iter().flatten() {
            let counts = match which {
                Which::Requests => true,
                Which::Limits => total.get(name).is_some_and(|limit| *limit != Quantity::default()),
            };
            if counts {
                amounts::add_one(&mut total, name, *amount);
            }
        }
        total
    }

    fn statuses(&self) -> BTreeMap<&str, &ContainerStatus> {
        let all = self.status.container_statuses.iter().flatten().chain(self.status.init_container_statuses.iter().flatten());
        all.map(|status| (status.name.as_str(), status)).collect()
    }

    /// While a container is resized it holds what it has and what it shall have, unless it never can.
    fn effective(&self, container: &Container, status: Option<&ContainerStatus>, which: Which) -> ResourceList {
        let Some((status, running)) = status.and_then(|status| Some((status, status.resources.as_ref()?))) else {
            return container.list(which);
        };
        let mut list = running.list(which);
        if !self.is_resize_infeasible() {
            amounts::larger(&mut list, &container.list(which));
        }
        if let (Which::Requests, Some(allocated)) = (which, &status.allocated_resources) {
            amounts::larger(&mut list, allocated);
        }
        list
    }

    fn is_resize_infeasible(&self) -> bool {
        let pending = self.status.conditions.iter().flatten().find(|condition| condition.r#type == "PodResizePending");
        pending.is_some_and(|condition| condition.reason.as_deref() == Some("Infeasible"))
    }

    /// The class that the pod says it has, or none of its containers asks for anything.
    fn is_best_effort(&self) -> bool {
        if let Some(class) = self.status.qos_class.as_deref().filter(|class| !class.is_empty()) {
            return class == "BestEffort";
        }
        let asks = |resources: &Resources| {
            let all = resources.requests.iter().flatten().chain(resources.limits.iter().flatten());
            all.into_iter().any(|(name, amount)| matches!(name.as_str(), "cpu" | "memory") && *amount > Quantity::default())
        };
        match &self.spec.resources {
            Some(resources) => !asks(resources),
            None => !self.containers().chain(self.init_containers()).filter_map(|container| container.resources.as_ref()).any(asks),
        }
    }

    /// Whether it wants to be near to, or far from, pods of other namespaces.
    fn has_affinity_elsewhere(&self) -> bool {
        let elsewhere = |term: &Value| {
            term["namespaces"].as_array().is_some_and(|names| !names.is_empty())
                || term.get("namespaceSelector").is_some_and(|it| !it.is_null())
        };
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        ["podAffinity", "podAntiAffinity"].iter().filter_map(|kind| self.spec.affinity.as_ref()?.get(kind)).any(|affinity| {
            items(&affinity["requiredDuringSchedulingIgnoredDuringExecution"]).iter().any(elsewhere)
                || items(&affinity["preferredDuringSchedulingIgnoredDuringExecution"])
                    .iter()
                    .any(|term| elsewhere(&term["podAffinityTerm"]))
        })
    }
}

/// Requests and limits under the names that quotas have for them.
fn counted(requests: &ResourceList, limits: &ResourceList) -> ResourceList {
    let mut counted = ResourceList::from([("pods".to_owned(), Quantity::whole(1))]);
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(request) = requests.get(name) {
            counted.insert(name.to_owned(), *request);
            counted.insert(format!("requests.{name}"), *request);
        }
        if let Some(limit) = limits.get(name) {
            counted.insert(format!("limits.{name}"), *limit);
        }
    }
    for (name, request) in requests {
        if name.starts_with("hugepages-") {
            counted.insert(name.clone(), *request);
        }
        if name.starts_with("hugepages-") || is_extended(name) {
            counted.insert(format!("requests.{name}"), *request);
        }
    }
    counted
}
