//! The LimitRanges of all namespaces.

use std::collections::{BTreeMap, HashMap};

use wasmgate_sdk::json::Json;
use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

/// Amounts by resource name.
pub type ResourceList = BTreeMap<String, Quantity>;

/// A LimitRange, as far as it limits.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct LimitRange {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Metadata {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Spec {
    limits: Option<Vec<Limit>>,
}

/// One of its limits.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
pub struct Limit {
    /// `Container`, `Pod`, `PersistentVolumeClaim`.
    pub r#type: String,
    pub min: ResourceList,
    pub max: ResourceList,
    pub default: ResourceList,
    pub default_request: ResourceList,
    pub max_limit_request_ratio: ResourceList,
}

impl LimitRange {
    /// Its limits, in order.
    pub fn limits(&self) -> &[Limit] {
        self.spec.limits.as_deref().unwrap_or_default()
    }
}

/// By namespace, and there by name.
#[derive(Default)]
pub struct Ranges(HashMap<String, Vec<LimitRange>>);

impl Ranges {
    /// Those of a namespace.
    pub fn of(&self, namespace: &str) -> &[LimitRange] {
        self.0.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }

    /// A new one, or another version of one.
    pub fn put(&mut self, object: &Json) {
        // The server validates them; one that is malformed all the same limits nothing.
        let range: LimitRange = object.parse().unwrap_or_default();
        let ranges = self.0.entry(range.metadata.namespace.clone()).or_default();
        match ranges.binary_search_by(|other| other.metadata.name.cmp(&range.metadata.name)) {
            Ok(at) => ranges[at] = range,
            Err(at) => ranges.insert(at, range),
        }
    }

    /// One is gone.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(ranges) = self.0.get_mut(namespace) {
            ranges.retain(|range| range.metadata.name != name);
            if ranges.is_empty() {
                self.0.remove(namespace);
            }
        }
    }
}
