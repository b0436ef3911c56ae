//! Two versions of the interface, side by side.

use std::sync::Arc;

use admission::ChainSource;
use auth::{Authentication, Authenticator, Credentials, Decision, UserInfo};
use serde_json::{Value, json};
use wasmgate_plugin_host::PluginStatus;

use crate::bench::*;

fn guests() -> [(&'static str, Arc<[u8]>); 2] {
    [("0.1", scripted_0_1().into()), ("0.2", scripted().into())]
}

fn only(role: &str, change: Value) -> String {
    let mut spec = json!({"roles": [role], "credentials": []});
    for (key, value) in change.as_object().expect("a change") {
        spec[key] = value.clone();
    }
    manifest("a", spec)
}

#[tokio::test]
async fn what_was_built_for_either_version_answers_alike() {
    for (version, guest) in guests() {
        let load = async |text: String| {
            let bench = Bench::new().await;
            bench.load_components(vec![(text, guest.clone())]).await;
            assert_eq!(bench.set.states()[0].status, PluginStatus::Ready, "{version}");
            bench
        };
        for (script, decision, reason) in
            [("allow", Decision::Allow, "as told"), ("deny", Decision::Deny, "as told"), ("clock", Decision::NoOpinion, "1234")]
        {
            let answer = load(only("authorizer", json!({"config": {"do": script}}))).await.authorize().await;
            assert_eq!((answer.decision, answer.reason.as_str()), (decision, reason), "{version} {script}");
        }
        for script in ["trap", "conditional", "loop"] {
            let limits = json!({"timeoutMilliseconds": 50});
            let answer = load(only("authorizer", json!({"config": {"do": script}, "limits": limits}))).await.authorize().await;
            assert_eq!(answer.decision, Decision::Deny, "{version} {script}");
        }
        // What is an error in 0.2 is a trap in 0.1; neither allows by itself.
        for (script, words) in [("ask", "the authorizers may be asked while a request is admitted"), ("random", "1000000 random bytes")] {
            let answer = load(only("authorizer", json!({"config": {"do": script}}))).await.authorize().await;
            let said = format!("{} {}", answer.reason, answer.evaluation_error.unwrap_or_default());
            assert!(said.contains(words) || (version, script) == ("0.2", "random"), "{version} {script}: {said}");
            assert_eq!(answer.decision == Decision::Allow, (version, script) == ("0.2", "ask"), "{version} {script}");
        }
        let bench = load(only("authenticator", json!({"credentials": ["bearer-token"], "config": {"do": "show"}}))).await;
        let credentials = Credentials { bearer_token: Some("t".into()), ..Credentials::default() };
        let user = UserInfo { name: r#"token=Some("t") certificate=None"#.into(), ..UserInfo::default() };
        match bench.set.chain().authenticate(&credentials).await {
            Ok(Authentication::User(found)) => assert_eq!(found.name, user.name, "{version}"),
            other => panic!("{version}: {other:?}"),
        }
        let label = json!({"config": {"do": "label", "version": "7"}, "roles": ["mutating-admission", "validating-admission"]});
        let (object, recorder) = load(only("", label)).await.create().await;
        assert_eq!(object.expect("admitted")["metadata"]["labels"]["version"], "7", "{version}");
        assert_eq!(recorder.warnings.texts(), ["7 calls=1", "7 calls=2"], "{version}");
        assert_eq!(recorder.annotations.list(), [("a/version".to_owned(), "7".to_owned())], "{version}");
        for (script, code) in [("deny", 403), ("deny-status", 429), ("deny-garbage", 500), ("garbage", 500), ("notes", 500)] {
            let bench = load(only("mutating-admission", json!({"config": {"do": script}}))).await;
            assert_eq!(bench.create().await.0.expect_err(script).code, code, "{version} {script}");
        }
        let bench = load(only("authorizer", json!({"watches": [{"resource": "pods"}], "config": {"do": "known"}}))).await;
        for (add, want) in [("one", "pods/default/one"), ("two", "pods/default/one pods/default/two")] {
            bench.cluster.add(add);
            assert_eq!(bench.authorize().await.reason, want, "{version}");
        }
        bench.cluster.remove("one");
        bench.cluster.compact();
        bench.cluster.add("three");
        assert_eq!(bench.authorize().await.reason, "pods/default/two pods/default/three", "{version}");
    }
}

#[tokio::test]
async fn both_are_in_one_chain_and_one_takes_the_others_place() {
    let bench = Bench::new().await;
    let labels = |name: &str, version: &str| {
        let script = if version == "0.1" { "nothing" } else { "label" };
        manifest(name, json!({"roles": ["mutating-admission"], "credentials": [], "config": {"do": script, "version": version}}))
    };
    bench.load_components(vec![(labels("a", "0.1"), scripted_0_1().into()), (labels("b", "0.2"), scripted().into())]).await;
    let (object, recorder) = bench.create().await;
    assert_eq!(object.expect("admitted")["metadata"]["labels"]["version"], "0.2");
    assert_eq!(recorder.warnings.texts(), ["0.1 calls=1", "0.2 calls=1"]);
    // A request that began with the old one is ended by it.
    let request = create(bench.set.in_force());
    bench.load_components(vec![(labels("a", "new"), scripted().into())]).await;
    for (chain, want) in [(request.context.chain.clone(), "0.2"), (bench.set.in_force(), "new")] {
        let mut object = json!({"metadata": {"name": "web", "namespace": "default"}});
        chain.mutate(&request, &Untyped::PODS, Some(&mut object), None).await.expect("admitted");
        assert_eq!(object["metadata"]["labels"]["version"], want);
    }
}

/// The component, built for another version of the interface.
fn renamed(guest: &[u8], interface: &str, from: &str, to: &str) -> Arc<[u8]> {
    let (from, to) = (format!("{interface}@{from}"), format!("{interface}@{to}"));
    let mut bytes = guest.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from.as_bytes()) {
        bytes[at + found..at + found + to.len()].copy_from_slice(to.as_bytes());
        at += found + to.len();
    }
    bytes.into()
}

#[tokio::test]
async fn a_later_patch_of_a_version_is_served_and_another_version_is_refused_in_words() {
    let text = || only("authorizer", json!({"config": {"do": "allow"}}));
    let all = [
        "types",
        "requests",
        "admission-types",
        "log",
        "clock",
        "random",
        "jwt",
        "cluster",
        "authorization",
        "plugin",
        "authenticator",
        "authorizer",
        "mutating-admission",
        "validating-admission",
        "changes",
    ];
    let other = |version: &str| {
        let name = |guest: Arc<[u8]>, interface: &&str| renamed(&guest, &format!("wasmgate:plugin/{interface}"), "0.2.0", version);
        all.iter().fold(scripted().into(), name)
    };
    let bench = Bench::new().await;
    bench.load_components(vec![(text(), other("0.2.9"))]).await;
    assert_eq!(bench.set.states()[0].status, PluginStatus::Ready);
    assert_eq!(bench.authorize().await.decision, Decision::Allow);

    let failure = async |guest: Arc<[u8]>| {
        let bench = Bench::new().await;
        bench.load_components(vec![(text(), guest)]).await;
        bench.failure()
    };
    for version in ["0.3.0", "1.0.0", "0.0.1"] {
        let found = failure(other(version)).await;
        assert!(found.starts_with("it was built for wasmgate:plugin/") && found.contains(version), "{found}");
        assert!(found.ends_with("; this server has wasmgate:plugin@0.1 and wasmgate:plugin@0.2"), "{found}");
    }
    let mixed = failure(renamed(&scripted(), "wasmgate:plugin/log", "0.2.0", "0.1.0")).await;
    assert!(mixed.starts_with("it was built for two versions of wasmgate:plugin at once: "), "{mixed}");
}
