//! A pod's `spec`, as far as every pod's is looked at.

use std::collections::BTreeMap;

use wasmgate_sdk::serde::{Deserialize, Deserializer};

/// Where a kubelet marks the mirror of a static pod.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// A pod.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Pod {
    metadata: Metadata,
    #[serde(deserialize_with = "nullable")]
    pub spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    name: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Pod {
    /// Whether it shows a static pod.
    pub fn is_mirror(&self) -> bool {
        self.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR_POD))
    }

    /// Its name; empty where it has none yet.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PodSpec, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Its `spec`: the fields that plugin.yaml asks for.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct PodSpec {
    pub service_account_name: Option<String>,
    pub service_account: Option<String>,
    pub automount_service_account_token: Option<bool>,
    image_pull_secrets: Option<Vec<Reference>>,
    volumes: Option<Vec<Reference>>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
}

/// Something by its name.
#[derive(Clone, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Reference {
    pub name: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct Container {
    pub volume_mounts: Option<Vec<VolumeMount>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct VolumeMount {
    pub mount_path: String,
}

impl PodSpec {
    /// Under its name or its old one; empty where there is none.
    pub fn account_name(&self) -> &str {
        let names = [&self.service_account_name, &self.service_account];
        names.into_iter().flatten().find(|name| !name.is_empty()).map(String::as_str).unwrap_or_default()
    }

    pub fn image_pull_secrets(&self) -> &[Reference] {
        self.image_pull_secrets.as_deref().unwrap_or_default()
    }

    pub fn volumes(&self) -> Option<&[Reference]> {
        self.volumes.as_deref()
    }

    pub fn containers(&self) -> &[Container] {
        self.containers.as_deref().unwrap_or_default()
    }

    pub fn init_containers(&self) -> &[Container] {
        self.init_containers.as_deref().unwrap_or_default()
    }
}
