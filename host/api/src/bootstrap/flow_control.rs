//! How flow schemas and priority levels are kept up to date (upstream's `pkg/registry/flowcontrol/ensurer`).
//!
//! The mandatory ones always get their spec back. The suggested ones do where the annotation says so; where it says nothing, as long as
//! nobody has changed the spec, which the generation tells.

use serde_json::{Value, json};

use super::Reconciled;

const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const EXEMPT: &str = "exempt";
/// Without these the server could not classify every request.
const MANDATORY: [&str; 2] = [EXEMPT, "catch-all"];

pub(super) fn reconcile(existing: &Value, wanted: &Value) -> Reconciled {
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
    let annotated = annotation(existing);
    let update_spec = MANDATORY.contains(&name) || annotated.unwrap_or(existing["metadata"]["generation"] == 1);
    let spec = wanted_spec(existing, wanted);
    let changed = update_spec && !same(&spec, &existing["spec"]);
    if !changed && annotated == Some(update_spec) {
        return Reconciled::Unchanged;
    }
    let mut revised = existing.clone();
    if changed {
        revised["spec"] = spec;
        let generation = existing["metadata"]["generation"].as_i64().unwrap_or(0);
        revised["metadata"]["generation"] = json!(generation + 1);
    }
    if annotated != Some(update_spec) {
        revised["metadata"]["annotations"][AUTO_UPDATE] = json!(update_spec.to_string());
    }
    Reconciled::Update(revised)
}

pub(super) fn is_auto_updated(object: &Value) -> bool {
    annotation(object) == Some(true)
}

/// Go's `strconv.ParseBool`; what is no boolean is as if it were missing.
fn annotation(object: &Value) -> Option<bool> {
    match object["metadata"]["annotations"][AUTO_UPDATE].as_str()? {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// How many seats the exempt level lends is the operator's to say.
fn wanted_spec(existing: &Value, wanted: &Value) -> Value {
    let mut spec = wanted["spec"].clone();
    if wanted["kind"] == "PriorityLevelConfiguration" && wanted["metadata"]["name"] == EXEMPT && existing["spec"]["exempt"].is_object() {
        spec["exempt"] = existing["spec"]["exempt"].clone();
    }
    spec
}

/// Equal but for fields that are empty in one and missing in the other.
fn same(left: &Value, right: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys());
            let field = |object: &serde_json::Map<String, Value>, key: &String| object.get(key).cloned().unwrap_or_default();
            keys.into_iter().all(|key| same(&field(left, key), &field(right, key)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (left, right) => left == right || (is_empty(left) && is_empty(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str) -> Value {
        let found = super::super::bootstrap_objects()
            .into_iter()
            .find(|(resource, object)| &*resource.gvk.kind == "PriorityLevelConfiguration" && object["metadata"]["name"] == name);
        found.expect(name).1
    }

    #[test]
    fn what_is_as_it_should_be_stays() {
        for (_, object) in super::super::bootstrap_objects() {
            assert_eq!(super::super::reconcile(&object, &object), Reconciled::Unchanged, "{object}");
        }
    }

    /// Name, annotation (`None`: missing), generation; then whether the spec comes back, and what the annotation says afterwards.
    #[test]
    fn specs_come_back_where_they_should() {
        for (name, annotation, generation, back, after) in [
            ("workload-low", Some("true"), 1, true, "true"),
            ("workload-low", Some("true"), 7, true, "true"),
            ("workload-low", Some("false"), 1, false, "false"),
            ("workload-low", None, 1, true, "true"),
            ("workload-low", None, 2, false, "false"),
            ("workload-low", Some("maybe"), 1, true, "true"),
            ("workload-low", Some("maybe"), 2, false, "false"),
            ("catch-all", Some("true"), 2, true, "true"),
            ("catch-all", Some("false"), 2, true, "true"),
            ("catch-all", None, 2, true, "true"),
        ] {
            let wanted = wanted(name);
            let mut existing = wanted.clone();
            existing["spec"]["limited"]["nominalConcurrencyShares"] = json!(1);
            existing["metadata"]["generation"] = json!(generation);
            existing["metadata"]["annotations"] = annotation.map_or(Value::Null, |value| json!({ AUTO_UPDATE: value }));
            let label = format!("{name} {annotation:?} {generation}");
            let got = match reconcile(&existing, &wanted) {
                Reconciled::Update(object) => object,
                Reconciled::Unchanged => existing.clone(),
                Reconciled::Recreate => panic!("{label}: recreated"),
            };
            assert_eq!(got["spec"] == wanted["spec"], back, "{label}");
            assert_eq!(got["metadata"]["annotations"][AUTO_UPDATE], after, "{label}");
            assert_eq!(got["metadata"]["generation"], json!(generation + i64::from(back)), "{label}");
            assert_eq!(reconcile(&got, &wanted), Reconciled::Unchanged, "{label}: a second time");
        }
    }

    #[test]
    fn the_exempt_level_keeps_its_seats() {
        let wanted = wanted("exempt");
        let mut existing = wanted.clone();
        existing["spec"]["exempt"] = json!({ "nominalConcurrencyShares": 10, "lendablePercent": 5 });
        assert_eq!(reconcile(&existing, &wanted), Reconciled::Unchanged);
        existing["spec"]["type"] = json!("Limited");
        let Reconciled::Update(object) = reconcile(&existing, &wanted) else { panic!("not updated") };
        assert_eq!((&object["spec"]["type"], &object["spec"]["exempt"]["lendablePercent"]), (&json!("Exempt"), &json!(5)));
    }
}
