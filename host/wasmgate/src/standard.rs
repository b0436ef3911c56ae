//! The standard plugins: which of the embedded ones run, in which order, with which configuration, as the flags say.

use std::borrow::Cow;
use std::collections::HashMap;

use plugin_host::{Manifest, PageAligned, Standard};
use serde_json::{Value, json};

use crate::config::Config;

/// A plugin that is built into the binary.
struct Embedded {
    /// The manifest's text.
    manifest: &'static str,
    /// The component, compiled.
    code: &'static [u8],
    /// sha256 of the component, in hex.
    digest: &'static str,
}

/// All of them.
static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/standard_plugins.rs"));

/// Upstream's authenticators come in this order, and the anonymous one where no other knows the client.
const AUTHENTICATORS: [&str; 4] = ["x509", "static-token", "service-account", "anonymous"];
/// Always first, whatever the flags say: upstream's privileged group.
const SYSTEM_MASTERS: &str = "SystemMasters";
/// The distance between the `order` of two plugins of one role, so that a plugin of the operator's can go between them.
const ORDER_STEP: i32 = 10;

/// The standard plugins that the flags choose.
pub struct Selection {
    /// For the plugin host.
    pub plugins: Vec<Standard>,
    /// Names of plugins that the flags ask for, or that upstream runs by default, and that are not implemented yet.
    pub missing: Vec<&'static str>,
}

/// The names of all of them, whether they run or not.
pub fn names() -> Vec<String> {
    EMBEDDED.iter().filter_map(|plugin| Some(Manifest::parse(plugin.manifest).ok()?.name)).collect()
}

/// Chooses by the flags.
pub fn select(config: &Config) -> Selection {
    let named = |plugin: &'static Embedded| Some((Manifest::parse(plugin.manifest).ok()?.name, plugin));
    let embedded: HashMap<String, _> = EMBEDDED.iter().filter_map(named).collect();
    let mut selection = Selection { plugins: Vec::new(), missing: Vec::new() };
    let authenticators = AUTHENTICATORS.into_iter().filter(|name| is_wanted(name, config));
    let authorizers = std::iter::once(SYSTEM_MASTERS).chain(config.authorization_modes.iter().map(|mode| mode.name()));
    let admission = config.admission_plugins.iter().copied();
    for names in [authenticators.collect::<Vec<_>>(), authorizers.collect(), admission.collect()] {
        for (place, name) in names.into_iter().enumerate() {
            let order = ORDER_STEP * (1 + i32::try_from(place).unwrap_or(i32::MAX / ORDER_STEP - 1));
            match embedded.get(name) {
                Some(plugin) => selection.plugins.push(Standard {
                    manifest: Cow::Borrowed(plugin.manifest),
                    code: Cow::Borrowed(plugin.code),
                    digest: Cow::Borrowed(plugin.digest),
                    order: Some(order),
                    config: configuration(name, config),
                }),
                None => selection.missing.push(name),
            }
        }
    }
    selection
}

fn is_wanted(authenticator: &str, config: &Config) -> bool {
    match authenticator {
        "static-token" => !config.authentication.static_tokens.is_empty(),
        "anonymous" => config.authentication.anonymous,
        _ => true,
    }
}

/// What the server's flags add to a plugin's manifest.
fn configuration(name: &str, config: &Config) -> Option<Value> {
    let service_accounts = &config.authentication.service_accounts;
    match name {
        "static-token" => Some(json!({ "tokens": config.authentication.static_tokens })),
        "service-account" => Some(json!({ "lookup": service_accounts.lookup })),
        _ => None,
    }
}
