//! Which class of a kind is the default one: an index that the change feed keeps, for plugins such as `DefaultStorageClass`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::changes::Change;
use crate::json::Json;

/// The classes that an annotation marks as default. Only those are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultClasses {
    /// Annotations of which any marks a class, with the value `true`.
    marks: &'static [&'static str],
    /// Name and creation time.
    defaults: BTreeMap<String, String>,
}

impl DefaultClasses {
    /// Of no class yet. Any of the annotations marks one, with the value `true`.
    pub fn marked_by(marks: &'static [&'static str]) -> Self {
        Self { marks, defaults: BTreeMap::new() }
    }

    /// Of several the newest, and of several of the same second the first by name. Times are in one form, so text compares.
    pub fn newest(&self) -> Option<&str> {
        self.defaults.iter().min_by_key(|(_, created)| Reverse(created.as_str())).map(|(name, _)| name.as_str())
    }

    /// Forgets all classes: [`crate::changes::Changes::reset`].
    pub fn reset(&mut self) {
        self.defaults.clear();
    }

    /// Takes in what has changed: [`crate::changes::Changes::apply`].
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match &change.object {
                Some(object) => self.put(object),
                None => drop(self.defaults.remove(&change.name)),
            }
        }
    }

    fn put(&mut self, object: &Json) {
        let Ok(Class { metadata }) = object.parse() else { return };
        if self.marks.iter().any(|mark| metadata.annotations.get(*mark).is_some_and(|value| value == "true")) {
            self.defaults.insert(metadata.name, metadata.creation_timestamp);
        } else {
            self.defaults.remove(&metadata.name);
        }
    }
}

#[derive(Deserialize)]
struct Class {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    creation_timestamp: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::changes::GroupResource;

    const MARKS: [&str; 2] = ["is-default", "was-default"];

    fn class(name: &str, second: u8, mark: &str, value: &str) -> Value {
        let created = format!("2026-01-01T00:00:{second:02}Z");
        json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": {mark: value}}})
    }

    #[test]
    fn the_newest_that_is_marked() {
        let [mark, old] = MARKS;
        let rows = [
            (vec![], None),
            (vec![class("a", 1, mark, "false"), class("b", 2, "another", "true"), json!({})], None),
            (vec![class("a", 1, mark, "true"), class("b", 9, mark, "false")], Some("a")),
            (vec![class("a", 1, old, "true"), class("c", 2, mark, "true"), class("b", 2, mark, "true")], Some("b")),
        ];
        for (classes, want) in rows {
            let mut index = DefaultClasses::marked_by(&MARKS);
            let put = |class: &Value| Change::put(GroupResource::new("", "classes"), class);
            index.apply(&[put(&class("gone", 9, mark, "true"))]);
            index.reset();
            index.apply(&classes.iter().map(put).collect::<Vec<_>>());
            assert_eq!(index.newest(), want, "{classes:?}");
        }
    }

    #[test]
    fn changes_count_at_once() {
        let mut index = DefaultClasses::marked_by(&MARKS);
        let rows = [(Some(class("a", 1, MARKS[0], "true")), Some("a")), (Some(class("a", 1, MARKS[0], "no")), None), (None, None)];
        for (object, want) in rows {
            let (resource, object) = (GroupResource::new("", "classes"), object.as_ref().map(Json::from));
            index.apply(&[Change { resource, name: "a".to_owned(), object, ..Change::default() }]);
            assert_eq!(index.newest(), want);
        }
        let put = Change::put(GroupResource::new("", "classes"), &class("a", 1, MARKS[1], "true"));
        index.apply(std::slice::from_ref(&put));
        index.apply(&[Change { object: None, ..put }]);
        assert_eq!(index.newest(), None);
    }
}
