//! How objects that are in the version asked for are shown to a client: whole, as metadata or as a table; as JSON, YAML or protobuf.
//!
//! Stored bytes in the version asked for go out as they are. Every other form is made once per object and kept with it.

use std::collections::VecDeque;

use api::printers::{self, IncludeObject};
use apimachinery::codec::protobuf::{self as messages, EncodeError};
use apimachinery::query::Query;
use apimachinery::{GroupVersionKind, Status, StatusReason, field};
use bytes::Bytes;
use cacher::{Encoding, EncodingKey, EventType, Object};
use objectstore::layout;
use registry::ListResult;
use serde_json::{Value, json};

use super::conversion::Versioned;
use super::request_scope::RequestScope;
use crate::negotiate::{self, Endpoint, MediaType};
use crate::protobuf;
use crate::request::Authorized;
use crate::response::{self, Output, Response};

/// What go-restful's check lets through for collections: they may be streams.
const LIST_PRODUCES: [&str; 5] =
    [MediaType::NAMES[0], MediaType::NAMES[1], MediaType::NAMES[2], MediaType::STREAM_NAMES[0], MediaType::STREAM_NAMES[1]];

/// What an object is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object itself.
    Whole,
    /// `PartialObjectMetadata`, in `v1` or `v1beta1`.
    Metadata { beta: bool },
    /// `Table`.
    Table { beta: bool, include: IncludeObject },
}

/// A client's view of a resource.
pub(crate) struct View {
    pub(crate) output: Output,
    pub(crate) form: Form,
    gvk: GroupVersionKind,
    resource: api::ResourceRef,
    converts: bool,
    now_seconds: i64,
}

impl View {
    /// Negotiates the view of one object.
    pub(crate) fn of_object(scope: &RequestScope, request: &Authorized) -> Result<Self, Status> {
        negotiate::route_produces(request.header("accept"), &MediaType::NAMES)?;
        let view = Self::new(scope, request, request.output(endpoint(scope))?)?;
        let asked = view.output.accepted.convert.as_ref().map(|convert| convert.kind.as_str());
        if asked == Some("PartialObjectMetadataList") {
            return Err(not_a_list(asked.unwrap_or_default(), scope));
        }
        Ok(view)
    }

    /// Negotiates the view of a list.
    pub(crate) fn of_list(scope: &RequestScope, request: &Authorized) -> Result<Self, Status> {
        negotiate::route_produces(request.header("accept"), &LIST_PRODUCES)?;
        Self::new(scope, request, request.output(endpoint(scope))?)
    }

    /// Negotiates the view of a stream.
    pub(crate) fn of_stream(scope: &RequestScope, request: &Authorized) -> Result<Self, Status> {
        Self::new(scope, request, request.stream_output(endpoint(scope))?)
    }

    fn new(scope: &RequestScope, request: &Authorized, output: Output) -> Result<Self, Status> {
        let form = match &output.accepted.convert {
            None => Form::Whole,
            Some(convert) => {
                let beta = convert.version == "v1beta1";
                match convert.kind.as_str() {
                    "Table" => Form::Table { beta, include: include_object(request.query())? },
                    _ => Form::Metadata { beta },
                }
            }
        };
        Ok(Self {
            output,
            form,
            gvk: scope.kind().clone(),
            resource: scope.requested.clone(),
            converts: scope.converts(),
            now_seconds: request.context().now_seconds(),
        })
    }

    fn metadata(&self, json: &[u8], beta: bool) -> Bytes {
        partial_metadata(&serde_json::from_slice(json).unwrap_or_default(), beta).to_string().into()
    }

    /// Stored bytes are this view's bytes.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.form == Form::Whole && !self.converts
    }

    /// Stored bytes go out as they are, not even as YAML or indented.
    pub(crate) fn is_sent_as_stored(&self) -> bool {
        self.is_verbatim() && self.output.is_verbatim()
    }

    /// A cached object in this view; not for tables.
    pub(crate) fn object(&self, shown: &Versioned) -> Bytes {
        match self.form {
            Form::Metadata { beta } => {
                self.kept(&shown.object, Encoding::Metadata { beta }, || Ok(self.metadata(&shown.json, beta))).unwrap_or_default()
            }
            _ => shown.json.clone(),
        }
    }

    /// An encoding of an object: as it is kept with the object, or made now and kept.
    fn kept(&self, object: &Object, encoding: Encoding, make: impl FnOnce() -> Result<Bytes, EncodeError>) -> Result<Bytes, EncodeError> {
        let version = match encoding {
            Encoding::Json | Encoding::Message => (self.gvk.group.clone(), self.gvk.version.clone()),
            Encoding::Metadata { .. } | Encoding::MetadataMessage => Default::default(),
        };
        let key = EncodingKey { encoding, version };
        if let Some(bytes) = object.encoding(&key) {
            return Ok(bytes);
        }
        let bytes = make()?;
        object.keep_encoding(key, &bytes);
        Ok(bytes)
    }

    /// Whether this view is of messages.
    pub(crate) fn is_protobuf(&self) -> bool {
        self.output.accepted.media_type == MediaType::Protobuf
    }

    /// The message of a cached object in this view, without an envelope; not for tables.
    fn message(&self, shown: &Versioned) -> Result<Bytes, EncodeError> {
        let encoding = if matches!(self.form, Form::Metadata { .. }) { Encoding::MetadataMessage } else { Encoding::Message };
        self.kept(&shown.object, encoding, || {
            let json = match self.form {
                Form::Metadata { beta } => self.metadata(&shown.json, beta),
                _ => shown.json.clone(),
            };
            let document: Value = serde_json::from_slice(&json).map_err(|error| EncodeError::Unfit(error.to_string()))?;
            protobuf::message(&document).map(Bytes::from)
        })
    }

    /// A cached object in its envelope.
    fn protobuf_body(&self, shown: &Versioned) -> Result<Bytes, EncodeError> {
        let (kind, api_version) = self.shown_kind();
        self.message(shown).map(|message| messages::enveloped(&api_version, &kind, &message).into())
    }

    /// A cached object as an event of a stream of messages.
    pub(crate) fn protobuf_event(&self, kind: EventType, shown: &Versioned) -> Bytes {
        match self.protobuf_body(shown) {
            Ok(body) => messages::watch_frame(kind.as_str(), &body).into(),
            Err(error) => Self::protobuf_document("ERROR", &Status::internal(error.to_string()).to_json()),
        }
    }

    /// A document as an event of a stream of messages.
    pub(crate) fn protobuf_document(kind: &str, document: &Value) -> Bytes {
        let body = protobuf::body(document).or_else(|error| protobuf::body(&Status::internal(error.to_string()).to_json()));
        messages::watch_frame(kind, &body.unwrap_or_default()).into()
    }

    /// The answer with one object of the cache.
    pub(crate) fn cached(&self, code: u16, shown: &Versioned) -> Response {
        match self.form {
            Form::Table { .. } => self.single(code, shown.json.clone()),
            _ if self.is_protobuf() => {
                response::protobuf_chunks(&self.output, code, self.protobuf_body(shown).map(|body| VecDeque::from([body])))
            }
            _ => response::json_bytes(&self.output, code, self.object(shown)),
        }
    }

    /// The answer with one object that is not the cache's, in the version asked for.
    pub(crate) fn single(&self, code: u16, json: Bytes) -> Response {
        match self.form {
            Form::Whole => response::json_bytes(&self.output, code, json),
            Form::Metadata { beta } => response::json_bytes(&self.output, code, self.metadata(&json, beta)),
            Form::Table { .. } => {
                let object: Value = serde_json::from_slice(&json).unwrap_or_default();
                let revision = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
                let metadata = if revision.is_empty() { json!({}) } else { json!({ "resourceVersion": revision }) };
                response::json(&self.output, code, &self.table(&[object], metadata, true))
            }
        }
    }

    /// What the writer of an object is warned of that the server does not act on.
    pub(crate) fn unenforced(&self, json: &[u8]) -> Option<String> {
        api::unenforced::warning(&self.resource, json)
    }

    /// The answer with one object that is not stored (a review, a token).
    pub(crate) fn document(&self, code: u16, object: &Value) -> Response {
        match self.form {
            Form::Metadata { beta } => response::json(&self.output, code, &partial_metadata(object, beta)),
            _ => response::json(&self.output, code, object),
        }
    }

    /// The answer with a list of objects that are not stored.
    pub(crate) fn documents(&self, objects: &[Value]) -> Response {
        if let Form::Table { .. } = self.form {
            return response::json(&self.output, 200, &self.table(objects, json!({}), true));
        }
        let items: Vec<Value> = match self.form {
            Form::Metadata { beta } => objects.iter().map(|object| partial_metadata(object, beta)).collect(),
            _ => objects.to_vec(),
        };
        let (kind, api_version) = self.list_kind();
        response::json(&self.output, 200, &json!({ "kind": kind, "apiVersion": api_version, "metadata": {}, "items": items }))
    }

    /// The answer with a list, whose objects are in the version asked for.
    pub(crate) fn list(&self, code: u16, list: &ListResult, objects: &[Versioned]) -> Response {
        let mut metadata = json!({ "resourceVersion": list.revision.to_string() });
        if let Some(token) = &list.continue_token {
            metadata["continue"] = token.as_str().into();
        }
        if let Some(remaining) = list.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        if let Form::Table { .. } = self.form {
            let objects: Vec<Value> = objects.iter().filter_map(|shown| serde_json::from_slice(&shown.json).ok()).collect();
            return response::json(&self.output, code, &self.table(&objects, metadata, true));
        }
        let (kind, api_version) = self.list_kind();
        if self.is_protobuf() {
            let items: Result<Vec<Bytes>, EncodeError> = objects.iter().map(|shown| self.message(shown)).collect();
            let written = items.and_then(|items| protobuf::list(&api_version, &kind, &metadata, items));
            return response::protobuf_chunks(&self.output, code, written);
        }
        let head = format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[");
        let mut chunks = VecDeque::with_capacity(objects.len() * 2 + 2);
        chunks.push_back(head.into());
        let head_length = layout::head(&self.gvk).len();
        for (i, shown) in objects.iter().enumerate() {
            match self.form {
                Form::Metadata { .. } => {
                    if i > 0 {
                        chunks.push_back(Bytes::from_static(b","));
                    }
                    chunks.push_back(self.object(shown));
                }
                _ => {
                    // Items of a list carry no kind and version: a slice of the object's bytes.
                    chunks.push_back(Bytes::from_static(if i > 0 { b",{" } else { b"{" }));
                    chunks.push_back(shown.json.slice(head_length..));
                }
            }
        }
        chunks.push_back(Bytes::from_static(b"]}\n"));
        response::json_chunks(&self.output, code, chunks)
    }

    fn list_kind(&self) -> (String, String) {
        let (kind, api_version) = self.shown_kind();
        (format!("{kind}List"), api_version)
    }

    /// A table over whole objects.
    pub(crate) fn table(&self, objects: &[Value], metadata: Value, with_columns: bool) -> Value {
        let Form::Table { beta, include } = self.form else { return Value::Null };
        let mut table = printers::table(&self.resource, objects, metadata, include, self.now_seconds);
        if beta {
            printers::to_v1beta1(&mut table);
        }
        if !with_columns {
            table["columnDefinitions"] = Value::Null;
        }
        table
    }

    /// The kind of an object in this view, and its version; not for tables.
    pub(crate) fn shown_kind(&self) -> (String, String) {
        match self.form {
            Form::Metadata { beta: true } => ("PartialObjectMetadata".into(), "meta.k8s.io/v1beta1".into()),
            Form::Metadata { .. } => ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into()),
            _ => (self.gvk.kind.to_string(), self.gvk.api_version()),
        }
    }
}

fn endpoint(scope: &RequestScope) -> Endpoint {
    match () {
        () if scope.requested.schema.message.is_none() => Endpoint::CustomResource,
        () if scope.requested.has_table(&scope.subresource) => Endpoint::Resource,
        () => Endpoint::Tableless,
    }
}

fn partial_metadata(object: &Value, beta: bool) -> Value {
    let mut shown = printers::partial_object_metadata(object);
    if beta {
        printers::to_v1beta1(&mut shown);
    }
    shown
}

fn include_object(query: &str) -> Result<IncludeObject, Status> {
    match Query::parse(query).get("includeObject").unwrap_or_default() {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => {
            let given = field::go_quote(other);
            Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {given}: must be 'Metadata', 'Object', 'None', or empty"
            )))
        }
    }
}

fn not_a_list(asked: &str, scope: &RequestScope) -> Status {
    let group = match &*scope.requested.gvk.group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    };
    let message = format!("you requested {asked}, but the requested object is not a list (*{group}.{})", scope.requested.gvk.kind);
    Status::failure(406, StatusReason::NotAcceptable, message)
}
