//! A plugin that the operator wants and that never loaded leaves nothing undecided.

use std::sync::Arc;

use auth::{Authentication, Authenticator, Authorizer, Credentials, Decision, UserInfo};
use prometheus::{Registry, TextEncoder};
use serde_json::json;
use wasmgate_plugin_host::*;

use crate::bench::*;

/// A manifest that holds, and no component.
fn broken(spec: serde_json::Value) -> (String, Arc<[u8]>) {
    (manifest("broken", spec), b"no component"[..].into())
}

fn whole(name: &str, spec: serde_json::Value) -> (String, Arc<[u8]>) {
    (manifest(name, spec), scripted().into())
}

#[tokio::test]
async fn what_it_would_have_admitted_fails_or_passes_as_the_policy_says() {
    for role in ["mutating-admission", "validating-admission"] {
        let spec = |policy: Option<&str>, resource: &str| json!({"roles": [role], "credentials": [], "failurePolicy": policy, "match": [{"resources": [resource]}]});
        for (policy, resource, want) in [
            (None, "pods", Some("Internal error occurred: failed calling admission plugin \"broken\": it is not in force")),
            (Some("Fail"), "pods", Some("Internal error occurred: failed calling admission plugin \"broken\": it is not in force")),
            (Some("Ignore"), "pods", None),
            (None, "secrets", None),
        ] {
            let bench = Bench::new().await;
            bench.load_components(vec![broken(spec(policy, resource))]).await;
            let refusal = bench.create().await.0.err().map(|status| status.message);
            assert_eq!(refusal.as_deref(), want, "{role} {policy:?} {resource}");
            // As soon as it is mended, it decides itself.
            bench.load_components(vec![whole("broken", spec(policy, resource))]).await;
            bench.create().await.0.expect("admitted");
        }
    }
}

#[tokio::test]
async fn what_it_would_have_authorized_is_denied_or_left_to_others_as_the_policy_says() {
    for (policy, want) in [(None, Decision::Deny), (Some("Deny"), Decision::Deny), (Some("NoOpinion"), Decision::Allow)] {
        let bench = Bench::new().await;
        let allow = whole("allow", json!({"roles": ["authorizer"], "credentials": [], "order": 20, "config": {"do": "allow"}}));
        bench.load_components(vec![broken(json!({"roles": ["authorizer"], "credentials": [], "failurePolicy": policy})), allow]).await;
        let answer = bench.authorize().await;
        assert_eq!(answer.decision, want, "{policy:?}");
        if want == Decision::Deny {
            assert_eq!(answer.evaluation_error.as_deref(), Some("plugin broken: it is not in force"));
        }
        let rules = bench.set.chain().rules_for(&UserInfo::default(), "default").await;
        assert!(rules.incomplete && rules.evaluation_error.contains("plugin broken: it is not in force"), "{rules:?}");
    }
}

#[tokio::test]
async fn who_shows_what_it_would_have_looked_at_is_nobody() {
    let bench = Bench::new().await;
    let anonymous = whole("anonymous", json!({"roles": ["authenticator"], "fallback": true, "config": {"do": "show"}}));
    bench.load_components(vec![broken(json!({"roles": ["authenticator"], "credentials": ["bearer-token"]})), anonymous]).await;
    let credentials = |token: Option<&str>| Credentials { bearer_token: token.map(str::to_owned), ..Credentials::default() };
    let answer = bench.set.chain().authenticate(&credentials(Some("t"))).await;
    assert_eq!(answer.expect_err("a fault").to_string(), "plugin broken: it is not in force");
    let answer = bench.set.chain().authenticate(&credentials(None)).await;
    assert!(matches!(answer, Ok(Authentication::User(_))), "{answer:?}");
}

#[tokio::test]
async fn one_that_served_before_goes_on_serving() {
    let bench = Bench::new().await;
    let spec = json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "allow"}});
    bench.load_components(vec![whole("broken", spec.clone())]).await;
    bench.load_components(vec![broken(spec)]).await;
    assert_eq!(bench.authorize().await.decision, Decision::Allow);
}

/// A version of another plugin is no version of this one, even where both came from one file.
#[tokio::test]
async fn a_file_that_names_another_plugin_now_leaves_nothing_of_either_undecided() {
    let of = |name: &str, resource: &str, version: &str| {
        let config = json!({"do": "label", "version": version});
        manifest(name, json!({"roles": ["mutating-admission"], "credentials": [], "match": [{"resources": [resource]}], "config": config}))
    };
    for (first, labelled) in [("secrets", false), ("pods", true)] {
        let bench = Bench::new().await;
        bench.load_components(vec![(of("first", first, "1"), scripted().into())]).await;
        bench.load_components(vec![(of("second", "pods", "2"), b"no component"[..].into())]).await;
        let states = bench.set.states();
        let second = states.iter().find(|state| state.name == "second").expect("it is shown");
        assert!(matches!(second.status, PluginStatus::Failed { still_serving: false, .. }) && second.digest.is_empty(), "{second:?}");
        assert!(!may_open(&bench).await);
        let refusal = bench.create().await.0.expect_err("undecided").message;
        assert!(refusal.contains("\"second\": it is not in force"), "{refusal}");
        // The first one's manifest is back, then the second one is mended.
        bench.load_components(vec![(of("First", first, "1"), scripted().into())]).await;
        assert!(may_open(&bench).await);
        let label = bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"].clone();
        assert_eq!(label == "1", labelled, "{label}");
        bench.load_components(vec![(of("second", "pods", "2"), scripted().into())]).await;
        assert_eq!(bench.create().await.0.expect("admitted")["metadata"]["labels"]["version"], "2");
    }
}

#[tokio::test]
async fn why_it_does_not_load_is_one_line_of_bounded_length() {
    let bench = Bench::new().await;
    for name in ["a\nERROR forged".to_owned(), "x".repeat(50_000)] {
        bench.load_components(vec![whole(&name, json!({"roles": ["authorizer"], "credentials": []}))]).await;
        let PluginStatus::Failed { reason, .. } = bench.set.states()[0].status.clone() else { panic!("{:?}", bench.set.states()) };
        assert!(reason.len() < 5_000 && !reason.contains('\n') && reason.contains("metadata.name"), "{reason}");
    }
}

/// Whether the port may open now.
async fn may_open(bench: &Bench) -> bool {
    tokio::select! {
        biased;
        () = bench.set.until_required_are_in_force() => true,
        () = std::future::ready(()) => false,
    }
}

#[tokio::test]
async fn the_port_waits_for_whatever_would_leave_something_undecided() {
    let authorizer = |policy: Option<&str>| json!({"roles": ["authorizer"], "credentials": [], "failurePolicy": policy});
    let admission = |policy: Option<&str>| json!({"roles": ["validating-admission"], "credentials": [], "failurePolicy": policy});
    let rows = [
        (broken(authorizer(None)), false),
        (broken(authorizer(Some("NoOpinion"))), true),
        (broken(admission(None)), false),
        (broken(admission(Some("Ignore"))), true),
        (broken(json!({"roles": ["authenticator"]})), false),
        // Nobody knows what it would have decided.
        (("spec: [".to_owned(), scripted().into()), false),
        // A name that is another's: which of the two is meant is for the operator to say.
        (whole("limitranger", admission(None)), false),
        (whole("fine", admission(None)), true),
    ];
    for (plugin, want) in rows {
        let bench = Bench::new().await;
        let shown = plugin.0.clone();
        assert!(may_open(&bench).await);
        bench.load_components(vec![plugin]).await;
        assert_eq!(may_open(&bench).await, want, "{shown}");
        // What is taken away is not waited for.
        bench.load(&[]).await;
        assert!(may_open(&bench).await, "{shown}");
    }
}

#[tokio::test]
async fn the_port_opens_when_it_is_mended() {
    let bench = Bench::new().await;
    let spec = json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "deny"}});
    bench.load_components(vec![broken(spec.clone())]).await;
    let (waiting, ()) = tokio::join!(bench.set.until_required_are_in_force(), bench.load_components(vec![whole("broken", spec)]));
    assert_eq!((waiting, bench.authorize().await.decision), ((), Decision::Deny));
}

#[tokio::test]
async fn the_series_of_a_plugin_go_with_it() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry);
    let text = || TextEncoder::new().encode_to_string(&registry.gather()).expect("encodes");
    let bench = Bench::with(|loader| loader.metrics = metrics).await;
    let spec = |script: &str| {
        let roles = ["authenticator", "authorizer", "mutating-admission", "validating-admission"];
        json!({"roles": roles, "failurePolicy": "Ignore", "config": {"do": script}})
    };
    for script in ["nothing", "trap"] {
        bench.load_components(vec![whole("policy", spec(script))]).await;
        let _ = bench.set.chain().authenticate(&Credentials::default()).await;
        bench.authorize().await;
        bench.create().await.0.expect("admitted");
    }
    for series in ["faults_total", "faults_ignored_total", "instances", "call_duration_seconds_count", "status"] {
        let is_shown = |line: &str| line.starts_with(&format!("wasmgate_plugin_{series}{{")) && line.contains("plugin=\"policy\"");
        assert!(text().lines().any(is_shown), "{series}: {}", text());
    }
    assert!(text().contains("admission_duration_seconds_count{name=\"policy\""));
    bench.load(&[]).await;
    assert!(!text().contains("policy"), "{}", text());
    // Nor do those stay that stood in for one that never loaded.
    bench.load_components(vec![broken(spec("nothing"))]).await;
    bench.authorize().await;
    assert!(text().contains("wasmgate_plugin_faults_total{kind=\"missing\",plugin=\"broken\"} 1"), "{}", text());
    bench.load(&[]).await;
    assert!(!text().contains("broken"), "{}", text());
}
