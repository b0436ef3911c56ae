//! Plugins are replaced while requests run: none fails, and none is decided by half a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use admission::{ChainSource, Objects};
use serde_json::json;
use wasmgate_plugin_host::{Candidate, PluginStatus};

use crate::bench::*;

fn version(version: u32) -> String {
    let config = json!({"do": "label", "version": version.to_string()});
    manifest("a", json!({"roles": ["mutating-admission", "validating-admission"], "credentials": [], "config": config}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_swap_under_load_fails_no_request_and_splits_none() {
    let bench = Arc::new(Bench::new().await);
    bench.load(&[version(0)]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (bench, stop, requests) = (bench.clone(), stop.clone(), requests.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // The validator of a version refuses what another version's mutator labelled.
                    if let Err(status) = bench.create().await.0 {
                        return Err(status.message);
                    }
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    for number in 1..=10 {
        bench.load(&[version(number)]).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.await.expect("no panic"), Ok(()));
    }
    assert!(requests.load(Ordering::Relaxed) > 10, "the clients did work meanwhile");
    assert_eq!(bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"], "10");
}

#[tokio::test]
async fn a_request_keeps_the_chain_that_it_began_with() {
    let bench = Bench::new().await;
    bench.load(&[version(1)]).await;
    let request = create(bench.set.in_force());
    let (mut object, no_object) = (json!({"metadata": {"name": "web", "namespace": "default"}}), None);
    request.context.chain.mutate(&request, &Untyped::PODS, Some(&mut object), no_object).await.expect("admitted");
    bench.load(&[version(2)]).await;
    // The validator of version 2 refuses what version 1 labelled: this request does not meet it, the next does.
    let objects = Objects { object: Some(&object), old: None };
    request.context.chain.validate(&request, &Untyped::PODS, objects).await.expect("admitted by the chain that labelled it");
    let next = create(bench.set.in_force());
    next.context.chain.validate(&next, &Untyped::PODS, objects).await.expect_err("refused by the chain in force");
    // Nor is what was begun taken away from it.
    bench.load(&[]).await;
    request.context.chain.validate(&request, &Untyped::PODS, objects).await.expect("admitted by the chain that labelled it");
}

#[tokio::test]
async fn a_broken_candidate_leaves_the_last_good_one_in_force() {
    let bench = Bench::new().await;
    bench.load(&[version(1)]).await;
    let digest = bench.set.states()[0].digest.clone();
    bench.load_components(vec![(version(2), b"half a fi"[..].into())]).await;
    let states = bench.set.states();
    assert!(matches!(&states[0].status, PluginStatus::Failed { still_serving: true, .. }), "{states:?}");
    assert_eq!((states[0].name.as_str(), &states[0].digest), ("a", &digest));
    assert_eq!(bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"], "1");
    // A manifest that cannot be read is the same.
    bench.load_components(vec![("spec: [".to_owned(), scripted().into())]).await;
    assert!(matches!(&bench.set.states()[0].status, PluginStatus::Failed { still_serving: true, .. }));
    bench.load(&[version(3)]).await;
    assert_eq!(bench.set.states()[0].status, PluginStatus::Ready);
    assert_eq!(bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"], "3");
    bench.load(&[]).await;
    assert!(bench.set.states().is_empty());
    assert_eq!(bench.create().await.0.expect("admitted")["metadata"].get("labels"), None);
}

/// What reads the resource `gated` loads for as long as the test wants.
fn gated(change: &str) -> Candidate {
    let spec =
        json!({"roles": ["validating-admission"], "credentials": [], "reads": [{"resource": "gated"}], "config": {"version": change}});
    candidate("gated.yaml", manifest("gated", spec), scripted().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_does_not_wait_for_what_another_plugin_takes_to_load() {
    let bench = Bench::new().await;
    let a = |number| candidate("a.yaml", version(number), scripted().into());
    let label = async || bench.create().await.0.expect("admitted")["metadata"].get("labels").cloned();
    bench.set.replace_directory(vec![a(1)]).await;
    assert_eq!(label().await, Some(json!({"version": "1"})));

    // Gone at once, however long the other one takes.
    let loading = bench.set.replace_directory(vec![gated("1")]);
    assert_eq!(label().await, None);
    let states = bench.set.states();
    assert_eq!((states.len(), &states[0].status), (1, &PluginStatus::Loading { still_serving: false }));

    // And there again.
    bench.set.replace_directory(vec![a(2), gated("1")]).await;
    assert_eq!(label().await, Some(json!({"version": "2"})));
    assert_eq!(bench.set.states()[1].status, PluginStatus::Loading { still_serving: false });

    // What took so long is not wanted any more when it is done.
    let spec = json!({"roles": ["validating-admission"], "credentials": [], "config": {"do": "deny"}});
    bench.set.replace_directory(vec![a(2), candidate("gated.yaml", manifest("gated", spec), scripted().into())]).await;
    assert_eq!(bench.create().await.0.expect_err("refused").code, 403);
    bench.cluster.open_gate();
    loading.await;
    assert_eq!(bench.create().await.0.expect_err("refused").code, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_gets_another_file_name_leaves_no_time_without_its_plugin() {
    let bench = Bench::new().await;
    let file = |file: &str, reads: serde_json::Value| {
        let spec = json!({"roles": ["validating-admission"], "credentials": [], "reads": reads, "config": {"do": "deny"}});
        candidate(file, manifest("policy", spec), scripted().into())
    };
    let gated = json!([{"resource": "gated"}]);
    let code = async || bench.create().await.0.expect_err("refused").code;
    bench.set.replace_directory(vec![file("b.yaml", json!([]))]).await;
    assert_eq!(code().await, 403);
    // Nothing but the file's name differs: there is nothing to load.
    drop(bench.set.replace_directory(vec![file("c.yaml", json!([]))]));
    assert_eq!((code().await, bench.set.states()[0].status.as_str()), (403, "ready"));
    // Another version, which takes long to load, and once more another name meanwhile.
    drop(bench.set.replace_directory(vec![file("d.yaml", gated.clone())]));
    assert_eq!((code().await, &bench.set.states()[0].status), (403, &PluginStatus::Loading { still_serving: true }));
    let loading = bench.set.replace_directory(vec![file("a.yaml", gated)]);
    assert_eq!((code().await, &bench.set.states()[0].status), (403, &PluginStatus::Loading { still_serving: true }));
    bench.cluster.open_gate();
    loading.await;
    assert_eq!((code().await, bench.set.states()[0].status.as_str(), bench.set.states().len()), (403, "ready", 1));
    bench.set.replace_directory(Vec::new()).await;
    assert!(bench.create().await.0.is_ok());
}

#[tokio::test]
async fn a_name_belongs_to_whoever_has_it_first() {
    let bench = Bench::new().await;
    let file = |file: &str, name: &str, label: &str| {
        let config = json!({"do": "label", "version": label});
        let spec = json!({"roles": ["mutating-admission"], "credentials": [], "config": config});
        candidate(file, manifest(name, spec), scripted().into())
    };
    let label = async || bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"].clone();
    bench.set.replace_directory(vec![file("b.yaml", "policy", "b")]).await;
    // A file that comes first in the directory, and was not there first.
    bench.set.replace_directory(vec![file("a.yaml", "Policy", "a"), file("b.yaml", "policy", "b")]).await;
    let states = bench.set.states();
    let reason = "the name Policy belongs to b.yaml".to_owned();
    assert_eq!(states[0].status, PluginStatus::Failed { reason, still_serving: false }, "{states:?}");
    assert_eq!(states[1].status, PluginStatus::Ready);
    assert_eq!(label().await, "b");
    // A version that does not load keeps the name that it serves under.
    bench.set.replace_directory(vec![file("a.yaml", "Policy", "a"), candidate("b.yaml", "spec: [".into(), scripted().into())]).await;
    assert_eq!((label().await, bench.set.states()[0].status.as_str()), ("b".into(), "failed"));
    // Free again.
    bench.set.replace_directory(vec![file("a.yaml", "Policy", "a")]).await;
    assert_eq!((label().await, bench.set.states()[0].status.as_str()), ("a".into(), "ready"));
}

#[tokio::test]
async fn two_files_cannot_have_one_name() {
    let bench = Bench::new().await;
    bench.load(&[version(1), version(2)]).await;
    let states = bench.set.states();
    assert_eq!(states[0].status, PluginStatus::Ready);
    assert!(
        matches!(&states[1].status, PluginStatus::Failed { reason, still_serving: false } if reason == "the name a belongs to 0.yaml"),
        "{states:?}"
    );
}
