//! Gives an untyped body the type of a schema, as Go's JSON decoder fills a struct: with its words for what does not fit, and with
//! a list of what a strict reader would object to.
//!
//! What holds of the result: every field is one of the schema's and has its type; times, durations, quantities and base64 are
//! canonical; nulls are gone but where a list or map holds them. What Go leaves out or puts in when it writes a struct is not
//! done here: the built-in kinds' table knows it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::base64;
use super::node::{self, Node, TOO_DEEP};
use crate::field::go_quote;
use crate::quantity::Quantity;
use crate::schema::{FieldType, Schema};
use crate::time::{Time, format_duration, parse_duration};

/// Objections that are kept, as upstream keeps them.
const STRICT_ERRORS_MAX: usize = 100;
/// Bytes of a path in an objection: keys of maps stand in it, and may be as long as the body.
const PATH_BYTES_MAX: usize = 4096;
/// Objections that are written at all, to see whether they were raised before.
const STRICT_ERRORS_WRITTEN_MAX: usize = 10_000;

/// A body that fits its schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The object.
    pub value: Value,
    /// What a strict reader objects to, in order: `unknown field "spec.foo"`, `duplicate field "metadata.name"`.
    pub strict_errors: Vec<String>,
}

impl Decoded {
    /// The words of `fieldValidation=Strict`; `None` where there is nothing to object to.
    pub fn strict_error(&self) -> Option<String> {
        (!self.strict_errors.is_empty()).then(|| format!("strict decoding error: {}", self.strict_errors.join(", ")))
    }

    /// The warnings of `fieldValidation=Warn`: an objection of the YAML reader is one for each of its lines.
    pub fn warnings(&self) -> Vec<String> {
        let lines = |error: &String| match error.strip_prefix("yaml: unmarshal errors:\n").or_else(|| error.strip_prefix("yaml: ")) {
            Some(lines) => lines.split('\n').map(|line| line.trim().to_owned()).collect(),
            None => vec![error.clone()],
        };
        self.strict_errors.iter().flat_map(lines).collect()
    }
}

/// Who reads: the words for what does not fit are not the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// The JSON decoder, into a struct.
    #[default]
    Json,
    /// The JSON decoder, where what is untyped is a Go map: repeated keys are named there, too.
    Untyped,
    /// The converter from untyped maps to structs, which strategic merge patches go through.
    Converter,
}

/// Fits a parsed body to a schema; the error is in Go's words.
pub fn check(node: Node<'_>, schema: &Schema) -> Result<Decoded, String> {
    check_as(node, schema, Reader::Json)
}

/// The same, for a reader of its own.
pub fn check_as(node: Node<'_>, schema: &Schema, reader: Reader) -> Result<Decoded, String> {
    let mut checker = Checker { reader, ..Checker::default() };
    let mut map = Map::new();
    match node {
        Node::Object(pairs) => checker.object(pairs, schema, &mut map)?,
        Node::Null => {}
        Node::TooDeep => return Err(TOO_DEEP.to_owned()),
        other => checker.type_error(other.kind(), &schema.go_type()),
    }
    checker.finish(Value::Object(map))
}

/// Fits a parsed body to a type that is no object: the list of a JSON patch, the map of a merge patch. Null is null.
pub(crate) fn check_type(node: Node<'_>, kind: &FieldType, reader: Reader) -> Result<Decoded, String> {
    let mut checker = Checker { reader, ..Checker::default() };
    let value = checker.value(node, kind, None)?.unwrap_or_default();
    checker.finish(value)
}

/// Fits an object that was changed since it was decoded, by a patch or a plugin, to its schema again.
pub fn check_value(value: &Value, schema: &Schema) -> Result<Decoded, String> {
    check(Node::of(value), schema)
}

/// Fits one field of an object to its type again, after a patch changed it; a field that the type does not have goes. `parents` are the
/// fields on the way to the object, `level` counts the lists among them, too.
pub fn check_field(object: &mut Map<String, Value>, schema: &Schema, name: &str, parents: &[&str], level: usize) -> Result<(), String> {
    let Some(value) = object.remove(name) else { return Ok(()) };
    let Some(field) = schema.field(name) else {
        if schema.preserve_unknown {
            object.insert(name.to_owned(), Node::below(&value, level + 1).into_value()?);
        }
        return Ok(());
    };
    let fields = [parents, &[name]].concat();
    let mut checker = Checker { struct_name: Some(short_name(&schema.name)), fields, ..Checker::default() };
    let checked = checker.value(Node::below(&value, level + 1), &field.kind, None)?;
    if let Some(error) = checker.saved {
        return Err(error);
    }
    if let Some(checked) = checked {
        object.insert(name.to_owned(), checked);
    }
    Ok(())
}

#[derive(Default)]
struct Checker<'s> {
    reader: Reader,
    /// The first type error: reading goes on behind it, as another kind of error has precedence.
    saved: Option<String>,
    strict_errors: Vec<String>,
    seen_errors: HashSet<String>,
    strict_errors_written: usize,
    /// The innermost struct, and the fields on the way to the value, for the words of type errors.
    struct_name: Option<&'s str>,
    fields: Vec<&'s str>,
    /// The same with map keys and indexes, for the words of strict errors.
    path: String,
}

impl<'s> Checker<'s> {
    fn finish(self, value: Value) -> Result<Decoded, String> {
        match self.saved {
            Some(error) => Err(error),
            None => Ok(Decoded { value, strict_errors: self.strict_errors }),
        }
    }

    fn strict_error(&mut self, what: &str, name: &str) {
        if self.strict_errors.len() >= STRICT_ERRORS_MAX || self.strict_errors_written >= STRICT_ERRORS_WRITTEN_MAX {
            return;
        }
        self.strict_errors_written += 1;
        let cut = |text: &'_ str| text.floor_char_boundary(PATH_BYTES_MAX);
        let (above, name) = (&self.path[..cut(&self.path)], &name[..cut(name)]);
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        let error = format!("{what} field {}", go_quote(&path));
        if self.seen_errors.insert(error.clone()) {
            self.strict_errors.push(error);
        }
    }

    fn unmarshal_error(&self, found: &str, wanted: &str) -> String {
        match self.struct_name.filter(|_| self.reader != Reader::Converter) {
            Some(name) => format!("json: cannot unmarshal {found} into Go struct field {name}.{} of type {wanted}", self.fields.join(".")),
            None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
        }
    }

    fn type_error(&mut self, found: &str, wanted: &str) {
        if self.saved.is_none() {
            self.saved = Some(self.unmarshal_error(found, wanted));
        }
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }

    fn enter_index(&mut self, index: usize) {
        // Writing to a string does not fail.
        let _ = write!(self.path, "[{index}]");
    }

    fn object(&mut self, pairs: Vec<(Cow<'_, str>, Node<'_>)>, schema: &'s Schema, map: &mut Map<String, Value>) -> Result<(), String> {
        let mut seen: Vec<&str> = Vec::with_capacity(pairs.len());
        let merging = !map.is_empty();
        for (key, node) in pairs {
            let Some(field) = schema.field(&key) else {
                if schema.preserve_unknown {
                    map.insert(key.into_owned(), node.into_value()?);
                } else {
                    self.strict_error("unknown", &key);
                }
                continue;
            };
            let repeated = seen.contains(&&*field.name);
            if repeated {
                self.strict_error("duplicate", &key);
            } else {
                seen.push(&field.name);
            }
            let outer = self.struct_name.replace(short_name(&schema.name));
            self.fields.push(&field.name);
            let length = self.enter(&key);
            // A repeated field is read into what is already there.
            let old = if repeated || merging { map.remove(&*key) } else { None };
            if let Some(value) = self.value(node, &field.kind, old)? {
                map.insert(key.into_owned(), value);
            }
            self.path.truncate(length);
            self.fields.pop();
            self.struct_name = outer;
        }
        Ok(())
    }

    fn map(&mut self, pairs: Vec<(Cow<'_, str>, Node<'_>)>, values: &'s FieldType, map: &mut Map<String, Value>) -> Result<(), String> {
        let mut seen: HashSet<String> = HashSet::new();
        let fresh = map.is_empty();
        for (key, node) in pairs {
            if if fresh { map.contains_key(&*key) } else { !seen.insert(key.clone().into_owned()) } {
                self.strict_error("duplicate", &key);
            }
            let length = self.enter(&key);
            let value = self.value(node, values, None)?.unwrap_or_else(|| zero(values));
            self.path.truncate(length);
            map.insert(key.into_owned(), value);
        }
        Ok(())
    }

    fn list(&mut self, items: Vec<Node<'_>>, kind: &'s FieldType, old: Option<Value>) -> Result<Vec<Value>, String> {
        let mut old = match old {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        }
        .into_iter();
        let mut list = Vec::with_capacity(items.len());
        for (i, node) in items.into_iter().enumerate() {
            let length = self.path.len();
            self.enter_index(i);
            list.push(self.value(node, kind, old.next())?.unwrap_or_else(|| zero(kind)));
            self.path.truncate(length);
        }
        Ok(list)
    }

    /// A value without a type.
    fn untyped(&mut self, node: Node<'_>) -> Result<Value, String> {
        Ok(match node {
            Node::Object(pairs) if self.reader == Reader::Untyped => {
                let mut map = Map::new();
                for (key, node) in pairs {
                    if map.contains_key(&*key) {
                        self.strict_error("duplicate", &key);
                    }
                    let length = self.enter(&key);
                    let value = self.untyped(node)?;
                    self.path.truncate(length);
                    map.insert(key.into_owned(), value);
                }
                Value::Object(map)
            }
            Node::Array(items) if self.reader == Reader::Untyped => {
                let mut list = Vec::with_capacity(items.len());
                for (i, node) in items.into_iter().enumerate() {
                    let length = self.path.len();
                    self.enter_index(i);
                    list.push(self.untyped(node)?);
                    self.path.truncate(length);
                }
                Value::Array(list)
            }
            node => node.into_value()?,
        })
    }

    /// The value in its type; `None` for null and for what does not fit. An `Err` is an error of a type that reads itself, which
    /// ends the reading.
    fn value(&mut self, node: Node<'_>, kind: &'s FieldType, old: Option<Value>) -> Result<Option<Value>, String> {
        let node = match (node, kind) {
            (Node::TooDeep, _) => return Err(TOO_DEEP.to_owned()),
            (Node::Null, FieldType::Any) => return Ok(Some(Value::Null)),
            (Node::Null, _) => return Ok(None),
            (node, FieldType::Any) => return self.untyped(node).map(Some),
            (node, _) => node,
        };
        let value = match (node, kind) {
            (Node::Object(pairs), FieldType::Object(schema)) => {
                let mut map = object_of(old);
                self.object(pairs, schema, &mut map)?;
                Value::Object(map)
            }
            // A type that takes any JSON as it is.
            (node, FieldType::Object(schema)) if schema.preserve_unknown && schema.fields.is_empty() => node.into_value()?,
            (Node::Object(pairs), FieldType::Map(_) | FieldType::SharedMap(_)) => {
                let mut map = object_of(old);
                self.map(pairs, kind.values().expect("a map has values"), &mut map)?;
                Value::Object(map)
            }
            (Node::Array(items), FieldType::List(_) | FieldType::SharedList(_)) => {
                Value::Array(self.list(items, kind.items().expect("a list has items"), old)?)
            }
            (Node::Bool(value), FieldType::Bool) => Value::Bool(value),
            (Node::String(text), FieldType::String) => Value::String(text.into_owned()),
            (Node::Number(text), FieldType::Int32 | FieldType::Int64) => match integer(&text, kind) {
                Some(value) => value.into(),
                None if self.reader == Reader::Converter => return Err(format!("cannot convert float64 to {}", go_type(kind))),
                None => {
                    self.type_error(&format!("number {text}"), &go_type(kind));
                    return Ok(None);
                }
            },
            (Node::Number(text), FieldType::Float) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => node::float(value),
                _ => {
                    self.type_error(&format!("number {text}"), "float64");
                    return Ok(None);
                }
            },
            (Node::String(text), FieldType::Bytes) => match base64::canonical(&text) {
                Ok(text) => Value::String(text),
                Err(error) => {
                    self.saved.get_or_insert(error);
                    return Ok(None);
                }
            },
            (node, FieldType::Time | FieldType::MicroTime | FieldType::Duration | FieldType::Quantity | FieldType::IntOrString) => {
                return self.self_reading(node, kind);
            }
            (Node::Number(text), FieldType::String) if self.reader == Reader::Converter && !text.contains(['.', 'e', 'E']) => {
                return Err("cannot convert int64 to string".to_owned());
            }
            (node, _) if self.reader == Reader::Converter => return Err(unconvertible(&node, kind)),
            (node, _) => {
                self.type_error(node.kind(), &go_type(kind));
                return Ok(None);
            }
        };
        Ok(Some(value))
    }

    /// The types that have a reader of their own in Go: whose errors end the reading.
    fn self_reading(&self, node: Node<'_>, kind: &FieldType) -> Result<Option<Value>, String> {
        let text = match (kind, node) {
            (FieldType::Quantity, Node::String(text) | Node::Number(text)) => {
                return Quantity::parse(text.trim()).map(|quantity| Some(quantity.to_string().into())).map_err(|error| error.to_string());
            }
            (FieldType::Quantity, _) => return Err(crate::quantity::QuantityError::Format.to_string()),
            (FieldType::IntOrString, Node::Number(text)) => match integer(&text, &FieldType::Int32) {
                Some(value) => return Ok(Some(value.into())),
                None => return Err(self.unmarshal_error(&format!("number {text}"), "int32")),
            },
            (FieldType::IntOrString, Node::String(text)) => return Ok(Some(text.into_owned().into())),
            (FieldType::IntOrString, node) => return Err(self.unmarshal_error(node.kind(), "int32")),
            (_, Node::String(text)) => text,
            (_, node) => return Err(self.unmarshal_error(node.kind(), "string")),
        };
        Ok(match kind {
            FieldType::Time => Some(Time::parse(&text)?).filter(|time| !time.is_zero()).map(|time| time.rfc3339().into()),
            FieldType::MicroTime => Some(Time::parse_micro(&text)?).filter(|time| !time.is_zero()).map(|time| time.rfc3339_micro().into()),
            _ => Some(format_duration(parse_duration(&text)?).into()),
        })
    }
}

/// The converter's words.
fn unconvertible(node: &Node<'_>, kind: &FieldType) -> String {
    let found = match node.kind() {
        "array" => "slice",
        "object" => "map",
        "number" => "int64",
        other => other,
    };
    match kind {
        FieldType::Map(_) | FieldType::SharedMap(_) => format!("cannot restore map from {found}"),
        FieldType::List(_) | FieldType::SharedList(_) | FieldType::Bytes => format!("cannot restore slice from {found}"),
        FieldType::Object(_) => format!("cannot restore struct from: {found}"),
        kind => format!("unrecognized type: {}", go_type(kind)),
    }
}

fn object_of(old: Option<Value>) -> Map<String, Value> {
    match old {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// An integer without a fraction or exponent, in the type's range.
fn integer(text: &str, kind: &FieldType) -> Option<i64> {
    let value = text.parse::<i64>().ok()?;
    (!matches!(kind, FieldType::Int32) || i32::try_from(value).is_ok()).then_some(value)
}

/// What a null is among the items of a list or the values of a map: Go's zero value.
pub(super) fn zero(kind: &FieldType) -> Value {
    match kind {
        FieldType::Bool => false.into(),
        FieldType::Int32 | FieldType::Int64 | FieldType::Float | FieldType::IntOrString => 0.into(),
        FieldType::String => "".into(),
        FieldType::Quantity => "0".into(),
        FieldType::Duration => "0s".into(),
        FieldType::Object(schema) if !schema.preserve_unknown => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

/// `DeploymentSpec` of `io.k8s.api.apps.v1.DeploymentSpec`.
fn short_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// The type's name in Go's messages.
fn go_type(kind: &FieldType) -> String {
    match kind {
        FieldType::Any => "interface {}".to_owned(),
        FieldType::Bool => "bool".to_owned(),
        FieldType::Int32 => "int32".to_owned(),
        FieldType::Int64 => "int64".to_owned(),
        FieldType::Float => "float64".to_owned(),
        FieldType::String => "string".to_owned(),
        FieldType::Bytes => "[]uint8".to_owned(),
        FieldType::Time => "v1.Time".to_owned(),
        FieldType::MicroTime => "v1.MicroTime".to_owned(),
        FieldType::Duration => "v1.Duration".to_owned(),
        FieldType::Quantity => "resource.Quantity".to_owned(),
        FieldType::IntOrString => "intstr.IntOrString".to_owned(),
        FieldType::List(_) | FieldType::SharedList(_) => format!("[]{}", kind.items().map(go_type).unwrap_or_default()),
        FieldType::Map(_) | FieldType::SharedMap(_) => format!("map[string]{}", kind.values().map(go_type).unwrap_or_default()),
        FieldType::Object(schema) => schema.go_type(),
    }
}
