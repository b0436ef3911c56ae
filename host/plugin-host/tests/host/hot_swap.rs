//! Plugins are replaced while requests run: none fails, and none is decided by half a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::json;
use wasmgate_plugin_host::PluginStatus;

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
