//! What a client sends is worked on in steps that grow with its size and not with its square: every list and every map of every kind,
//! filled with many items, goes through defaults, preparation and validation, of a new object and of a change.
//!
//! What is compared is the processor's time for so many items with that for several times as many, so that it does not matter how fast the
//! machine is, nor what else runs on it.

use std::collections::BTreeSet;
use std::fs;

use apimachinery::GroupKind;
use apimachinery::schema::{FieldType, Schema, SchemaRef};
use serde_json::{Map, Value, json};
use wasmgate_api::{Resource, kinds, tables};

/// Items of the smaller object.
const ITEMS: usize = 4_000;
/// How many times as many the larger one has.
const TIMES: usize = 4;
/// Times as much work as that may be: linear work is [`TIMES`] times as much, quadratic work its square.
const RATIO_MAX: f64 = 10.0;
/// Less work than this says nothing, in nanoseconds.
const WORK_MIN: f64 = 60e6;
/// Objects inside of each other that are filled.
const LEVELS_MAX: usize = 9;

/// A place in an object: field names, and what stands for an item or an entry.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Item,
    Entry,
}

/// All lists and maps below a schema, each type's once.
fn places(schema: &Schema, path: &mut Vec<Step>, seen: &mut BTreeSet<(String, String)>, found: &mut Vec<Vec<Step>>) {
    if path.len() > LEVELS_MAX * 2 {
        return;
    }
    for field in schema.fields.iter() {
        if !seen.insert((schema.name.to_string(), field.name.to_string())) {
            continue;
        }
        path.push(Step::Field(field.name.to_string()));
        inside(&field.kind, path, seen, found);
        path.pop();
    }
}

fn inside(kind: &FieldType, path: &mut Vec<Step>, seen: &mut BTreeSet<(String, String)>, found: &mut Vec<Vec<Step>>) {
    let (inner, step) = match (kind, kind.items(), kind.values()) {
        (FieldType::Object(schema), ..) => return places(schema, path, seen, found),
        (_, Some(items), _) => (items, Step::Item),
        (_, _, Some(values)) => (values, Step::Entry),
        _ => return,
    };
    found.push(path.clone());
    path.push(step);
    inside(inner, path, seen, found);
    path.pop();
}

/// A value of a type, with scalars filled in two levels deep.
fn sample(kind: &FieldType, i: usize, levels: usize) -> Value {
    match kind {
        FieldType::Bool => true.into(),
        FieldType::Int32 | FieldType::Int64 | FieldType::IntOrString => (1 + i % 60_000).into(),
        FieldType::Float => 0.5.into(),
        FieldType::String => format!("x{i}").into(),
        FieldType::Bytes => "eA==".into(),
        FieldType::Time => "2024-01-01T00:00:00Z".into(),
        FieldType::MicroTime => "2024-01-01T00:00:00.000000Z".into(),
        FieldType::Duration => "1s".into(),
        FieldType::Quantity => "1".into(),
        FieldType::Any => json!({}),
        FieldType::Object(schema) => {
            let mut map = Map::new();
            for field in schema.fields.iter() {
                let scalar = !matches!(field.kind, FieldType::Object(_) | FieldType::Any)
                    && field.kind.items().is_none()
                    && field.kind.values().is_none();
                if scalar || levels > 0 && matches!(field.kind, FieldType::Object(_)) {
                    map.insert(field.name.to_string(), sample(&field.kind, i, levels.saturating_sub(1)));
                }
            }
            map.into()
        }
        _ if kind.items().is_some() => json!([]),
        _ => json!({}),
    }
}

/// An object with so many items at a place, all different or all alike.
fn filled(resource: &Resource, schema: &SchemaRef, path: &[Step], items: usize, different: bool) -> Value {
    let mut object = json!({
        "apiVersion": resource.gvk.api_version(), "kind": &*resource.gvk.kind,
        "metadata": { "name": "x", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2024-01-01T00:00:00Z" },
    });
    if resource.namespaced() {
        object["metadata"]["namespace"] = "default".into();
    }
    let mut place = &mut object;
    let mut kind = FieldType::Object(schema.clone());
    for step in path {
        (place, kind) = match step {
            Step::Field(name) => {
                let FieldType::Object(schema) = &kind else { unreachable!("a field is of an object") };
                let field = schema.field(name).expect("enumerated").kind.clone();
                if !place.is_object() {
                    *place = json!({});
                }
                let map = place.as_object_mut().expect("made above");
                // Beside the list what its owner asks for: names, types.
                if !map.contains_key(name) {
                    if map.is_empty() {
                        *map = sample(&kind, 0, 0).as_object().cloned().unwrap_or_default();
                    }
                    map.insert(name.clone(), Value::Null);
                }
                (map.get_mut(name).expect("put there"), field)
            }
            Step::Item => {
                *place = json!([sample(kind.items().expect("a list"), 0, 0)]);
                (&mut place[0], kind.items().expect("a list").clone())
            }
            Step::Entry => {
                *place = json!({ "k": sample(kind.values().expect("a map"), 0, 0) });
                (&mut place["k"], kind.values().expect("a map").clone())
            }
        };
    }
    let number = |i: usize| if different { i } else { 0 };
    *place = match (kind.items(), kind.values()) {
        (Some(item), _) => (0..items).map(|i| sample(item, number(i), 1)).collect(),
        (_, Some(value)) => Value::Object((0..items).map(|i| (format!("k{i}"), sample(value, number(i), 1))).collect()),
        _ => unreachable!("only lists and maps are enumerated"),
    };
    object
}

/// The thread's time on a processor, in nanoseconds.
fn work() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's time on a processor");
    stat.split(' ').next().and_then(|text| text.parse().ok()).expect("its first number")
}

fn measured(resource: &Resource, object: &Value) -> f64 {
    let strategy = kinds::strategy(resource);
    let start = work();
    let mut new = object.clone();
    strategy.default(resource, &mut new);
    strategy.prepare_for_create(resource, &mut new);
    let errors = strategy.validate(resource, &new);
    let kind = GroupKind { group: resource.gvk.group.clone(), kind: resource.gvk.kind.clone() };
    std::hint::black_box(apimachinery::Status::invalid(&kind, "x", &errors));
    let mut changed = new.clone();
    strategy.prepare_for_update(resource, &mut changed, &new);
    std::hint::black_box(strategy.validate_update(resource, &changed, &new));
    for subresource in resource.subresources.iter() {
        let mut changed = object.clone();
        strategy.prepare_for_subresource_update(resource, &subresource.name, &mut changed, object);
        std::hint::black_box(strategy.validate_subresource_update(resource, &subresource.name, &changed, object));
    }
    std::hint::black_box(strategy.warnings("", &new, None));
    work() - start
}

/// The lists at these places, or all of them.
fn check(chosen: impl Fn(&str) -> bool) -> usize {
    let mut seen = BTreeSet::new();
    let (mut count, mut bad) = (0, Vec::new());
    for resource in tables::resources().iter().filter(|resource| !resource.storage_prefix.is_empty()) {
        let Some(schema) = tables::schema_of(&resource.gvk) else { continue };
        let mut found = Vec::new();
        places(&schema, &mut Vec::new(), &mut seen, &mut found);
        for path in found.into_iter().filter(|path| chosen(&shown(path))) {
            for different in [true, false] {
                count += 1;
                let large = filled(resource, &schema, &path, ITEMS * TIMES, different);
                let at_large = measured(resource, &large);
                if at_large < WORK_MIN {
                    continue;
                }
                let small = filled(resource, &schema, &path, ITEMS, different);
                let ratio = |at_large: f64| at_large / measured(resource, &small).max(1.0);
                // Once more, where it looks bad: a page fault is not work.
                let ratio = Some(ratio(at_large)).filter(|ratio| *ratio <= RATIO_MAX).unwrap_or_else(|| ratio(measured(resource, &large)));
                if ratio > RATIO_MAX {
                    let what = if different { "different" } else { "alike" };
                    bad.push(format!("{} {}, items {what}: {ratio:.1} times the work", resource.gvk.kind, shown(&path)));
                }
            }
        }
    }
    assert!(bad.is_empty(), "{count} lists tried, {} of them\n{}", bad.len(), bad.join("\n"));
    count
}

/// Lists that were compared item by item with all before them, or with another list.
const COMPARED: [&str; 10] = [
    ".metadata.ownerReferences",
    ".spec.containers",
    ".spec.containers[].env",
    ".spec.containers[].ports",
    ".spec.containers[].volumeMounts",
    ".spec.schedulingGates",
    ".spec.tolerations",
    ".spec.topologySpreadConstraints",
    ".spec.volumes",
    ".spec.taints",
];

#[test]
fn work_grows_with_the_size_and_not_with_its_square() {
    let count = check(|place| COMPARED.contains(&place));
    assert!(count >= 2 * COMPARED.len(), "{count} lists: one of {COMPARED:?} is not there");
}

#[test]
#[ignore = "takes minutes: `cargo test --release -p wasmgate-api --test scaling -- --ignored`; SCALING_ONLY chooses by a part of the place"]
fn work_grows_with_the_size_of_any_list() {
    let only = std::env::var("SCALING_ONLY").unwrap_or_default();
    let count = check(|place| place.contains(&only));
    assert!(count > 100 || !only.is_empty(), "{count} lists are few");
}

fn shown(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Field(name) => format!(".{name}"),
        Step::Item => "[]".to_owned(),
        Step::Entry => "{}".to_owned(),
    };
    path.iter().map(step).collect()
}
