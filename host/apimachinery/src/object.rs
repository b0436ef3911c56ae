//! Reading and writing `metadata` of an object that is a `serde_json::Value`.

use serde_json::{Map, Value};

/// An object on the write path: a JSON object with `metadata`.
pub type Object = Map<String, Value>;

/// `metadata` as a map, made if it is missing or null.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    let object = object.as_object_mut().expect("an API object is a JSON object");
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("made an object above")
}

/// What stands at a JSON Pointer (RFC 6901): as [`Value::pointer`], which makes a new text of every segment.
pub fn find<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.is_empty() {
        return Some(value);
    }
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    pointer.strip_prefix('/')?.split('/').try_fold(value, |at, segment| match at {
        Value::Object(fields) => fields.get(segment),
        // `01` and `+1` are no indexes.
        Value::Array(items) if segment == "0" || !segment.starts_with(['0', '+']) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `metadata.<field>`.
pub fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

/// `metadata.<field>` as a string; empty where it is missing.
pub fn meta_str<'a>(object: &'a Value, field: &str) -> &'a str {
    meta(object, field).and_then(Value::as_str).unwrap_or("")
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    meta_str(object, "name")
}

/// `metadata.namespace`.
pub fn namespace(object: &Value) -> &str {
    meta_str(object, "namespace")
}

/// `metadata.uid`.
pub fn uid(object: &Value) -> &str {
    meta_str(object, "uid")
}

/// `metadata.resourceVersion`.
pub fn resource_version(object: &Value) -> &str {
    meta_str(object, "resourceVersion")
}

/// `metadata.deletionTimestamp` is set.
pub fn is_being_deleted(object: &Value) -> bool {
    !meta_str(object, "deletionTimestamp").is_empty()
}

/// `metadata.deletionGracePeriodSeconds`.
pub fn deletion_grace_period_seconds(object: &Value) -> Option<i64> {
    object.get("metadata")?.get("deletionGracePeriodSeconds")?.as_i64()
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> Vec<&str> {
    meta(object, "finalizers").and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// `metadata.labels` as pairs.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    meta(object, "labels").and_then(Value::as_object).into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Sets `metadata.<field>`; an empty string removes it.
pub fn set_meta_str(object: &mut Value, field: &str, value: &str) {
    let metadata = metadata_mut(object);
    if value.is_empty() {
        metadata.remove(field);
    } else {
        metadata.insert(field.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_at_a_pointer_is_what_serde_json_finds() {
        let value = serde_json::json!({
            "a": {"b": [{"c": 1}, [2, 3]], "": 4, "d/e": 5, "f~g": 6}, "": {"": 7}, "list": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "text": "x",
        });
        for pointer in [
            "",
            "/",
            "//",
            "/a",
            "/a/b/0/c",
            "/a/b/1/1",
            "/a/b/1/01",
            "/a/b/1/+1",
            "/a/b/1/-",
            "/a/b/1/2",
            "/a/b/00",
            "/a/",
            "/a/d~1e",
            "/a/f~0g",
            "/list/10",
            "/list/010",
            "/list/",
            "/text/0",
            "/text",
            "a",
            "/none/b",
            "/a/b/0/c/d",
            "/list/18446744073709551616",
        ] {
            assert_eq!(find(&value, pointer), value.pointer(pointer), "{pointer:?}");
        }
    }
}
