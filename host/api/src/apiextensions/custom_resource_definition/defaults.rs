//! What is filled in of a CustomResourceDefinition (upstream: `pkg/apis/apiextensions/v1/defaults.go`).

use serde_json::{Value, json};

use crate::Resource;
use crate::apiextensions::custom_resource_definition::strategy::storage_version;
use crate::shared::value::{if_nil, if_zero, list, object_at, set, text};

pub(crate) fn default(_: &Resource, definition: &mut Value) {
    let spec = object_at(definition, "spec");
    let names = object_at(spec, "names");
    let kind = text(names, "kind").to_owned();
    if !kind.is_empty() {
        if_zero(names, "singular", kind.to_lowercase());
        if_zero(names, "listKind", format!("{kind}List"));
    }
    if_nil(spec, "conversion", json!({ "strategy": "None" }));
    if let Some(service) = spec.pointer_mut("/conversion/webhook/clientConfig/service") {
        if_nil(service, "port", 443);
    }
    let stored = storage_version(definition);
    let status = object_at(definition, "status");
    if let Some(stored) = stored.filter(|_| list(status, "storedVersions").is_empty()) {
        set(status, "storedVersions", json!([stored]));
    }
}
