//! The volume with the account's token, the CA and the namespace, and its mount in every container.

use wasmgate_sdk::patch::Patch;
use wasmgate_sdk::random;
use wasmgate_sdk::serde::Serialize;
use wasmgate_sdk::serde_json::value::RawValue;

use crate::pod::PodSpec;

const VOLUME_NAME_PREFIX: &str = "kube-api-access-";
const VOLUME_NAME_SUFFIX_LENGTH: u32 = 5;
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Written as a decimal, as everywhere in JSON.
const DEFAULT_MODE: u32 = 0o644;

/// What is projected. The token's lifetime, an hour and seven seconds, is odd on purpose: it tells the token request that nobody
/// asked for one, and that a longer one with a warning will do.
const SOURCES: &str = r#"[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},
{"configMap":{"items":[{"key":"ca.crt","path":"ca.crt"}],"name":"kube-root-ca.crt"}},
{"downwardAPI":{"items":[{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"},"path":"namespace"}]}}]"#;

/// Mounts it where nothing else is mounted in its place.
pub fn mount(spec: &PodSpec, patch: &mut Patch) {
    let known = spec.volumes().unwrap_or_default().iter().find(|volume| volume.name.starts_with(VOLUME_NAME_PREFIX));
    let name = match known {
        Some(volume) => volume.name.clone(),
        None => format!("{VOLUME_NAME_PREFIX}{}", random::name_suffix(VOLUME_NAME_SUFFIX_LENGTH)),
    };
    let mount = Mount { name: &name, read_only: true, mount_path: MOUNT_PATH };
    let mut needed = false;
    for (field, containers) in [("initContainers", spec.init_containers()), ("containers", spec.containers())] {
        for (at, container) in containers.iter().enumerate() {
            if container.volume_mounts.iter().flatten().any(|mount| mount.mount_path == MOUNT_PATH) {
                continue;
            }
            needed = true;
            append(patch, &format!("/spec/{field}/{at}/volumeMounts"), container.volume_mounts.is_some(), &mount);
        }
    }
    if needed && known.is_none() {
        let sources = RawValue::from_string(SOURCES.to_owned()).expect("the constant is JSON");
        let volume = Volume { name: &name, projected: Projected { default_mode: DEFAULT_MODE, sources } };
        append(patch, "/spec/volumes", spec.volumes().is_some(), &volume);
    }
}

fn append(patch: &mut Patch, list: &str, exists: bool, value: &impl Serialize) {
    if exists {
        patch.add(format!("{list}/-"), value);
    } else {
        patch.add(list, [value]);
    }
}

#[derive(Serialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Mount<'a> {
    name: &'a str,
    read_only: bool,
    mount_path: &'a str,
}

#[derive(Serialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Volume<'a> {
    name: &'a str,
    projected: Projected,
}

#[derive(Serialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Projected {
    default_mode: u32,
    sources: Box<RawValue>,
}
