//! Guests that loop, eat, trap, recurse, or answer garbage, and components that are none. Each ends in a clear error, and
//! the next call of another plugin works.

use auth::{Authentication, Authenticator, Credentials, Decision};
use serde_json::json;

use crate::bench::*;

/// What the guest does, and what the fault says.
const FAULTS: &[(&str, &str)] = &[
    ("loop", "it did not answer within 200 ms"),
    ("eat", "it wanted more than its 16777216 bytes of memory"),
    ("trap", "it trapped: wasm trap: wasm `unreachable` instruction executed"),
    ("recurse", "it overflowed its stack"),
    ("recurse-with-locals", "it trapped: wasm trap: out of bounds memory access"),
];

fn bad(roles: serde_json::Value, script: &str, policy: Option<&str>) -> String {
    let limits = json!({"memoryBytes": 16 << 20, "timeoutMilliseconds": 200});
    let spec = json!({"roles": roles, "credentials": [], "order": 1, "limits": limits, "failurePolicy": policy, "config": {"do": script}});
    manifest("bad", spec)
}

fn good(role: &str, script: &str) -> String {
    manifest("good", json!({"roles": [role], "credentials": [], "order": 2, "config": {"do": script, "version": "good"}}))
}

#[tokio::test]
async fn an_authorizers_fault_denies_or_is_no_opinion_as_the_policy_says() {
    for (script, expected) in FAULTS.iter().chain(&[("conditional", "its answer is malformed: a conditional decision")]) {
        // What is not said is strict.
        for (policy, alone, with_another) in [
            (None, Decision::Deny, Decision::Deny),
            (Some("Deny"), Decision::Deny, Decision::Deny),
            (Some("NoOpinion"), Decision::NoOpinion, Decision::Allow),
        ] {
            let bench = Bench::new().await;
            bench.load(&[bad(json!(["authorizer"]), script, policy)]).await;
            let answer = bench.authorize().await;
            assert_eq!(answer.decision, alone, "{script} {policy:?}");
            let error = answer.evaluation_error.unwrap_or_default();
            assert!(error.starts_with(&format!("plugin bad: {expected}")), "{script}: {error}");
            bench.load(&[bad(json!(["authorizer"]), script, policy), good("authorizer", "allow")]).await;
            assert_eq!(bench.authorize().await.decision, with_another, "{script} {policy:?}");
        }
    }
}

#[tokio::test]
async fn an_authenticators_fault_authenticates_nobody() {
    for (script, expected) in FAULTS.iter().chain(&[("nobody", "its answer is malformed: a user without a name")]) {
        let bench = Bench::new().await;
        bench.load(&[bad(json!(["authenticator"]), script, None)]).await;
        match bench.set.chain().authenticate(&Credentials::default()).await {
            Err(fault) => assert!(fault.to_string().starts_with(&format!("plugin bad: {expected}")), "{script}: {fault}"),
            other => panic!("{script}: {other:?}"),
        }
        // And anonymous is not asked after a fault.
        let anonymous = manifest("good", json!({"roles": ["authenticator"], "fallback": true, "config": {"do": "show"}}));
        bench.load(&[bad(json!(["authenticator"]), script, None), anonymous]).await;
        assert!(bench.set.chain().authenticate(&Credentials::default()).await.is_err(), "{script}");
    }
    let bench = Bench::new().await;
    bench.load(&[bad(json!(["authenticator"]), "reject", None)]).await;
    let answer = bench.set.chain().authenticate(&Credentials::default()).await;
    assert!(matches!(answer, Ok(Authentication::Rejected(ref why)) if why == "as told"), "{answer:?}");
}

#[tokio::test]
async fn an_admission_fault_fails_or_is_ignored_as_the_policy_says() {
    let malformed = [
        ("garbage", "its answer is malformed: its patch is no JSON Patch"),
        ("rename", "its patch changes /metadata/name"),
        ("notes", "its answer is malformed: more than 1024 warnings"),
        ("deny-garbage", "its answer is malformed: its refusal is no Status"),
    ];
    for (script, expected) in FAULTS.iter().chain(&malformed) {
        let bench = Bench::new().await;
        bench.load(&[bad(json!(["mutating-admission"]), script, None), good("mutating-admission", "label")]).await;
        let status = bench.create().await.0.expect_err("a fault");
        assert_eq!(status.code, 500, "{script}");
        let expected = format!("Internal error occurred: failed calling admission plugin \"bad\": {expected}");
        assert!(status.message.starts_with(&expected), "{script}: {}", status.message);
        bench.load(&[bad(json!(["mutating-admission"]), script, Some("Ignore")), good("mutating-admission", "label")]).await;
        let object = bench.create().await.0.unwrap_or_else(|status| panic!("{script}: {status}"));
        assert_eq!(object["metadata"]["labels"]["version"], "good", "{script}");
    }
    for (script, expected) in FAULTS {
        let bench = Bench::new().await;
        bench.load(&[bad(json!(["validating-admission"]), script, None)]).await;
        let status = bench.create().await.0.expect_err("a fault");
        assert!(status.code == 500 && status.message.contains(expected), "{script}: {}", status.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_guest_that_loops_gives_its_worker_back() {
    let bench = std::sync::Arc::new(Bench::new().await);
    bench.load(&[bad(json!(["authorizer"]), "loop", None), good("mutating-admission", "label")]).await;
    let looping = tokio::spawn({
        let bench = bench.clone();
        async move { bench.authorize().await }
    });
    tokio::task::yield_now().await;
    // There is one worker, and the loop has it: these come through because it must give it back.
    for _ in 0..10 {
        bench.create().await.0.expect("admitted");
    }
    assert!(looping.await.expect("no panic").evaluation_error.is_some());
}

#[tokio::test]
async fn a_faulted_instance_never_serves_again() {
    let bench = Bench::new().await;
    // The answer is malformed after the count was raised: a new instance begins at one again.
    bench
        .load(&[manifest(
            "a",
            json!({"roles": ["mutating-admission"], "credentials": [], "failurePolicy": "Ignore", "config": {"do": "garbage"}}),
        )])
        .await;
    bench.create().await.0.expect("ignored");
    bench.load(&[manifest("a", json!({"roles": ["validating-admission"], "credentials": [], "config": {"do": "deny-garbage"}}))]).await;
    for _ in 0..3 {
        bench.create().await.0.expect_err("a fault");
    }
}

#[tokio::test]
async fn a_guest_that_shouts_is_cut_short() {
    let bench = Bench::new().await;
    bench.load(&[bad(json!(["authorizer"]), "shout", None)]).await;
    assert_eq!(bench.authorize().await.evaluation_error, None);
}

#[tokio::test]
async fn a_component_that_does_not_load_says_why() {
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    let mut half = scripted();
    half.truncate(half.len() / 2);
    let engine = wasmgate_plugin_host::PluginEngine::new().expect("an engine");
    let native = engine.precompile(&component("plugins", "always-allow")).expect("compiles");
    let cases: Vec<(&str, Vec<u8>, serde_json::Value, &str)> = vec![
        ("empty", Vec::new(), json!({}), "this is not a WebAssembly component: the file is empty"),
        ("text", b"(component)".to_vec(), json!({}), "this is not a WebAssembly component: it is text"),
        ("core", core_module, json!({}), "this is not a WebAssembly component: it is a core module"),
        ("noise", b"\x7fELF and more".to_vec(), json!({}), "this is not a WebAssembly component: it does not begin as one"),
        ("native", native, json!({}), "this is not a WebAssembly component: it is precompiled code"),
        ("half", half, json!({}), "the component does not compile: "),
        (
            "role",
            component("plugins", "always-allow"),
            json!({"roles": ["validating-admission"], "credentials": []}),
            "it does not export wasmgate:plugin/validating-admission, which the role validating-admission needs",
        ),
        (
            "watches",
            component("plugins", "always-allow"),
            json!({"roles": ["authorizer"], "credentials": [], "watches": [{"resource": "pods"}]}),
            "it does not export wasmgate:plugin/changes, which spec.watches needs",
        ),
        (
            "capability",
            scripted(),
            json!({"capabilities": ["log", "clock", "random", "cluster", "authorizer"]}),
            "it imports wasmgate:plugin/jwt@0.2.0, which needs the capability jwt in the manifest's spec.capabilities",
        ),
        (
            "unknown",
            scripted(),
            json!({"reads": [{"resource": "unicorns"}]}),
            "spec.reads names unicorns, which this server does not serve",
        ),
        ("refuses", scripted(), json!({"config": {"configure": "refuse"}}), "it refuses its configuration: I do not like it"),
        ("traps", scripted(), json!({"config": {"configure": "trap"}}), "its first instance does not start: it trapped"),
        (
            "changes",
            scripted(),
            json!({"watches": [{"resource": "pods"}], "config": {"changes": "trap"}}),
            "its first instance does not start: it trapped",
        ),
    ];
    for (name, bytes, spec, expected) in cases {
        let bench = Bench::new().await;
        bench.load_components(vec![(manifest("bad", spec), bytes.into())]).await;
        assert!(bench.failure().starts_with(expected), "{name}: {}", bench.failure());
    }
}

#[tokio::test]
async fn a_capability_that_the_operator_does_not_allow_is_named() {
    let bench = Bench::with(|loader| {
        loader.allowed.remove(&wasmgate_plugin_host::Capability::Cluster);
    })
    .await;
    bench.load(&[manifest("bad", json!({}))]).await;
    assert_eq!(bench.failure(), "it asks for the capability cluster, which is not allowed here");
}
