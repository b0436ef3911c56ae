//! From a request's body to an object that fits its kind, with upstream's words for everything that does not.
//!
//! Stage 9 of the road of a request: bytes → [`node::Node`] (by [`json`] or [`yaml`]) → apiVersion and kind → [`check`] against
//! the kind's schema. A [`protobuf`] message is read by its schema at once, as it says nothing without one. What a strict reader
//! objects to comes beside the object: the caller refuses, warns or keeps silent.

mod base64;
pub mod check;
pub mod json;
pub mod node;
pub mod protobuf;
pub mod yaml;

use std::borrow::Cow;

use crate::field::go_quote;
use crate::group_version::{GroupVersion, GroupVersionKind};
use crate::options::DeleteOptions;
use crate::schema::{Field, FieldType, Schema, SchemaRef};
use crate::status::Status;

use crate::message::{Content, Form, Message, Part};
pub use check::{Decoded, check_field, check_value};
use node::Node;

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "names of formats")]
pub enum MediaType {
    Json,
    Yaml,
    Protobuf,
}

impl MediaType {
    /// Of a `Content-Type`; `None` where it is none of them. None given is JSON.
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "" | "application/json" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// The kinds that there are, as the words of a refusal depend on them.
pub trait Kinds {
    /// The schema of a kind that is not the one expected; `None` where it is not registered.
    fn schema(&self, kind: &GroupVersionKind) -> Option<SchemaRef>;
}

impl<F: Fn(&GroupVersionKind) -> Option<SchemaRef>> Kinds for F {
    fn schema(&self, kind: &GroupVersionKind) -> Option<SchemaRef> {
        self(kind)
    }
}

/// A body that cannot be made an object of the kind expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// What the body says it is, where it could be read that far.
    pub kind: Option<GroupVersionKind>,
    /// What is wrong, in upstream's words.
    pub message: String,
}

/// Bytes of a body that a refusal repeats.
const SUMMARY_BYTES_MAX: usize = 30;

impl DecodeError {
    /// 400, as a create or an update answers it.
    pub fn into_status(self, expected: &GroupVersionKind, body: &[u8]) -> Status {
        Status::bad_request(match &self.kind {
            Some(kind) if !kind.kind.is_empty() => {
                let version = go_quote(&kind.version);
                format!("{} in version {version} cannot be handled as a {}: {}", kind.kind, expected.kind, self.message)
            }
            _ => {
                let summary = summarize(body);
                format!("the object provided is unrecognized (must be of type {}): {} ({summary})", expected.kind, self.message)
            }
        })
    }
}

fn summarize(body: &[u8]) -> String {
    let start = &body[..body.len().min(SUMMARY_BYTES_MAX)];
    let more = if body.len() > SUMMARY_BYTES_MAX { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => format!("{}{more}", start.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// `no kind "Frob" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"`.
pub fn kind_not_registered(kind: &GroupVersionKind) -> String {
    not_registered(kind, "pkg/api/legacyscheme/scheme.go:30")
}

fn not_registered(kind: &GroupVersionKind, scheme: &str) -> String {
    let version = kind.group_version().to_string();
    format!("no kind {} is registered for version {} in scheme {}", go_quote(&kind.kind), go_quote(&version), go_quote(scheme))
}

/// `converting (v1.Secret) to (core.ConfigMap): unknown conversion`.
pub fn unknown_conversion(from: &GroupVersionKind, to: &GroupVersionKind) -> String {
    let package = match &*to.group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    format!("converting ({}.{}) to ({package}.{}): unknown conversion", from.version, from.kind, to.kind)
}

/// 400: `the API version in the data (autoscaling/v2) does not match the expected API version (autoscaling/v1)`.
pub fn version_mismatch(found: &GroupVersion, expected: &GroupVersion) -> Status {
    Status::bad_request(format!("the API version in the data ({found}) does not match the expected API version ({expected})"))
}

/// 400: `the name of the object (q) does not match the name on the URL (p)`.
pub fn name_mismatch(in_object: &str, in_url: &str) -> Status {
    Status::bad_request(format!("the name of the object ({in_object}) does not match the name on the URL ({in_url})"))
}

/// 400: `the namespace of the provided object does not match the namespace sent on the request`.
pub fn namespace_mismatch() -> Status {
    Status::bad_request("the namespace of the provided object does not match the namespace sent on the request")
}

/// A body that was read as far as it can be without its schema.
enum Body<'a> {
    /// With the objections of the YAML reader.
    Nodes(Node<'a>, Option<String>),
    Message(protobuf::Unknown<'a>),
}

impl<'a> Body<'a> {
    /// The error is in the words of the format's reader.
    fn read(body: &'a [u8], media_type: MediaType) -> Result<Self, String> {
        Ok(match media_type {
            MediaType::Json => {
                let node = json::parse(body).map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
                Self::Nodes(node, None)
            }
            MediaType::Yaml => {
                let text = std::str::from_utf8(body).map_err(|_| "yaml: control characters are not allowed".to_owned())?;
                let document = yaml::parse(text)?;
                Self::Nodes(document.node, document.strict_error)
            }
            MediaType::Protobuf => Self::Message(protobuf::Unknown::read(body)?),
        })
    }

    /// What the body says it is, with the gaps filled from what is expected.
    fn interpret(&self, default: &GroupVersionKind) -> Result<GroupVersionKind, String> {
        match self {
            Self::Nodes(node, _) => interpret(node, default),
            Self::Message(unknown) => Ok(unknown.interpret(default)),
        }
    }

    /// The body as an object of that schema.
    fn decode(self, schema: &Schema) -> Result<Decoded, String> {
        match self {
            Self::Nodes(node, yaml_error) => {
                let mut decoded = check::check(node, schema)?;
                if let Some(error) = yaml_error {
                    decoded.strict_errors.insert(0, error);
                }
                Ok(decoded)
            }
            // Nothing here is strict: unknown numbers are how versions differ, and nobody wrote them by hand.
            Self::Message(unknown) => Ok(Decoded { value: protobuf::decode(unknown.raw, schema)?.into(), strict_errors: Vec::new() }),
        }
    }
}

/// What the body says it is, with the gaps filled from what is expected. Names are looked for in any case, as Go's reader does.
pub(crate) fn interpret(node: &Node<'_>, default: &GroupVersionKind) -> Result<GroupVersionKind, String> {
    let unreadable = |error: String| format!("couldn't get version/kind; json parse error: {error}");
    let (mut api_version, mut kind) = ("", "");
    match node {
        Node::Null => {}
        Node::Object(pairs) => {
            for (key, value) in pairs {
                let (name, slot) = match key.to_ascii_lowercase().as_str() {
                    "apiversion" => ("apiVersion", &mut api_version),
                    "kind" => ("kind", &mut kind),
                    _ => continue,
                };
                match value {
                    Node::String(text) => *slot = text,
                    Node::Null => {}
                    other => {
                        let found = other.kind();
                        return Err(unreadable(format!("json: cannot unmarshal {found} into Go struct field .{name} of type string")));
                    }
                }
            }
        }
        other => {
            let wanted = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
            return Err(unreadable(format!("json: cannot unmarshal {} into Go value of type {wanted}", other.kind())));
        }
    }
    let (group, version) = match api_version.split_once('/') {
        None => ("", api_version),
        Some((_, version)) if version.contains('/') => return Err(format!("unexpected GroupVersion string: {api_version}")),
        Some(found) => found,
    };
    let kind = if kind.is_empty() { default.kind.to_string() } else { kind.to_owned() };
    let (group, version) = match (group, version) {
        ("", "") => (default.group.to_string(), default.version.to_string()),
        (group, "") if group == default.group => (group.to_owned(), default.version.to_string()),
        (group, version) => (group.to_owned(), version.to_owned()),
    };
    Ok(GroupVersionKind::new(group, version, kind))
}

/// Reads a body as an object of the kind expected. An object of another version of the kind is read, too: the caller
/// compares `apiVersion` where that matters (see [`version_mismatch`]); it stands in the object as the body has it, or as
/// expected where the body says nothing.
pub fn decode(
    body: &[u8],
    media_type: MediaType,
    expected: &GroupVersionKind,
    schema: &Schema,
    kinds: &dyn Kinds,
) -> Result<Decoded, DecodeError> {
    let unread = |message| DecodeError { kind: None, message };
    let body = Body::read(body, media_type).map_err(unread)?;
    let found = body.interpret(expected).map_err(unread)?;
    let refuse = |message| DecodeError { kind: Some(found.clone()), message };
    let mut decoded = if found == *expected {
        body.decode(schema).map_err(refuse)?
    } else {
        let other = kinds.schema(&found).ok_or_else(|| refuse(kind_not_registered(&found)))?;
        let decoded = body.decode(&other).map_err(refuse)?;
        if found.kind != expected.kind || found.group != expected.group {
            return Err(refuse(unknown_conversion(&found, expected)));
        }
        decoded
    };
    name_kind(&mut decoded, &found);
    Ok(decoded)
}

/// Reads a body as an object of whatever kind it says it is, where `kinds` knows that kind. `default` is what it is where it does not
/// say.
///
/// # Errors
/// It cannot be read, or not as what it says it is.
pub fn decode_any(
    body: &[u8],
    media_type: MediaType,
    default: &GroupVersionKind,
    kinds: &dyn Kinds,
) -> Result<(GroupVersionKind, Decoded), DecodeError> {
    let unread = |message| DecodeError { kind: None, message };
    let body = Body::read(body, media_type).map_err(unread)?;
    let found = body.interpret(default).map_err(unread)?;
    let refuse = |message| DecodeError { kind: Some(found.clone()), message };
    let schema = kinds.schema(&found).ok_or_else(|| refuse(kind_not_registered(&found)))?;
    let mut decoded = body.decode(&schema).map_err(refuse)?;
    name_kind(&mut decoded, &found);
    Ok((found, decoded))
}

/// Writes into an object what it is.
fn name_kind(decoded: &mut Decoded, kind: &GroupVersionKind) {
    if let Some(object) = decoded.value.as_object_mut() {
        object.insert("apiVersion".to_owned(), kind.api_version().into());
        object.insert("kind".to_owned(), kind.kind.to_string().into());
    }
}

/// A number, and the place of its field in the schema.
const fn pointer(number: u32, field: u16) -> Part {
    Part { number, always: false, content: Content::Field(field, Form::Typed) }
}

static PRECONDITIONS: Schema = Schema {
    name: Cow::Borrowed("io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions"),
    fields: Cow::Borrowed(&[Field::of("resourceVersion", FieldType::String), Field::of("uid", FieldType::String)]),
    atomic: false,
    preserve_unknown: false,
    message: Some(&Message { name: "Preconditions", parts: &[pointer(1, 1), pointer(2, 0)] }),
};

static DELETE_OPTIONS: Schema = Schema {
    name: Cow::Borrowed("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
    fields: Cow::Borrowed(&[
        Field::of("apiVersion", FieldType::String),
        Field::of("dryRun", FieldType::List(&FieldType::String)),
        Field::of("gracePeriodSeconds", FieldType::Int64),
        Field::of("ignoreStoreReadErrorWithClusterBreakingPotential", FieldType::Bool),
        Field::of("kind", FieldType::String),
        Field::of("orphanDependents", FieldType::Bool),
        Field::of("preconditions", FieldType::Object(SchemaRef::Static(&PRECONDITIONS))),
        Field::of("propagationPolicy", FieldType::String),
    ]),
    atomic: false,
    preserve_unknown: false,
    message: Some(&Message {
        name: "DeleteOptions",
        parts: &[pointer(1, 2), pointer(2, 6), pointer(3, 5), pointer(4, 7), pointer(5, 1), pointer(6, 3)],
    }),
};

/// Reads and validates the body of a deletion; any version of `DeleteOptions` will do.
pub fn decode_delete_options(body: &[u8], media_type: MediaType) -> Result<DeleteOptions, Status> {
    let expected = GroupVersionKind::of("meta.k8s.io", "v1", "DeleteOptions");
    let body = Body::read(body, media_type).map_err(Status::bad_request)?;
    let found = body.interpret(&expected).map_err(Status::bad_request)?;
    if found.kind != expected.kind {
        return Err(Status::bad_request(not_registered(&found, "pkg/apis/meta/internalversion/scheme/register.go:27")));
    }
    let decoded = body.decode(&DELETE_OPTIONS).map_err(Status::bad_request)?;
    DeleteOptions::from_json(&decoded.value)
}

#[cfg(test)]
mod tests;
