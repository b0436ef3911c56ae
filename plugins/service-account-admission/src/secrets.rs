//! What a pod does with secrets: for accounts that allow only those that they list, and for mirror pods, which may use none.

use std::collections::BTreeSet;

use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::Value;

use crate::account::Account;
use crate::pod::Reference;

/// A pod's `spec`, with all places where it may name a secret.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct SecretUses {
    image_pull_secrets: Option<Vec<Reference>>,
    volumes: Option<Vec<Value>>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Container {
    name: String,
    env: Option<Vec<Env>>,
    env_from: Option<Vec<EnvFrom>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Env {
    name: String,
    value_from: Option<ValueFrom>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct ValueFrom {
    secret_key_ref: Option<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct EnvFrom {
    secret_ref: Option<Reference>,
}

impl Container {
    /// Secrets in its environment: the variable's name, or none for all keys at once; and the secret's.
    fn secrets(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let one = self.env.iter().flatten().filter_map(|env| {
            let secret = env.value_from.as_ref()?.secret_key_ref.as_ref()?;
            Some((Some(env.name.as_str()), secret.name.as_str()))
        });
        let all = self.env_from.iter().flatten().filter_map(|from| Some((None, from.secret_ref.as_ref()?.name.as_str())));
        one.chain(all)
    }

    fn check(&self, account: &Account, mountable: &BTreeSet<&str>, what: &str) -> Result<(), String> {
        let Some((variable, secret)) = self.secrets().find(|(_, secret)| !mountable.contains(secret)) else { return Ok(()) };
        let place = variable.map_or_else(|| "envFrom".to_owned(), |name| format!("envVar {name}"));
        Err(refused(&format!("{what} {} with {place} referencing secret.secretName=\"{secret}\"", self.name), account, "secret"))
    }
}

impl SecretUses {
    /// Volumes, environments, and what images are pulled with: all of it listed by the account.
    pub fn check(&self, account: &Account) -> Result<(), String> {
        let mountable = account.mountable_secrets();
        let pulled: BTreeSet<&str> = account.image_pull_secrets().iter().map(|secret| secret.name.as_str()).collect();
        for volume in self.volumes.iter().flatten() {
            let Some(source) = volume.get("secret").filter(|source| !source.is_null()) else { continue };
            let name = source.get("secretName").and_then(Value::as_str).unwrap_or_default();
            if !mountable.contains(name) {
                return Err(refused(&format!("volume with secret.secretName=\"{name}\""), account, "secret"));
            }
        }
        self.init_containers.iter().flatten().try_for_each(|container| container.check(account, &mountable, "init container"))?;
        self.containers.iter().flatten().try_for_each(|container| container.check(account, &mountable, "container"))?;
        for (at, secret) in self.image_pull_secrets.iter().flatten().enumerate() {
            if !pulled.contains(secret.name.as_str()) {
                return Err(refused(&format!("imagePullSecrets[{at}].name=\"{}\"", secret.name), account, "imagePullSecret"));
            }
        }
        Ok(())
    }

    /// The environments of ephemeral containers: all of it listed by the account.
    pub fn check_ephemeral(&self, account: &Account) -> Result<(), String> {
        let mountable = account.mountable_secrets();
        self.ephemeral_containers.iter().flatten().try_for_each(|container| container.check(account, &mountable, "ephemeral container"))
    }

    /// Whether anything in it names a secret.
    pub fn any(&self) -> bool {
        let containers = [&self.containers, &self.init_containers, &self.ephemeral_containers];
        self.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
            || containers.into_iter().flatten().flatten().any(|container| container.secrets().next().is_some())
            || self.volumes.iter().flatten().any(volume_names_secret)
    }

    /// Whether a volume of it asks for a token.
    pub fn projects_tokens(&self) -> bool {
        self.volumes.iter().flatten().flat_map(projections).any(|source| is_set(source, "/serviceAccountToken"))
    }
}

fn refused(what: &str, account: &Account, kind: &str) -> String {
    format!("{what} is not allowed because service account {} does not reference that {kind}", account.name())
}

fn is_set(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).is_some_and(|value| !value.is_null())
}

fn projections(volume: &Value) -> impl Iterator<Item = &Value> {
    volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten()
}

fn volume_names_secret(volume: &Value) -> bool {
    const REFERENCES: [&str; 9] = [
        "/secret",
        "/cephfs/secretRef",
        "/cinder/secretRef",
        "/flexVolume/secretRef",
        "/rbd/secretRef",
        "/scaleIO/secretRef",
        "/iscsi/secretRef",
        "/storageos/secretRef",
        "/csi/nodePublishSecretRef",
    ];
    let azure = volume.pointer("/azureFile/secretName").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    azure || REFERENCES.iter().any(|pointer| is_set(volume, pointer)) || projections(volume).any(|source| is_set(source, "/secret"))
}
