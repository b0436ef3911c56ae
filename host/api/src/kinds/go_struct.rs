//! Parts of objects as upstream's messages show them: JSON of the Go structs that upstream works with, whose fields have other names and
//! another order than the API's, and are all there. `data/internal.txt` has the facts.

use std::collections::HashMap;
use std::sync::LazyLock;

use apimachinery::field::{self, go_json};
use apimachinery::schema::{FieldType, Schema, SchemaRef};
use serde_json::{Map, Value};

use crate::Resource;
use crate::kinds::unified_diff;
use crate::shared::value::{object_at, remove, set};

/// What stands for a field that an object does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Null,
    Text,
    Zero,
    False,
    Quantity,
    Duration,
    Whole,
    LeftOut,
}

struct Field {
    /// As it is shown.
    name: &'static str,
    /// The API's name, or several on the way down.
    path: Vec<String>,
    missing: Missing,
}

static STRUCTS: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let lines = include_str!("../../data/internal.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(name, fields)| (name, fields.split(' ').map(field_of).collect())).collect()
});

/// `Name:json/s?`
fn field_of(word: &'static str) -> Field {
    let (word, left_out) = word.strip_suffix('?').map_or((word, false), |word| (word, true));
    let (word, kind) = word.split_once('/').unwrap_or((word, ""));
    let (name, path) = match word.split_once(':') {
        Some((name, path)) => (name, path.split('.').map(str::to_owned).collect()),
        None => (word, vec![format!("{}{}", word[..1].to_ascii_lowercase(), &word[1..])]),
    };
    let missing = match kind {
        _ if left_out => Missing::LeftOut,
        "s" => Missing::Text,
        "n" => Missing::Zero,
        "b" => Missing::False,
        "q" => Missing::Quantity,
        "d" => Missing::Duration,
        "o" => Missing::Whole,
        _ => Missing::Null,
    };
    Field { name, path, missing }
}

/// Shows what validation found wrong the way upstream does, where it is more than a word or a number.
pub(crate) fn reword(resource: &Resource, errors: &mut [field::Error]) {
    for error in errors {
        let Some(value) = &error.value else { continue };
        // Some paths lack the spec that they are in.
        let path = error.field.as_str();
        let kind = type_at(&resource.schema, path).or_else(|| type_at(&resource.schema, &format!("spec.{path}")));
        let Some(kind) = kind else { continue };
        // Some name the list and show the item.
        let item = kind.items().filter(|_| value.is_object());
        let shown = shown(item.unwrap_or(&kind), value);
        error.show_as(&shown);
    }
}

/// What changed between two values of a type, line by line, as upstream's `diff.Diff`. `type_name` may be a part of the schema that the API
/// has in line, as the source of a persistent volume.
pub(crate) fn changes(schema: &Schema, type_name: &str, old: &Value, new: &Value) -> String {
    let pretty = |value: &Value| {
        let mut writer = Writer { text: String::new(), indent: Some(0) };
        writer.structure(type_name, schema, value);
        writer.text
    };
    unified_diff::diff(&pretty(old), &pretty(new))
}

fn shown(kind: &FieldType, value: &Value) -> String {
    let mut writer = Writer { text: String::new(), indent: None };
    writer.value(Some(kind), value);
    writer.text
}

/// The type at a path as validation writes it: `spec.containers[0].env`, `metadata.labels[a.b]`.
fn type_at(schema: &Schema, path: &str) -> Option<FieldType> {
    let mut here = None;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (_, behind) = inside.split_once(']')?;
            let kind: FieldType = here?;
            here = Some(kind.items().or_else(|| kind.values())?.clone());
            rest = behind;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        here = Some(match &here {
            None => schema.field(name)?.kind.clone(),
            Some(FieldType::Object(schema)) => schema.field(name)?.kind.clone(),
            Some(_) => return None,
        });
        rest = &rest[end..];
    }
    here
}

struct Writer {
    text: String,
    /// How deep it is, where every value stands on a line of its own.
    indent: Option<usize>,
}

impl Writer {
    fn value(&mut self, kind: Option<&FieldType>, value: &Value) {
        match (kind, value) {
            (Some(FieldType::Object(schema)), Value::Object(_)) => self.structure(&schema.name, schema, value),
            (kind, Value::Array(items)) => {
                let kind = kind.and_then(FieldType::items);
                self.list('[', ']', items.iter(), |writer, item| writer.value(kind, item));
            }
            (kind, Value::Object(map)) => {
                let kind = kind.and_then(FieldType::values);
                self.list('{', '}', map.iter(), |writer, (key, value)| {
                    writer.key(key);
                    writer.value(kind, value);
                });
            }
            (_, scalar) => self.text.push_str(&go_json(scalar)),
        }
    }

    fn structure(&mut self, type_name: &str, schema: &Schema, value: &Value) {
        let Some(fields) = STRUCTS.get(type_name) else { return self.value(None, value) };
        let moved = (type_name == POD_SPEC).then(|| with_host_fields(value));
        let value = moved.as_ref().unwrap_or(value);
        let there = fields.iter().filter(|field| field.missing != Missing::LeftOut || field.value_in(value).is_some());
        self.list('{', '}', there, |writer, field| {
            writer.key(field.name);
            match field.value_in(value) {
                Some(found) => writer.value(field.kind_in(schema).as_ref(), found),
                None => writer.missing(field, schema),
            }
        });
    }

    fn missing(&mut self, field: &Field, schema: &Schema) {
        let text = match field.missing {
            Missing::Null | Missing::LeftOut => "null",
            Missing::Text => "\"\"",
            Missing::Zero => "0",
            Missing::False => "false",
            Missing::Quantity => "\"0\"",
            Missing::Duration => "\"0s\"",
            Missing::Whole => return self.value(field.kind_in(schema).as_ref(), &Value::Object(Map::new())),
        };
        self.text.push_str(text);
    }

    fn key(&mut self, key: &str) {
        self.text.push_str(&go_json(&key.into()));
        self.text.push_str(if self.indent.is_some() { ": " } else { ":" });
    }

    fn list<T>(&mut self, open: char, close: char, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.text.push(open);
        self.indent = self.indent.map(|depth| depth + 1);
        let mut first = true;
        for item in items {
            if !first {
                self.text.push(',');
            }
            first = false;
            self.line();
            write(self, item);
        }
        self.indent = self.indent.map(|depth| depth - 1);
        if !first {
            self.line();
        }
        self.text.push(close);
    }

    fn line(&mut self) {
        if let Some(depth) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n(' ', depth));
        }
    }
}

impl Field {
    fn value_in<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(value, |value, name| value.get(name)).filter(|value| !value.is_null())
    }

    fn kind_in(&self, schema: &Schema) -> Option<FieldType> {
        let (first, rest) = self.path.split_first()?;
        let kind = schema.field(first)?.kind.clone();
        rest.iter().try_fold(kind, |kind, name| match kind {
            FieldType::Object(schema) => Some(schema.field(name)?.kind.clone()),
            _ => None,
        })
    }
}

/// The definition of a pod's spec.
pub(crate) const POD_SPEC: &str = "io.k8s.api.core.v1.PodSpec";

/// What a pod shares with its host is part of the security context.
fn with_host_fields(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let fields = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];
    let moved: Vec<(&str, Value)> = fields.iter().filter_map(|name| Some((*name, remove(&mut spec, name)?))).collect();
    for (name, value) in moved {
        set(object_at(&mut spec, "securityContext"), name, value);
    }
    spec
}

/// The API's names of a struct's fields, in upstream's order.
pub(crate) fn names(type_name: &str) -> impl Iterator<Item = &'static str> {
    STRUCTS.get(type_name).into_iter().flatten().filter_map(|field| field.path.first().map(String::as_str))
}

/// A definition by its name. Those that messages show are there.
pub(crate) fn definition(name: &str) -> SchemaRef {
    crate::tables::schema_named(name).unwrap_or_else(|| unreachable!("{name} is a definition of Kubernetes"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_struct_is_one_of_the_api() {
        for (name, fields) in &*STRUCTS {
            // The API has this one in line.
            let name = if name.ends_with(".PersistentVolumeSource") { "io.k8s.api.core.v1.PersistentVolumeSpec" } else { name };
            let schema = definition(name);
            for field in fields {
                let host = name.ends_with(".PodSecurityContext") && field.kind_in(&schema).is_none();
                assert!(host || field.kind_in(&schema).is_some(), "{name} has no {}", field.path.join("."));
            }
        }
    }

    fn show_at(resource: &str, path: &str, value: Value) -> String {
        let (group, kind) = resource.split_once('/').expect("group/plural");
        let resource = crate::tables::find(group, "v1", kind).expect("a resource");
        let mut errors = [field::Error::invalid(&field::Path::new(path), value, "no")];
        reword(resource, &mut errors);
        errors[0].body.clone()
    }

    #[test]
    fn parts_are_shown_as_go_has_them() {
        for (resource, path, value, body) in [
            ("apps/statefulsets", "spec.updateStrategy", json!({"type": "Foo"}), r#"{"Type":"Foo","RollingUpdate":null}"#),
            (
                "policy/poddisruptionbudgets",
                "spec",
                json!({"maxUnavailable": 1, "minAvailable": "1%", "selector": {}}),
                r#"{"MinAvailable":"1%","Selector":{},"MaxUnavailable":1,"UnhealthyPodEvictionPolicy":null}"#,
            ),
            (
                "apps/deployments",
                "spec.selector",
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["<b>"]}], "matchLabels": {"a": "b"}}),
                r#"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"a","operator":"In","values":["\u003cb\u003e"]}]}"#,
            ),
            (
                "/pods",
                "spec.containers[0].ports",
                json!([{"containerPort": 1}]),
                r#"[{"Name":"","HostPort":0,"ContainerPort":1,"Protocol":"","HostIP":""}]"#,
            ),
            ("/pods", "spec.nodeSelector", json!({"b": "1", "a": "2"}), r#"{"a":"2","b":"1"}"#),
            (
                "storage.k8s.io/csinodes",
                "spec.drivers",
                json!({"nodeID": "n"}),
                r#"{"Name":"","NodeID":"n","TopologyKeys":null,"Allocatable":null}"#,
            ),
            ("/persistentvolumes", "nodeAffinity", json!({}), r#"{"Required":null}"#),
            ("/pods", "spec.elsewhere", json!({"b": {"z": 1}}), r#"{"b":{"z":1}}"#),
            ("/configmaps", "data", json!("words"), r#""words""#),
        ] {
            assert_eq!(show_at(resource, path, value), format!("Invalid value: {body}: no"), "{path}");
        }
    }

    #[test]
    fn what_a_pod_shares_with_its_host_is_in_its_security_context() {
        let schema = definition(POD_SPEC);
        let old = json!({"hostNetwork": true, "securityContext": {}});
        let new = json!({"securityContext": {}});
        let changes = changes(&schema, POD_SPEC, &old, &new);
        assert!(changes.contains("\n-  \"HostNetwork\": true,\n+  \"HostNetwork\": false,\n"), "{changes}");
    }
}
