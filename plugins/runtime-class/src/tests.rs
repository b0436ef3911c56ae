//! Cases as data: a class, a pod, and upstream's answer.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
use wasmgate_sdk::serde_json::json;
use wasmgate_sdk::testing;

use super::*;

fn message(denial: Denial) -> Value {
    match denial {
        Denial::Forbidden(message) => json!(message),
        Denial::Status(status) => json!(status.message()),
    }
}

/// What the patch does, or the refusal; then what validation says.
fn answers(spec: &Value) -> [Value; 2] {
    let resource = GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "pods".to_owned() };
    let pod = json!({"spec": spec});
    let request = Request::new(Attributes { resource, ..Attributes::default() }, Some(Object::of(&pod)), None);
    let shown = |operation: &Value| json!([operation["path"], operation["value"]]);
    let admitted = RuntimeClass.admit(&request).map(|patch| patch.operations().iter().map(shown).collect());
    [admitted.unwrap_or_else(message), RuntimeClass.validate(&request).map_or_else(message, |()| json!("ok"))]
}

#[test]
fn what_a_class_brings() {
    let put = |name: &str, rest: Value| {
        let mut class = rest;
        class["metadata"] = json!({"name": name});
        testing::put("node.k8s.io", "runtimeclasses", class);
    };
    put("plain", json!({"handler": "h"}));
    put("heavy", json!({"overhead": {"podFixed": {"cpu": "250m", "memory": "1Gi"}}}));
    put("placed", json!({"scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]}}));
    testing::put_live("node.k8s.io", "runtimeclasses", json!({"metadata": {"name": "fresh"}}));
    let conflict = "conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c";
    let gone = "pod rejected: RuntimeClass \"gone\" not found";
    let tolerations = json!(["/spec/tolerations", [{"key": "k", "operator": "Exists"}]]);
    let fixed = json!({"cpu": "250m", "memory": "1Gi"});
    let rows = [
        (json!({}), json!([]), "ok"),
        (json!({"overhead": {"cpu": "1"}}), json!([]), UNEXPECTED),
        (json!({"runtimeClassName": "plain"}), json!([]), "ok"),
        (json!({"runtimeClassName": "fresh"}), json!([]), "ok"),
        (json!({"runtimeClassName": "plain", "overhead": {"cpu": "1"}}), json!([]), UNEXPECTED),
        (json!({"runtimeClassName": "gone"}), json!(gone), gone),
        // Validation sees the pod before the patch here, so the overhead is missing.
        (json!({"runtimeClassName": "heavy"}), json!([["/spec/overhead", fixed]]), MISMATCH),
        (json!({"runtimeClassName": "heavy", "overhead": {"cpu": "0.25", "memory": "1024Mi"}}), json!([]), "ok"),
        (json!({"runtimeClassName": "heavy", "overhead": {"cpu": "1", "memory": "1Gi"}}), json!(MISMATCH), MISMATCH),
        (json!({"runtimeClassName": "heavy", "overhead": {"cpu": "250m"}}), json!(MISMATCH), MISMATCH),
        (json!({"runtimeClassName": "placed"}), json!([["/spec/nodeSelector", {"a": "b"}], tolerations]), "ok"),
        (
            json!({"runtimeClassName": "placed", "nodeSelector": {"c": "d"}}),
            json!([["/spec/nodeSelector", {"a": "b", "c": "d"}], tolerations]),
            "ok",
        ),
        (json!({"runtimeClassName": "placed", "nodeSelector": {"a": "b"}}), json!([tolerations]), "ok"),
        (json!({"runtimeClassName": "placed", "nodeSelector": {"a": "c"}}), json!(conflict), "ok"),
    ];
    for (spec, patch, validation) in rows {
        assert_eq!(answers(&spec), [patch, json!(validation)], "{spec}");
    }
}
