//! What is filled in of a HorizontalPodAutoscaler (upstream: `pkg/apis/autoscaling/v1/defaults.go`).

use serde_json::{Value, json};

use crate::Resource;
use crate::shared::value::{has, if_nil, if_zero, object_at, object_mut, set, some};

/// Percent.
const CPU_UTILIZATION: i64 = 80;

pub(crate) fn default(resource: &Resource, autoscaler: &mut Value) {
    let spec = object_at(autoscaler, "spec");
    if_nil(spec, "minReplicas", 1);
    if resource.gvk.version == "v1" {
        let others = autoscaler
            .pointer("/metadata/annotations")
            .is_some_and(|annotations| has(annotations, "autoscaling.alpha.kubernetes.io/metrics"));
        if !others {
            if_nil(object_at(autoscaler, "spec"), "targetCPUUtilizationPercentage", CPU_UTILIZATION);
        }
        return;
    }
    let target = json!({ "type": "Utilization", "averageUtilization": CPU_UTILIZATION });
    if_zero(spec, "metrics", json!([{ "type": "Resource", "resource": { "name": "cpu", "target": target } }]));
    if let Some(behavior) = object_mut(spec, "behavior") {
        let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
        let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
        default_rules(behavior, "scaleUp", json!({ "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent] }));
        default_rules(behavior, "scaleDown", json!({ "selectPolicy": "Max", "policies": [percent] }));
    }
}

fn default_rules(behavior: &mut Value, name: &str, mut rules: Value) {
    if let Some(given) = some(behavior, name) {
        for field in ["selectPolicy", "stabilizationWindowSeconds", "policies", "tolerance"] {
            if let Some(value) = some(given, field) {
                set(&mut rules, field, value.clone());
            }
        }
    }
    set(behavior, name, rules);
}
