//! Each role's call, end to end.

use std::sync::Arc;

use auth::{Authentication, Authenticator, Authorizer, Credentials, Decision, PeerCertificate, SelectorRequirement, UserInfo};
use serde_json::json;

use crate::bench::*;

fn credentials() -> Credentials {
    Credentials {
        certificate: Some(Arc::new(PeerCertificate {
            der: vec![1, 2, 3],
            common_name: "jane".into(),
            organizations: vec!["devs".into(), "ops".into()],
            uid: String::new(),
            sha256: "00".into(),
            chain_error: None,
        })),
        bearer_token: Some("secret".into()),
        ..Credentials::default()
    }
}

#[tokio::test]
async fn an_authenticator_sees_the_credentials_that_its_manifest_names_and_no_others() {
    let none = "token=None certificate=None";
    let token = "token=Some(\"secret\") certificate=None";
    let certificate = "token=None certificate=Some((\"jane\", [\"devs\", \"ops\"], 3, None))";
    for (asked, expected) in [(json!([]), none), (json!(["bearer-token"]), token), (json!(["client-certificate"]), certificate)] {
        let bench = Bench::new().await;
        bench.load(&[manifest("a", json!({"roles": ["authenticator"], "credentials": asked, "config": {"do": "show"}}))]).await;
        match bench.set.chain().authenticate(&credentials()).await {
            Ok(Authentication::User(user)) => assert_eq!(user.name, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_authorizer_sees_every_attribute() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "show"}}))]).await;
    let requirement = SelectorRequirement { key: "spec.nodeName".into(), operator: "In".into(), values: vec!["n1".into(), "n2".into()] };
    let attributes = auth::Attributes {
        user: Arc::new(UserInfo {
            name: "jane".into(),
            uid: "u1".into(),
            groups: vec!["devs".into()],
            extra: [("scopes".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into(),
        }),
        verb: "list".into(),
        namespace: "ns1".into(),
        api_group: "apps".into(),
        api_version: "v1".into(),
        resource: "deployments".into(),
        subresource: "scale".into(),
        name: "web".into(),
        resource_request: true,
        path: "/apis".into(),
        field_selector: vec![requirement],
        ..auth::Attributes::default()
    };
    let shown = bench.set.chain().authorize(&attributes).await.reason;
    for expected in [
        "\"jane\"",
        "\"u1\"",
        "[\"devs\"]",
        "key: \"scopes\", values: [\"a\", \"b\"]",
        "verb: \"list\"",
        "\"ns1\"",
        "api-group: \"apps\"",
        "\"v1\"",
        "\"deployments\"",
        "\"scale\"",
        "name: \"web\"",
        "resource-request: true",
        "path: \"/apis\"",
        "key: \"spec.nodeName\", operator: SelectorOperator::In, values: [\"n1\", \"n2\"]",
        "conditional-accepted: false",
    ] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
}

#[tokio::test]
async fn the_first_opinion_stands_and_order_is_the_manifests() {
    let bench = Bench::new().await;
    let authorizer =
        |name, order, script| manifest(name, json!({"roles": ["authorizer"], "credentials": [], "order": order, "config": {"do": script}}));
    bench.load(&[authorizer("a", 30, "deny"), authorizer("b", 20, "allow"), authorizer("c", 10, "nothing")]).await;
    assert_eq!(bench.authorize().await.decision, Decision::Allow);
    bench.load(&[authorizer("a", 5, "deny"), authorizer("b", 20, "allow")]).await;
    assert_eq!(bench.authorize().await.decision, Decision::Deny);
    let rules = bench.set.chain().rules_for(&UserInfo::default(), "default").await;
    assert!(rules.incomplete && rules.evaluation_error.contains("a authorizer does not support user rule resolution"), "{rules:?}");
}

#[tokio::test]
async fn an_object_can_be_looked_at_by_field_and_as_a_whole() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["mutating-admission"], "credentials": [], "config": {"do": "look"}}))]).await;
    let object = bench.create().await.0.expect("admitted");
    let picked = r#"Some("{\"name\":\"web\"}")"#;
    let document = r#"Some("CREATE")Some("{\"group\":\"\",\"kind\":\"Pod\",\"version\":\"v1\"}")Some("jane")"#;
    assert_eq!(object["seen"], format!(r#"Some("web") Some("7") true true {picked} {document}"#));
}

#[tokio::test]
async fn texts_of_lists_come_without_json() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["mutating-admission"], "credentials": [], "config": {"do": "texts"}}))]).await;
    let object = bench.create().await.0.expect("admitted");
    let seen = [
        ("/object/metadata/name", r#"["web"]"#),
        ("/object/spec/parts/*/name", r#"["a", "", ""]"#),
        ("/object/spec/parts/*/more/*", r#"["x", ""]"#),
        ("/object/spec/parts/*/a~1b", r#"["", "c", ""]"#),
        ("/object/spec/parts/0/name", r#"["a"]"#),
        ("/object/spec/number/*", "[]"),
        ("/object/spec/none/*/name", "[]"),
        ("/nonsense/*", "[]"),
    ];
    let seen: Vec<String> = seen.iter().map(|(pointer, texts)| format!("{pointer} {texts}")).collect();
    assert_eq!(object["seen"], seen.join(" | "));
}

#[tokio::test]
async fn a_mutation_is_applied_and_notes_carry_the_plugins_name() {
    let bench = Bench::new().await;
    let version = |name, version| {
        manifest(name, json!({"roles": ["mutating-admission"], "credentials": [], "config": {"do": "label", "version": version}}))
    };
    bench.load(&[version("a", "1"), version("b", "2")]).await;
    let (object, recorder) = bench.create().await;
    assert_eq!(object.expect("admitted")["metadata"]["labels"]["version"], "2");
    assert_eq!(recorder.warnings.texts(), ["1 calls=1", "2 calls=1"]);
    assert_eq!(recorder.annotations.list(), [("a/version".to_owned(), "1".to_owned()), ("b/version".to_owned(), "2".to_owned())]);
}

#[tokio::test]
async fn a_refusal_has_the_plugins_words_and_never_a_success_code() {
    let cases = [("deny", 403, "pods \"web\" is forbidden: as told"), ("deny-status", 429, "later"), ("deny-success", 400, "no")];
    for role in ["mutating-admission", "validating-admission"] {
        for (script, code, message) in cases {
            let bench = Bench::new().await;
            bench.load(&[manifest("a", json!({"roles": [role], "credentials": [], "config": {"do": script}}))]).await;
            let status = bench.create().await.0.expect_err("refused");
            assert_eq!((status.code, status.message.as_str(), status.status.as_str()), (code, message, "Failure"), "{role} {script}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_does_not_match_is_not_called() {
    let bench = Bench::new().await;
    let rules = json!([{"operations": ["CREATE"], "apiGroups": ["apps"], "resources": ["*"]}, {"resources": ["pods/status"]}]);
    bench
        .load(&[manifest("a", json!({"roles": ["validating-admission"], "credentials": [], "match": rules, "config": {"do": "deny"}}))])
        .await;
    bench.create().await.0.expect("admitted");
}

#[tokio::test]
async fn an_instance_is_kept_or_fresh_as_the_manifest_says() {
    for (instances, expected) in [("Reused", "3"), ("Fresh", "1")] {
        let bench = Bench::new().await;
        bench
            .load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "instances": instances, "config": {"do": "count"}}))])
            .await;
        bench.authorize().await;
        bench.authorize().await;
        assert_eq!(bench.authorize().await.reason, expected, "{instances}");
    }
}

#[tokio::test]
async fn an_instance_knows_of_every_change_before_it_is_asked() {
    let bench = Bench::new().await;
    bench.cluster.add("one");
    let spec = json!({"roles": ["authorizer"], "credentials": [], "watches": [{"resource": "pods"}], "config": {"do": "known"}});
    bench.load(&[manifest("a", spec)]).await;
    assert_eq!(bench.authorize().await.reason, "pods/default/one");
    bench.cluster.add("two");
    bench.cluster.remove("one");
    assert_eq!(bench.authorize().await.reason, "pods/default/two");
    // The window has left the instance behind: it is told of everything once more.
    bench.cluster.add("three");
    bench.cluster.compact();
    bench.cluster.add("four");
    assert_eq!(bench.authorize().await.reason, "pods/default/two pods/default/three pods/default/four");
}

#[tokio::test]
async fn an_instance_that_keeps_its_handles_is_replaced_before_they_are_many() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "hoard"}}))]).await;
    let mut counts = Vec::new();
    for _ in 0..wasmgate_plugin_host::limits::REQUEST_HANDLES_HELD_MAX + 2 {
        counts.push(bench.authorize().await.reason);
    }
    let begun_anew = counts.iter().filter(|count| *count == "1").count();
    assert_eq!((begun_anew, counts.last().map(String::as_str)), (2, Some("1")));
}
