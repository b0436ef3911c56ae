//! Pods and claims, as far as they ask for something.

use wasmgate_sdk::serde::Deserialize;

use crate::constraint::{self, Violations};
use crate::ranges::{LimitRange, ResourceList};

/// What may be said of a whole pod, over the sum of its containers.
const POD_LEVEL: [&str; 2] = ["cpu", "memory"];

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Resources {
    requests: Option<ResourceList>,
    limits: Option<ResourceList>,
}

impl Resources {
    fn list(&self, which: Which) -> Option<&ResourceList> {
        match which {
            Which::Requests => self.requests.as_ref(),
            Which::Limits => self.limits.as_ref(),
        }
    }
}

#[derive(Clone, Copy)]
enum Which {
    Requests,
    Limits,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Container {
    resources: Option<Resources>,
    restart_policy: Option<String>,
}

impl Container {
    fn list(&self, which: Which) -> Option<&ResourceList> {
        self.resources.as_ref()?.list(which)
    }

    /// An init container that goes on running.
    fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

/// A pod's `spec`.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct PodSpec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    resources: Option<Resources>,
}

impl PodSpec {
    /// Its containers each, and all of it together.
    pub fn check(&self, range: &LimitRange, violations: &mut Violations) {
        let none = ResourceList::new();
        for limit in range.limits() {
            match limit.r#type.as_str() {
                "Container" => {
                    for container in self.containers().chain(self.init_containers()) {
                        let list = |which| container.list(which).unwrap_or(&none);
                        constraint::check(limit, list(Which::Requests), list(Which::Limits), violations);
                    }
                }
                "Pod" => constraint::check(limit, &self.total(Which::Requests), &self.total(Which::Limits), violations),
                _ => {}
            }
        }
    }

    fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().flatten()
    }

    fn init_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().flatten()
    }

    /// What the pod needs at its hungriest moment: all containers and sidecars together, or one init container with the
    /// sidecars that were started before it. What is said of the pod itself counts before all of that.
    fn total(&self, which: Which) -> ResourceList {
        let none = ResourceList::new();
        let mut total = ResourceList::new();
        for container in self.containers() {
            add(&mut total, container.list(which).unwrap_or(&none));
        }
        let (mut sidecars, mut init) = (ResourceList::new(), ResourceList::new());
        for container in self.init_containers() {
            let list = container.list(which).unwrap_or(&none);
            if container.is_sidecar() {
                add(&mut total, list);
                add(&mut sidecars, list);
                larger(&mut init, &sidecars);
            } else {
                let mut moment = list.clone();
                add(&mut moment, &sidecars);
                larger(&mut init, &moment);
            }
        }
        larger(&mut total, &init);
        if let Some(of_pod) = self.resources.as_ref().and_then(|resources| resources.list(which)) {
            total
                .extend(of_pod.iter().filter(|(name, _)| POD_LEVEL.contains(&name.as_str())).map(|(name, amount)| (name.clone(), *amount)));
        }
        total
    }
}

fn add(list: &mut ResourceList, more: &ResourceList) {
    for (name, amount) in more {
        list.entry(name.clone()).and_modify(|known| *known = known.plus(*amount)).or_insert(*amount);
    }
}

fn larger(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        list.entry(name.clone()).and_modify(|known| *known = (*known).max(*amount)).or_insert(*amount);
    }
}

/// A claim's `spec`.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Claim {
    resources: Option<Resources>,
}

impl Claim {
    /// What it asks for.
    pub fn check(&self, range: &LimitRange, violations: &mut Violations) {
        let none = ResourceList::new();
        let requests = self.resources.as_ref().and_then(|resources| resources.list(Which::Requests)).unwrap_or(&none);
        for limit in range.limits().iter().filter(|limit| limit.r#type == "PersistentVolumeClaim") {
            constraint::check_requests(limit, requests, violations);
        }
    }
}
