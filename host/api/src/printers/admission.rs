//! Webhooks and policies of `admissionregistration.k8s.io`.

use serde_json::Value;

use super::cell::{UNSET, age, at, cells, items, join, len, name, some, text};

pub(super) fn webhook_configuration(configuration: &Value, now: i64) -> Vec<Value> {
    cells![name(configuration), len(configuration, "/webhooks"), age(configuration, now)]
}

pub(super) fn validating_admission_policy(policy: &Value, now: i64) -> Vec<Value> {
    cells![name(policy), len(policy, "/spec/validations"), parameter_kind(policy), age(policy, now)]
}

pub(super) fn mutating_admission_policy(policy: &Value, now: i64) -> Vec<Value> {
    cells![name(policy), len(policy, "/spec/mutations"), parameter_kind(policy), age(policy, now)]
}

fn parameter_kind(policy: &Value) -> String {
    let kind = some(policy, "/spec/paramKind").map(|kind| format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")));
    kind.unwrap_or_else(|| UNSET.to_owned())
}

pub(super) fn policy_binding(binding: &Value, now: i64) -> Vec<Value> {
    let reference = at(binding, "/spec/paramRef");
    let parameter = match (text(reference, "/namespace"), text(reference, "/name"), some(reference, "/selector")) {
        (_, "", None) => UNSET.to_owned(),
        (_, "", Some(selector)) => go_label_selector(selector),
        // Whether parameters have namespaces cannot be told from here.
        ("", name, _) => format!("*/{name}"),
        (namespace, name, _) => format!("{namespace}/{name}"),
    };
    cells![name(binding), text(binding, "/spec/policyName"), parameter, age(binding, now)]
}

/// As Go's generated `String()` has it: not the form of a selector in a URL.
fn go_label_selector(selector: &Value) -> String {
    let labels = at(selector, "/matchLabels").as_object().into_iter().flatten();
    let labels: String = labels.map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default())).collect();
    let expression = |expression: &Value| {
        let values = join(items(expression, "/values").iter().filter_map(Value::as_str), " ");
        let (key, operator) = (text(expression, "/key"), text(expression, "/operator"));
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},")
    };
    let expressions: String = items(selector, "/matchExpressions").iter().map(expression).collect();
    format!("&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}")
}
