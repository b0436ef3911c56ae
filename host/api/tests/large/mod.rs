//! Objects of every kind with one long list or large map each.

use std::collections::BTreeSet;

use apimachinery::schema::{FieldType, Schema, SchemaRef};
use apimachinery::{GroupKind, Status};
use serde_json::{Map, Value, json};
use wasmgate_api::{Resource, kinds, tables};

/// Objects inside of each other that are filled.
const LEVELS_MAX: usize = 9;

/// One list or map of a kind.
pub struct Place {
    pub resource: &'static Resource,
    schema: SchemaRef,
    path: Vec<Step>,
}

impl Place {
    /// All of them, each type's once.
    pub fn all() -> Vec<Place> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for resource in tables::resources().iter().filter(|resource| !resource.storage_prefix.is_empty()) {
            let Some(schema) = tables::schema_of(&resource.gvk) else { continue };
            let mut found = Vec::new();
            places(&schema, &mut Vec::new(), &mut seen, &mut found);
            all.extend(found.into_iter().map(|path| Place { resource, schema: schema.clone(), path }));
        }
        all
    }

    /// The place as a path of fields, as `.spec.containers[].env`.
    pub fn shown(&self) -> String {
        let step = |step: &Step| match step {
            Step::Field(name) => format!(".{name}"),
            Step::Item => "[]".to_owned(),
            Step::Entry => "{}".to_owned(),
        };
        self.path.iter().map(step).collect()
    }

    /// An object with so many items there, all different or all alike.
    pub fn filled(&self, items: usize, different: bool) -> Value {
        filled(self.resource, &self.schema, &self.path, items, different)
    }
}

/// An object goes through all that its kind does with a new object, a change, and a change of each subresource.
pub fn prepare_and_validate(resource: &Resource, object: &Value) {
    let strategy = kinds::strategy(resource);
    let mut new = object.clone();
    strategy.default(resource, &mut new);
    strategy.prepare_for_create(resource, &mut new);
    let errors = strategy.validate(resource, &new);
    let kind = GroupKind { group: resource.gvk.group.clone(), kind: resource.gvk.kind.clone() };
    std::hint::black_box(Status::invalid(&kind, "x", &errors));
    let mut changed = new.clone();
    strategy.prepare_for_update(resource, &mut changed, &new);
    std::hint::black_box(strategy.validate_update(resource, &changed, &new));
    for subresource in resource.subresources.iter() {
        let mut changed = object.clone();
        strategy.prepare_for_subresource_update(resource, &subresource.name, &mut changed, object);
        std::hint::black_box(strategy.validate_subresource_update(resource, &subresource.name, &changed, object));
    }
    std::hint::black_box(strategy.warnings("", &new, None));
}

/// A place in an object: field names, and what stands for an item or an entry.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Item,
    Entry,
}

/// All lists and maps below a schema.
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
