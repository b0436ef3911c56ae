//! What of a pod the standards look at.

use std::collections::BTreeMap;

use wasmgate_sdk::serde::{Deserialize, Deserializer, de::IgnoredAny};

/// A pod, or the template of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Pod {
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    pub spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Metadata {
    pub name: String,
    #[serde(deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct OwnerReference {
    pub uid: String,
    pub controller: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct PodSpec {
    pub host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    pub host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    pub host_ipc: Option<bool>,
    pub host_users: Option<bool>,
    pub os: Option<Os>,
    pub runtime_class_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub security_context: SecurityContext,
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Volume>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_containers: Vec<Container>,
}

impl PodSpec {
    /// All of them, in the order in which they are named.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers)
    }

    /// Whether an update of a pod is one that the standards care about: images, and containers that were not there.
    pub fn differs_from(&self, old: &Self) -> bool {
        let mut known: BTreeMap<&str, &Container> = BTreeMap::new();
        for container in &old.ephemeral_containers {
            known.entry(&container.name).or_insert(container);
        }
        let images = |list: &[Container]| list.iter().map(|container| container.image.clone()).collect::<Vec<_>>();
        images(&self.containers) != images(&old.containers)
            || images(&self.init_containers) != images(&old.init_containers)
            || self
                .ephemeral_containers
                .iter()
                .any(|container| known.get(container.name.as_str()).is_none_or(|known| known.image != container.image))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Os {
    pub name: String,
}

/// Its name, and whatever else it has: its source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Volume {
    /// As containers mount it.
    pub name: String,
    #[serde(flatten)]
    sources: BTreeMap<String, Option<IgnoredAny>>,
}

impl Volume {
    /// Whether it comes from there.
    pub fn is(&self, source: &str) -> bool {
        self.sources.get(source).is_some_and(Option::is_some)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Container {
    pub name: String,
    pub image: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub security_context: SecurityContext,
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    liveness_probe: Option<Handler>,
    readiness_probe: Option<Handler>,
    startup_probe: Option<Handler>,
    #[serde(deserialize_with = "or_default")]
    lifecycle: Lifecycle,
}

impl Container {
    /// Hosts that its probes and hooks are sent to, other than the pod.
    pub fn probed_hosts(&self) -> impl Iterator<Item = &str> {
        let probes = [&self.liveness_probe, &self.readiness_probe, &self.startup_probe];
        let hooks = [&self.lifecycle.post_start, &self.lifecycle.pre_stop];
        let handlers = probes.into_iter().chain(hooks).flatten();
        handlers.flat_map(|handler| [&handler.http_get, &handler.tcp_socket]).flatten().filter_map(|target| {
            let host = target.host.as_deref().unwrap_or_default();
            (!host.is_empty()).then_some(host)
        })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Port {
    pub host_port: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
struct Lifecycle {
    post_start: Option<Handler>,
    pre_stop: Option<Handler>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
struct Handler {
    http_get: Option<Target>,
    tcp_socket: Option<Target>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Target {
    host: Option<String>,
}

/// A pod's and a container's in one: no check needs to know which, but by where it looks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct SecurityContext {
    pub privileged: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    pub run_as_non_root: Option<bool>,
    pub run_as_user: Option<i64>,
    pub proc_mount: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub capabilities: Capabilities,
    pub seccomp_profile: Option<Profile>,
    pub app_armor_profile: Option<Profile>,
    pub se_linux_options: Option<SeLinuxOptions>,
    #[serde(deserialize_with = "or_default")]
    pub windows_options: WindowsOptions,
    #[serde(deserialize_with = "or_default")]
    pub sysctls: Vec<Sysctl>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Capabilities {
    #[serde(deserialize_with = "or_default")]
    pub add: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub drop: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Profile {
    #[serde(deserialize_with = "or_default")]
    pub r#type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct SeLinuxOptions {
    #[serde(deserialize_with = "or_default")]
    pub r#type: String,
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    #[serde(deserialize_with = "or_default")]
    pub role: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct WindowsOptions {
    pub host_process: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Sysctl {
    pub name: String,
}

/// `null` is what is not there.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
