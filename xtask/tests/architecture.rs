//! docs/ARCHITECTURE.md's arrows, checked on what the manifests say: which of our crates may know which, and who alone knows an engine.

#![allow(missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What each crate of the host may know of ours, beside what only its tests need.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("apimachinery", &[]),
    ("clock", &[]),
    ("api", &["apimachinery"]),
    ("auth", &["apimachinery"]),
    ("admission", &["apimachinery", "api", "auth"]),
    ("flowcontrol", &["apimachinery"]),
    ("storage", &["apimachinery"]),
    ("storage-embedded", &["apimachinery", "clock", "storage"]),
    ("storage-etcd", &["apimachinery", "storage"]),
    ("objectstore", &["apimachinery", "api", "storage"]),
    ("cacher", &["apimachinery", "api", "storage", "objectstore"]),
    ("registry", &["apimachinery", "clock", "api", "auth", "admission", "storage", "objectstore", "cacher"]),
    ("services", &["apimachinery", "clock", "api", "auth", "admission", "storage", "objectstore", "cacher", "registry"]),
    ("outbound", &[]),
    ("pki", &[]),
    ("plugin-host", &["apimachinery", "auth", "admission", "outbound"]),
    ("controllers", &["apimachinery", "clock", "api", "auth", "admission", "cacher", "registry"]),
    ("server", &["apimachinery", "clock", "api", "auth", "admission", "flowcontrol", "objectstore", "cacher", "registry"]),
    (
        "testing",
        &[
            "apimachinery",
            "clock",
            "api",
            "auth",
            "admission",
            "flowcontrol",
            "storage",
            "objectstore",
            "cacher",
            "registry",
            "services",
            "server",
        ],
    ),
];

/// What only tests know: nothing that ships depends on it.
const ONLY_TESTS_KNOW: &[&str] = &["wasmgate-testing"];

/// Who alone may know an engine. `pki` finds out whether a key is a certificate's, hence rustls; whoever speaks TLS in a test may make certificates.
const ONLY: &[(&str, &[&str])] = &[
    ("wasmtime", &["wasmgate-plugin-host"]),
    ("redb", &["wasmgate-storage-embedded"]),
    ("etcd-client", &["wasmgate-storage-etcd"]),
    ("hyper", &["wasmgate-server", "wasmgate-bench"]),
    ("tokio-rustls", &["wasmgate-server", "wasmgate-outbound", "wasmgate-bench"]),
    ("rustls", &["wasmgate-server", "wasmgate-outbound", "wasmgate-pki", "wasmgate-bench"]),
    ("jsonwebtoken", &["wasmgate-pki", "wasmgate-plugin-host"]),
    ("kube", &["wasmgate-test-clients"]),
    ("clap", &["wasmgate", "wasmgate-bench"]),
];

/// What is pure: no runtime, no sockets, no files.
const PURE: &[&str] = &["wasmgate-apimachinery", "wasmgate-api"];
const EFFECTS: &[&str] = &["tokio", "hyper", "notify", "mio", "socket2"];

struct Crate {
    name: String,
    folder: String,
    dependencies: BTreeSet<String>,
}

fn crates() -> Vec<Crate> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the repository");
    let output = Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root).output();
    let output = output.expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's metadata");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let of = |package: &Value| {
        let manifest = text(&package["manifest_path"]);
        let folder = Path::new(&manifest).parent().and_then(|folder| folder.strip_prefix(root).ok()).expect("in the repository");
        // What only tests need is no arrow: nothing of it ships.
        let dependencies =
            package["dependencies"].as_array().expect("dependencies").iter().filter(|dependency| dependency["kind"] != "dev");
        Crate {
            name: text(&package["name"]),
            folder: folder.to_string_lossy().into_owned(),
            dependencies: dependencies.map(|dependency| text(&dependency["name"])).collect(),
        }
    };
    packages.iter().map(of).collect()
}

#[test]
fn arrows_point_one_way() {
    let crates = crates();
    let ours: BTreeSet<&str> = crates.iter().map(|one| one.name.as_str()).collect();
    let rules: BTreeMap<String, BTreeSet<String>> = MAY_KNOW
        .iter()
        .map(|(name, known)| (format!("wasmgate-{name}"), known.iter().map(|name| format!("wasmgate-{name}")).collect()))
        .collect();
    let mut wrong = Vec::new();
    for one in &crates {
        let known = one.dependencies.iter().filter(|name| ours.contains(name.as_str()));
        let allowed = |name: &str| match one.folder.split('/').collect::<Vec<_>>()[..] {
            // Wiring: it knows everything of the host.
            ["host", "wasmgate"] => rules.contains_key(name) && !ONLY_TESTS_KNOW.contains(&name),
            // It counts by the code by which the plugin charges.
            ["host", "controllers"] if ["plugin-resource-quota", "wasmgate-sdk"].contains(&name) => true,
            ["host", _] => rules.get(&one.name).is_some_and(|rule| rule.contains(name)),
            ["plugins", _] | ["examples", "rust", _] => name == "wasmgate-sdk",
            _ => false,
        };
        wrong.extend(known.filter(|name| !allowed(name)).map(|name| format!("{} must not know {name}", one.name)));
        if one.folder.starts_with("host/")
            && one.folder.matches('/').count() == 1
            && one.name != "wasmgate"
            && !rules.contains_key(&one.name)
        {
            wrong.push(format!("{} has no place in the picture yet", one.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\nSee docs/ARCHITECTURE.md, Crates.");
}

#[test]
fn engines_are_known_to_one_crate() {
    let mut wrong = Vec::new();
    for one in crates() {
        for (engine, alone) in ONLY {
            if one.dependencies.contains(*engine) && !alone.contains(&one.name.as_str()) {
                wrong.push(format!("{} must not know {engine}", one.name));
            }
        }
        if PURE.contains(&one.name.as_str()) {
            let effects = EFFECTS.iter().filter(|effect| one.dependencies.contains(**effect));
            wrong.extend(effects.map(|effect| format!("{} is pure and must not know {effect}", one.name)));
        }
        if (one.folder.starts_with("plugins/") || one.folder.starts_with("sdk/")) && one.dependencies.contains("tokio") {
            wrong.push(format!("{} runs in a sandbox and must not know tokio", one.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\nSee docs/ARCHITECTURE.md, Crates.");
}

/// Which of a rule's names are no crates (any more): a rule that speaks of nothing holds for ever.
#[test]
fn rules_speak_of_what_is_there() {
    let names: BTreeSet<String> = crates().into_iter().map(|one| one.name).collect();
    let of_rules = MAY_KNOW.iter().map(|(name, _)| format!("wasmgate-{name}"));
    let of_engines = ONLY.iter().flat_map(|(_, alone)| alone.iter().map(|name| (*name).to_owned()));
    let missing: Vec<String> = of_rules.chain(of_engines).filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
