//! JSON patch (RFC 6902), with the leniencies of upstream's library: negative indexes count from the end, `replace` of what is
//! missing adds it, a missing `value` is null, and what stands before the first slash of a path is passed over.

use serde_json::{Map, Value};

use super::{check_type, rejected};
use crate::codec::check::Reader;
use crate::codec::node::Node;
use crate::codec::{self};
use crate::options::FieldValidation;
use crate::schema::{Field, FieldType, Schema, SchemaRef};
use crate::status::Status;

/// Operations of a patch.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
/// Bytes that the `copy` operations of a patch may add, all in all.
pub const JSON_PATCH_COPY_BYTES_MAX: usize = 3 << 20;

static OPERATION: Schema = Schema {
    name: std::borrow::Cow::Borrowed("handlers.jsonPatchOp"),
    fields: std::borrow::Cow::Borrowed(&[
        Field::of("from", FieldType::String),
        Field::of("op", FieldType::String),
        Field::of("path", FieldType::String),
        Field::of("value", FieldType::Any),
    ]),
    atomic: false,
    preserve_unknown: false,
    message: None,
};

static OPERATIONS: FieldType = FieldType::List(&FieldType::Object(SchemaRef::Static(&OPERATION)));

/// Why an operation does not apply. Upstream does not tell the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonPatchError {
    /// There is nothing where the operation looks.
    #[error("operation {0}: there is nothing at {1:?}")]
    Missing(usize, String),
    /// A `test` failed.
    #[error("operation {0}: testing value {1} failed")]
    TestFailed(usize, String),
    /// The operation is none.
    #[error("operation {0}: unexpected kind: {1}")]
    UnknownOperation(usize, String),
    /// The copies are too large.
    #[error("operation {0}: copies add more than {JSON_PATCH_COPY_BYTES_MAX} bytes")]
    CopiesTooLarge(usize),
}

/// Reads a patch and applies it; with the objections of a strict reader to the patch itself.
pub(super) fn apply_body(original: &Value, body: &[u8], validation: FieldValidation) -> Result<(Value, Vec<String>), Status> {
    let strict = validation != FieldValidation::Ignore;
    let lead = if strict { "error decoding patch: " } else { "" };
    let bad = |error: String| Status::bad_request(format!("{lead}{error}"));
    let node = codec::json::parse(body).map_err(bad)?;
    if !strict && !matches!(node, Node::Array(_) | Node::Null) {
        return Err(bad(format!("json: cannot unmarshal {} into Go value of type jsonpatch.Patch", node.kind())));
    }
    let patch = check_type(node, &OPERATIONS, Reader::Untyped).map_err(bad)?;
    let strict_errors = patch.strict_errors.into_iter().map(|error| format!("json patch {error}")).collect();
    let Value::Array(operations) = patch.value else { return Ok((original.clone(), strict_errors)) };
    if operations.len() > JSON_PATCH_OPERATIONS_MAX {
        let count = operations.len();
        let words = format!("The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS_MAX}, got {count}");
        return Err(Status::too_large(words));
    }
    let mut patched = original.clone();
    apply(&mut patched, operations).map_err(|_| rejected())?;
    Ok((patched, strict_errors))
}

/// Applies the operations in order; whether any of them changed something. On an error the document is left half patched: give it a copy.
pub fn apply(document: &mut Value, operations: Vec<Value>) -> Result<bool, JsonPatchError> {
    let (mut copied, mut changed) = (0, false);
    for (i, mut operation) in operations.into_iter().enumerate() {
        let value = operation.get_mut("value").map(Value::take).unwrap_or_default();
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let required = |name: &str| text(name).ok_or_else(|| JsonPatchError::Missing(i, name.to_owned()));
        let missing = |path: &str| JsonPatchError::Missing(i, path.to_owned());
        changed |= match text("op").unwrap_or("unknown") {
            "add" => {
                let path = required("path")?;
                add(document, path, value).ok_or_else(|| missing(path))?
            }
            "remove" => {
                let path = required("path")?;
                remove(document, path).ok_or_else(|| missing(path))?;
                true
            }
            "replace" => {
                let path = required("path")?;
                replace(document, path, value).ok_or_else(|| missing(path))?
            }
            "move" => {
                let (from, path) = (required("from")?, required("path")?);
                let moved = remove(document, from).ok_or_else(|| missing(from))?;
                add(document, path, moved).ok_or_else(|| missing(path))?;
                true
            }
            "copy" => {
                let (from, path) = (required("from")?, required("path")?);
                let copy = get(document, from).ok_or_else(|| missing(from))?;
                copied += copy.to_string().len();
                if copied > JSON_PATCH_COPY_BYTES_MAX {
                    return Err(JsonPatchError::CopiesTooLarge(i));
                }
                add(document, path, copy).ok_or_else(|| missing(path))?
            }
            "test" => {
                let path = required("path")?;
                let found = if path.is_empty() { Some(document.clone()) } else { get(document, path) };
                if found.ok_or_else(|| missing(path))? != value {
                    return Err(JsonPatchError::TestFailed(i, path.to_owned()));
                }
                false
            }
            other => return Err(JsonPatchError::UnknownOperation(i, other.to_owned())),
        };
    }
    Ok(changed)
}

/// The places that a patch writes to or takes from, each as the keys on the way there. Behind a list they may have moved since.
pub fn touched(operations: &[Value]) -> Vec<Vec<String>> {
    let keys = |path: &str| path.split_once('/').map_or_else(Vec::new, |(_, path)| path.split('/').map(decode_key).collect());
    let places = |operation| {
        let text = |name: &str| Value::get(operation, name).and_then(Value::as_str);
        let names: &[&str] = match text("op") {
            Some("test") => &[],
            Some("move") => &["from", "path"],
            _ => &["path"],
        };
        names.iter().filter_map(|name| text(name)).map(keys).collect::<Vec<_>>()
    };
    operations.iter().flat_map(places).collect()
}

fn decode_key(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// The list or object that a path's last key is of, and that key.
fn parent<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (_, path) = path.split_once('/')?;
    let (parents, key) = path.rsplit_once('/').map_or((None, path), |(parents, key)| (Some(parents), key));
    let mut current = document;
    for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
        let part = decode_key(part);
        current = match current {
            Value::Object(map) => map.get_mut(&part)?,
            Value::Array(items) => {
                let at = index(&part, items.len())?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    matches!(current, Value::Object(_) | Value::Array(_)).then(|| (current, decode_key(key)))
}

/// An index below `length`, or counted from it.
fn index(key: &str, length: usize) -> Option<usize> {
    let index: i64 = key.parse().ok()?;
    let at = if index < 0 { length.checked_sub(index.unsigned_abs() as usize)? } else { index as usize };
    (at < length).then_some(at)
}

/// `None`: there is no such place. A missing key of an object reads as null.
fn get(document: &mut Value, path: &str) -> Option<Value> {
    match parent(document, path)? {
        (Value::Object(map), key) => Some(map.get(&key).cloned().unwrap_or_default()),
        (Value::Array(items), key) => items.get(index(&key, items.len())?).cloned(),
        _ => None,
    }
}

/// Whether that changed something; `None`: there is no such place.
fn add(document: &mut Value, path: &str, value: Value) -> Option<bool> {
    match parent(document, path)? {
        (Value::Object(map), key) => return Some(put(map, key, value)),
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            let at = index(&key, items.len() + 1)?;
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(true)
}

fn put(map: &mut Map<String, Value>, key: String, value: Value) -> bool {
    let changes = map.get(&key) != Some(&value);
    map.insert(key, value);
    changes
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    match parent(document, path)? {
        (Value::Object(map), key) => map.remove(&key),
        (Value::Array(items), key) => {
            let at = index(&key, items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

/// Whether that changed something; `None`: there is no such place.
fn replace(document: &mut Value, path: &str, value: Value) -> Option<bool> {
    let place = if path.is_empty() {
        (value.is_object() || value.is_array()).then_some(document)?
    } else {
        match parent(document, path)? {
            (Value::Object(map), key) => return Some(put(map, key, value)),
            (Value::Array(items), key) => {
                let at = index(&key, items.len())?;
                &mut items[at]
            }
            _ => return None,
        }
    };
    let changes = *place != value;
    *place = value;
    Some(changes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations() {
        let document = json!({"a": {"b": [1, 2, 3]}, "n": null, "a/b~c": 1});
        let rows = [
            (json!([{"op": "add", "path": "/a/c", "value": 1}]), Some(json!({"a": {"b": [1, 2, 3], "c": 1}, "n": null, "a/b~c": 1}))),
            (json!([{"op": "add", "path": "/a/b/-", "value": 4}]), Some(json!({"a": {"b": [1, 2, 3, 4]}, "n": null, "a/b~c": 1}))),
            (json!([{"op": "add", "path": "/a/b/0", "value": 0}]), Some(json!({"a": {"b": [0, 1, 2, 3]}, "n": null, "a/b~c": 1}))),
            (json!([{"op": "add", "path": "/a/b/-1", "value": 4}]), Some(json!({"a": {"b": [1, 2, 3, 4]}, "n": null, "a/b~c": 1}))),
            (json!([{"op": "add", "path": "/a/b/4", "value": 4}]), None),
            (json!([{"op": "add", "path": "/x"}]), Some(json!({"a": {"b": [1, 2, 3]}, "n": null, "a/b~c": 1, "x": null}))),
            (json!([{"op": "add", "path": "/x/y", "value": 1}]), None),
            (json!([{"op": "add", "path": "/n/y", "value": 1}]), None),
            (json!([{"op": "add", "path": "a", "value": 1}]), None),
            (json!([{"op": "add", "path": "", "value": {}}]), None),
            (json!([{"op": "add", "value": {}}]), None),
            (json!([{"op": "remove", "path": "/a/b/-1"}]), Some(json!({"a": {"b": [1, 2]}, "n": null, "a/b~c": 1}))),
            (json!([{"op": "remove", "path": "/a~1b~0c"}]), Some(json!({"a": {"b": [1, 2, 3]}, "n": null}))),
            (json!([{"op": "remove", "path": "/zz"}]), None),
            (
                json!([{"op": "replace", "path": "/zz", "value": 1}, {"op": "remove", "path": "/a"}]),
                Some(json!({"n": null, "a/b~c": 1, "zz": 1})),
            ),
            (json!([{"op": "replace", "path": "/a/b/3", "value": 1}]), None),
            (json!([{"op": "replace", "path": "/a/b/-", "value": 1}]), None),
            (json!([{"op": "replace", "path": "", "value": {"x": 1}}]), Some(json!({"x": 1}))),
            (
                json!([{"op": "move", "from": "/a/b/0", "path": "/first"}]),
                Some(json!({"a": {"b": [2, 3]}, "n": null, "a/b~c": 1, "first": 1})),
            ),
            (json!([{"op": "move", "from": "/zz", "path": "/first"}]), None),
            (
                json!([{"op": "copy", "from": "/a/b", "path": "/c"}]),
                Some(json!({"a": {"b": [1, 2, 3]}, "c": [1, 2, 3], "n": null, "a/b~c": 1})),
            ),
            (
                json!([{"op": "test", "path": "/a/b/1", "value": 2}, {"op": "test", "path": "/n", "value": null}, {"op": "test", "path": "/zz"}]),
                Some(document.clone()),
            ),
            (json!([{"op": "test", "path": "/a/b/1", "value": 3}]), None),
            (json!([{"op": "test", "path": "/a"}]), None),
            (json!([{"op": "frob", "path": "/a"}]), None),
            (json!([{"path": "/a"}]), None),
        ];
        for (operations, want) in rows {
            let mut patched = document.clone();
            let got = apply(&mut patched, operations.as_array().expect("a list").clone()).ok();
            assert_eq!(got.map(|_| &patched), want.as_ref(), "{operations}");
            assert!(got.is_none_or(|changed| changed == (patched != document)), "{operations}");
        }
    }

    #[test]
    fn copies_are_bounded() {
        let mut document = json!({"a": ["x".repeat(1000)]});
        let doubling: Vec<Value> = (0..64).map(|_| json!({"op": "copy", "from": "/a", "path": "/a/-"})).collect();
        assert!(matches!(apply(&mut document, doubling), Err(JsonPatchError::CopiesTooLarge(_))));
    }
}
