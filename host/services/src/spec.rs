//! Reading and changing a Service's `spec` as JSON.

use serde_json::{Map, Value};

/// The field as a string; empty where it is missing.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The field as a number; 0 where it is missing.
pub(crate) fn int(value: &Value, name: &str) -> i64 {
    value.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// The items of a list; none where it is missing.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The strings of a list.
pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    list(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `spec`, made if it is missing.
pub(crate) fn spec_mut(service: &mut Value) -> &mut Map<String, Value> {
    if !service.get("spec").is_some_and(Value::is_object) {
        service["spec"] = Map::new().into();
    }
    service["spec"].as_object_mut().expect("made an object above")
}

/// `ExternalName`: an alias, without address or port.
pub(crate) fn is_external(spec: &Value) -> bool {
    text(spec, "type") == "ExternalName"
}

/// `clusterIP: None`
pub(crate) fn is_headless(spec: &Value) -> bool {
    text(spec, "clusterIP") == "None" || list(spec, "clusterIPs").first().is_some_and(|first| first == "None")
}

/// Types that are reached by a port of every node.
pub(crate) fn has_node_ports(spec: &Value) -> bool {
    matches!(text(spec, "type"), "NodePort" | "LoadBalancer")
}

/// Nodes are asked whether they have an endpoint.
pub(crate) fn needs_health_check(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}
