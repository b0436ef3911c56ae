//! HorizontalPodAutoscaler: `autoscaling/v2` has metrics, `autoscaling/v1` has one percentage of CPU, and keeps everything
//! else in annotations, as JSON in the form (and the order of fields) that upstream writes there.

use serde_json::{Map, Value, json};

pub(crate) const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
pub(crate) const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
pub(crate) const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
pub(crate) const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Percent of the request, where `autoscaling/v1` names no metric at all.
const CPU_UTILIZATION_DEFAULT: i64 = 80;

/// `autoscaling/v1` to `autoscaling/v2`.
pub(crate) fn to_v2(autoscaler: &mut Value) {
    let mut kept = take_annotations(autoscaler);
    let spec = object_at(autoscaler, "spec");
    let cpu = spec.remove("targetCPUUtilizationPercentage").filter(|percent| !percent.is_null());
    let cpu = cpu.map(|percent| cpu_metric(&percent));
    let mut metrics: Vec<Value> = match kept.remove(METRICS) {
        Some(Value::Array(others)) => others.iter().map(|metric| each_source(metric, source_to_v2)).collect(),
        _ => Vec::new(),
    };
    metrics.extend(cpu);
    if metrics.is_empty() {
        metrics.push(cpu_metric(&json!(CPU_UTILIZATION_DEFAULT)));
    }
    spec.insert("metrics".to_owned(), Value::Array(metrics));
    if let Some(behavior) = kept.remove(BEHAVIOR).map(|behavior| lower_case(&behavior)).filter(|behavior| *behavior != json!({})) {
        spec.insert("behavior".to_owned(), behavior);
    }

    let status = object_at(autoscaler, "status");
    let cpu = status.remove("currentCPUUtilizationPercentage").filter(|percent| !percent.is_null());
    let current = match kept.remove(CURRENT_METRICS) {
        // What is kept has more in it than the percentage.
        Some(Value::Array(all)) => Value::Array(all.iter().map(|metric| each_source(metric, status_to_v2)).collect()),
        _ => cpu.map_or(
            Value::Null,
            |percent| json!([{ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": percent } } }]),
        ),
    };
    status.insert("currentMetrics".to_owned(), current);
    if status.get("currentReplicas").is_some_and(|count| *count == 0) {
        status.remove("currentReplicas");
    }
    if let Some(conditions @ Value::Array(_)) = kept.remove(CONDITIONS) {
        status.insert("conditions".to_owned(), conditions);
    }
}

/// `autoscaling/v2` to `autoscaling/v1`.
pub(crate) fn to_v1(autoscaler: &mut Value) {
    take_annotations(autoscaler);
    let mut kept: Vec<(&str, String)> = Vec::new();
    let spec = object_at(autoscaler, "spec");
    let metrics = list(spec.remove("metrics"));
    let behavior = spec.remove("behavior").filter(Value::is_object);
    if let Some(percent) = metrics.iter().find_map(cpu_utilization) {
        spec.insert("targetCPUUtilizationPercentage".to_owned(), percent.clone());
    }
    let others: Vec<String> = metrics.iter().filter(|metric| cpu_utilization(metric).is_none()).map(source_text).collect();
    if !others.is_empty() {
        kept.push((METRICS, format!("[{}]", others.join(","))));
    }
    kept.extend(behavior.map(|behavior| (BEHAVIOR, behavior_text(&behavior))));

    let status = object_at(autoscaler, "status");
    let current = list(status.remove("currentMetrics"));
    let conditions = list(status.remove("conditions"));
    let is_cpu = |metric: &&Value| metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
    let percent = current.iter().filter(is_cpu).filter_map(|metric| metric.pointer("/resource/current/averageUtilization")).next_back();
    if let Some(percent) = percent {
        status.insert("currentCPUUtilizationPercentage".to_owned(), percent.clone());
    }
    for count in ["currentReplicas", "desiredReplicas"] {
        status.entry(count).or_insert_with(|| json!(0));
    }
    if !current.is_empty() {
        let texts: Vec<String> = current.iter().map(status_text).collect();
        kept.push((CURRENT_METRICS, format!("[{}]", texts.join(","))));
    }
    if !conditions.is_empty() {
        let texts: Vec<String> = conditions.iter().map(condition_text).collect();
        kept.push((CONDITIONS, format!("[{}]", texts.join(","))));
    }
    if !kept.is_empty() {
        let annotations = object_in(object_at(autoscaler, "metadata"), "annotations");
        annotations.extend(kept.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))));
    }
}

/// Removes the annotations that conversion makes, and gives what they say; one that is not JSON says nothing.
fn take_annotations(autoscaler: &mut Value) -> Map<String, Value> {
    let mut kept = Map::new();
    let Some(metadata) = autoscaler.get_mut("metadata").and_then(Value::as_object_mut) else { return kept };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return kept };
    for name in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
        if let Some(value) = annotations.remove(name).and_then(|text| serde_json::from_str(text.as_str()?).ok()) {
            kept.insert(name.to_owned(), value);
        }
    }
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    kept
}

fn cpu_metric(percent: &Value) -> Value {
    json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": percent } } })
}

/// The one metric that `autoscaling/v1` has a field for.
fn cpu_utilization(metric: &Value) -> Option<&Value> {
    let is_cpu = metric["type"] == "Resource" && metric["resource"]["name"] == "cpu";
    if is_cpu { metric.pointer("/resource/target/averageUtilization").filter(|percent| !percent.is_null()) } else { None }
}

/// Applies a conversion to each source of a metric that is there.
fn each_source(metric: &Value, convert: fn(&str, &Value) -> Value) -> Value {
    let mut converted = json!({ "type": metric["type"].as_str().unwrap_or_default() });
    for source in ["object", "pods", "resource", "containerResource", "external"] {
        if let Some(value) = metric.get(source).filter(|value| value.is_object()) {
            converted[source] = convert(source, value);
        }
    }
    converted
}

fn source_to_v2(source: &str, of: &Value) -> Value {
    let mut target = json!({});
    match source {
        "object" => {
            target["type"] = json!(if is_set(of, "averageValue") { "AverageValue" } else { "Value" });
            target["value"] = quantity(of, "targetValue");
            copy(of, "averageValue", &mut target, "averageValue");
            json!({ "describedObject": reference(&of["target"]), "metric": metric(of, "selector"), "target": target })
        }
        "pods" => {
            let target = json!({ "type": "AverageValue", "averageValue": quantity(of, "targetAverageValue") });
            json!({ "metric": metric(of, "selector"), "target": target })
        }
        "external" => {
            target["type"] = json!(if is_set(of, "targetValue") { "Value" } else { "AverageValue" });
            copy(of, "targetValue", &mut target, "value");
            copy(of, "targetAverageValue", &mut target, "averageValue");
            json!({ "metric": metric(of, "metricSelector"), "target": target })
        }
        _ => {
            target["type"] = json!(if is_set(of, "targetAverageUtilization") { "Utilization" } else { "AverageValue" });
            copy(of, "targetAverageValue", &mut target, "averageValue");
            copy(of, "targetAverageUtilization", &mut target, "averageUtilization");
            with_resource(source, of, json!({ "target": target }))
        }
    }
}

fn status_to_v2(source: &str, of: &Value) -> Value {
    let mut current = json!({});
    match source {
        "object" => {
            current["value"] = quantity(of, "currentValue");
            copy(of, "averageValue", &mut current, "averageValue");
            json!({ "describedObject": reference(&of["target"]), "metric": metric(of, "selector"), "current": current })
        }
        "pods" => json!({ "metric": metric(of, "selector"), "current": { "averageValue": quantity(of, "currentAverageValue") } }),
        "external" => {
            current["value"] = quantity(of, "currentValue");
            copy(of, "currentAverageValue", &mut current, "averageValue");
            json!({ "metric": metric(of, "metricSelector"), "current": current })
        }
        _ => {
            current["averageValue"] = quantity(of, "currentAverageValue");
            copy(of, "currentAverageUtilization", &mut current, "averageUtilization");
            with_resource(source, of, json!({ "current": current }))
        }
    }
}

fn with_resource(source: &str, of: &Value, mut converted: Value) -> Value {
    converted["name"] = json!(of["name"].as_str().unwrap_or_default());
    if source == "containerResource" {
        converted["container"] = json!(of["container"].as_str().unwrap_or_default());
    }
    converted
}

fn metric(of: &Value, selector: &str) -> Value {
    let mut metric = json!({ "name": of["metricName"].as_str().unwrap_or_default() });
    copy(of, selector, &mut metric, "selector");
    metric
}

fn reference(of: &Value) -> Value {
    let mut reference = json!({ "kind": of["kind"].as_str().unwrap_or_default(), "name": of["name"].as_str().unwrap_or_default() });
    copy(of, "apiVersion", &mut reference, "apiVersion");
    reference
}

/// A metric of `autoscaling/v2` as the annotation has it.
fn source_text(metric: &Value) -> String {
    metric_text(metric, |source, of| {
        let (target, name) = (&of["target"], text_of(&of["metric"], "name"));
        match source {
            "object" => object(&[
                ("target", Some(reference_text(&of["describedObject"]))),
                ("metricName", Some(name)),
                ("targetValue", Some(quantity_text(target, "value"))),
                ("selector", selector_text(&of["metric"])),
                ("averageValue", optional(target, "averageValue")),
            ]),
            "pods" => object(&[
                ("metricName", Some(name)),
                ("targetAverageValue", Some(quantity_text(target, "averageValue"))),
                ("selector", selector_text(&of["metric"])),
            ]),
            "external" => object(&[
                ("metricName", Some(name)),
                ("metricSelector", selector_text(&of["metric"])),
                ("targetValue", optional(target, "value")),
                ("targetAverageValue", optional(target, "averageValue")),
            ]),
            _ => object(&[
                ("name", Some(text_of(of, "name"))),
                ("targetAverageUtilization", optional(target, "averageUtilization")),
                ("targetAverageValue", optional(target, "averageValue")),
                ("container", (source == "containerResource").then(|| text_of(of, "container"))),
            ]),
        }
    })
}

/// A current metric of `autoscaling/v2` as the annotation has it.
fn status_text(metric: &Value) -> String {
    metric_text(metric, |source, of| {
        let (current, name) = (&of["current"], text_of(&of["metric"], "name"));
        match source {
            "object" => object(&[
                ("target", Some(reference_text(&of["describedObject"]))),
                ("metricName", Some(name)),
                ("currentValue", Some(quantity_text(current, "value"))),
                ("selector", selector_text(&of["metric"])),
                ("averageValue", optional(current, "averageValue")),
            ]),
            "pods" => object(&[
                ("metricName", Some(name)),
                ("currentAverageValue", Some(quantity_text(current, "averageValue"))),
                ("selector", selector_text(&of["metric"])),
            ]),
            "external" => object(&[
                ("metricName", Some(name)),
                ("metricSelector", selector_text(&of["metric"])),
                ("currentValue", Some(quantity_text(current, "value"))),
                ("currentAverageValue", optional(current, "averageValue")),
            ]),
            _ => object(&[
                ("name", Some(text_of(of, "name"))),
                ("currentAverageUtilization", optional(current, "averageUtilization")),
                ("currentAverageValue", Some(quantity_text(current, "averageValue"))),
                ("container", (source == "containerResource").then(|| text_of(of, "container"))),
            ]),
        }
    })
}

fn metric_text(metric: &Value, write: impl Fn(&str, &Value) -> String) -> String {
    let source = |name: &str| metric.get(name).filter(|value| value.is_object()).map(|value| write(name, value));
    object(&[
        ("type", Some(text_of(metric, "type"))),
        ("object", source("object")),
        ("pods", source("pods")),
        ("resource", source("resource")),
        ("containerResource", source("containerResource")),
        ("external", source("external")),
    ])
}

fn condition_text(of: &Value) -> String {
    object(&[
        ("type", Some(text_of(of, "type"))),
        ("status", Some(text_of(of, "status"))),
        ("lastTransitionTime", Some(json_text(&of["lastTransitionTime"]))),
        ("reason", optional(of, "reason")),
        ("message", optional(of, "message")),
        ("observedGeneration", optional(of, "observedGeneration")),
    ])
}

/// Upstream writes its internal type here, which has Go's names and no absent fields.
fn behavior_text(of: &Value) -> String {
    let policy = |of: &Value| {
        let number = |field: &str| Some(of.get(field).filter(|value| !value.is_null()).map_or("0".to_owned(), json_text));
        object(&[("Type", Some(text_of(of, "type"))), ("Value", number("value")), ("PeriodSeconds", number("periodSeconds"))])
    };
    let rules = |of: &Value| {
        let policies = of["policies"].as_array().map(|all| format!("[{}]", all.iter().map(policy).collect::<Vec<_>>().join(",")));
        object(&[
            ("StabilizationWindowSeconds", Some(json_text(&of["stabilizationWindowSeconds"]))),
            ("SelectPolicy", Some(json_text(&of["selectPolicy"]))),
            ("Policies", Some(policies.unwrap_or_else(|| "null".to_owned()))),
            ("Tolerance", Some(json_text(&of["tolerance"]))),
        ])
    };
    let side = |name: &str| Some(if of[name].is_object() { rules(&of[name]) } else { "null".to_owned() });
    object(&[("ScaleUp", side("scaleUp")), ("ScaleDown", side("scaleDown"))])
}

/// Reads what [`behavior_text`] writes: names start in lower case, nulls go.
fn lower_case(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let mut chars = name.chars();
                let name: String = chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default();
                (name, lower_case(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(list) => list.iter().map(lower_case).collect(),
        other => other.clone(),
    }
}

fn reference_text(of: &Value) -> String {
    object(&[("kind", Some(text_of(of, "kind"))), ("name", Some(text_of(of, "name"))), ("apiVersion", optional(of, "apiVersion"))])
}

fn selector_text(metric: &Value) -> Option<String> {
    let selector = metric.get("selector").filter(|selector| selector.is_object())?;
    let expression = |of: &Value| {
        object(&[("key", Some(text_of(of, "key"))), ("operator", Some(text_of(of, "operator"))), ("values", optional(of, "values"))])
    };
    let expressions = selector["matchExpressions"].as_array().filter(|all| !all.is_empty());
    let expressions = expressions.map(|all| format!("[{}]", all.iter().map(expression).collect::<Vec<_>>().join(",")));
    Some(object(&[("matchLabels", optional(selector, "matchLabels")), ("matchExpressions", expressions)]))
}

/// A JSON object in this order of fields.
fn object(fields: &[(&str, Option<String>)]) -> String {
    let fields: Vec<String> = fields.iter().filter_map(|(name, text)| text.as_ref().map(|text| format!("\"{name}\":{text}"))).collect();
    format!("{{{}}}", fields.join(","))
}

/// As Go's encoder writes it, which escapes what HTML would read.
fn json_text(value: &Value) -> String {
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.iter().fold(value.to_string(), |text, (c, escape)| text.replace(*c, escape))
}

fn text_of(of: &Value, field: &str) -> String {
    json_text(&json!(of[field].as_str().unwrap_or_default()))
}

fn optional(of: &Value, field: &str) -> Option<String> {
    of.get(field).filter(|value| !value.is_null()).map(json_text)
}

fn quantity_text(of: &Value, field: &str) -> String {
    json_text(&quantity(of, field))
}

/// A quantity that is always there.
fn quantity(of: &Value, field: &str) -> Value {
    of.get(field).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| json!("0"))
}

fn is_set(of: &Value, field: &str) -> bool {
    of.get(field).is_some_and(|value| !value.is_null())
}

fn copy(from: &Value, name: &str, to: &mut Value, as_name: &str) {
    if is_set(from, name) {
        to[as_name] = from[name].clone();
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// The object at a field, made where it is missing.
fn object_at<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    object_in(value.as_object_mut().expect("made an object above"), field)
}

fn object_in<'a>(map: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(field).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}
