//! What a guest may call.

use std::sync::Arc;

use admission::{Admission, Attributes, ChainSource, EmptyChain, Objects};
use serde_json::json;

use crate::bench::*;

#[tokio::test]
async fn the_cluster_can_be_read_where_the_manifest_says_so_and_nowhere_else() {
    let bench = Bench::new().await;
    bench.cluster.add("web");
    let spec = json!({"roles": ["authorizer"], "credentials": [], "reads": [{"resource": "pods"}], "config": {"do": "read"}});
    bench.load(&[manifest("a", spec)]).await;
    let pod = r#"Some("{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"}}") true 1"#;
    let refused = "LookupFailure::NotGranted secrets is not in the manifest's spec.reads";
    assert_eq!(bench.authorize().await.reason, format!("{pod} / {refused} {refused} {refused}"));
}

/// A validating plugin that asks, and refuses with the answer.
fn asking(name: &str, change: serde_json::Value) -> String {
    let mut spec = json!({"roles": ["validating-admission"], "credentials": [], "config": {"do": "ask"}});
    change.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
    manifest(name, spec)
}

#[tokio::test]
async fn admission_may_ask_the_authorizers() {
    let bench = Bench::new().await;
    let authorizer = |script: &str| manifest("judge", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": script}}));
    for (script, want) in [
        ("allow", r#"Decision::Allow "as told" None"#),
        ("deny", r#"Decision::Deny "as told" None"#),
        ("nothing", r#"Decision::NoOpinion "" None"#),
        // A fault never allows.
        ("trap", r#"Decision::Deny "" Some("plugin judge: it trapped: wasm trap: wasm `unreachable` instruction executed")"#),
    ] {
        bench.load(&[authorizer(script), asking("asks", json!({}))]).await;
        let status = bench.create().await.0.expect_err("refused with the answer");
        assert_eq!(status.message, format!("pods \"web\" is forbidden: {want}"), "{script}");
    }
    bench.load(&[authorizer("show"), asking("asks", json!({}))]).await;
    let shown = bench.create().await.0.expect_err("refused with the answer").message.replace("\\\"", "\"");
    for expected in [
        r#"name: "bob", uid: "u", groups: ["g"], extra: [Extra { key: "k", values: ["v"] }]"#,
        r#"verb: "approve""#,
        r#"namespace: "ns1""#,
        r#"api-group: "certificates.k8s.io""#,
        r#"name: "example.com/*""#,
        r#"subresource: "sub""#,
        r#"path: "/p""#,
        r#"key: "f", operator: SelectorOperator::In, values: ["a"]"#,
        r#"key: "l", operator: SelectorOperator::In, values: ["a"]"#,
        // Nobody is asked for conditions here.
        "conditional-accepted: false",
    ] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
}

#[tokio::test]
async fn the_authorizers_that_are_asked_are_those_of_the_request_that_is_admitted() {
    let bench = Bench::new().await;
    let judge = |script: &str| manifest("judge", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": script}}));
    let answer = async |request: &Attributes| {
        let refused = request.context.chain.validate(request, &Untyped::PODS, Objects::default()).await;
        refused.expect_err("refused with the answer").message
    };
    bench.load(&[judge("allow"), asking("asks", json!({}))]).await;
    let request = create(bench.set.in_force());
    bench.load(&[judge("deny"), asking("asks", json!({}))]).await;
    // The plugin that asks is the same in both chains.
    let allowed = r#"pods "web" is forbidden: Decision::Allow "as told" None"#;
    assert_eq!(answer(&request).await, allowed);
    assert_eq!(answer(&create(bench.set.in_force())).await, allowed.replace("Allow", "Deny"));
    // It is the request that counts, not the chain that the plugin is in.
    let of_another = create(Arc::new(EmptyChain));
    let refused = bench.set.chain().validate(&of_another, &Untyped::PODS, Objects::default()).await.expect_err("refused with the answer");
    assert_eq!(refused.message, r#"pods "web" is forbidden: Decision::NoOpinion "" None"#);
}

#[tokio::test]
async fn a_plugin_that_is_an_authorizer_itself_may_ask_while_it_admits() {
    let bench = Bench::new().await;
    let config = json!({"do": "ask", "authorize": "allow"});
    let both = json!({"roles": ["authorizer", "validating-admission"], "config": config, "limits": {"instances": 1}});
    bench.load(&[asking("both", both)]).await;
    // Its one instance is busy: the answer comes from another, and nobody waits for themselves.
    let status = bench.create().await.0.expect_err("refused with the answer");
    assert_eq!(status.message, r#"pods "web" is forbidden: Decision::Allow "as told" None"#);
    // Nor does an authorizer ask itself when it is asked from there.
    let both = json!({"roles": ["authorizer", "validating-admission"], "config": {"do": "ask"}});
    bench.load(&[asking("both", both)]).await;
    let status = bench.create().await.0.expect_err("refused with the answer");
    let why = "LookupFailure::NotNow the authorizers may be asked while a request is admitted, and at no other time";
    assert_eq!(status.message, format!("pods \"web\" is forbidden: Decision::Allow \"{why}\" None"));
}

#[tokio::test]
async fn the_clock_is_the_servers() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "clock"}}))]).await;
    assert_eq!(bench.authorize().await.reason, "1234");
}
