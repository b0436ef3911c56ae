//! Takes labels and selectable fields out of an object's bytes without building the object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A tree over the paths that are wanted; what is not on it is skipped.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    children: Vec<(String, Paths)>,
    /// Fields that this path stands for.
    leaves: Vec<usize>,
    labels: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Extracted {
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
    /// One per path; empty where the object has none.
    pub(crate) fields: Vec<Box<str>>,
}

impl Paths {
    /// A tree for `metadata.labels` and these dotted paths.
    pub(crate) fn new<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut root = Self::default();
        root.at("metadata.labels").labels = true;
        for (i, path) in fields.into_iter().enumerate() {
            root.at(path).leaves.push(i);
        }
        root
    }

    fn at(&mut self, path: &str) -> &mut Self {
        path.split('.').fold(self, |node, name| {
            let at = node.children.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
                node.children.push((name.to_owned(), Self::default()));
                node.children.len() - 1
            });
            &mut node.children[at].1
        })
    }

    /// Reads an object.
    pub(crate) fn extract(&self, json: &[u8], fields: usize) -> Result<Extracted, serde_json::Error> {
        let mut found = Extracted { labels: Vec::new(), fields: vec![Box::default(); fields] };
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        Seed { node: self, found: &mut found }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        found.labels.sort();
        Ok(found)
    }
}

impl Paths {
    /// Takes the same out of an object that is built.
    pub(crate) fn extract_from(&self, object: &Value, fields: usize) -> Extracted {
        let mut found = Extracted { labels: Vec::new(), fields: vec![Box::default(); fields] };
        self.collect(object, &mut found);
        found.labels.sort();
        found
    }

    fn collect(&self, value: &Value, found: &mut Extracted) {
        if self.labels {
            let labels = value.as_object().into_iter().flatten();
            found.labels.extend(labels.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))));
            return;
        }
        let text = match value {
            Value::Object(fields) => {
                self.children.iter().for_each(|(name, node)| fields.get(name).into_iter().for_each(|value| node.collect(value, found)));
                return;
            }
            Value::String(text) => text.as_str().into(),
            Value::Bool(value) => value.to_string().into(),
            Value::Number(number) => number.to_string().into(),
            Value::Null | Value::Array(_) => return,
        };
        let text: Box<str> = text;
        self.leaves.iter().for_each(|leaf| found.fields[*leaf].clone_from(&text));
    }
}

struct Seed<'a> {
    node: &'a Paths,
    found: &'a mut Extracted,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seed<'_> {
    fn scalar(self, text: &str) {
        for leaf in &self.node.leaves {
            self.found.fields[*leaf] = text.into();
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.node.labels {
            while let Some((key, value)) = map.next_entry::<Box<str>, Box<str>>()? {
                self.found.labels.push((key, value));
            }
            return Ok(());
        }
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.node.children.iter().find(|(name, _)| *name == key) {
                Some((_, node)) => map.next_value_seed(Seed { node, found: self.found })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_labels_and_fields() {
        let paths = Paths::new(["spec.nodeName", "status.phase", "metadata.name", "spec.missing"]);
        let json = br#"{"kind":"Pod","metadata":{"labels":{"b":"2","a":"1"},"name":"x"},"spec":{"nodeName":"n","other":[{"nodeName":"no"}]},"status":{"phase":"Running"}}"#;
        let found = paths.extract(json, 4).expect("valid JSON");
        assert_eq!(found.fields, ["n", "Running", "x", ""].map(Box::from));
        assert_eq!(found.labels, [("a".into(), "1".into()), ("b".into(), "2".into())]);
    }

    #[test]
    fn a_built_object_gives_the_same() {
        let paths = Paths::new(["spec.text", "spec.flag", "spec.number", "spec.float", "spec.list", "spec.null", "spec.missing", "spec"]);
        for json in [
            r#"{"metadata":{"labels":{"b":"2","a":""}},"spec":{"text":"t","flag":false,"number":-7,"float":0.5,"list":["x"],"null":null}}"#,
            r#"{"metadata":{},"spec":"text"}"#,
            r#"{"metadata":{"labels":{}},"spec":{"number":18446744073709551615,"flag":true}}"#,
            "{}",
        ] {
            let read = paths.extract(json.as_bytes(), 8).expect("valid JSON");
            let built = paths.extract_from(&serde_json::from_str(json).expect("valid JSON"), 8);
            assert_eq!((read.labels, read.fields), (built.labels, built.fields), "{json}");
        }
    }
}
