//! Small words for reading and changing JSON objects, with Go's idea of a zero value.

use apimachinery::object::metadata_mut;
use serde_json::{Map, Value};

/// The field as a string; empty where it is missing.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}

/// The field as a number, where it is there.
pub(crate) fn int(value: &Value, name: &str) -> Option<i64> {
    value.get(name).and_then(Value::as_i64)
}

/// The field as a flag; false where it is missing.
pub(crate) fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of a list; none where it is missing.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The entries of a map; none where it is missing.
pub(crate) fn entries<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    value.get(name).and_then(Value::as_object).into_iter().flatten()
}

/// The field, where it is there and not null.
pub(crate) fn some<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|value| !value.is_null())
}

/// Whether a pointer field is set.
pub(crate) fn has(value: &Value, name: &str) -> bool {
    some(value, name).is_some()
}

/// The items of a list, to change them.
pub(crate) fn list_mut<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// The object at the field, where there is one.
pub(crate) fn object_mut<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    value.get_mut(name).filter(|value| value.is_object())
}

/// The object at the field, made if it is missing.
pub(crate) fn object_at<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value.get(name).is_some_and(Value::is_object) {
        set(value, name, Map::new());
    }
    &mut value[name]
}

/// Sets a field of an object.
pub(crate) fn set(value: &mut Value, name: &str, to: impl Into<Value>) {
    if let Value::Object(map) = value {
        map.insert(name.to_owned(), to.into());
    }
}

/// Takes a field away.
pub(crate) fn remove(value: &mut Value, name: &str) -> Option<Value> {
    value.as_object_mut().and_then(|map| map.remove(name))
}

/// Sets a field that is nil: missing or null.
pub(crate) fn if_nil(value: &mut Value, name: &str, to: impl Into<Value>) {
    if !has(value, name) {
        set(value, name, to);
    }
}

/// Sets a field that has its zero value: missing, null, empty or 0.
pub(crate) fn if_zero(value: &mut Value, name: &str, to: impl Into<Value>) {
    let zero = match value.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Bool(flag)) => !flag,
    };
    if zero {
        set(value, name, to);
    }
}

/// Puts a field back to what it was.
pub(crate) fn restore(object: &mut Value, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => set(object, name, value.clone()),
        None => {
            remove(object, name);
        }
    }
}

/// Puts a field of `metadata` back to what it was.
pub(crate) fn restore_metadata(object: &mut Value, old: &Value, name: &str) {
    let metadata = metadata_mut(object);
    match old.get("metadata").and_then(|metadata| metadata.get(name)) {
        Some(value) => {
            metadata.insert(name.to_owned(), value.clone());
        }
        None => {
            metadata.remove(name);
        }
    }
}
