//! An object that a patch changed is made one of its kind again, as a request's body becomes one: every field has its type, unknown ones go,
//! the rest has the form of upstream's answers, and defaults are filled in.
//!
//! Only what the patch touched is looked at, for a plugin's patch adds little to a large object. That comes to the same as looking at all
//! of it: what a field may be depends on its own type alone. A map is looked at as a whole, and so is a list that got or lost an item, for
//! the places behind it are others then.

use std::collections::BTreeSet;

use apimachinery::codec;
use apimachinery::schema::{FieldType, Schema};
use serde_json::{Map, Value};

use crate::Resource;
use crate::kinds::{shape, strategy};

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
    let touched = Touched::new(touched);
    let units: BTreeSet<&[String]> = touched.places.iter().map(|place| touched.unit(schema, place)).collect();
    // The shortest come first: what is below one of them is looked at twice, which changes nothing.
    for unit in units {
        match (unit, &mut *object) {
            ([_, ..], Value::Object(map)) => Walk { parents: Vec::new(), level: 0, normal }.field(schema, map, unit)?,
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

/// The objects of a type that are looked at field by field.
fn object_of(kind: &FieldType) -> Option<&Schema> {
    match kind {
        FieldType::Object(schema) if !schema.fields.is_empty() => Some(schema),
        _ => None,
    }
}

/// What a patch touched.
struct Touched<'k> {
    places: BTreeSet<&'k [String]>,
    /// What holds one of the places: a list here got, lost or changed an item.
    holders: BTreeSet<&'k [String]>,
}

impl<'k> Touched<'k> {
    fn new(places: &'k [Vec<String>]) -> Self {
        let holders = places.iter().filter_map(|place| place.split_last()).map(|(_, holder)| holder);
        Self { places: places.iter().map(Vec::as_slice).collect(), holders: holders.collect() }
    }

    /// The part of a place that is looked at as a whole: up to the first field that is neither an object nor a list whose items stay.
    fn unit(&self, mut schema: &Schema, place: &'k [String]) -> &'k [String] {
        let mut at = 0;
        while let Some(field) = place.get(at).and_then(|key| schema.field(key)) {
            at += 1;
            if let Some(inner) = object_of(&field.kind) {
                schema = inner;
            } else if let Some(inner) = field.kind.items().and_then(object_of)
                && let [index, _, ..] = &place[at..]
                && index.parse::<usize>().is_ok()
                && self.keeps_items(&place[..at])
            {
                at += 1;
                schema = inner;
            } else {
                return &place[..at];
            }
        }
        // All of it, or up to a field that the type does not have.
        &place[..place.len().min(at + 1)]
    }

    /// Whether no operation is about an item of this list itself, about the list, or about what it is part of.
    fn keeps_items(&self, list: &[String]) -> bool {
        !self.holders.contains(list) && (1..=list.len()).all(|length| !self.places.contains(&list[..length]))
    }
}

/// On the way from an object to one of its fields.
struct Walk<'s> {
    parents: Vec<&'s str>,
    level: usize,
    normal: bool,
}

impl<'s> Walk<'s> {
    fn field(mut self, schema: &'s Schema, map: &mut Map<String, Value>, unit: &'s [String]) -> Result<(), String> {
        let [name, rest @ ..] = unit else { return Ok(()) };
        if rest.is_empty() {
            codec::check_field(map, schema, name, &self.parents, self.level)?;
            if self.normal {
                shape::normalize_entry(schema, map, name);
            }
            return Ok(());
        }
        self.parents.push(name);
        self.level += 1;
        // Where there is no such object any more, a shorter unit has seen to it.
        match (map.get_mut(name), schema.field(name).map(|field| &field.kind)) {
            (Some(Value::Object(map)), Some(kind)) => match object_of(kind) {
                Some(inner) => self.field(inner, map, rest),
                None => Ok(()),
            },
            (Some(Value::Array(items)), Some(kind)) => {
                self.level += 1;
                let item = rest[0].parse::<usize>().ok().and_then(|index| items.get_mut(index));
                match (item, kind.items().and_then(object_of)) {
                    (Some(Value::Object(map)), Some(inner)) => self.field(inner, map, &rest[1..]),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
