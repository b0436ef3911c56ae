use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use admission::{EmptyChain, RequestContext};
use serde_json::json;

use super::*;

/// 2020-01-01T00:01:40Z, as `at(0)`.
const NOW: i64 = 1_577_836_900;

fn at(seconds: i64) -> String {
    meta::timestamp(NOW + seconds)
}

fn request(group: &str, version: &str, resource: &str) -> Request {
    let resource: api::ResourceRef = api::tables::find(group, version, resource).expect("built in").into();
    Request {
        requested: resource.clone(),
        resource,
        subresource: String::new(),
        namespace: String::new(),
        name: "a".into(),
        verb: "delete".into(),
        dry_run: false,
        options: None,
        context: Arc::new(RequestContext::new(Arc::new(EmptyChain), Arc::default(), UNIX_EPOCH + Duration::from_secs(NOW as u64))),
    }
}

fn options(grace: Option<i64>) -> DeleteOptions {
    DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::default() }
}

/// `pending`, `mark` or `remove`, with what is stored before: seconds from now until the end, the grace period, the finalizers.
fn told(step: Step) -> String {
    let shown = |object: &Value| {
        let end = object::meta_str(object, "deletionTimestamp").parse::<jiff::Timestamp>().expect("it is marked").as_second() - NOW;
        let grace = object::deletion_grace_period_seconds(object).map_or("nil".to_owned(), |seconds| seconds.to_string());
        let generation = object.pointer("/metadata/generation").map_or(String::new(), |generation| format!(" generation {generation}"));
        format!("in {end} grace {grace}{generation} {:?}", object::finalizers(object))
    };
    match step {
        Step::Pending => "pending".into(),
        Step::Mark(object) => format!("mark {}", shown(&object)),
        Step::Remove { mark: None } => "remove".into(),
        Step::Remove { mark: Some(mark) } => format!("remove after {}", shown(&mark)),
    }
}

#[test]
fn a_pod_is_given_time_once() {
    let request = request("", "v1", "pods");
    let marked = |end: i64, grace: i64| json!({ "deletionTimestamp": at(end), "deletionGracePeriodSeconds": grace });
    let rows = [
        // Not marked yet.
        (json!({}), None, "mark in 30 grace 30 []"),
        (json!({ "generation": 2 }), Some(5), "mark in 5 grace 5 generation 3 []"),
        (json!({}), Some(-7), "mark in 1 grace 1 []"),
        // More than Go's duration holds comes out as Go has it.
        (json!({}), Some(9_223_372_036), "mark in 9223372036 grace 9223372036 []"),
        (json!({}), Some(9_223_372_037), "mark in -9223372037 grace 9223372037 []"),
        (json!({}), Some(1 << 40), "mark in -7293016647 grace 1099511627776 []"),
        (json!({}), Some(0), "remove after in 0 grace 0 []"),
        (json!({ "finalizers": ["e.com/f"] }), Some(0), r#"mark in 0 grace 0 ["e.com/f"]"#),
        // Marked: the period may become shorter, and not longer.
        (marked(20, 30), None, "pending"),
        (marked(20, 30), Some(30), "pending"),
        (marked(20, 30), Some(60), "pending"),
        (marked(20, 30), Some(25), "mark in 15 grace 25 []"),
        (marked(20, 30), Some(0), "remove after in 0 grace 0 []"),
        // The shorter period would be over already: whoever waits is given a second.
        (marked(20, 30), Some(5), "mark in 0 grace 1 []"),
        (marked(20, 30), Some(-1), "mark in 0 grace 1 []"),
        (marked(20, -3), Some(1), "pending"),
        // A deletion stopped between its mark and its end: the next one ends it, whatever it asks for.
        (marked(-5, 0), None, "remove"),
        (marked(-5, 0), Some(0), "remove"),
        (marked(-5, 0), Some(60), "remove"),
        (json!({ "deletionTimestamp": at(-5) }), Some(60), "remove"),
        (
            json!({ "deletionTimestamp": at(-5), "deletionGracePeriodSeconds": 0, "finalizers": ["e.com/f"] }),
            Some(60),
            r#"mark in -5 grace 0 ["e.com/f"]"#,
        ),
    ];
    for (metadata, grace, want) in rows {
        let spec = json!({ "nodeName": "n", "terminationGracePeriodSeconds": 30 });
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Running" } });
        assert_eq!(told(step(&request, &pod, &options(grace))), want, "{metadata} {grace:?}");
    }
    // A pod that has ended while it was waited for is not removed by somebody who gives it more time.
    let ended = json!({ "metadata": marked(20, 30), "spec": { "nodeName": "n" }, "status": { "phase": "Succeeded" } });
    assert_eq!(told(step(&request, &ended, &options(Some(30)))), "pending");
    assert_eq!(told(step(&request, &ended, &options(None))), "pending");
}

#[test]
fn finalizers_hold_an_object() {
    let orphan = DeleteOptions { propagation_policy: Some("Orphan".into()), ..DeleteOptions::default() };
    let foreground = DeleteOptions { propagation_policy: Some("Foreground".into()), ..DeleteOptions::default() };
    let background = DeleteOptions { propagation_policy: Some("Background".into()), ..DeleteOptions::default() };
    let old_orphan = |orphan| DeleteOptions { orphan_dependents: Some(orphan), ..DeleteOptions::default() };
    let none = DeleteOptions::default();
    let held = json!({ "generation": 1, "finalizers": ["e.com/f", "foregroundDeletion"] });
    let rows = [
        ("configmaps", json!({}), &none, "remove"),
        ("configmaps", json!({}), &background, "remove"),
        ("configmaps", json!({}), &orphan, r#"mark in 0 grace 0 ["orphan"]"#),
        ("configmaps", json!({}), &foreground, r#"mark in 0 grace 0 ["foregroundDeletion"]"#),
        ("configmaps", json!({}), &old_orphan(true), r#"mark in 0 grace 0 ["orphan"]"#),
        ("configmaps", json!({}), &old_orphan(false), "remove"),
        ("configmaps", json!({ "finalizers": ["foregroundDeletion"] }), &background, "remove"),
        ("configmaps", held.clone(), &none, r#"mark in 0 grace 0 generation 2 ["e.com/f", "foregroundDeletion"]"#),
        ("configmaps", held.clone(), &orphan, r#"mark in 0 grace 0 generation 2 ["e.com/f", "orphan"]"#),
        ("configmaps", held, &background, r#"mark in 0 grace 0 generation 2 ["e.com/f"]"#),
        ("replicationcontrollers", json!({}), &none, r#"mark in 0 grace 0 ["orphan"]"#),
        ("replicationcontrollers", json!({ "finalizers": ["foregroundDeletion"] }), &none, r#"mark in 0 grace 0 ["foregroundDeletion"]"#),
        // Marked already: a second deletion may still choose, and writes nothing where it chooses the same.
        (
            "configmaps",
            json!({ "deletionTimestamp": at(-9), "deletionGracePeriodSeconds": 0, "generation": 4, "finalizers": ["foregroundDeletion"] }),
            &none,
            r#"mark in -9 grace 0 generation 4 ["foregroundDeletion"]"#,
        ),
        (
            "configmaps",
            json!({ "deletionTimestamp": at(9), "deletionGracePeriodSeconds": 0 }),
            &foreground,
            r#"mark in 0 grace 0 ["foregroundDeletion"]"#,
        ),
        ("configmaps", json!({ "deletionTimestamp": at(-9), "deletionGracePeriodSeconds": 0 }), &none, "remove"),
        ("events", json!({}), &orphan, "remove"),
    ];
    for (resource, metadata, options, want) in rows {
        let object = json!({ "metadata": metadata });
        assert_eq!(told(step(&request("", "v1", resource), &object, options)), want, "{resource} {metadata} {options:?}");
    }
}

#[test]
fn a_namespace_is_emptied_first() {
    let request = request("", "v1", "namespaces");
    let foreground = DeleteOptions { propagation_policy: Some("Foreground".into()), ..DeleteOptions::default() };
    let not_orphan = DeleteOptions { orphan_dependents: Some(false), ..DeleteOptions::default() };
    let none = DeleteOptions::default();
    let held = json!({ "finalizers": ["kubernetes"] });
    let rows = [
        (json!({}), &held, &none, "mark in 0 grace nil []"),
        // It is marked even where nothing holds it.
        (json!({}), &json!({}), &none, "mark in 0 grace nil []"),
        (json!({}), &held, &foreground, r#"mark in 0 grace nil ["foregroundDeletion"]"#),
        (json!({}), &held, &not_orphan, r#"mark in 0 grace nil ["foregroundDeletion"]"#),
        (json!({ "deletionTimestamp": at(-5) }), &held, &none, "pending"),
        (json!({ "deletionTimestamp": at(-5) }), &json!({}), &none, "remove"),
        (json!({ "deletionTimestamp": at(-5), "finalizers": ["e.com/f"] }), &json!({}), &none, r#"mark in -5 grace 0 ["e.com/f"]"#),
    ];
    for (metadata, spec, options, want) in rows {
        let namespace = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Active" } });
        let step = step(&request, &namespace, options);
        if let (Step::Mark(marked), false) = (&step, object::is_being_deleted(&namespace)) {
            assert_eq!(marked["status"]["phase"], "Terminating");
        }
        assert_eq!(told(step), want, "{metadata} {spec} {options:?}");
    }
}
