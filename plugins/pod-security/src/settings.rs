//! The manifest's `config`: upstream's PodSecurityConfiguration without its apiVersion and kind.

use std::collections::BTreeMap;

use wasmgate_sdk::serde::Deserialize;

use crate::policy::{Level, Policy, Standard};

/// As written.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Document {
    defaults: BTreeMap<String, String>,
    exemptions: Exemptions,
}

/// Who and what is not looked at.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs, reason = "upstream's fields")]
pub struct Exemptions {
    pub usernames: Vec<String>,
    pub namespaces: Vec<String>,
    pub runtime_classes: Vec<String>,
}

/// As used.
#[derive(Default)]
pub struct Settings {
    /// Where a namespace has no labels.
    pub defaults: Policy,
    /// Who and what is not looked at.
    pub exemptions: Exemptions,
}

impl TryFrom<Document> for Settings {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        const KEYS: [&str; 6] = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];
        if let Some(key) = document.defaults.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("config: defaults: unknown field {key:?}"));
        }
        let (mut defaults, errors) = Policy::of(&document.defaults, &Policy::default());
        if let Some(error) = errors.first() {
            return Err(format!("config: defaults: {}", error.message));
        }
        // Here, unlike in labels, what is not said is privileged.
        if !document.defaults.contains_key("warn") {
            let version = document.defaults.get("warn-version").map(|_| defaults.warn.version);
            defaults.warn = Standard { level: Level::Privileged, version: version.unwrap_or_default() };
        }
        Ok(Self { defaults, exemptions: document.exemptions })
    }
}
