//! Options of a connection to a node, a pod or a service: kinds that are only ever written as a query (`pods/exec?command=ls&tty=true`), and
//! that admission is shown as the object of a `CONNECT`.

use std::borrow::Cow;

use apimachinery::GroupVersionKind;
use apimachinery::query::Query;
use apimachinery::schema::{Field, FieldType, Schema};
use serde_json::{Value, json};

const fn options(name: &'static str, fields: &'static [Field]) -> Schema {
    Schema { name: Cow::Borrowed(name), fields: Cow::Borrowed(fields), atomic: false, preserve_unknown: false, message: None }
}

const API_VERSION: Field = Field::of("apiVersion", FieldType::String);
const CONTAINER: Field = Field::of("container", FieldType::String);
const KIND: Field = Field::of("kind", FieldType::String);
const PATH: Field = Field::of("path", FieldType::String);
const STDERR: Field = Field::of("stderr", FieldType::Bool);
const STDIN: Field = Field::of("stdin", FieldType::Bool);
const STDOUT: Field = Field::of("stdout", FieldType::Bool);
const TTY: Field = Field::of("tty", FieldType::Bool);

static ATTACH: [Field; 7] = [API_VERSION, CONTAINER, KIND, STDERR, STDIN, STDOUT, TTY];
static EXEC: [Field; 8] =
    [API_VERSION, Field::of("command", FieldType::List(&FieldType::String)), CONTAINER, KIND, STDERR, STDIN, STDOUT, TTY];
static PORT_FORWARD: [Field; 3] = [API_VERSION, KIND, Field::of("ports", FieldType::List(&FieldType::Int32))];
static PROXY: [Field; 3] = [API_VERSION, KIND, PATH];

static OPTIONS: [Schema; 6] = [
    options("io.k8s.api.core.v1.NodeProxyOptions", &PROXY),
    options("io.k8s.api.core.v1.PodAttachOptions", &ATTACH),
    options("io.k8s.api.core.v1.PodExecOptions", &EXEC),
    options("io.k8s.api.core.v1.PodPortForwardOptions", &PORT_FORWARD),
    options("io.k8s.api.core.v1.PodProxyOptions", &PROXY),
    options("io.k8s.api.core.v1.ServiceProxyOptions", &PROXY),
];

/// The shape of a kind of options.
pub fn schema_of(kind: &GroupVersionKind) -> Option<&'static Schema> {
    let core = kind.group.is_empty() && kind.version == "v1";
    OPTIONS.iter().find(|schema| core && schema.name.rsplit('.').next() == Some(&kind.kind))
}

/// The options that a query says; `path` is what follows `proxy` in the request's path. The error is in upstream's words.
pub fn options_of(kind: &GroupVersionKind, query: &Query, path: &str) -> Result<Value, String> {
    let mut found = json!({ "apiVersion": kind.api_version(), "kind": kind.kind });
    for Field { name, kind, .. } in schema_of(kind).map(|schema| &*schema.fields).unwrap_or_default() {
        let mut said = query.all(name);
        let value = match kind {
            FieldType::Bool => said.next().is_some_and(|text| text != "0" && !text.eq_ignore_ascii_case("false")).then_some(true.into()),
            FieldType::List(FieldType::String) => Some(said.map(Value::from).collect::<Vec<_>>()).map(|all| match all.is_empty() {
                // Always there, as upstream writes it.
                true => Value::Null,
                false => all.into(),
            }),
            FieldType::List(_) => {
                let ports: Vec<u16> = said.flat_map(|text| text.split(',')).map(port).collect::<Result<_, _>>()?;
                (!ports.is_empty()).then(|| ports.into())
            }
            _ if name == "path" => Some(path.into()),
            _ => said.next().map(Into::into),
        };
        let shown = value.filter(|value| value != "");
        if let Some(value) = shown.filter(|_| name != "apiVersion" && name != "kind") {
            found[&**name] = value;
        }
    }
    Ok(found)
}

fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    let words = || format!("cannot convert to []int32: strconv.ParseUint: parsing {}: {why}", apimachinery::field::go_quote(text));
    if digits { text.parse().map_err(|_| words()) } else { Err(words()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_the_query() {
        let read = |kind: &'static str, query: &str, path: &str| {
            let read = options_of(&GroupVersionKind::of("", "v1", kind), &Query::parse(query), path);
            read.map(|mut options| {
                let fields = options.as_object_mut().expect("an object");
                assert_eq!((fields.remove("apiVersion"), fields.remove("kind")), (Some("v1".into()), Some(kind.into())));
                options
            })
        };
        for (kind, query, path, expected) in [
            (
                "PodExecOptions",
                "command=ls&command=-l&tty=&stdin=true&stdout=FALSE&stderr=0&container=c&kind=x",
                "",
                json!({ "command": ["ls", "-l"], "tty": true, "stdin": true, "container": "c" }),
            ),
            ("PodExecOptions", "", "", json!({ "command": null })),
            ("PodAttachOptions", "stdout=1&command=ls", "", json!({ "stdout": true })),
            ("PodPortForwardOptions", "ports=80,443&ports=8080", "", json!({ "ports": [80, 443, 8080] })),
            ("PodProxyOptions", "path=x", "/metrics", json!({ "path": "/metrics" })),
            ("NodeProxyOptions", "path=x", "", json!({})),
        ] {
            assert_eq!(read(kind, query, path), Ok(expected), "{kind} {query}");
        }
        let error = |query| read("PodPortForwardOptions", query, "").expect_err(query);
        assert_eq!(error("ports=x"), "cannot convert to []int32: strconv.ParseUint: parsing \"x\": invalid syntax");
        assert_eq!(error("ports=70000"), "cannot convert to []int32: strconv.ParseUint: parsing \"70000\": value out of range");
    }

    #[test]
    fn every_connection_has_a_shape() {
        for resource in crate::tables::resources() {
            for subresource in resource.subresources.iter().filter(|subresource| subresource.gvk.kind.ends_with("Options")) {
                assert!(schema_of(&subresource.gvk).is_some(), "{}", subresource.gvk);
            }
        }
    }
}
