//! What decoding an object into upstream's Go structs and encoding it again does to it: nulls and empty values go, some fields are
//! always there, quantities and times have one text. `data/serialization.txt` has the facts that types alone do not tell.
//!
//! Runs on every object before its defaults; what the rest of the road sees has this form. Idempotent.

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::quantity::Quantity;
use apimachinery::schema::{FieldType, Schema};
use serde_json::{Map, Value};

/// When a field is there, beyond what its type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Kept,
    Text,
    Zero,
    False,
    Null,
    Object,
    Quantity,
    Duration,
}

type Facts = Box<[(&'static str, Presence)]>;

static FACTS: LazyLock<HashMap<&'static str, Facts>> = LazyLock::new(|| {
    let lines = include_str!("../../data/serialization.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            let facts = words.filter_map(|word| word.split_once(':')).map(|(field, presence)| (field, presence_of(presence)));
            (name, facts.collect())
        })
        .collect()
});

fn presence_of(word: &str) -> Presence {
    match word {
        "kept" => Presence::Kept,
        "text" => Presence::Text,
        "zero" => Presence::Zero,
        "false" => Presence::False,
        "null" => Presence::Null,
        "object" => Presence::Object,
        "quantity" => Presence::Quantity,
        "duration" => Presence::Duration,
        other => unreachable!("{other} is not a word of data/serialization.txt"),
    }
}

/// Brings an object into the form in which upstream answers it. A schema that is not one of Go's (a custom resource's) says
/// nothing of this, and its objects stay as they are.
pub fn normalize(schema: &Schema, object: &mut Value) {
    if !schema.name.starts_with("io.k8s.") {
        return;
    }
    if let Value::Object(map) = object {
        normalize_map(schema, map);
    }
}

/// The same for one field of the object, after it was replaced or taken away.
pub fn normalize_field(schema: &Schema, object: &mut Value, name: &str) {
    if let Some(map) = object.as_object_mut() {
        normalize_entry(schema, map, name);
    }
}

pub(crate) fn normalize_entry(schema: &Schema, map: &mut Map<String, Value>, name: &str) {
    let Some(field) = schema.field(name) else { return };
    let presence = facts(schema).iter().find(|(field, _)| *field == name).map(|(_, presence)| *presence);
    complete(map, name, presence);
    if let Some(value) = map.get_mut(name)
        && !normalize_value(&field.kind, presence, stored_as_json(schema), value)
    {
        map.remove(name);
    }
}

fn facts(schema: &Schema) -> &'static [(&'static str, Presence)] {
    FACTS.get(&*schema.name).map_or(&[], |facts| facts)
}

/// Upstream stores these two groups as JSON, all others as protobuf, which does not tell an empty list from none.
fn stored_as_json(schema: &Schema) -> bool {
    schema.name.starts_with("io.k8s.apiextensions-apiserver.") || schema.name.starts_with("io.k8s.kube-aggregator.")
}

fn complete(map: &mut Map<String, Value>, name: &str, presence: Option<Presence>) {
    let zero = match presence {
        None | Some(Presence::Kept) => return,
        Some(Presence::Text) => Value::String(String::new()),
        Some(Presence::Zero) => Value::from(0),
        Some(Presence::False) => Value::Bool(false),
        Some(Presence::Null) => Value::Null,
        Some(Presence::Object) => Value::Object(Map::new()),
        Some(Presence::Quantity) => Value::String("0".to_owned()),
        Some(Presence::Duration) => Value::String("0s".to_owned()),
    };
    match map.get_mut(name) {
        Some(value) if value.is_null() => *value = zero,
        Some(_) => {}
        None => {
            map.insert(name.to_owned(), zero);
        }
    }
}

fn normalize_map(schema: &Schema, map: &mut Map<String, Value>) {
    let facts = facts(schema);
    let json = stored_as_json(schema);
    for (name, presence) in facts {
        complete(map, name, Some(*presence));
    }
    map.retain(|name, value| {
        let Some(field) = schema.field(name) else { return true };
        let presence = facts.iter().find(|(fact, _)| fact == name).map(|(_, presence)| *presence);
        normalize_value(&field.kind, presence, json, value)
    });
}

/// Whether the value stays.
fn normalize_value(kind: &FieldType, presence: Option<Presence>, json: bool, value: &mut Value) -> bool {
    if value.is_null() {
        return presence == Some(Presence::Null);
    }
    match kind {
        FieldType::Object(schema) => {
            if let Value::Object(map) = value {
                normalize_map(schema, map);
            }
            return true;
        }
        FieldType::List(_) | FieldType::SharedList(_) => {
            let (Some(items), Value::Array(list)) = (kind.items(), &mut *value) else { return true };
            if list.is_empty() {
                return keep_empty(presence, json, value);
            }
            for item in list {
                normalize_item(items, json, item);
            }
            return true;
        }
        FieldType::Map(_) | FieldType::SharedMap(_) => {
            let (Some(values), Value::Object(map)) = (kind.values(), &mut *value) else { return true };
            if map.is_empty() {
                return keep_empty(presence, json, value);
            }
            for (_, item) in map.iter_mut() {
                normalize_item(values, json, item);
            }
            return true;
        }
        FieldType::Any => return true,
        _ => normalize_scalar(kind, value),
    }
    presence.is_some() || !is_zero(value)
}

fn keep_empty(presence: Option<Presence>, json: bool, value: &mut Value) -> bool {
    if presence == Some(Presence::Null) && !json {
        *value = Value::Null;
    }
    presence.is_some()
}

fn normalize_item(kind: &FieldType, json: bool, item: &mut Value) {
    if item.is_null() {
        *item = match kind {
            FieldType::Object(_) => Value::Object(Map::new()),
            FieldType::String | FieldType::Bytes => Value::String(String::new()),
            _ => return,
        };
    }
    normalize_value(kind, Some(Presence::Kept), json, item);
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn normalize_scalar(kind: &FieldType, value: &mut Value) {
    match kind {
        FieldType::Quantity => {
            if let Some(text) = Quantity::of_json(value).map(|quantity| quantity.to_string())
                && value.as_str() != Some(&text)
            {
                *value = Value::String(text);
            }
        }
        FieldType::Time => rewrite(value, |text| canonical_time(text, 0)),
        FieldType::MicroTime => rewrite(value, |text| canonical_time(text, 6)),
        _ => {}
    }
}

fn rewrite(value: &mut Value, canonical: impl Fn(&str) -> Option<String>) {
    if let Value::String(text) = value
        && let Some(new) = canonical(text)
    {
        *text = new;
    }
}

/// UTC, with a fixed number of digits below the second; `None` where it has that form already, or is no time.
fn canonical_time(text: &str, fraction_digits: usize) -> Option<String> {
    let plain_bytes = if fraction_digits == 0 { 20 } else { 21 + fraction_digits };
    if text.len() == plain_bytes && text.ends_with('Z') && text.as_bytes()[10] == b'T' {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    let seconds = time.as_second();
    let whole = jiff::Timestamp::from_second(if time.subsec_nanosecond() < 0 { seconds - 1 } else { seconds }).ok()?.to_string();
    if fraction_digits == 0 {
        return Some(whole);
    }
    let micros = time.as_microsecond().rem_euclid(1_000_000);
    Some(format!("{}.{micros:06}Z", whole.trim_end_matches('Z')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tables::schema_named;

    fn check(name: &str, mut given: Value, expected: Value) {
        let schema = schema_named(name).expect("a definition");
        normalize(&schema, &mut given);
        assert_eq!(given, expected, "{name}");
        normalize(&schema, &mut given);
        assert_eq!(given, expected, "{name}, again");
    }

    #[test]
    fn objects_have_the_form_of_upstreams_answers() {
        check(
            "io.k8s.api.core.v1.Container",
            json!({"name": "c", "image": "", "command": [], "env": null, "resources": {"limits": {"cpu": 1.5, "memory": "1024Mi"}}}),
            json!({"name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}}}),
        );
        check("io.k8s.api.rbac.v1.ClusterRole", json!({"rules": []}), json!({"metadata": {}, "rules": null}));
        check("io.k8s.api.core.v1.SecurityContext", json!({"runAsUser": 0, "procMount": null}), json!({"runAsUser": 0}));
        check("io.k8s.api.core.v1.Volume", json!({"emptyDir": {}, "hostPath": null}), json!({"name": "", "emptyDir": {}}));
        check(
            "io.k8s.api.coordination.v1.LeaseSpec",
            json!({"renewTime": "2020-01-01T02:00:00.5+02:00", "acquireTime": "2020-01-01T00:00:00Z"}),
            json!({"renewTime": "2020-01-01T00:00:00.500000Z", "acquireTime": "2020-01-01T00:00:00.000000Z"}),
        );
        check(
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            json!({"creationTimestamp": null, "labels": {}, "annotations": {"a": null}}),
            json!({"annotations": {"a": ""}}),
        );
    }
}
