//! A value cut down to some of its fields: what a guest needs of a large object, in one call and without the rest of it.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmtime::{Result, bail};

use crate::limits;

/// Stands for every item of a list.
const EVERY_ITEM: &str = "*";

/// Which fields, as a tree: `a/*/b` and `a/*/c` are one branch with two leaves. Without branches: the whole value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields<'a>(BTreeMap<&'a str, Self>);

impl<'a> Fields<'a> {
    /// From paths such as `containers/*/volumeMounts`. An error where they are too many or too long.
    pub(crate) fn parse(paths: &'a [String]) -> Result<Self> {
        if paths.len() > limits::PICKED_FIELDS_MAX {
            bail!("{} fields are picked at once, more than {}", paths.len(), limits::PICKED_FIELDS_MAX);
        }
        let mut root = Self::default();
        for path in paths {
            if path.len() > limits::PICKED_FIELD_BYTES_MAX {
                bail!("the path of a picked field has {} bytes, more than {}", path.len(), limits::PICKED_FIELD_BYTES_MAX);
            }
            path.split('/').fold(&mut root, |at, segment| at.0.entry(segment).or_default());
        }
        Ok(root)
    }

    /// The value with nothing but these fields, as JSON.
    pub(crate) fn json_of(&self, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(value, &mut out);
        out
    }

    fn write(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Object(fields) if !self.0.is_empty() => {
                out.push(b'{');
                let found = self.0.iter().filter_map(|(name, below)| Some((name, below, fields.get(*name)?)));
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
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

fn whole(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a Value has string keys only, and a vector takes everything");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named() {
        let pod = json!({
            "name": "a", "null": null, "other": 1,
            "containers": [{"image": "x", "mounts": [{"path": "/a", "name": "m"}]}, {"image": "y"}, 7],
        });
        let rows: [(&[&str], Value); 6] = [
            (&[], pod.clone()),
            (&["name", "absent"], json!({"name": "a"})),
            (&["null"], json!({"null": null})),
            (&["containers/*/mounts/*/path"], json!({"containers": [{"mounts": [{"path": "/a"}]}, {}, 7]})),
            (
                &["containers/*/image", "containers/*/mounts"],
                json!({"containers": [
                {"image": "x", "mounts": [{"path": "/a", "name": "m"}]}, {"image": "y"}, 7]}),
            ),
            (&["name/below", "containers/0"], json!({"name": "a", "containers": pod["containers"]})),
        ];
        for (paths, want) in rows {
            let paths: Vec<String> = paths.iter().map(|path| path.to_string()).collect();
            let json = Fields::parse(&paths).expect("few and short").json_of(&pod);
            assert_eq!(serde_json::from_slice::<Value>(&json).expect("JSON"), want, "{paths:?}");
        }
    }

    #[test]
    fn bounded() {
        assert!(Fields::parse(&vec!["a".to_owned(); limits::PICKED_FIELDS_MAX + 1]).is_err());
        assert!(Fields::parse(&["a/".repeat(limits::PICKED_FIELD_BYTES_MAX)]).is_err());
    }
}
