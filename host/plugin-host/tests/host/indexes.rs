//! Indexes that the host holds for a plugin.

use serde_json::{Value, json};

use crate::bench::*;

fn indexed(change: Value) -> String {
    let indexes = json!([{"name": "pods", "resource": "pods", "key": [["metadata/name"]], "fields": ["metadata/namespace"]}]);
    let mut spec = json!({"roles": ["authorizer"], "credentials": [], "indexes": indexes, "config": {"do": "index"}});
    change.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
    manifest("a", spec)
}

#[tokio::test]
async fn objects_are_found_by_what_the_manifest_declares_and_the_very_next_call_knows_of_a_change() {
    let bench = Bench::new().await;
    bench.cluster.add("other");
    for instances in ["Reused", "Fresh"] {
        bench.cluster.add("web");
        bench.load(&[indexed(json!({"instances": instances}))]).await;
        let answer = bench.authorize().await.reason;
        let (found, rest) = answer.split_once(" | \" more").expect("several answers");
        assert!(found.ends_with(" more=false\"") && rest.starts_with("=false\" | true | false | "), "{answer}");
        for expected in [r#"default/web@"#, r#"{\"metadata\":{\"namespace\":\"default\"}}"#] {
            assert_eq!(found.matches(expected).count(), 2, "{expected} in {answer}");
        }
        for refused in [
            "LookupFailure::TooLong a part of a key has 2000 bytes, more than 1024",
            "LookupFailure::Malformed a key of the index pods has 1 parts, and not 2",
            "LookupFailure::NotGranted secrets is not in the manifest's spec.indexes",
        ] {
            assert!(rest.contains(refused), "{refused} is not in {rest}");
        }
        bench.cluster.remove("web");
        assert!(bench.authorize().await.reason.contains("| false | false |"));
        // The window has left the index behind: it is filled anew.
        bench.cluster.add("web");
        bench.cluster.compact();
        assert!(bench.authorize().await.reason.contains("| true | false |"));
        bench.cluster.remove("web");
    }
}

#[tokio::test]
async fn many_changes_at_once_are_taken_in() {
    let bench = Bench::new().await;
    bench.load(&[indexed(json!({}))]).await;
    (0..1_000).for_each(|number| bench.cluster.add(&format!("pod-{number}")));
    bench.cluster.add("web");
    assert!(bench.authorize().await.reason.contains("| true | false |"));
}

#[tokio::test]
async fn a_pure_plugin_is_asked_again_when_its_index_changes() {
    let bench = Bench::new().await;
    bench.load(&[indexed(json!({"pure": true, "config": {"do": "count"}}))]).await;
    for want in ["1", "1", "1"] {
        assert_eq!(bench.authorize().await.reason, want);
    }
    bench.cluster.add("web");
    assert_eq!((bench.authorize().await.reason, bench.authorize().await.reason), ("2".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn handles_are_bounded_and_configure_has_no_state_to_ask() {
    let bench = Bench::new().await;
    bench.load(&[indexed(json!({"config": {"do": "index-handles"}}))]).await;
    let refused = "LookupFailure::TooLarge more than 1024 handles of indexes are held at once";
    assert_eq!(bench.authorize().await.reason, format!("1024 {refused} true"));
    let bench = Bench::new().await;
    bench.load(&[indexed(json!({"config": {"configure": "index"}}))]).await;
    let why =
        "it refuses its configuration: LookupFailure::NotNow an index may be asked while a request is decided about, and at no other time";
    assert_eq!(bench.failure(), why);
}

#[tokio::test]
async fn what_is_not_served_has_no_index() {
    let bench = Bench::new().await;
    bench.load(&[indexed(json!({"indexes": [{"name": "a", "resource": "unicorns", "key": [["metadata/name"]]}]}))]).await;
    assert_eq!(bench.failure(), "spec.indexes names unicorns, which this server does not serve");
}
