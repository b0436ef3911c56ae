//! What a container asks for where it does not say.

use std::collections::BTreeMap;

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::patch::Patch;
use wasmgate_sdk::serde_json::{Map, Value, json};

use crate::ranges::{LimitRange, ResourceList};

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
/// Where containers are, and what the annotation calls one.
const LISTS: [(&str, &str); 2] = [("containers", "container"), ("initContainers", "init container")];

/// Fills in requests and limits, and says so in an annotation.
pub fn patch(ranges: &[LimitRange], pod: &Object) -> Patch {
    let mut patch = Patch::unchanged();
    let defaults: Vec<_> = ranges.iter().map(Defaults::of).filter(|defaults| !defaults.is_empty()).collect();
    if defaults.is_empty() {
        return patch;
    }
    let mut lists = LISTS.map(|(field, what)| (field, what, containers(pod, field)));
    let before = lists.clone();
    let mut annotation = None;
    for defaults in &defaults {
        let mut parts = Vec::new();
        for (_, what, containers) in &mut lists {
            containers.iter_mut().for_each(|container| defaults.fill(container, what, &mut parts));
        }
        // Each range writes its own words over those of the one before: so does upstream.
        if !parts.is_empty() {
            annotation = Some(format!("LimitRanger plugin set: {}", parts.join("; ")));
        }
    }
    let Some(annotation) = annotation else { return patch };
    for ((field, _, old), (_, _, new)) in before.iter().zip(&lists) {
        for (at, (old, new)) in old.iter().zip(new).enumerate() {
            if old != new {
                patch.add(format!("/spec/{field}/{at}/resources"), new["resources"].clone());
            }
        }
    }
    match pod.get("/metadata/annotations") {
        Some(Value::Object(_)) => patch.add("/metadata/annotations/kubernetes.io~1limit-ranger", annotation),
        _ => patch.add("/metadata/annotations", json!({ANNOTATION: annotation})),
    };
    patch
}

fn containers(pod: &Object, field: &str) -> Vec<Value> {
    match pod.get(&format!("/spec/{field}")) {
        Some(Value::Array(containers)) => containers,
        _ => Vec::new(),
    }
}

/// Of one LimitRange: of several limits for containers the last counts.
#[derive(Default)]
struct Defaults {
    requests: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
}

impl Defaults {
    fn of(range: &LimitRange) -> Self {
        let mut defaults = Self::default();
        let texts = |list: &ResourceList| list.iter().map(|(name, quantity)| (name.clone(), quantity.to_string())).collect::<Vec<_>>();
        for limit in range.limits().iter().filter(|limit| limit.r#type == "Container") {
            defaults.requests.extend(texts(&limit.default_request));
            defaults.limits.extend(texts(&limit.default));
        }
        defaults
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }

    fn fill(&self, container: &mut Value, what: &str, parts: &mut Vec<String>) {
        let Value::Object(container) = container else { return };
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        for (field, word, defaults) in [("requests", "request", &self.requests), ("limits", "limit", &self.limits)] {
            let known = container.get("resources").and_then(|resources| resources.get(field));
            let missing: Vec<_> = defaults.iter().filter(|(name, _)| known.is_none_or(|known| known.get(name).is_none())).collect();
            if missing.is_empty() {
                continue;
            }
            let resources = member(container, "resources");
            let amounts = member(resources, field);
            amounts.extend(missing.iter().map(|(name, amount)| ((*name).clone(), json!(amount))));
            let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
            parts.push(format!("{} {word} for {what} {name}", names.join(", ")));
        }
    }
}

/// The object that is a member of another, made where there is none.
fn member<'a>(object: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(field).or_insert(Value::Null);
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(member) => member,
        _ => unreachable!("it was made an object above"),
    }
}
