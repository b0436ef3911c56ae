//! An object that a patch changed is made one of its kind again, as a request's body becomes one: every field has its type, unknown ones go,
//! the rest has the form of upstream's answers, and defaults are filled in.
//!
//! Only what the patch touched is looked at, for a plugin's patch adds little to a large object. That comes to the same as looking at all
//! of it: what a field may be depends on its own type alone. A list or a map is looked at as a whole, as is what takes a place of its own.

use std::collections::BTreeSet;

use apimachinery::codec;
use apimachinery::schema::{FieldType, Schema};
use serde_json::{Map, Value};

use super::{shape, strategy};
use crate::Resource;

/// An object of a resource's kind, after a patch that touched these places (`apimachinery::patch::json::touched`). What it was before has
/// passed here or was decoded. The error is in the words of a decoder.
pub fn object(resource: &Resource, object: &mut Value, touched: &[Vec<String>]) -> Result<(), String> {
    fields(&resource.schema, object, touched, resource.schema.name.starts_with("io.k8s."))?;
    strategy(resource).set_defaults(resource, object);
    Ok(())
}

/// An object of a kind that has no defaults and is answered as it is: `Scale`, `Binding`.
pub fn typed(schema: &Schema, object: &mut Value, touched: &[Vec<String>]) -> Result<(), String> {
    fields(schema, object, touched, false)
}

fn fields(schema: &Schema, object: &mut Value, touched: &[Vec<String>], normal: bool) -> Result<(), String> {
    let units: BTreeSet<&[String]> = touched.iter().map(|place| unit(schema, place)).collect();
    // The shortest come first: what is below one of them is looked at twice, which changes nothing.
    for unit in units {
        match (unit, &mut *object) {
            ([_, ..], Value::Object(map)) => field(schema, map, unit, &mut Vec::new(), normal)?,
            _ => {
                *object = codec::check_value(object, schema)?.value;
                if normal {
                    shape::normalize(schema, object);
                }
            }
        }
    }
    Ok(())
}

/// The part of a place that leads through objects alone, up to the first field that is something else.
fn unit<'k>(mut schema: &Schema, place: &'k [String]) -> &'k [String] {
    for (i, key) in place.iter().enumerate() {
        match schema.field(key).map(|field| &field.kind) {
            Some(FieldType::Object(inner)) if !inner.fields.is_empty() => schema = inner,
            _ => return &place[..=i],
        }
    }
    place
}

fn field<'s>(
    schema: &'s Schema,
    map: &mut Map<String, Value>,
    unit: &'s [String],
    parents: &mut Vec<&'s str>,
    normal: bool,
) -> Result<(), String> {
    let [name, rest @ ..] = unit else { return Ok(()) };
    if rest.is_empty() {
        codec::check_field(map, schema, name, parents)?;
        if normal {
            shape::normalize_entry(schema, map, name);
        }
        return Ok(());
    }
    // Where there is no object any more, a shorter unit has seen to it.
    if let Some(FieldType::Object(inner)) = schema.field(name).map(|field| &field.kind)
        && let Some(Value::Object(map)) = map.get_mut(name)
    {
        parents.push(name);
        return field(inner, map, rest, parents, normal);
    }
    Ok(())
}
