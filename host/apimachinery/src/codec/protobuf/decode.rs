//! From a message to the JSON value of its schema.
//!
//! A field that comes twice is treated as Go's generated readers treat it: lists grow, messages are merged, of everything else the
//! last one counts.

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::wire::{DELIMITED, Reader};
use crate::codec::node::{self, Extent, OBJECT_LEVELS_MAX, OBJECTS_COUNT_MAX, TOO_DEEP, TOO_MANY_OBJECTS};
use crate::codec::{check, json};
use crate::message::{Content, Form, Message, Part};
use crate::quantity::Quantity;
use crate::schema::{Field, FieldType, Schema};
use crate::time::{Time, format_duration};

/// Seconds that have a date which RFC 3339 can write: the years 0 to 9999.
const TIME_SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// What is left of the bounds of one body.
#[derive(Clone, Copy)]
pub(super) struct Within<'b> {
    /// Lists and objects that the value is inside of.
    level: usize,
    /// Objects read so far, all over the body.
    objects: &'b Cell<usize>,
}

impl<'b> Within<'b> {
    /// The body's own object.
    pub(super) fn whole(objects: &'b Cell<usize>) -> Self {
        Self { level: 1, objects }
    }

    fn deeper(self) -> Self {
        Self { level: self.level + 1, ..self }
    }

    fn count(self, objects: usize) -> Result<(), String> {
        self.objects.set(self.objects.get() + objects);
        if self.objects.get() > OBJECTS_COUNT_MAX { Err(TOO_MANY_OBJECTS.to_owned()) } else { Ok(()) }
    }
}

/// Where a value is: what its form and bounds depend on.
#[derive(Clone, Copy)]
struct Place<'s> {
    /// The object type that the field is one of.
    schema: &'s Schema,
    /// The field's name, for words.
    name: &'s str,
    form: Form,
    within: Within<'s>,
}

/// Reads a message into a map. An empty one counts, too: it may get defaults.
pub(super) fn message(
    bytes: &[u8],
    schema: &Schema,
    message: &Message,
    map: &mut Map<String, Value>,
    within: Within<'_>,
) -> Result<(), String> {
    if within.level > OBJECT_LEVELS_MAX {
        return Err(TOO_DEEP.to_owned());
    }
    within.count(1)?;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag(message.name)? {
        let Ok(i) = message.parts.binary_search_by_key(&number, |part| part.number) else {
            reader.skip(wire)?;
            continue;
        };
        let part = &message.parts[i];
        match &part.content {
            Content::Embedded(inner) => self::message(reader.delimited(wire, inner.name)?, schema, inner, map, within)?,
            Content::Field(at, form) => {
                let field = &schema.fields[usize::from(*at)];
                let place = Place { schema, name: &field.name, form: *form, within };
                self::field(&mut reader, wire, field, part, place, map)?;
            }
        }
    }
    Ok(())
}

fn field(
    reader: &mut Reader<'_>,
    wire: u8,
    field: &Field,
    part: &Part,
    place: Place<'_>,
    map: &mut Map<String, Value>,
) -> Result<(), String> {
    let name = &*field.name;
    match &field.kind {
        FieldType::List(_) | FieldType::SharedList(_) if place.form != Form::Items => {
            let items = field.kind.items().expect("a list has items");
            let list = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(list) = list else { unreachable!("a list's field holds a list") };
            repeated(reader, wire, items, place.deeper(), list)
        }
        FieldType::Map(_) | FieldType::SharedMap(_) => {
            let values = field.kind.values().expect("a map has values");
            let entries = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(entries) = entries else { unreachable!("a map's field holds a map") };
            let (key, value) = entry(reader.delimited(wire, name)?, values, place.deeper())?;
            entries.insert(key, value);
            Ok(())
        }
        FieldType::Object(schema) => {
            let inner = schema.message.ok_or_else(|| super::not_marshalable(schema).to_string())?;
            let object = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(object) = object else { unreachable!("an object's field holds an object") };
            message(reader.delimited(wire, name)?, schema, inner, object, place.within.deeper())
        }
        kind => {
            let value = single(reader, wire, kind, place)?;
            if value.is_null() || (part.always && is_zero(kind, &value)) {
                map.remove(name);
            } else {
                map.insert(name.to_owned(), value);
            }
            Ok(())
        }
    }
}

impl Place<'_> {
    fn deeper(self) -> Self {
        Self { within: self.within.deeper(), ..self }
    }
}

/// The zero value of a field that is no pointer is not shown in JSON, except by types that write themselves.
fn is_zero(kind: &FieldType, value: &Value) -> bool {
    match kind {
        FieldType::Bool => value == &Value::Bool(false),
        FieldType::Int32 | FieldType::Int64 | FieldType::Float => value.as_f64() == Some(0.0),
        FieldType::String => value.as_str() == Some(""),
        _ => false,
    }
}

/// One item, or several where numbers come packed.
fn repeated(reader: &mut Reader<'_>, wire: u8, items: &FieldType, place: Place<'_>, list: &mut Vec<Value>) -> Result<(), String> {
    let packed = match items {
        FieldType::Bool | FieldType::Int32 | FieldType::Int64 => Some(super::wire::VARINT),
        FieldType::Float => Some(super::wire::FIXED64),
        _ => None,
    };
    match packed {
        Some(one) if wire == DELIMITED => {
            let mut inner = Reader::new(reader.delimited(wire, place.name)?);
            while !inner.is_empty() {
                place.within.count(1)?;
                list.push(single(&mut inner, one, items, place)?);
            }
        }
        _ => {
            if !matches!(items, FieldType::Object(_)) {
                place.within.count(1)?;
            }
            list.push(single(reader, wire, items, place)?);
        }
    }
    Ok(())
}

/// An entry of a map: the key is 1, the value 2, and either may be missing.
fn entry(bytes: &[u8], values: &FieldType, place: Place<'_>) -> Result<(String, Value), String> {
    let (mut key, mut value) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag(place.name)? {
        match number {
            1 => key = text(reader.delimited(wire, place.name)?),
            2 => value = Some(single(&mut reader, wire, values, place)?),
            _ => reader.skip(wire)?,
        }
    }
    let value = value.unwrap_or_else(|| check::zero(values));
    Ok((key, value))
}

/// A value on its own.
fn single(reader: &mut Reader<'_>, wire: u8, kind: &FieldType, place: Place<'_>) -> Result<Value, String> {
    Ok(match kind {
        FieldType::Bool => Value::Bool(reader.integer(wire, place.name)? != 0),
        // As Go converts: the upper bits are cut off.
        FieldType::Int32 => (reader.integer(wire, place.name)? as i32).into(),
        FieldType::Int64 => (reader.integer(wire, place.name)? as i64).into(),
        FieldType::Float => match reader.double(wire, place.name)? {
            value if value.is_finite() => node::float(value),
            value => {
                return Err(format!(
                    "json: unsupported value: {}",
                    if value.is_nan() {
                        "NaN"
                    } else if value > 0.0 {
                        "+Inf"
                    } else {
                        "-Inf"
                    }
                ));
            }
        },
        FieldType::String => text(reader.delimited(wire, place.name)?).into(),
        FieldType::Bytes => STANDARD.encode(reader.delimited(wire, place.name)?).into(),
        FieldType::Time => time(reader.delimited(wire, place.name)?)?.map_or(Value::Null, |(time, _)| time.rfc3339().into()),
        FieldType::MicroTime => time(reader.delimited(wire, place.name)?)?.map_or(Value::Null, |(_, time)| time.rfc3339_micro().into()),
        FieldType::Duration => {
            let [nanoseconds] = integers(reader.delimited(wire, place.name)?, "Duration")?;
            format_duration(nanoseconds).into()
        }
        FieldType::Quantity => quantity(reader.delimited(wire, place.name)?)?,
        FieldType::IntOrString => int_or_string(reader.delimited(wire, place.name)?)?,
        FieldType::Any => any(reader.delimited(wire, place.name)?, place)?,
        FieldType::Object(schema) => {
            let inner = schema.message.ok_or_else(|| super::not_marshalable(schema).to_string())?;
            let mut map = Map::new();
            message(reader.delimited(wire, place.name)?, schema, inner, &mut map, place.within.deeper())?;
            Value::Object(map)
        }
        FieldType::List(_) | FieldType::SharedList(_) => {
            let items = kind.items().expect("a list has items");
            let place = Place { form: Form::Typed, ..place.deeper() };
            let mut list = Vec::new();
            let mut inner = Reader::new(reader.delimited(wire, place.name)?);
            while let Some((number, wire)) = inner.tag(place.name)? {
                match number {
                    1 => repeated(&mut inner, wire, items, place, &mut list)?,
                    _ => inner.skip(wire)?,
                }
            }
            // Go makes a list when it reads the first item.
            if list.is_empty() { Value::Null } else { Value::Array(list) }
        }
        // No type of Kubernetes has maps inside of lists or maps.
        FieldType::Map(_) | FieldType::SharedMap(_) => return Err(format!("proto: a map inside of {}", place.name)),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A message of integers, numbered from 1.
fn integers<const N: usize>(bytes: &[u8], name: &str) -> Result<[i64; N], String> {
    let mut found = [0; N];
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag(name)? {
        match found.get_mut(number as usize - 1) {
            Some(slot) => *slot = reader.integer(wire, name)? as i64,
            None => reader.skip(wire)?,
        }
    }
    Ok(found)
}

/// In whole seconds, and with microseconds; nothing at all is no time.
fn time(bytes: &[u8]) -> Result<Option<(Time, Time)>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let [seconds, nanoseconds] = integers(bytes, "Timestamp")?;
    let nanoseconds = i64::from(nanoseconds as i32);
    let precise = seconds.saturating_add(nanoseconds.div_euclid(1_000_000_000));
    if !TIME_SECONDS.contains(&seconds) || !TIME_SECONDS.contains(&precise) {
        return Err("Time.MarshalJSON: year outside of range [0,9999]".to_owned());
    }
    let micro = Time::from_unix(precise, nanoseconds.rem_euclid(1_000_000_000) as u32);
    Ok(Some((Time::from_unix(seconds, 0), micro)).filter(|(time, micro)| !time.is_zero() || !micro.is_zero()))
}

fn quantity(bytes: &[u8]) -> Result<Value, String> {
    let mut written = String::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag("Quantity")? {
        match number {
            1 => written = text(reader.delimited(wire, "String_")?),
            _ => reader.skip(wire)?,
        }
    }
    if written.is_empty() {
        return Ok("0".into());
    }
    Quantity::parse(&written).map(|quantity| quantity.to_string().into()).map_err(|error| error.to_string())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut kind, mut number_value, mut text_value) = (0, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.tag("IntOrString")? {
        match number {
            1 => kind = reader.integer(wire, "type")? as i64,
            2 => number_value = reader.integer(wire, "intVal")? as i32,
            3 => text_value = text(reader.delimited(wire, "strVal")?),
            _ => reader.skip(wire)?,
        }
    }
    match kind {
        0 => Ok(number_value.into()),
        1 => Ok(text_value.into()),
        _ => Err("impossible IntOrString.Type".to_owned()),
    }
}

/// The types that are any JSON.
fn any(bytes: &[u8], place: Place<'_>) -> Result<Value, String> {
    let mut reader = Reader::new(bytes);
    let (mut first, mut others, mut flag) = (None, Vec::new(), false);
    let schema = |bytes: &[u8]| {
        let message = place.schema.message.ok_or_else(|| super::not_marshalable(place.schema).to_string())?;
        let mut map = Map::new();
        self::message(bytes, place.schema, message, &mut map, place.within.deeper())?;
        Ok::<_, String>(Value::Object(map))
    };
    while let Some((number, wire)) = reader.tag(place.name)? {
        match (place.form, number) {
            (Form::SchemaOrArray | Form::SchemaOrStrings, 1) => first = Some(schema(reader.delimited(wire, place.name)?)?),
            (Form::SchemaOrArray, 2) => others.push(schema(reader.delimited(wire, place.name)?)?),
            (Form::SchemaOrStrings, 2) => others.push(text(reader.delimited(wire, place.name)?).into()),
            (Form::SchemaOrBool, 1) => flag = reader.integer(wire, "allows")? != 0,
            (Form::SchemaOrBool, 2) => first = Some(schema(reader.delimited(wire, place.name)?)?),
            (Form::Raw | Form::Typed | Form::Items, 1) => first = Some(raw(reader.delimited(wire, "raw")?, place.within)?),
            _ => reader.skip(wire)?,
        }
    }
    Ok(match first {
        _ if !others.is_empty() => Value::Array(others),
        Some(value) => value,
        None if place.form == Form::SchemaOrBool => Value::Bool(flag),
        None => Value::Null,
    })
}

/// JSON text inside of a message; nothing at all is null.
fn raw(bytes: &[u8], within: Within<'_>) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let value = json::parse(bytes)?.into_value()?;
    let extent = Extent::of(&value);
    within.count(extent.objects)?;
    if within.level + extent.levels > OBJECT_LEVELS_MAX { Err(TOO_DEEP.to_owned()) } else { Ok(value) }
}
