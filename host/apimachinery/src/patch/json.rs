//! JSON patch (RFC 6902), with the leniencies of upstream's library: negative indexes count from the end, `replace` of what is
//! missing adds it, a missing `value` is null, and what stands before the first slash of a path is passed over.

use serde_json::{Map, Value};

use super::{check_type, rejected};
use crate::codec;
use crate::codec::check::Reader;
use crate::codec::node::{Extent, Node, OBJECT_LEVELS_MAX, OBJECTS_COUNT_MAX};
use crate::options::FieldValidation;
use crate::schema::{Field, FieldType, Schema, SchemaRef};
use crate::status::Status;

/// Operations of a patch.
pub const JSON_PATCH_OPERATIONS_MAX: usize = 10_000;
/// Bytes that the `copy` operations of a patch may add, all in all (upstream's `JSONPatchMaxCopyBytes`).
pub const JSON_PATCH_COPY_BYTES_MAX: usize = 3 << 20;
/// Steps that a patch may take besides reading its own operations: a value that is moved is walked once, and eight items of a list that
/// make room are one step. Ten thousand moves of a large value would otherwise keep a thread busy for minutes.
pub const JSON_PATCH_STEPS_MAX: usize = 10_000_000;

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
    #[error("operation {0}: copies add more than {JSON_PATCH_COPY_BYTES_MAX} bytes or {OBJECTS_COUNT_MAX} objects")]
    CopiesTooLarge(usize),
    /// The document would be nested too deeply.
    #[error("operation {0}: the document would have more than {OBJECT_LEVELS_MAX} levels")]
    TooDeep(usize),
    /// The operations are too much work.
    #[error("operation {0}: the patch takes more than {JSON_PATCH_STEPS_MAX} steps")]
    TooManySteps(usize),
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
///
/// No operation makes the document deeper than an object may be: what copies, compares, prints or drops it recurses.
pub fn apply(document: &mut Value, operations: Vec<Value>) -> Result<bool, JsonPatchError> {
    let mut patch = Patch { document, copied_bytes: 0, copied_objects: 0, steps: 0 };
    let mut changed = false;
    for (i, operation) in operations.into_iter().enumerate() {
        changed |= patch.operation(operation).map_err(|problem| problem.of_operation(i))?;
    }
    Ok(changed)
}

/// Why one operation does not apply.
enum Problem {
    Missing(String),
    TestFailed(String),
    Unknown(String),
    CopiesTooLarge,
    TooDeep,
    TooManySteps,
}

impl Problem {
    fn of_operation(self, i: usize) -> JsonPatchError {
        match self {
            Self::Missing(path) => JsonPatchError::Missing(i, path),
            Self::TestFailed(path) => JsonPatchError::TestFailed(i, path),
            Self::Unknown(operation) => JsonPatchError::UnknownOperation(i, operation),
            Self::CopiesTooLarge => JsonPatchError::CopiesTooLarge(i),
            Self::TooDeep => JsonPatchError::TooDeep(i),
            Self::TooManySteps => JsonPatchError::TooManySteps(i),
        }
    }
}

/// A document under the operations of one patch, and what these have cost so far.
struct Patch<'d> {
    document: &'d mut Value,
    copied_bytes: usize,
    copied_objects: usize,
    steps: usize,
}

impl Patch<'_> {
    /// Whether the operation changed something.
    fn operation(&mut self, mut operation: Value) -> Result<bool, Problem> {
        let value = operation.get_mut("value").map(Value::take).unwrap_or_default();
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let required = |name: &str| text(name).ok_or_else(|| Problem::Missing(name.to_owned()));
        match text("op").unwrap_or("unknown") {
            "add" => {
                let path = required("path")?;
                self.fits(path, Extent::of(&value))?;
                self.add(path, value)
            }
            "remove" => self.remove(required("path")?).map(|_| true),
            "replace" => {
                let path = required("path")?;
                self.fits(path, Extent::of(&value))?;
                replace(self.document, path, value).ok_or_else(|| missing(path))
            }
            "move" => {
                let (from, path) = (required("from")?, required("path")?);
                let moved = self.remove(from)?;
                let extent = Extent::of(&moved);
                self.step(extent.values)?;
                self.fits(path, extent)?;
                self.add(path, moved).map(|_| true)
            }
            "copy" => {
                let (from, path) = (required("from")?, required("path")?);
                let copied = get(self.document, from).ok_or_else(|| missing(from))?;
                let extent = copied.map(Extent::of).unwrap_or_default();
                self.copied_bytes += copied.map_or(0, json_bytes);
                self.copied_objects += extent.objects;
                if self.copied_bytes > JSON_PATCH_COPY_BYTES_MAX || self.copied_objects > OBJECTS_COUNT_MAX {
                    return Err(Problem::CopiesTooLarge);
                }
                let copy = copied.cloned().unwrap_or_default();
                self.fits(path, extent)?;
                self.add(path, copy)
            }
            "test" => {
                let path = required("path")?;
                let found = if path.is_empty() { Some(&*self.document) } else { get(self.document, path).ok_or_else(|| missing(path))? };
                if found.unwrap_or(&Value::Null) == &value { Ok(false) } else { Err(Problem::TestFailed(path.to_owned())) }
            }
            other => Err(Problem::Unknown(other.to_owned())),
        }
    }

    /// Counts steps.
    fn step(&mut self, steps: usize) -> Result<(), Problem> {
        self.steps += steps;
        if self.steps > JSON_PATCH_STEPS_MAX { Err(Problem::TooManySteps) } else { Ok(()) }
    }

    /// Whether a value of that extent may stand at a path.
    fn fits(&self, path: &str, value: Extent) -> Result<(), Problem> {
        let above = path.split_once('/').map_or(0, |(_, path)| path.split('/').count());
        if above + value.levels > OBJECT_LEVELS_MAX { Err(Problem::TooDeep) } else { Ok(()) }
    }

    /// Whether that changed something.
    fn add(&mut self, path: &str, value: Value) -> Result<bool, Problem> {
        match parent_mut(self.document, path).ok_or_else(|| missing(path))? {
            (Value::Object(map), key) => return Ok(put(map, key, value)),
            (Value::Array(items), key) => {
                let at = if key == "-" { items.len() } else { index(&key, items.len() + 1).ok_or_else(|| missing(path))? };
                let behind = items.len() - at;
                items.insert(at, value);
                self.step(behind / 8)?;
            }
            _ => return Err(missing(path)),
        }
        Ok(true)
    }

    fn remove(&mut self, path: &str) -> Result<Value, Problem> {
        match parent_mut(self.document, path).ok_or_else(|| missing(path))? {
            (Value::Object(map), key) => map.remove(&key).ok_or_else(|| missing(path)),
            (Value::Array(items), key) => {
                let at = index(&key, items.len()).ok_or_else(|| missing(path))?;
                let removed = items.remove(at);
                let behind = items.len() - at;
                self.step(behind / 8)?;
                Ok(removed)
            }
            _ => Err(missing(path)),
        }
    }
}

fn missing(path: &str) -> Problem {
    Problem::Missing(path.to_owned())
}

/// Bytes of a value as JSON, without writing them anywhere.
fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail, and a value has string keys only.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
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
    if key.contains('~') { key.replace("~1", "/").replace("~0", "~") } else { key.to_owned() }
}

/// The keys of a path but the last, and the last; what stands before the first slash is none.
fn keys(path: &str) -> Option<(impl Iterator<Item = String>, String)> {
    let (_, path) = path.split_once('/')?;
    let (parents, key) = path.rsplit_once('/').map_or((None, path), |(parents, key)| (Some(parents), key));
    Some((parents.into_iter().flat_map(|parents| parents.split('/')).map(decode_key), decode_key(key)))
}

/// The list or object that a path's last key is of, and that key.
fn parent<'a>(document: &'a Value, path: &str) -> Option<(&'a Value, String)> {
    let (parents, key) = keys(path)?;
    let mut current = document;
    for part in parents {
        current = match current {
            Value::Object(map) => map.get(&part)?,
            Value::Array(items) => items.get(index(&part, items.len())?)?,
            _ => return None,
        };
    }
    matches!(current, Value::Object(_) | Value::Array(_)).then_some((current, key))
}

/// The same, to be changed.
fn parent_mut<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parents, key) = keys(path)?;
    let mut current = document;
    for part in parents {
        current = match current {
            Value::Object(map) => map.get_mut(&part)?,
            Value::Array(items) => {
                let at = index(&part, items.len())?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    matches!(current, Value::Object(_) | Value::Array(_)).then_some((current, key))
}

/// An index below `length`, or counted from it.
fn index(key: &str, length: usize) -> Option<usize> {
    let index: i64 = key.parse().ok()?;
    let at = if index < 0 { length.checked_sub(index.unsigned_abs() as usize)? } else { index as usize };
    (at < length).then_some(at)
}

/// `None`: there is no such place. `Some(None)`: a key that the object does not have, which reads as null.
fn get<'a>(document: &'a Value, path: &str) -> Option<Option<&'a Value>> {
    match parent(document, path)? {
        (Value::Object(map), key) => Some(map.get(&key)),
        (Value::Array(items), key) => items.get(index(&key, items.len())?).map(Some),
        _ => None,
    }
}

fn put(map: &mut Map<String, Value>, key: String, value: Value) -> bool {
    let changes = map.get(&key) != Some(&value);
    map.insert(key, value);
    changes
}

/// Whether that changed something; `None`: there is no such place.
fn replace(document: &mut Value, path: &str, value: Value) -> Option<bool> {
    let place = if path.is_empty() {
        (value.is_object() || value.is_array()).then_some(document)?
    } else {
        match parent_mut(document, path)? {
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
        // Few bytes each, and a tree's node in memory each.
        let mut document = json!({"a": vec![json!({"x": 1}); 100], "b": []});
        let small: Vec<Value> = (0..2000).map(|_| json!({"op": "copy", "from": "/a", "path": "/b/-"})).collect();
        assert!(matches!(apply(&mut document, small), Err(JsonPatchError::CopiesTooLarge(_))));
    }

    #[test]
    fn no_operation_makes_a_document_too_deep() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |value, _| json!({ "a": value }));
        let apart = json!({"op": "add", "path": "/b", "value": deep(100)});
        // The whole of what is there, put at its own end: the levels double with each operation.
        let doubling = (0..16).map(|i| json!({"op": "copy", "from": "/a", "path": "/a".repeat((1 << i) + 1)}));
        let rows: [Vec<Value>; 6] = [
            doubling.collect(),
            vec![json!({"op": "copy", "from": "/a", "path": "/a/a"}); 200],
            vec![
                apart.clone(),
                json!({"op": "add", "path": "/c", "value": deep(30)}),
                json!({"op": "move", "from": "/b", "path": "/c".to_owned() + &"/a".repeat(25)}),
            ],
            vec![apart, json!({"op": "add", "path": "/b".to_owned() + &"/a".repeat(99), "value": deep(40)})],
            vec![json!({"op": "replace", "path": "/a", "value": deep(OBJECT_LEVELS_MAX)})],
            vec![json!({"op": "replace", "path": "", "value": deep(OBJECT_LEVELS_MAX + 1)})],
        ];
        for operations in rows {
            let mut document = json!({"a": {}});
            let found = apply(&mut document, operations.clone());
            assert!(matches!(found, Err(JsonPatchError::TooDeep(_))), "{found:?}: {}", operations[0]);
            assert!(Extent::of(&document).levels <= OBJECT_LEVELS_MAX);
        }
        let mut document = json!({});
        assert_eq!(apply(&mut document, vec![json!({"op": "add", "path": "/a", "value": deep(OBJECT_LEVELS_MAX - 1)})]), Ok(true));
    }

    #[test]
    fn work_is_bounded() {
        let numbers = json!((0..100_000).collect::<Vec<_>>());
        let back_and_forth = |i: usize| match i % 2 {
            0 => json!({"op": "move", "from": "/a", "path": "/b"}),
            _ => json!({"op": "move", "from": "/b", "path": "/a"}),
        };
        let rows: [Vec<Value>; 3] = [
            (0..JSON_PATCH_OPERATIONS_MAX).map(back_and_forth).collect(),
            vec![json!({"op": "add", "path": "/a/0", "value": 1}); JSON_PATCH_OPERATIONS_MAX],
            vec![json!({"op": "remove", "path": "/a/0"}); JSON_PATCH_OPERATIONS_MAX],
        ];
        for operations in rows {
            let mut document = json!({ "a": numbers });
            assert!(matches!(apply(&mut document, operations.clone()), Err(JsonPatchError::TooManySteps(_))), "{}", operations[0]);
        }
        // What a person may want of a long list is within it.
        let mut document = json!({ "a": (0..10_000).collect::<Vec<_>>() });
        assert_eq!(apply(&mut document, vec![json!({"op": "remove", "path": "/a/0"}); JSON_PATCH_OPERATIONS_MAX]), Ok(true));
    }
}
