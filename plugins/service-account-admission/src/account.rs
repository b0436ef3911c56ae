//! The service account, as far as it says something about pods.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use wasmgate_sdk::cluster;
use wasmgate_sdk::serde::Deserialize;

use crate::pod::Reference;

/// The account of a pod that names none.
pub const DEFAULT_NAME: &str = "default";
const ENFORCE_MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

/// A ServiceAccount.
#[derive(Clone, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct Account {
    metadata: Metadata,
    secrets: Option<Vec<Reference>>,
    image_pull_secrets: Option<Vec<Reference>>,
    pub automount_service_account_token: Option<bool>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    name: String,
    annotations: Option<BTreeMap<String, String>>,
}

impl Account {
    /// The one that was found in the cache, or one in the store: the account may be as new as the pod.
    pub fn found_or_live<'a>(found: Option<&'a Self>, namespace: &str, name: &str) -> Result<Cow<'a, Self>, String> {
        if let Some(account) = found {
            return Ok(Cow::Borrowed(account));
        }
        let failed = |error: String| format!("error looking up service account {namespace}/{name}: {error}");
        let live = cluster::get_live("", "serviceaccounts", namespace, name).map_err(|error| failed(error.message))?;
        let account = live.ok_or_else(|| failed(format!("serviceaccount \"{name}\" not found")))?;
        account.parse().map(Cow::Owned).map_err(failed)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Whether its pods may use only the secrets that it lists.
    pub fn enforces_mountable_secrets(&self) -> bool {
        let value = self.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ENFORCE_MOUNTABLE_SECRETS));
        value.is_some_and(|value| ["1", "t", "T", "TRUE", "true", "True"].contains(&value.as_str()))
    }

    /// The secrets that it lists.
    pub fn mountable_secrets(&self) -> BTreeSet<&str> {
        self.secrets.iter().flatten().map(|secret| secret.name.as_str()).collect()
    }

    /// What its pods pull images with.
    pub fn image_pull_secrets(&self) -> &[Reference] {
        self.image_pull_secrets.as_deref().unwrap_or_default()
    }
}
