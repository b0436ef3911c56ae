//! Event: `v1` and `events.k8s.io/v1` are two views of the same objects, and differ in names.

use serde_json::{Map, Value};

/// What is named differently: in `v1`, and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("source", "deprecatedSource"),
    ("message", "note"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Always there in `v1`, and left out where empty in `events.k8s.io/v1`.
const TEXTS: [(&str, &str); 2] = [("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance")];

/// `v1` to `events.k8s.io/v1`.
pub(super) fn to_events(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for (core, events) in NAMES {
        rename(fields, core, events);
    }
    for (_, name) in TEXTS {
        if fields.get(name).is_some_and(|text| text == "") {
            fields.remove(name);
        }
    }
}

/// `events.k8s.io/v1` to `v1`.
pub(super) fn to_core(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for (core, events) in NAMES {
        rename(fields, events, core);
    }
    for (name, _) in TEXTS {
        fields.entry(name).or_insert_with(|| Value::String(String::new()));
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}
