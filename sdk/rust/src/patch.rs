//! A JSON Patch (RFC 6902): what a mutation is answered with.

use serde::Serialize;
use serde_json::Value;

use crate::json::Json;

/// Operations in order. An empty patch leaves the object as it is.
///
/// They are kept as the text that goes to the host: a value is written once, and never becomes a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The list without its closing bracket; empty while there is no operation.
    text: Vec<u8>,
}

#[derive(Serialize)]
struct Operation<'a, T> {
    op: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<T>,
}

impl Patch {
    /// Leaves the object as it is.
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// Sets a member of an object, or inserts into a list; `-` as the last segment appends.
    pub fn add(&mut self, path: impl AsRef<str>, value: impl Serialize) -> &mut Self {
        self.push("add", path.as_ref(), Some(value))
    }

    /// Puts another value in the place of one that is there.
    pub fn replace(&mut self, path: impl AsRef<str>, value: impl Serialize) -> &mut Self {
        self.push("replace", path.as_ref(), Some(value))
    }

    /// Takes away what is there.
    pub fn remove(&mut self, path: impl AsRef<str>) -> &mut Self {
        self.push("remove", path.as_ref(), None::<Value>)
    }

    /// Fails the patch where the value is another.
    pub fn test(&mut self, path: impl AsRef<str>, value: impl Serialize) -> &mut Self {
        self.push("test", path.as_ref(), Some(value))
    }

    fn push(&mut self, op: &str, path: &str, value: Option<impl Serialize>) -> &mut Self {
        let before = self.text.len();
        self.text.push(if before == 0 { b'[' } else { b',' });
        // A value that does not serialise (a map whose keys are no texts) leaves the operation out.
        if serde_json::to_writer(&mut self.text, &Operation { op, path, value }).is_err() {
            self.text.truncate(before);
        }
        self
    }

    /// From one object to another, where it is easier to change a copy: replaces the smallest members that differ. Lists
    /// are replaced whole.
    pub fn between(old: &Value, new: &Value) -> Self {
        let mut patch = Self::default();
        patch.diff(String::new(), old, new);
        patch
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Its operations.
    pub fn operations(&self) -> Vec<Value> {
        serde_json::from_slice(&self.clone().into_json().0).unwrap_or_default()
    }

    /// As it goes to the host.
    pub fn into_json(mut self) -> Json {
        if self.text.is_empty() {
            self.text.push(b'[');
        }
        self.text.push(b']');
        Json(self.text)
    }

    fn diff(&mut self, path: String, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(before), Value::Object(after)) => {
                for key in before.keys().filter(|key| !after.contains_key(*key)) {
                    self.remove(format!("{path}/{}", escape(key)));
                }
                for (key, value) in after {
                    let path = format!("{path}/{}", escape(key));
                    match before.get(key) {
                        Some(known) => self.diff(path, known, value),
                        None => {
                            self.add(path, value);
                        }
                    }
                }
            }
            (before, after) if before != after => {
                self.replace(path, after);
            }
            _ => {}
        }
    }
}

/// One segment of a JSON Pointer: `a/b` is `a~1b`.
pub fn escape(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn between_touches_only_what_differs() {
        let rows = [
            (json!({"a": 1}), json!({"a": 1}), json!([])),
            (json!({"a": 1}), json!({"a": 2}), json!([{"op": "replace", "path": "/a", "value": 2}])),
            (json!({"a": 1}), json!({"a": 1, "b": []}), json!([{"op": "add", "path": "/b", "value": []}])),
            (json!({"x/y": {"~": 1, "b": 2}}), json!({"x/y": {"b": 2}}), json!([{"op": "remove", "path": "/x~1y/~0"}])),
            (json!({"l": [1, 2]}), json!({"l": [2]}), json!([{"op": "replace", "path": "/l", "value": [2]}])),
        ];
        for (old, new, want) in rows {
            assert_eq!(Value::from(Patch::between(&old, &new).operations()), want, "{old} to {new}");
        }
    }
}
