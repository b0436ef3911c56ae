//! Cases as data: a namespace's LimitRanges, an object, and upstream's answer.

use wasmgate_sdk::admission::{Attributes, GroupVersionKind, GroupVersionResource};
use wasmgate_sdk::serde_json::{Value, json};

use super::*;

fn plugin(limits: &[Value]) -> LimitRanger {
    let range =
        |(at, limit): (usize, &Value)| json!({"metadata": {"namespace": "ns", "name": format!("l{at}")}, "spec": {"limits": [limit]}});
    let put = |row| Change::put(GroupResource::new("", "limitranges"), &range(row));
    let mut plugin = LimitRanger::default();
    plugin.apply(limits.iter().enumerate().map(put).collect());
    plugin
}

fn attributes(operation: Operation, kind: &str, resource: &str, subresource: &str) -> Attributes {
    Attributes {
        operation,
        kind: GroupVersionKind { group: String::new(), version: "v1".to_owned(), kind: kind.to_owned() },
        resource: GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: resource.to_owned() },
        subresource: subresource.to_owned(),
        namespace: "ns".to_owned(),
        name: "x".to_owned(),
        ..Attributes::default()
    }
}

fn pod(containers: Value, init: Value) -> Value {
    json!({"metadata": {"name": "x"}, "spec": {"containers": containers, "initContainers": init}})
}

fn container(requests: Value, limits: Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
}

fn sidecar(requests: Value, limits: Value) -> Value {
    json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": requests, "limits": limits}})
}

fn refusal(plugin: &LimitRanger, attributes: Attributes, object: &Value, old: Option<&Value>) -> String {
    let request = Request::new(attributes, Some(Object::of(object)), old.map(Object::of));
    match plugin.validate(&request) {
        Ok(()) => String::new(),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => status.message().to_owned(),
    }
}

#[test]
fn what_is_refused() {
    let of = |kind: &str, field: &str, amounts: Value| json!({"type": kind, field: amounts});
    let none = json!({});
    let ratio = json!({"cpu": "2"});
    let rows = [
        (of("Container", "max", json!({"cpu": "1"})), pod(json!([container(none.clone(), json!({"cpu": "1000m"}))]), json!([])), ""),
        (
            of("Container", "max", json!({"cpu": "1"})),
            pod(json!([container(json!({}), json!({"cpu": "2"})), container(json!({}), json!({"cpu": "3"}))]), json!([])),
            "[maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Container is 1, but limit is 3]",
        ),
        (
            of("Container", "max", json!({"cpu": "1"})),
            pod(json!([container(json!({}), json!({"cpu": "2"})), container(json!({}), json!({"cpu": "2"}))]), json!([])),
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            of("Container", "max", json!({"cpu": "1"})),
            pod(json!([container(json!({"cpu": "2"}), json!({"cpu": "1"}))]), json!([])),
            "maximum cpu usage per Container is 1, but request is 2",
        ),
        (
            of("Container", "max", json!({"cpu": "1"})),
            pod(json!([{"name": "c"}]), json!([])),
            "maximum cpu usage per Container is 1.  No limit is specified",
        ),
        (
            of("Container", "max", json!({"cpu": "2"})),
            pod(json!([container(json!({}), json!({"cpu": "1"}))]), json!([container(json!({}), json!({"cpu": "3"}))])),
            "maximum cpu usage per Container is 2, but limit is 3",
        ),
        (
            of("Container", "min", json!({"cpu": "100m"})),
            pod(json!([container(json!({"cpu": "50m"}), json!({}))]), json!([])),
            "minimum cpu usage per Container is 100m, but request is 50m",
        ),
        (of("Container", "min", json!({"cpu": "100m"})), pod(json!([{"name": "c", "resources": {}}]), json!([])), {
            "minimum cpu usage per Container is 100m.  No request is specified"
        }),
        (
            of("Container", "min", json!({"cpu": "100m"})),
            pod(json!([container(json!({"cpu": "1"}), json!({"cpu": "50m"}))]), json!([])),
            "minimum cpu usage per Container is 100m, but limit is 50m",
        ),
        (
            of("Container", "maxLimitRequestRatio", ratio.clone()),
            pod(json!([container(json!({"cpu": "100m"}), json!({"cpu": "300m"}))]), json!([])),
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            of("Container", "maxLimitRequestRatio", ratio.clone()),
            pod(json!([container(json!({"cpu": "100m"}), json!({"cpu": "200m"}))]), json!([])),
            "",
        ),
        (
            of("Container", "maxLimitRequestRatio", ratio.clone()),
            pod(json!([container(json!({}), json!({"cpu": "300m"}))]), json!([])),
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
        (
            of("Container", "maxLimitRequestRatio", ratio),
            pod(json!([container(json!({"cpu": "100m"}), json!({"cpu": "0"}))]), json!([])),
            "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
        ),
        (
            of("Pod", "max", json!({"cpu": "1"})),
            pod(json!([container(json!({}), json!({"cpu": "600m"})), container(json!({}), json!({"cpu": "600m"}))]), json!([])),
            "maximum cpu usage per Pod is 1, but limit is 1200m",
        ),
        (
            of("Pod", "max", json!({"cpu": "1"})),
            pod(json!([container(json!({}), json!({"cpu": "600m"}))]), json!([container(json!({}), json!({"cpu": "800m"}))])),
            "",
        ),
        (
            of("Pod", "max", json!({"cpu": "1"})),
            pod(
                json!([container(json!({}), json!({"cpu": "600m"}))]),
                json!([sidecar(json!({}), json!({"cpu": "300m"})), container(json!({}), json!({"cpu": "800m"}))]),
            ),
            "maximum cpu usage per Pod is 1, but limit is 1100m",
        ),
        (
            of("Pod", "max", json!({"cpu": "1"})),
            json!({"spec": {"containers": [container(json!({}), json!({"cpu": "3"}))], "resources": {"limits": {"cpu": "1"}}}}),
            "",
        ),
    ];
    for (limit, object, want) in rows {
        let found = refusal(&plugin(std::slice::from_ref(&limit)), attributes(Operation::Create, "Pod", "pods", ""), &object, None);
        assert_eq!(found, want, "{limit} {object}");
    }
}

#[test]
fn claims() {
    let plugin = plugin(&[json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}})]);
    let claim = |request: &str| json!({"spec": {"resources": {"requests": {"storage": request}, "limits": {"storage": "9Gi"}}}});
    let none = json!({"spec": {}});
    let rows = [
        (claim("2Gi"), ""),
        (claim("512Mi"), "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi"),
        (claim("6Gi"), "maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"),
        (none, {
            "[minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified, \
             maximum storage usage per PersistentVolumeClaim is 5Gi.  No request is specified]"
        }),
    ];
    for (object, want) in rows {
        let attributes = attributes(Operation::Update, "PersistentVolumeClaim", "persistentvolumeclaims", "");
        assert_eq!(refusal(&plugin, attributes, &object, None), want, "{object}");
    }
}

#[test]
fn what_is_looked_at_at_all() {
    let plugin = plugin(&[json!({"type": "Container", "max": {"cpu": "1"}})]);
    let object = pod(json!([container(json!({}), json!({"cpu": "2"}))]), json!([]));
    let going = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let rows = [
        (attributes(Operation::Create, "Pod", "pods", ""), None, true),
        (attributes(Operation::Update, "Pod", "pods", ""), None, false),
        (attributes(Operation::Update, "Pod", "pods", "resize"), None, true),
        (attributes(Operation::Update, "Pod", "pods", "resize"), Some(&going), false),
        (attributes(Operation::Update, "Pod", "pods", "status"), None, false),
        (attributes(Operation::Create, "Deployment", "deployments", ""), None, false),
        (Attributes { namespace: "other".to_owned(), ..attributes(Operation::Create, "Pod", "pods", "") }, None, false),
    ];
    for (attributes, old, want) in rows {
        assert_eq!(!refusal(&plugin, attributes.clone(), &object, old).is_empty(), want, "{attributes:?}");
    }
}

#[test]
fn defaults_are_filled_in() {
    let limits =
        [json!({"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m", "memory": "1024Mi"}})];
    let rows = [
        (
            pod(json!([{"name": "c"}]), json!([])),
            json!([
                {"op": "add", "path": "/spec/containers/0/resources", "value": {
                    "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}},
                {"op": "add", "path": "/metadata/annotations", "value": {"kubernetes.io/limit-ranger":
                    "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"}},
            ]),
        ),
        (pod(json!([container(json!({"cpu": "1", "memory": "1"}), json!({"cpu": "1", "memory": "1"}))]), json!([])), json!([])),
        (
            json!({"metadata": {"annotations": {"a": "b"}}, "spec": {
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "2", "memory": "1"}}}],
                "initContainers": [{"name": "i", "resources": {"limits": {"cpu": "2", "memory": "2"}, "requests": null}}]}}),
            json!([
                {"op": "add", "path": "/spec/containers/0/resources", "value": {
                    "limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "2", "memory": "1"}}},
                {"op": "add", "path": "/spec/initContainers/0/resources", "value": {
                    "limits": {"cpu": "2", "memory": "2"}, "requests": {"cpu": "500m", "memory": "1Gi"}}},
                {"op": "add", "path": "/metadata/annotations/kubernetes.io~1limit-ranger", "value":
                    "LimitRanger plugin set: memory limit for container c; cpu, memory request for init container i"},
            ]),
        ),
    ];
    for (object, want) in rows {
        let request = Request::new(attributes(Operation::Create, "Pod", "pods", ""), Some(Object::of(&object)), None);
        let patch = plugin(&limits).admit(&request).expect("admitted");
        assert_eq!(Value::from(patch.operations()), want, "{object}");
    }
}

#[test]
fn a_change_counts_at_once() {
    let mut plugin = plugin(&[]);
    let object = pod(json!([container(json!({}), json!({"cpu": "2"}))]), json!([]));
    let change = |max: Option<&str>| Change {
        resource: GroupResource::new("", "limitranges"),
        namespace: "ns".to_owned(),
        name: "l".to_owned(),
        revision: 1,
        object: max.map(|max| {
            Json::from(
                &json!({"metadata": {"namespace": "ns", "name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": max}}]}}),
            )
        }),
    };
    for (max, refused) in [(None, false), (Some("1"), true), (Some("2"), false), (Some("1"), true), (None, false)] {
        plugin.apply(vec![change(max)]);
        let found = refusal(&plugin, attributes(Operation::Create, "Pod", "pods", ""), &object, None);
        assert_eq!(!found.is_empty(), refused, "{max:?} {found}");
    }
}
