//! The PriorityClasses of the cluster, kept by the change feed.

use std::collections::BTreeMap;

use wasmgate_sdk::json::Json;
use wasmgate_sdk::serde::Deserialize;

/// What a pod gets where no class says anything.
pub const PREEMPT_LOWER_PRIORITY: &str = "PreemptLowerPriority";

/// What of a class counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
pub struct PriorityClass {
    /// Higher ones go first.
    #[serde(default)]
    pub value: i64,
    /// For pods that name no class.
    #[serde(default)]
    pub global_default: bool,
    /// Whether pods of this class displace others.
    #[serde(default = "preempt_lower_priority")]
    pub preemption_policy: String,
}

fn preempt_lower_priority() -> String {
    PREEMPT_LOWER_PRIORITY.to_owned()
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Named {
    metadata: Metadata,
    #[serde(flatten)]
    class: PriorityClass,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Metadata {
    name: String,
}

/// By name.
#[derive(Default)]
pub struct Classes {
    by_name: BTreeMap<String, PriorityClass>,
}

impl Classes {
    /// Adds or replaces one. What is no class is left out.
    pub fn put(&mut self, object: &Json) {
        if let Ok(Named { metadata, class }) = object.parse() {
            self.by_name.insert(metadata.name, class);
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// The class of this name.
    pub fn get(&self, name: &str) -> Option<&PriorityClass> {
        self.by_name.get(name)
    }

    /// The default one. There may be several, made at the same moment: then the one with the lowest value.
    pub fn global_default(&self) -> Option<(&str, &PriorityClass)> {
        let defaults = self.by_name.iter().filter(|(_, class)| class.global_default);
        defaults.min_by_key(|(_, class)| class.value).map(|(name, class)| (name.as_str(), class))
    }
}
