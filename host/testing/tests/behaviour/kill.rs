//! The server ends between any two commits. The next one, over the same store, has all that was acknowledged, nothing is half done, and
//! a client that does it all again gets where it wanted to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use storage::{Range, Storage};
use wasmgate_testing::{Fault, ManualClock, MemoryStorage, Setup, TestServer};

use crate::{map, pod};

/// One request of a client, and what it is answered where it has been done before.
struct Step {
    method: &'static str,
    path: &'static str,
    body: Value,
    /// The code where an earlier try had happened unheard.
    done_before: u16,
}

fn step(method: &'static str, path: &'static str, body: Value, done_before: u16) -> Step {
    Step { method, path, body, done_before }
}

fn service(name: &str, address: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "type": "NodePort", "clusterIP": address, "ports": [{ "port": 80, "nodePort": port }] },
    })
}

/// Objects that are made in one commit, and that go in two; that take addresses and ports and give them back; that finalizers hold. A
/// Service that is created again is told of its own address before it is told of its name: upstream allocates first.
fn steps() -> Vec<Step> {
    let mut held = map("held");
    held["metadata"]["finalizers"] = json!(["e.com/f"]);
    let other_port = json!({ "spec": { "ports": [{ "port": 80, "nodePort": 30008 }] } });
    vec![
        step("POST", "/api/v1/namespaces/n/configmaps", map("kept"), 409),
        step("PATCH", "/api/v1/namespaces/n/configmaps/kept", json!({ "data": { "k": "v" } }), 200),
        step("POST", "/api/v1/namespaces/n/configmaps", held, 409),
        step("DELETE", "/api/v1/namespaces/n/configmaps/held", Value::Null, 200),
        step("PATCH", "/api/v1/namespaces/n/configmaps/held", json!({ "metadata": { "finalizers": null } }), 404),
        step("POST", "/api/v1/namespaces/n/pods", pod("p"), 409),
        step("DELETE", "/api/v1/namespaces/n/pods/p?gracePeriodSeconds=0", Value::Null, 404),
        step("POST", "/api/v1/namespaces/n/services", service("s", "10.0.0.9", 30007), 422),
        step("PATCH", "/api/v1/namespaces/n/services/s", other_port, 200),
        step("DELETE", "/api/v1/namespaces/n/services/s", Value::Null, 404),
        step("POST", "/api/v1/namespaces/n/services", service("t", "10.0.0.9", 30007), 422),
    ]
}

/// What is in the store: each key with what does not differ from run to run.
async fn contents(store: &dyn Storage) -> BTreeMap<String, Value> {
    let found = store.range(Range::prefix("/registry/")).await.unwrap();
    let of = |kv: storage::KeyValue| {
        let mut object: Value = serde_json::from_slice(&kv.value).unwrap_or_else(|_| Value::String(format!("{:?}", kv.value)));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("uid");
        }
        (kv.key.to_string(), object)
    };
    found.items.into_iter().map(of).collect()
}

async fn start(store: &MemoryStorage, clock: &ManualClock) -> TestServer {
    TestServer::start(Setup::over(Arc::new(store.clone()), clock.clone())).await
}

/// Does a step until it is answered, over as many servers as that takes.
async fn perform(server: &mut TestServer, store: &MemoryStorage, clock: &ManualClock, step: &Step, case: &str) {
    let first = server.call(step.method, step.path, step.body.clone()).await;
    if !server.storage.is_killed() {
        first.ok();
        return;
    }
    *server = start(store, clock).await;
    let again = server.call(step.method, step.path, step.body.clone()).await;
    let is_answered = (200..300).contains(&again.code) || again.code == step.done_before;
    assert!(is_answered, "{case}: {} {}: {} {}", step.method, step.path, again.code, again.json());
}

/// All steps, with the server's end at one commit. The store's contents in the end, and how many commits the first server made.
async fn run(fault: Option<(usize, Fault)>) -> (BTreeMap<String, Value>, u64) {
    let case = format!("{fault:?}");
    let clock = ManualClock::default();
    let store = MemoryStorage::new(clock.handle());
    let mut server = start(&store, &clock).await;
    let plan = fault.map(|(at, fault)| (0..=at).map(move |commit| if commit == at { fault } else { Fault::None }));
    server.storage.plan(plan.into_iter().flatten());
    for step in steps() {
        perform(&mut server, &store, &clock, &step, &case).await;
    }
    check_services(&server, &case).await;
    (contents(&store).await, server.storage.commits())
}

/// Addresses and ports are held by the Services that are there, and by nobody else.
async fn check_services(server: &TestServer, case: &str) {
    let addresses = server.get("/apis/networking.k8s.io/v1/ipaddresses").await.ok();
    let held: Vec<_> = addresses["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(held, ["10.0.0.9"], "{case}");
    for (name, address, port, want) in [("x", "10.0.0.9", 30050, 422), ("x", "10.0.0.50", 30007, 422), ("x", "10.0.0.50", 30008, 201)] {
        let answer = server.call("POST", "/api/v1/namespaces/check/services?dryRun=All", service(name, address, port)).await;
        assert_eq!(answer.code, want, "{case}: {address} {port}: {}", answer.json());
    }
}

#[tokio::test]
async fn between_any_two_commits_nothing_is_lost_and_nothing_is_half_done() {
    let (undisturbed, commits) = run(None).await;
    assert!(commits >= 12, "{commits}: a pod's deletion is two");
    for at in 0..commits as usize {
        for fault in [Fault::KilledBefore, Fault::KilledAfter] {
            let (contents, _) = run(Some((at, fault))).await;
            assert_eq!(contents, undisturbed, "{fault:?} at commit {at}");
        }
    }
}

/// Nothing that was answered is lost, and nothing that was refused for the server's end appears later.
#[tokio::test]
async fn what_was_acknowledged_is_there_and_a_dead_server_answers_nothing() {
    let clock = ManualClock::default();
    let store = MemoryStorage::new(clock.handle());
    let server = start(&store, &clock).await;
    let maps = "/api/v1/namespaces/n/configmaps";
    server.storage.plan([Fault::None, Fault::None, Fault::KilledAfter]);
    let codes = [
        server.call("POST", maps, map("a")).await.code,
        server.call("POST", maps, map("b")).await.code,
        server.call("POST", maps, map("c")).await.code,
        server.call("POST", maps, map("d")).await.code,
    ];
    assert_eq!(codes, [201, 201, 503, 503]);
    let next = start(&store, &clock).await;
    let all = next.get(maps).await.ok();
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}
