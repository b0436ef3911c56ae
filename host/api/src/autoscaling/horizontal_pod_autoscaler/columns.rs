//! An autoscaler's row, in both versions: `autoscaling/v1` keeps what it has no fields for in annotations.

use serde_json::{Map, Value, json};

use super::conversion;
use crate::shared::cell::{NONE, UNKNOWN, UNSET, age, at, cells, int, items, name, quantity, some, text};

const METRICS_SHOWN: usize = 2;

pub(crate) fn row(autoscaler: &Value, now: i64) -> Vec<Value> {
    let (specs, statuses) = if autoscaler["apiVersion"] == "autoscaling/v1" {
        (specs_of_v1(autoscaler), statuses_of_v1(autoscaler))
    } else {
        (items(autoscaler, "/spec/metrics").to_vec(), items(autoscaler, "/status/currentMetrics").to_vec())
    };
    let target = at(autoscaler, "/spec/scaleTargetRef");
    cells![
        name(autoscaler),
        format!("{}/{}", text(target, "/kind"), text(target, "/name")),
        metrics(&specs, &statuses),
        at(autoscaler, "/spec/minReplicas").as_i64().map_or_else(|| UNSET.to_owned(), |min| min.to_string()),
        int(autoscaler, "/spec/maxReplicas"),
        int(autoscaler, "/status/currentReplicas"),
        age(autoscaler, now),
    ]
}

/// Each metric as `current/target`.
fn metrics(specs: &[Value], statuses: &[Value]) -> String {
    if specs.is_empty() {
        return NONE.to_owned();
    }
    let shown: Vec<String> = specs.iter().enumerate().map(|(i, spec)| metric(spec, statuses.get(i).unwrap_or(&Value::Null))).collect();
    match shown.len() {
        0..=METRICS_SHOWN => shown.join(", "),
        count => format!("{} + {} more...", shown[..METRICS_SHOWN].join(", "), count - METRICS_SHOWN),
    }
}

fn metric(spec: &Value, status: &Value) -> String {
    let (source, resource) = match text(spec, "/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let target = at(&spec[source], "/target");
    // The status of a metric at the same place; it may be of another source, or not be there yet.
    let source_status = some(status, &format!("/{source}"));
    let current = source_status.map(|status| at(status, "/current"));
    let current_value = |field: &str| current.map_or_else(|| UNKNOWN.to_owned(), |current| quantity(some(current, field)));
    let average = some(target, "/averageValue");
    if resource {
        let name = text(&spec[source], "/name");
        if average.is_some() {
            return format!("{name}: {}/{}", current_value("/averageValue"), quantity(average));
        }
        let percent = |value: Option<&Value>, otherwise: &str| {
            value.and_then(Value::as_i64).map_or_else(|| otherwise.to_owned(), |percent| format!("{percent}%"))
        };
        let utilization = current.and_then(|current| some(current, "/averageUtilization"));
        return format!("{name}: {}/{}", percent(utilization, UNKNOWN), percent(some(target, "/averageUtilization"), "<auto>"));
    }
    match (source, average) {
        ("pods", _) => format!("{}/{}", current_value("/averageValue"), quantity(average)),
        (_, Some(_)) => {
            let known = current.and_then(|current| some(current, "/averageValue"));
            format!("{}/{} (avg)", known.map_or_else(|| UNKNOWN.to_owned(), |value| quantity(Some(value))), quantity(average))
        }
        (_, None) => format!("{}/{}", current_value("/value"), quantity(some(target, "/value"))),
    }
}

/// A JSON list in an annotation; `None` where there is none, or it is broken.
fn annotation(autoscaler: &Value, name: &str) -> Option<Vec<Value>> {
    serde_json::from_str(at(autoscaler, "/metadata/annotations").get(name)?.as_str()?).ok()
}

/// Metrics of a `v1` autoscaler in the form of `v2`: those of the annotation, then the one that it has a field for.
fn specs_of_v1(autoscaler: &Value) -> Vec<Value> {
    let mut specs: Vec<Value> = annotation(autoscaler, conversion::METRICS).unwrap_or_default().iter().map(spec_of_v1).collect();
    if let Some(percent) = some(autoscaler, "/spec/targetCPUUtilizationPercentage") {
        specs.push(json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "averageUtilization": percent } } }));
    }
    specs
}

fn statuses_of_v1(autoscaler: &Value) -> Vec<Value> {
    if let Some(statuses) = annotation(autoscaler, conversion::CURRENT_METRICS) {
        return statuses.iter().map(status_of_v1).collect();
    }
    match some(autoscaler, "/status/currentCPUUtilizationPercentage") {
        Some(percent) => vec![json!({ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": percent } } })],
        None => Vec::new(),
    }
}

fn spec_of_v1(spec: &Value) -> Value {
    of_v1(
        spec,
        "target",
        &[
            ("targetValue", "value"),
            ("averageValue", "averageValue"),
            ("targetAverageValue", "averageValue"),
            ("targetAverageUtilization", "averageUtilization"),
        ],
    )
}

fn status_of_v1(status: &Value) -> Value {
    of_v1(
        status,
        "current",
        &[
            ("currentValue", "value"),
            ("averageValue", "averageValue"),
            ("currentAverageValue", "averageValue"),
            ("currentAverageUtilization", "averageUtilization"),
        ],
    )
}

/// `v1` spells the values of a metric side by side; `v2` has them under `target` and `current`.
fn of_v1(metric: &Value, under: &str, fields: &[(&str, &str)]) -> Value {
    let mut converted = Map::new();
    for (key, value) in metric.as_object().into_iter().flatten() {
        let Value::Object(source) = value else {
            converted.insert(key.clone(), value.clone());
            continue;
        };
        let mut values = Map::new();
        for (from, to) in fields {
            if let Some(value) = source.get(*from).filter(|value| !value.is_null()) {
                values.insert((*to).to_owned(), value.clone());
            }
        }
        converted.insert(key.clone(), json!({ "name": source.get("name").cloned().unwrap_or_default(), under: values }));
    }
    converted.into()
}
