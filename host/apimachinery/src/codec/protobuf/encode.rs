//! From a JSON value to the message of its schema.
//!
//! Written from the end to the start, as Go's generated marshallers do: the length of a message is known when what stands before it
//! is written, and nothing is measured or moved.

use base64::Engine as _;
use serde_json::{Map, Value};

use super::EncodeError;
use super::wire::{DELIMITED, FIXED64, VARINT};
use crate::codec::base64::LENIENT;
use crate::message::{Content, Form, Message};
use crate::schema::{FieldType, Schema};
use crate::time::{Time, parse_duration};

/// Bytes in reverse.
#[derive(Default)]
pub(super) struct Backward {
    reversed: Vec<u8>,
}

impl Backward {
    pub(super) fn len(&self) -> usize {
        self.reversed.len()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.reversed.reverse();
        self.reversed
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.reversed.extend(bytes.iter().rev());
    }

    pub(super) fn varint(&mut self, mut value: u64) {
        let mut buffer = [0; 10];
        let mut length = 0;
        while value >= 0x80 {
            buffer[length] = value as u8 | 0x80;
            value >>= 7;
            length += 1;
        }
        buffer[length] = value as u8;
        self.bytes(&buffer[..=length]);
    }

    pub(super) fn tag(&mut self, number: u32, wire: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire));
    }

    /// A field that has a length.
    pub(super) fn text(&mut self, number: u32, bytes: &[u8]) {
        self.bytes(bytes);
        self.varint(bytes.len() as u64);
        self.tag(number, DELIMITED);
    }

    /// A field that is a message.
    pub(super) fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let written = self.try_nested(number, |out| {
            write(out);
            Ok(())
        });
        debug_assert!(written.is_ok());
    }

    fn try_nested(&mut self, number: u32, write: impl FnOnce(&mut Self) -> Result<(), EncodeError>) -> Result<(), EncodeError> {
        let end = self.len();
        write(self)?;
        self.varint((self.len() - end) as u64);
        self.tag(number, DELIMITED);
        Ok(())
    }

    fn integer(&mut self, number: u32, value: i64) {
        self.varint(value as u64);
        self.tag(number, VARINT);
    }
}

/// Writes an object's fields.
pub(super) fn message(out: &mut Backward, map: &Map<String, Value>, schema: &Schema, message: &Message) -> Result<(), EncodeError> {
    for part in message.parts.iter().rev() {
        match &part.content {
            Content::Embedded(inner) => {
                let end = out.len();
                self::message(out, map, schema, inner)?;
                if part.always || out.len() > end {
                    out.varint((out.len() - end) as u64);
                    out.tag(part.number, DELIMITED);
                }
            }
            Content::Field(at, form) => {
                let field = &schema.fields[usize::from(*at)];
                let value = map.get(&*field.name).unwrap_or(&Value::Null);
                let write = Field { number: part.number, form: *form, schema, name: &field.name };
                match &field.kind {
                    FieldType::List(items) if *form != Form::Items => write.items(out, value, items)?,
                    FieldType::Map(values) => write.entries(out, value, values)?,
                    _ if value.is_null() && !part.always => {}
                    kind => write.value(out, value, kind)?,
                }
            }
        }
    }
    Ok(())
}

/// A field to be written.
#[derive(Clone, Copy)]
struct Field<'s> {
    number: u32,
    form: Form,
    schema: &'s Schema,
    name: &'s str,
}

impl Field<'_> {
    fn unfit(&self) -> EncodeError {
        EncodeError::Unfit(format!("{}.{}", self.schema.name, self.name))
    }

    fn items(&self, out: &mut Backward, list: &Value, items: &FieldType) -> Result<(), EncodeError> {
        match list {
            Value::Null => Ok(()),
            Value::Array(list) => list.iter().rev().try_for_each(|item| self.value(out, item, items)),
            _ => Err(self.unfit()),
        }
    }

    fn entries(&self, out: &mut Backward, map: &Value, values: &FieldType) -> Result<(), EncodeError> {
        let map = match map {
            Value::Null => return Ok(()),
            Value::Object(map) => map,
            _ => return Err(self.unfit()),
        };
        for (key, value) in map.iter().rev() {
            out.try_nested(self.number, |out| {
                Self { number: 2, ..*self }.value(out, value, values)?;
                out.text(1, key.as_bytes());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// A value on its own; null is the type's zero value.
    fn value(&self, out: &mut Backward, value: &Value, kind: &FieldType) -> Result<(), EncodeError> {
        let unfit = || self.unfit();
        let text = || match value {
            Value::Null => Ok(""),
            value => value.as_str().ok_or_else(unfit),
        };
        match kind {
            FieldType::Bool => out.integer(self.number, i64::from(value.as_bool().or(value.is_null().then_some(false)).ok_or_else(unfit)?)),
            FieldType::Int32 | FieldType::Int64 => {
                out.integer(self.number, value.as_i64().or(value.is_null().then_some(0)).ok_or_else(unfit)?);
            }
            FieldType::Float => {
                out.bytes(&value.as_f64().or(value.is_null().then_some(0.0)).ok_or_else(unfit)?.to_le_bytes());
                out.tag(self.number, FIXED64);
            }
            FieldType::String => out.text(self.number, text()?.as_bytes()),
            FieldType::Bytes => out.text(self.number, &LENIENT.decode(text()?).map_err(|_| unfit())?),
            FieldType::Time => self.time(out, Some(text()?).filter(|text| !text.is_empty()).map(Time::parse))?,
            FieldType::MicroTime => self.time(out, Some(text()?).filter(|text| !text.is_empty()).map(Time::parse_micro))?,
            FieldType::Duration => {
                let nanoseconds = match text()? {
                    "" => 0,
                    text => parse_duration(text).map_err(|_| unfit())?,
                };
                out.nested(self.number, |out| out.integer(1, nanoseconds));
            }
            FieldType::Quantity => {
                let written = match value {
                    Value::Null => "0".to_owned(),
                    Value::Number(number) => number.to_string(),
                    value => value.as_str().ok_or_else(unfit)?.to_owned(),
                };
                out.nested(self.number, |out| out.text(1, written.as_bytes()));
            }
            FieldType::IntOrString => {
                let (kind, number, text) = match value {
                    Value::Null => (0, 0, ""),
                    Value::Number(number) => (0, number.as_i64().ok_or_else(unfit)?, ""),
                    Value::String(text) => (1, 0, text.as_str()),
                    _ => return Err(unfit()),
                };
                out.nested(self.number, |out| {
                    out.text(3, text.as_bytes());
                    out.integer(2, number);
                    out.integer(1, kind);
                });
            }
            FieldType::Any => out.try_nested(self.number, |out| self.any(out, value))?,
            FieldType::Object(schema) => out.try_nested(self.number, |out| self.object(out, value, schema))?,
            FieldType::List(items) => {
                out.try_nested(self.number, |out| Self { number: 1, form: Form::Typed, ..*self }.items(out, value, items))?
            }
            FieldType::Map(_) | FieldType::SharedMap(_) | FieldType::SharedList(_) => return Err(unfit()),
        }
        Ok(())
    }

    fn object(&self, out: &mut Backward, value: &Value, schema: &Schema) -> Result<(), EncodeError> {
        let message = schema.message.ok_or_else(|| super::not_marshalable(schema))?;
        match value {
            Value::Object(map) => self::message(out, map, schema, message),
            Value::Null => self::message(out, &Map::new(), schema, message),
            _ => Err(self.unfit()),
        }
    }

    /// No time is a message without content.
    fn time(&self, out: &mut Backward, time: Option<Result<Time, String>>) -> Result<(), EncodeError> {
        let time = time.transpose().map_err(|_| self.unfit())?;
        out.nested(self.number, |out| {
            if let Some(time) = time {
                out.integer(2, i64::from(time.nanoseconds / 1000 * 1000));
                out.integer(1, time.seconds);
            }
        });
        Ok(())
    }

    /// The types that are any JSON.
    fn any(&self, out: &mut Backward, value: &Value) -> Result<(), EncodeError> {
        let schema = |out: &mut Backward, number, value: &Value| out.try_nested(number, |out| self.object(out, value, self.schema));
        match (self.form, value) {
            (Form::Raw | Form::Typed | Form::Items, Value::Null) => {}
            (Form::Raw | Form::Typed | Form::Items, value) => out.text(1, value.to_string().as_bytes()),
            (Form::SchemaOrArray, Value::Array(schemas)) => {
                for value in schemas.iter().rev() {
                    schema(out, 2, value)?;
                }
            }
            (Form::SchemaOrArray | Form::SchemaOrStrings, Value::Object(_)) => schema(out, 1, value)?,
            (Form::SchemaOrStrings, Value::Array(texts)) => {
                for text in texts.iter().rev() {
                    out.text(2, text.as_str().ok_or_else(|| self.unfit())?.as_bytes());
                }
            }
            (Form::SchemaOrBool, Value::Bool(allows)) => out.integer(1, i64::from(*allows)),
            // A schema is allowed by being there.
            (Form::SchemaOrBool, Value::Object(_)) => {
                schema(out, 2, value)?;
                out.integer(1, 1);
            }
            (_, Value::Null) => {}
            _ => return Err(self.unfit()),
        }
        Ok(())
    }
}
