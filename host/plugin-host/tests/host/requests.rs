//! What a request says of itself, what comes with a call, and what a plugin may say beside its answer.

use std::sync::Arc;

use admission::{ChainSource, RequestContext};
use auth::{AskedFor, Authentication, Authenticator, Authorizer, Credentials, Recorder, UserInfo};
use serde_json::{Value, json};

use crate::bench::*;

async fn seen(bench: &Bench) -> String {
    bench.create().await.0.expect("admitted")["seen"].as_str().expect("a text").to_owned()
}

async fn loaded(role: &str, change: Value) -> Bench {
    let bench = Bench::new().await;
    let mut spec = json!({"roles": [role], "credentials": []});
    change.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
    bench.load(&[manifest("a", spec)]).await;
    bench
}

#[tokio::test]
async fn what_is_too_much_or_not_granted_is_an_error_and_no_fault() {
    let long = "LookupFailure::TooLong a JSON Pointer has 10000 bytes, more than 4096";
    let many = "LookupFailure::TooLong 100 fields are picked at once, more than 64";
    let namespaces = "LookupFailure::NotGranted namespaces is not in the manifest's spec.reads";
    let bench = loaded("mutating-admission", json!({"config": {"do": "refused"}})).await;
    assert_eq!(seen(&bench).await, format!("{long} | {long} | {many} | {namespaces} | {namespaces}"));
    let bench = loaded("authorizer", json!({"config": {"do": "random-error"}})).await;
    assert_eq!(bench.authorize().await.reason, "LookupFailure::TooLong 1000000 random bytes are more than 1024");
}

#[tokio::test]
async fn the_parts_that_the_manifest_asks_for_come_with_the_call() {
    let input = json!([
        "operation",
        "kind",
        "resource",
        "subResource",
        "namespace",
        "name",
        "dryRun",
        "userInfo",
        "oldObject/metadata",
        "resourceAttributes",
        "object/metadata/name",
        "object/spec/absent",
        "object/spec/number"
    ]);
    let lookups = json!([
        {"name": "there", "resource": "pods", "namespaceFrom": "/namespace", "nameFrom": ["/object/spec/absent", "/object/metadata/name"]},
        {"name": "by-default", "resource": "pods", "namespaceFrom": "/namespace", "nameFrom": ["/object/spec/absent"], "nameDefault": "dflt"},
        {"name": "gone", "resource": "pods", "namespaceFrom": "/namespace", "nameFrom": ["/object/kind"]},
        {"name": "nameless", "resource": "pods", "namespaceFrom": "/namespace", "nameFrom": ["/object/spec/absent"]},
    ]);
    let reads = json!([{"resource": "pods", "fields": ["metadata/name"]}]);
    let bench = loaded("mutating-admission", json!({"input": input, "lookups": lookups, "reads": reads, "config": {"do": "input"}})).await;
    bench.cluster.add("web");
    bench.cluster.add("dflt");
    let found: Value = serde_json::from_str(&seen(&bench).await).expect("JSON");
    let want = json!({
        "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"}, "subResource": "", "namespace": "default", "name": "web",
        "dryRun": false, "userInfo": {"username": "jane"}, "object": {"metadata": {"name": "web"}, "spec": {"number": 7}},
        "lookups": {"there": {"metadata": {"name": "web"}}, "by-default": {"metadata": {"name": "dflt"}}, "gone": null, "nameless": null},
    });
    assert_eq!(found, want);
    // Who asks for nothing is given nothing.
    let bench = loaded("mutating-admission", json!({"config": {"do": "input"}})).await;
    assert_eq!(seen(&bench).await, "");
}

#[tokio::test]
async fn an_authorizer_and_an_authenticator_are_given_their_part_in_the_words_of_reviews() {
    let input = json!(["user", "groups", "extra", "resourceAttributes", "nonResourceAttributes", "operation"]);
    let bench = loaded("authorizer", json!({"input": input, "config": {"do": "input"}})).await;
    let user = UserInfo { name: "jane".into(), groups: vec!["devs".into()], ..UserInfo::default() };
    let asked = auth::Attributes {
        user: Arc::new(user),
        verb: "list".into(),
        namespace: "ns".into(),
        resource: "pods".into(),
        resource_request: true,
        field_selector: vec![auth::SelectorRequirement { key: "f".into(), operator: "In".into(), values: vec!["x".into()] }],
        ..auth::Attributes::default()
    };
    let given = async |asked: &auth::Attributes| {
        let reason = bench.set.chain().authorize(asked).await.reason;
        serde_json::from_str::<Value>(&reason).expect("JSON")
    };
    let want = json!({"user": "jane", "groups": ["devs"], "extra": {}, "resourceAttributes": {
        "namespace": "ns", "verb": "list", "group": "", "version": "", "resource": "pods", "subresource": "", "name": "",
        "fieldSelector": {"requirements": [{"key": "f", "operator": "In", "values": ["x"]}]}}});
    assert_eq!(given(&asked).await, want);
    let path = auth::Attributes { resource_request: false, path: "/healthz".into(), ..asked.clone() };
    let want = json!({"user": "jane", "groups": ["devs"], "extra": {}, "nonResourceAttributes": {"path": "/healthz", "verb": "list"}});
    assert_eq!(given(&path).await, want);

    let spec = json!({"credentials": ["bearer-token"], "input": ["token", "audiences", "certificate"], "config": {"do": "input"}});
    let bench = loaded("authenticator", spec).await;
    let credentials = Credentials { bearer_token: Some("t".into()), audiences: vec!["a".into()], ..Credentials::default() };
    match bench.set.chain().authenticate(&credentials).await {
        Ok(Authentication::User(user)) => assert_eq!(user.name, r#"{"token":"t","audiences":["a"]}"#),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_request_that_a_question_belongs_to_can_be_asked_in_every_role() {
    let of_jane = AskedFor {
        id: "id-1".into(),
        original_user: Some(Arc::new(UserInfo { name: "root".into(), ..UserInfo::default() })),
        ..AskedFor::default()
    };
    let bench = loaded("authorizer", json!({"config": {"do": "beside"}})).await;
    let asked = auth::Attributes { asked_for: of_jane.clone(), ..auth::Attributes::default() };
    let want = |user: &str| format!(r#"id="id-1" user=Some("{user}") original=Some("root")"#);
    assert_eq!(bench.set.chain().authorize(&asked).await.reason, want(""));

    let bench = loaded("mutating-admission", json!({"config": {"do": "beside"}})).await;
    let mut request = create(bench.set.in_force());
    let context = RequestContext { id: of_jane.id, original_user: of_jane.original_user, ..(*request.context).clone() };
    request.context = Arc::new(context);
    let mut object = json!({"metadata": {"name": "web"}});
    request.context.chain.mutate(&request, &Untyped::PODS, Some(&mut object), None).await.expect("admitted");
    assert_eq!(object["seen"], want("jane"));
}

#[tokio::test]
async fn warnings_and_annotations_are_said_in_every_role() {
    let recorder = Recorder::default();
    let asked_for = AskedFor { recorder: recorder.clone(), ..AskedFor::default() };
    let bench = loaded("authorizer", json!({"config": {"do": "note"}})).await;
    bench.set.chain().authorize(&auth::Attributes { asked_for: asked_for.clone(), ..auth::Attributes::default() }).await;
    let bench = loaded("authenticator", json!({"credentials": ["bearer-token"], "config": {"do": "note"}})).await;
    let credentials = Credentials { bearer_token: Some("t".into()), asked_for, ..Credentials::default() };
    bench.set.chain().authenticate(&credentials).await.expect("no fault");
    assert_eq!(recorder.warnings.texts(), ["from an authorizer", "from an authenticator"]);
    let annotation = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(recorder.annotations.list(), [annotation("a/why", "as told"), annotation("a/who", "jane")]);
}

#[tokio::test]
async fn changes_carry_their_revision_and_the_fields_that_are_wanted() {
    let watches = json!([{"resource": "pods", "fields": ["metadata/name"]}]);
    let config = json!({"do": "known", "changes": "show"});
    let bench = Bench::new().await;
    bench.cluster.add("one");
    let spec = json!({"roles": ["authorizer"], "credentials": [], "watches": watches, "config": config});
    bench.load(&[manifest("a", spec)]).await;
    let one = r#"pods/default/one@1={"metadata":{"name":"one"}}"#;
    assert_eq!(bench.authorize().await.reason, one);
    bench.cluster.add("two");
    assert_eq!(bench.authorize().await.reason, format!(r#"{one} pods/default/two@2={{"metadata":{{"name":"two"}}}}"#));
}

#[tokio::test]
async fn all_objects_come_in_pieces_and_none_is_lost() {
    let bench = Bench::new().await;
    let names: Vec<String> = (0..2_500).map(|number| format!("pod-{number:04}")).collect();
    names.iter().for_each(|name| bench.cluster.add(name));
    let spec = json!({"roles": ["authorizer"], "credentials": [], "watches": [{"resource": "pods"}], "config": {"do": "known"}});
    bench.load(&[manifest("a", spec)]).await;
    let known = bench.authorize().await.reason;
    // The reason of a decision is bounded; what is in it is the beginning, in order.
    let want = names.iter().map(|name| format!("pods/default/{name}")).collect::<Vec<_>>().join(" ");
    assert!(want.starts_with(&known) && known.len() > 8_000, "{known}");
    bench.cluster.remove(&names[0]);
    assert!(bench.authorize().await.reason.starts_with("pods/default/pod-0001 "));
}
