//! Conversions between served versions.

use serde_json::{Value, json};
use wasmgate_api::convert::{self, ConversionError, needs_conversion};
use wasmgate_api::tables;

use apimachinery::GroupVersionKind;

const HPA_V1: GroupVersionKind = GroupVersionKind::of("autoscaling", "v1", "HorizontalPodAutoscaler");
const HPA_V2: GroupVersionKind = GroupVersionKind::of("autoscaling", "v2", "HorizontalPodAutoscaler");

/// Where there is a rule for it.
#[track_caller]
fn convert(object: Value, to: &GroupVersionKind) -> Value {
    convert::convert(object, to).expect("there is a rule")
}

#[track_caller]
fn check(from: &Value, to: &GroupVersionKind, expected: &Value) {
    assert_eq!(&convert(from.clone(), to), expected);
}

/// Converts there and back, and gives what there is in between.
#[track_caller]
fn round_trip(object: &Value, there: &GroupVersionKind, back: &GroupVersionKind) -> Value {
    let between = convert(object.clone(), there);
    assert_eq!(&convert(between.clone(), back), object, "by way of {between}");
    between
}

fn hpa(version: &str, metadata: Value, spec: Value, status: Value) -> Value {
    json!({ "apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec, "status": status })
}

#[test]
fn only_kinds_with_several_versions_are_converted() {
    let converted: Vec<String> =
        tables::resources().iter().filter(|resource| needs_conversion(resource)).map(|r| r.gvr.to_string()).collect();
    assert_eq!(
        converted,
        [
            "events.k8s.io/v1, Resource=events",
            "autoscaling/v1, Resource=horizontalpodautoscalers",
            "admissionregistration.k8s.io/v1, Resource=mutatingadmissionpolicies",
            "admissionregistration.k8s.io/v1, Resource=mutatingadmissionpolicybindings",
        ]
    );
}

#[test]
fn a_version_of_the_same_shape_only_changes_its_name() {
    let to = GroupVersionKind::of("admissionregistration.k8s.io", "v1beta1", "MutatingAdmissionPolicy");
    let policy = json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": "a" } });
    let mut expected = policy.clone();
    expected["apiVersion"] = json!("admissionregistration.k8s.io/v1beta1");
    check(&policy, &to, &expected);
    check(&policy, &GroupVersionKind::of("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy"), &policy);
}

#[test]
fn a_percentage_of_cpu_is_a_metric() {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" });
    let v1 = hpa(
        "v1",
        json!({ "name": "a" }),
        json!({ "maxReplicas": 3, "minReplicas": 1, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 60 }),
        json!({ "currentReplicas": 0, "desiredReplicas": 0 }),
    );
    let metric =
        json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 60 } } });
    let v2 = hpa(
        "v2",
        json!({ "name": "a" }),
        json!({ "maxReplicas": 3, "minReplicas": 1, "scaleTargetRef": target, "metrics": [metric] }),
        json!({ "currentMetrics": null, "desiredReplicas": 0 }),
    );
    assert_eq!(round_trip(&v1, &HPA_V2, &HPA_V1), v2);
}

#[test]
fn no_metric_at_all_is_the_default_one() {
    let v2 = convert(hpa("v1", json!({ "name": "a" }), json!({ "maxReplicas": 3 }), json!({})), &HPA_V2);
    assert_eq!(v2.pointer("/spec/metrics/0/resource/target/averageUtilization"), Some(&json!(80)));
}

/// Case table/hpa-v1-metrics.
#[test]
fn a_current_percentage_is_kept_in_an_annotation() {
    let v1 = hpa(
        "v1",
        json!({ "name": "h" }),
        json!({ "maxReplicas": 3, "targetCPUUtilizationPercentage": 60 }),
        json!({ "currentCPUUtilizationPercentage": 11, "currentReplicas": 2, "desiredReplicas": 2 }),
    );
    let back = convert(convert(v1, &HPA_V2), &HPA_V1);
    assert_eq!(
        back["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/current-metrics"],
        json!(r#"[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":11,"currentAverageValue":"0"}}]"#)
    );
    assert_eq!(back["status"], json!({ "currentCPUUtilizationPercentage": 11, "currentReplicas": 2, "desiredReplicas": 2 }));
}

#[test]
fn what_v1_has_no_fields_for_is_kept_in_annotations() {
    let reference = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "i" });
    let selector = json!({ "matchLabels": { "a": "<b>" }, "matchExpressions": [{ "key": "k", "operator": "In", "values": ["v"] }] });
    let policies = json!([{ "type": "Pods", "value": 4, "periodSeconds": 15 }]);
    let v2 = hpa(
        "v2",
        json!({ "name": "h", "annotations": { "mine": "1" } }),
        json!({
            "maxReplicas": 3,
            "metrics": [
                { "type": "Resource", "resource": { "name": "memory", "target": { "type": "AverageValue", "averageValue": "1Gi" } } },
                { "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "c", "target": { "type": "Utilization", "averageUtilization": 7 } } },
                { "type": "Pods", "pods": { "metric": { "name": "m", "selector": selector }, "target": { "type": "AverageValue", "averageValue": "5" } } },
                { "type": "Object", "object": { "describedObject": reference, "metric": { "name": "m" }, "target": { "type": "Value", "value": "10k" } } },
                { "type": "External", "external": { "metric": { "name": "q" }, "target": { "type": "AverageValue", "averageValue": "30" } } },
                { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } },
            ],
            "behavior": { "scaleUp": { "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": policies } },
        }),
        json!({
            "currentReplicas": 1,
            "desiredReplicas": 2,
            "currentMetrics": [
                { "type": "Object", "object": { "describedObject": reference, "metric": { "name": "m" }, "current": { "value": "1" } } },
                { "type": "External", "external": { "metric": { "name": "q" }, "current": { "value": "0", "averageValue": "3" } } },
                { "type": "Pods", "pods": { "metric": { "name": "m" }, "current": { "averageValue": "5" } } },
            ],
            "conditions": [{ "type": "AbleToScale", "status": "True", "lastTransitionTime": "2024-01-02T03:04:05Z", "reason": "R", "message": "a & b" }],
        }),
    );
    let v1 = round_trip(&v2, &HPA_V1, &HPA_V2);
    assert_eq!(v1["spec"], json!({ "maxReplicas": 3, "targetCPUUtilizationPercentage": 50 }));
    let annotation = |name: &str| v1["metadata"]["annotations"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(annotation("mine"), "1");
    assert_eq!(
        annotation("autoscaling.alpha.kubernetes.io/metrics"),
        [
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},"#,
            r#"{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageUtilization":7,"container":"c"}},"#,
            r#"{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"5","selector":{"matchLabels":{"a":"\u003cb\u003e"},"#,
            r#""matchExpressions":[{"key":"k","operator":"In","values":["v"]}]}}},"#,
            r#"{"type":"Object","object":{"target":{"kind":"Ingress","name":"i","apiVersion":"networking.k8s.io/v1"},"#,
            r#""metricName":"m","targetValue":"10k"}},"#,
            r#"{"type":"External","external":{"metricName":"q","targetAverageValue":"30"}}]"#,
        ]
        .concat()
    );
    assert_eq!(
        annotation("autoscaling.alpha.kubernetes.io/behavior"),
        [
            r#"{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","#,
            r#""Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":null}"#,
        ]
        .concat()
    );
    assert_eq!(
        annotation("autoscaling.alpha.kubernetes.io/conditions"),
        r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":"2024-01-02T03:04:05Z","reason":"R","message":"a \u0026 b"}]"#
    );
}

#[test]
fn an_annotation_that_is_not_json_is_dropped() {
    let annotations = json!({ "autoscaling.alpha.kubernetes.io/metrics": "{", "autoscaling.alpha.kubernetes.io/behavior": "{}" });
    let v1 = hpa("v1", json!({ "annotations": annotations }), json!({ "maxReplicas": 1, "targetCPUUtilizationPercentage": 5 }), json!({}));
    let v2 = convert(v1, &HPA_V2);
    assert_eq!(v2["metadata"], json!({}));
    assert_eq!(v2["spec"]["metrics"].as_array().map(Vec::len), Some(1));
    assert_eq!(v2["spec"].get("behavior"), None);
}

/// Case list/field/events.k8s.io.
#[test]
fn the_two_events_differ_in_names() {
    let core = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "eventTime": null, "firstTimestamp": null, "lastTimestamp": null,
        "involvedObject": { "kind": "Pod", "name": "p" }, "message": "m", "reason": "R1", "reportingComponent": "", "reportingInstance": "",
        "source": { "component": "comp" }, "type": "Normal", "count": 2,
    });
    let events = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "e1" }, "eventTime": null,
        "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null, "deprecatedSource": { "component": "comp" }, "deprecatedCount": 2,
        "note": "m", "reason": "R1", "regarding": { "kind": "Pod", "name": "p" }, "type": "Normal",
    });
    let there = GroupVersionKind::of("events.k8s.io", "v1", "Event");
    assert_eq!(round_trip(&core, &there, &GroupVersionKind::of("", "v1", "Event")), events);
}

#[test]
fn what_there_is_no_rule_for_is_an_error() {
    let map = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } });
    for (object, to) in [
        (map.clone(), GroupVersionKind::of("", "v1", "Secret")),
        (map, GroupVersionKind::of("apps", "v1", "ConfigMap")),
        (json!({ "kind": "ConfigMap", "metadata": {} }), GroupVersionKind::of("", "v1", "ConfigMap")),
    ] {
        let error = convert::convert(object.clone(), &to).expect_err("another kind");
        assert!(matches!(error, ConversionError::Unknown { .. }), "{object} {error}");
    }
}
