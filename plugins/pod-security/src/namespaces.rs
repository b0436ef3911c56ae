//! The labels of all namespaces, kept by the change feed: a pod in one without labels costs a look-up and nothing else.

use std::collections::BTreeMap;

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::cluster;
use wasmgate_sdk::json::Json;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::serde_json::{self, Value};

use crate::policy::{Labels, PREFIX};

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Metadata {
    name: String,
    labels: Option<BTreeMap<String, String>>,
}

/// By name.
#[derive(Default)]
pub struct Namespaces {
    labels: BTreeMap<String, Labels>,
}

impl Namespaces {
    /// Adds or replaces one.
    pub fn put(&mut self, object: &Json) {
        if let Ok(Namespace { metadata }) = object.parse() {
            self.labels.insert(metadata.name, ours(metadata.labels.unwrap_or_default()));
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, name: &str) {
        self.labels.remove(name);
    }

    /// Does with the labels of one; where it is not known, the store is asked. None: there is no such namespace.
    pub fn with<T>(&self, name: &str, f: impl FnOnce(&Labels) -> T) -> Option<T> {
        if let Some(labels) = self.labels.get(name) {
            return Some(f(labels));
        }
        let live = cluster::get_live("", "namespaces", "", name).ok().flatten()?;
        let namespace: Namespace = live.parse().ok()?;
        Some(f(&ours(namespace.metadata.labels.unwrap_or_default())))
    }
}

/// Of a namespace that is written.
pub fn labels_of(namespace: &Object) -> Labels {
    let labels = namespace.get("/metadata/labels").unwrap_or(Value::Null);
    ours(serde_json::from_value::<Option<BTreeMap<String, String>>>(labels).ok().flatten().unwrap_or_default())
}

fn ours(labels: BTreeMap<String, String>) -> Labels {
    labels.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.to_owned(), value))).collect()
}
