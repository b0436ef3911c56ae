//! `--plugin-dir`, with real files.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use wasmgate_plugin_host::*;

use crate::bench::*;

fn version(version: &str) -> String {
    manifest("a", json!({"roles": ["mutating-admission"], "credentials": [], "config": {"do": "label", "version": version}}))
}

/// Waits until the states are as `expected` says; with a bound, for a test that fails.
async fn until(set: &PluginSet, expected: impl Fn(&[PluginState]) -> bool) {
    for _ in 0..600 {
        if expected(&set.states()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the states stay {:?}", set.states());
}

fn ready(states: &[PluginState]) -> bool {
    states.len() == 1 && states[0].status == PluginStatus::Ready
}

fn still_serving(states: &[PluginState]) -> bool {
    states.len() == 1 && matches!(states[0].status, PluginStatus::Failed { still_serving: true, .. })
}

async fn label(bench: &Bench) -> serde_json::Value {
    bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"].clone()
}

fn write(directory: &Path, file: &str, bytes: &[u8]) {
    std::fs::write(directory.join(file), bytes).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_added_replaced_broken_repaired_and_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let bench = Bench::new().await;
    write(directory.path(), "scripted.wasm", &scripted());
    write(directory.path(), "a.yaml", version("1").as_bytes());
    write(directory.path(), "README.md", b"not a plugin");
    write(directory.path(), ".hidden.yaml", b"not a plugin either");
    let _watched = PluginDirectory::open(bench.set.clone(), directory.path().to_owned()).await.expect("opens");
    // What is there at the start is in force at the start.
    assert!(ready(&bench.set.states()), "{:?}", bench.set.states());
    assert_eq!(label(&bench).await, "1");

    write(directory.path(), "a.yaml", version("2").as_bytes());
    for _ in 0..600 {
        if label(&bench).await == "2" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(label(&bench).await, "2");

    write(directory.path(), "scripted.wasm", &scripted()[..1000]);
    until(&bench.set, still_serving).await;
    assert_eq!(label(&bench).await, "2");

    write(directory.path(), "scripted.wasm", &scripted());
    until(&bench.set, ready).await;

    std::fs::remove_file(directory.path().join("scripted.wasm")).expect("removed");
    until(&bench.set, still_serving).await;
    assert_eq!(label(&bench).await, "2");

    std::fs::remove_file(directory.path().join("a.yaml")).expect("removed");
    until(&bench.set, <[PluginState]>::is_empty).await;
    assert!(label(&bench).await.is_null());
}

#[tokio::test]
async fn a_directory_cannot_take_the_name_of_a_standard_plugin() {
    let cluster = std::sync::Arc::default();
    let loader = loader(&cluster);
    let code = loader.engine.precompile(&component("plugins", "always-allow")).expect("compiles");
    let text = manifest("AlwaysAllow", json!({"roles": ["authorizer"], "credentials": [], "capabilities": []}));
    let standard = Standard { manifest: text.clone().into(), code: code.into(), digest: "".into(), order: None, config: None };
    let set = PluginSet::new(loader, vec![standard]).await.expect("a set");
    let bench = Bench { set, cluster };
    // Nor does case tell names apart, nor is the name of one that does not run free.
    for name in ["AlwaysAllow", "alwaysallow", "LimitRanger", "limitranger"] {
        bench.load(&[manifest(name, json!({"roles": ["authorizer"], "credentials": []}))]).await;
        let states = bench.set.states();
        assert_eq!((states[0].origin, &states[0].status), (Origin::Embedded, &PluginStatus::Ready));
        let reason = format!("the name {name} belongs to a standard plugin");
        assert_eq!(states[1].status, PluginStatus::Failed { reason, still_serving: false });
    }
}

#[tokio::test]
async fn a_pipe_in_place_of_a_file_holds_nothing_up() {
    for pipe in ["scripted.wasm", "a.yaml"] {
        let directory = tempfile::tempdir().expect("a directory");
        let bench = Bench::new().await;
        write(directory.path(), "scripted.wasm", &scripted());
        write(directory.path(), "a.yaml", version("1").as_bytes());
        std::fs::remove_file(directory.path().join(pipe)).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(directory.path().join(pipe)).status().expect("mkfifo runs");
        assert!(made.success());
        let _watched = PluginDirectory::open(bench.set.clone(), directory.path().to_owned()).await.expect("opens");
        let states = bench.set.states();
        let told = states.iter().any(|state| {
            matches!(&state.status, PluginStatus::Failed { reason, still_serving: false } if reason.ends_with("it is no regular file"))
        });
        assert!(told, "{pipe}: {states:?}");
    }
}

#[tokio::test]
async fn what_is_named_like_a_manifest_and_is_no_file_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    let bench = Bench::new().await;
    std::fs::create_dir(directory.path().join("a.yaml")).expect("made");
    std::fs::create_dir(directory.path().join("..data")).expect("made");
    std::os::unix::fs::symlink("/dev/zero", directory.path().join("b.json")).expect("linked");
    let _watched = PluginDirectory::open(bench.set.clone(), directory.path().to_owned()).await.expect("opens");
    let states = bench.set.states();
    let reasons: Vec<_> = states.iter().map(|state| format!("{:?}", state.status)).collect();
    assert!(reasons.len() == 2 && reasons.iter().all(|reason| reason.contains("it is no regular file")), "{reasons:?}");
}

#[tokio::test]
async fn compiled_code_is_kept_by_digest_and_found_again() {
    let cache = tempfile::tempdir().expect("a directory");
    let path = cache.path().join("cache");
    let open = || Some(CodeCache::open(path.clone(), &cache.path().join("key")).expect("a cache"));
    for _ in 0..2 {
        let bench = Bench::with(|loader| loader.cache = open()).await;
        bench.load(&[version("1")]).await;
        assert_eq!(label(&bench).await, "1");
        assert_eq!(std::fs::read_dir(&path).expect("a cache").count(), 1);
    }
    // What does not load is made again.
    for entry in std::fs::read_dir(&path).expect("a cache") {
        std::fs::write(entry.expect("an entry").path(), b"noise").expect("written");
    }
    let bench = Bench::with(|loader| loader.cache = open()).await;
    bench.load(&[version("1")]).await;
    assert_eq!(label(&bench).await, "1");
}
