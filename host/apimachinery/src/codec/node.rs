//! A parsed body before it has a type: keys in order, repeated ones kept, numbers as they were written.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// Levels of lists and objects that an object may have. Upstream reads 10,000; but all else in the process that reads, copies
/// or drops an object recurses, and `serde_json` stops at 128.
pub const OBJECT_LEVELS_MAX: usize = 120;

/// Objects (maps and messages) in one body, and items of lists that are none; those that aliases stand for included. An object is a tree's
/// node of several hundred bytes in memory, whatever it takes as text, and may get as much again in defaults; an item that is wrong gets as
/// much in words. An object that etcd can store has far fewer.
pub const OBJECTS_COUNT_MAX: usize = 100_000;

/// A value of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// As written.
    Number(Cow<'a, str>),
    /// Unescaped.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Node<'a>>),
    /// An object: pairs in order, with repeated keys.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// Something below [`OBJECT_LEVELS_MAX`]: well-formed, but not kept.
    TooDeep,
}

/// What is said of a [`Node::TooDeep`] that cannot be ignored.
pub(crate) const TOO_DEEP: &str = "exceeded max depth";
/// What is said of more than [`OBJECTS_COUNT_MAX`] objects.
pub(crate) const TOO_MANY_OBJECTS: &str = "exceeded max number of objects";

/// How much a value holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Lists and objects inside of each other, the value itself included; 0 for a scalar.
    pub levels: usize,
    /// Values of any type.
    pub values: usize,
    /// Objects among them.
    pub objects: usize,
}

impl Extent {
    /// Of a value that has no more levels than a reader lets through.
    pub fn of(value: &Value) -> Self {
        let below: &mut dyn Iterator<Item = &Value> = match value {
            Value::Array(items) => &mut items.iter(),
            Value::Object(map) => &mut map.values(),
            _ => return Self { levels: 0, values: 1, objects: 0 },
        };
        let mut whole = Self { levels: 0, values: 1, objects: usize::from(value.is_object()) };
        for inner in below.map(Self::of) {
            whole.levels = whole.levels.max(inner.levels);
            whole.values += inner.values;
            whole.objects += inner.objects;
        }
        Self { levels: whole.levels + 1, ..whole }
    }
}

impl Node<'_> {
    /// Go's word for the kind of value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) | Self::TooDeep => "object",
        }
    }

    /// The value as untyped JSON: of repeated keys the last counts.
    pub(crate) fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(text) => number(&text)?,
            Self::String(text) => Value::String(text.into_owned()),
            Self::Array(items) => Value::Array(items.into_iter().map(Node::into_value).collect::<Result<_, _>>()?),
            Self::Object(pairs) => {
                let mut map = Map::new();
                for (key, value) in pairs {
                    map.insert(key.into_owned(), value.into_value()?);
                }
                Value::Object(map)
            }
            Self::TooDeep => return Err(TOO_DEEP.to_owned()),
        })
    }
}

/// A number without a type: an integer where it is one and fits.
fn number(text: &str) -> Result<Value, String> {
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(integer.into());
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Ok(integer.into());
    }
    let float = text.parse().ok().and_then(Number::from_f64);
    float.map(Value::Number).ok_or_else(|| format!("json: cannot unmarshal number {text} into Go value of type float64"))
}

/// A floating-point number as Go writes it: a whole one without a fraction.
pub(crate) fn float(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return (value as i64).into();
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

impl<'a> Node<'a> {
    /// A value that was decoded before, to be looked at again.
    pub fn of(value: &'a Value) -> Self {
        Self::at(value, 0)
    }

    /// The same for a part of an object, so many levels below it.
    pub(crate) fn below(value: &'a Value, level: usize) -> Self {
        Self::at(value, level)
    }

    fn at(value: &'a Value, level: usize) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string().into()),
            Value::String(text) => Self::String(text.as_str().into()),
            Value::Array(_) | Value::Object(_) if level >= OBJECT_LEVELS_MAX => Self::TooDeep,
            Value::Array(items) => Self::Array(items.iter().map(|item| Self::at(item, level + 1)).collect()),
            Value::Object(map) => Self::Object(map.iter().map(|(key, value)| (key.as_str().into(), Self::at(value, level + 1))).collect()),
        }
    }
}
