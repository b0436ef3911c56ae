//! A value cut down to some of its fields: what a guest needs of a large object, without the rest of it.

use std::collections::BTreeMap;
use std::fmt;

use apimachinery::GroupResource;
use bytes::Bytes;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits;

/// Stands for every item of a list.
pub(crate) const EVERY_ITEM: &str = "*";

/// Which fields, as a tree: `a/*/b` and `a/*/c` are one branch with two leaves. Without branches: the whole value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<Box<str>, Self>);

impl Fields {
    /// From paths such as `containers/*/volumeMounts`. An error where they are too many or too long.
    pub fn parse<S: AsRef<str>>(paths: &[S]) -> Result<Self, String> {
        if paths.len() > limits::PICKED_FIELDS_MAX {
            return Err(format!("{} fields are picked at once, more than {}", paths.len(), limits::PICKED_FIELDS_MAX));
        }
        let mut root = Self::default();
        for path in paths.iter().map(AsRef::as_ref) {
            if path.len() > limits::PICKED_FIELD_BYTES_MAX {
                return Err(format!("the path of a picked field has {} bytes, more than {}", path.len(), limits::PICKED_FIELD_BYTES_MAX));
            }
            root.add(path);
        }
        Ok(root)
    }

    /// One path more.
    pub(crate) fn add(&mut self, path: &str) {
        segments(path).fold(self, |at, segment| at.0.entry(segment).or_default());
    }

    /// Whether nothing is cut away.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// The value with nothing but these fields, as JSON.
    pub(crate) fn json_of(&self, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(value, &mut out);
        out
    }

    /// The same, at the end of a buffer.
    pub(crate) fn write(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Object(fields) if !self.0.is_empty() => {
                out.push(b'{');
                let found = self.0.iter().filter_map(|(name, below)| Some((name, below, fields.get(&**name)?)));
                for (at, (name, below, value)) in found.enumerate() {
                    separate(at, out);
                    whole(name, out);
                    out.push(b':');
                    below.write(value, out);
                }
                out.push(b'}');
            }
            Value::Array(items) if self.0.contains_key(EVERY_ITEM) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    separate(at, out);
                    self.0[EVERY_ITEM].write(item, out);
                }
                out.push(b']');
            }
            // A value of another type than the path expects is shown as it is: what is wrong with it is the guest's to say.
            _ => whole(value, out),
        }
    }

    /// The same of a JSON text, at the end of a buffer: nothing is built of what is cut away. What is no JSON is shown as it is.
    pub(crate) fn cut(&self, text: &str, out: &mut Vec<u8>) {
        let start = out.len();
        let mut source = serde_json::Deserializer::from_str(text);
        let cut = match text.trim_start().as_bytes().first() {
            Some(b'{') if !self.0.is_empty() => source.deserialize_map(Cut { fields: self, out }).is_ok(),
            Some(b'[') if self.0.contains_key(EVERY_ITEM) => source.deserialize_seq(Cut { fields: &self.0[EVERY_ITEM], out }).is_ok(),
            _ => false,
        };
        if !cut {
            out.truncate(start);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// The texts at a pointer with `*` for every item of a list: one for each item, an empty one where it has none.
pub(crate) fn texts_below(value: &Value, pointer: &str) -> Vec<String> {
    let mut texts = Vec::new();
    add_texts(Some(value), pointer, &mut texts);
    texts
}

fn add_texts(value: Option<&Value>, pointer: &str, texts: &mut Vec<String>) {
    let Some(rest) = pointer.strip_prefix('/') else {
        return texts.push(value.and_then(Value::as_str).unwrap_or_default().to_owned());
    };
    let (segment, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if segment == EVERY_ITEM {
        return value.and_then(Value::as_array).into_iter().flatten().for_each(|item| add_texts(Some(item), below, texts));
    }
    add_texts(value.and_then(|value| value.pointer(&pointer[..=segment.len()])), below, texts);
}

/// Writes what is left of an object or of each item of a list.
struct Cut<'a> {
    fields: &'a Fields,
    out: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Cut<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut written = 0;
        self.out.push(b'{');
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let Some(below) = self.fields.0.get(&*name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            separate(written, self.out);
            written += 1;
            whole(&*name, self.out);
            self.out.push(b':');
            below.cut(map.next_value::<&'de RawValue>()?.get(), self.out);
        }
        self.out.push(b'}');
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut written = 0;
        self.out.push(b'[');
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            separate(written, self.out);
            written += 1;
            self.fields.cut(item.get(), self.out);
        }
        self.out.push(b']');
        Ok(())
    }
}

/// The fields on the way of a path.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = Box<str>> {
    path.split('/').map(unescaped)
}

/// `~1` is a slash and `~0` a tilde, as in a JSON Pointer.
fn unescaped(segment: &str) -> Box<str> {
    if segment.contains('~') { segment.replace("~1", "/").replace("~0", "~").into() } else { segment.into() }
}

pub(crate) fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

pub(crate) fn whole(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a Value has string keys only, and a vector takes everything");
}

/// A resource that a plugin may look up or is told of, and what of its objects it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectedResource {
    /// Which.
    pub resource: GroupResource,
    /// Of each object.
    pub fields: Fields,
}

impl ProjectedResource {
    /// What is shown of an object.
    pub(crate) fn shown(&self, object: &Bytes) -> Bytes {
        match std::str::from_utf8(object) {
            Ok(text) if !self.fields.is_whole() => {
                let mut out = Vec::with_capacity(256);
                self.fields.cut(text, &mut out);
                out.into()
            }
            _ => object.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named() {
        let pod = json!({
            "name": "a", "null": null, "other": 1, "a/b~c": 2,
            "containers": [{"image": "x", "mounts": [{"path": "/a", "name": "m"}]}, {"image": "y"}, 7],
        });
        let rows: [(&[&str], Value); 7] = [
            (&[], pod.clone()),
            (&["name", "absent"], json!({"name": "a"})),
            (&["null"], json!({"null": null})),
            (&["a~1b~0c"], json!({"a/b~c": 2})),
            (&["containers/*/mounts/*/path"], json!({"containers": [{"mounts": [{"path": "/a"}]}, {}, 7]})),
            (
                &["containers/*/image", "containers/*/mounts"],
                json!({"containers": [
                {"image": "x", "mounts": [{"path": "/a", "name": "m"}]}, {"image": "y"}, 7]}),
            ),
            (&["name/below", "containers/0"], json!({"name": "a", "containers": pod["containers"]})),
        ];
        for (paths, want) in rows {
            let fields = Fields::parse(paths).expect("few and short");
            let mut cut = Vec::new();
            fields.cut(&pod.to_string(), &mut cut);
            for json in [fields.json_of(&pod), cut] {
                assert_eq!(serde_json::from_slice::<Value>(&json).expect("JSON"), want, "{paths:?}");
            }
        }
    }

    #[test]
    fn bounded() {
        assert!(Fields::parse(&vec!["a".to_owned(); limits::PICKED_FIELDS_MAX + 1]).is_err());
        assert!(Fields::parse(&["a/".repeat(limits::PICKED_FIELD_BYTES_MAX)]).is_err());
    }
}
