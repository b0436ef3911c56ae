//! What clients may not set of a CustomResourceDefinition, and what the server sets (upstream: apiextensions-apiserver, `pkg/registry/customresourcedefinition`).

use serde_json::Value;

use crate::Resource;
use crate::shared::value::{flag, list, object_at, set, text};

pub(crate) fn storage_version(definition: &Value) -> Option<String> {
    list(&definition["spec"], "versions").iter().find(|version| flag(version, "storage")).map(|version| text(version, "name").to_owned())
}

/// Versions in which objects may be stored are remembered.
pub(crate) fn prepare(_: &Resource, definition: &mut Value, _: Option<&Value>) {
    let Some(stored) = storage_version(definition) else { return };
    let status = object_at(definition, "status");
    let mut versions = list(status, "storedVersions").to_vec();
    if !versions.iter().any(|version| *version == *stored) {
        versions.push(stored.into());
        set(status, "storedVersions", versions);
    }
}
