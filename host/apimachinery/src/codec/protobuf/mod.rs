//! Kubernetes' protobuf: objects as messages, and the envelope that says of which kind they are.
//!
//! Table-driven: a [`Schema`] that has a [`Message`](crate::message::Message) can be read and written; its numbers are upstream's `generated.proto`. What is
//! read has the shape that the JSON codec gives, so that the rest of the road does not know what a body was written in: what Go leaves
//! out of JSON is left out, what a pointer holds is kept. Bytes come in the order of upstream's generated marshallers, so that equal
//! objects are equal bytes.

mod decode;
mod encode;
mod wire;

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::{Map, Value};

use crate::group_version::GroupVersionKind;
use crate::schema::Schema;

use decode::Within;
use encode::Backward;
use wire::{DELIMITED, Reader};

/// `k8s` and the style of the envelope: what a body begins with.
pub const PREFIX: [u8; 4] = [0x6b, 0x38, 0x73, 0x00];

/// Why an object cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The kind has no form in protobuf: a custom resource.
    #[error("object {0} does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message")]
    NotMarshalable(String),
    /// The object does not fit its schema.
    #[error("{0}: not of the field's type")]
    Unfit(String),
}

/// The envelope, read.
#[derive(Debug, Default)]
pub(super) struct Unknown<'a> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    /// The object's message.
    pub(super) raw: &'a [u8],
}

impl<'a> Unknown<'a> {
    /// Takes the envelope off; the error is in upstream's words.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, String> {
        if body.is_empty() {
            return Err("empty data".to_owned());
        }
        let Some(rest) = body.strip_prefix(&PREFIX) else {
            return Err("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".to_owned());
        };
        if rest.is_empty() {
            return Err("empty body".to_owned());
        }
        let mut unknown = Self::default();
        let mut reader = Reader::new(rest);
        while let Some((number, wire)) = reader.tag("Unknown")? {
            match number {
                1 => {
                    let mut meta = Reader::new(reader.delimited(wire, "TypeMeta")?);
                    while let Some((number, wire)) = meta.tag("TypeMeta")? {
                        match number {
                            1 => unknown.api_version = String::from_utf8_lossy(meta.delimited(wire, "APIVersion")?),
                            2 => unknown.kind = String::from_utf8_lossy(meta.delimited(wire, "Kind")?),
                            _ => meta.skip(wire)?,
                        }
                    }
                }
                2 => unknown.raw = reader.delimited(wire, "Raw")?,
                3 => drop(reader.delimited(wire, "ContentEncoding")?),
                4 => drop(reader.delimited(wire, "ContentType")?),
                _ => reader.skip(wire)?,
            }
        }
        Ok(unknown)
    }

    /// What the envelope says it is, with the gaps filled from what is expected. An `apiVersion` that is none counts for nothing.
    pub(super) fn interpret(&self, default: &GroupVersionKind) -> GroupVersionKind {
        let (group, version) = match self.api_version.split_once('/') {
            Some((_, version)) if version.contains('/') => ("", ""),
            Some(found) => found,
            None => ("", &*self.api_version),
        };
        let kind = if self.kind.is_empty() { &default.kind } else { &self.kind };
        let (group, version) = if version.is_empty() { (&*default.group, &*default.version) } else { (group, version) };
        GroupVersionKind::new(group.to_owned(), version.to_owned(), kind.to_string())
    }
}

/// Reads a message as an object of the schema; `apiVersion` and `kind` are the caller's to set.
pub(super) fn decode(raw: &[u8], schema: &Schema) -> Result<Map<String, Value>, String> {
    let message = schema.message.ok_or_else(|| not_marshalable(schema).to_string())?;
    let mut map = Map::new();
    let objects = Cell::new(0);
    decode::message(raw, schema, message, &mut map, Within::whole(&objects))?;
    Ok(map)
}

fn not_marshalable(schema: &Schema) -> EncodeError {
    EncodeError::NotMarshalable(format!("*{}", schema.go_type()))
}

/// Writes an object as the message of its schema, without an envelope.
pub fn encode(object: &Value, schema: &Schema) -> Result<Vec<u8>, EncodeError> {
    let message = schema.message.ok_or_else(|| not_marshalable(schema))?;
    let map = object.as_object().ok_or_else(|| EncodeError::Unfit(schema.name.to_string()))?;
    let mut out = Backward::default();
    encode::message(&mut out, map, schema, message)?;
    Ok(out.finish())
}

/// The envelope up to the message, which is of that many bytes and comes next; [`ENVELOPE_TAIL`] comes after it.
pub fn envelope_head(api_version: &str, kind: &str, message_bytes: usize) -> Vec<u8> {
    let mut out = Backward::default();
    out.varint(message_bytes as u64);
    out.tag(2, DELIMITED);
    out.nested(1, |meta| {
        meta.text(2, kind.as_bytes());
        meta.text(1, api_version.as_bytes());
    });
    out.bytes(&PREFIX);
    out.finish()
}

/// What ends an envelope: the content's encoding and type, which go without saying.
pub const ENVELOPE_TAIL: [u8; 4] = [0x1a, 0x00, 0x22, 0x00];

/// A message in its envelope: a whole body.
pub fn enveloped(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = envelope_head(api_version, kind, message.len());
    out.reserve(message.len() + ENVELOPE_TAIL.len());
    out.extend_from_slice(message);
    out.extend_from_slice(&ENVELOPE_TAIL);
    out
}

/// What stands before an item of a list: in every `…List` metadata is 1 and items are 2.
pub fn list_item_head(message_bytes: usize) -> Vec<u8> {
    let mut out = Backward::default();
    out.varint(message_bytes as u64);
    out.tag(2, DELIMITED);
    out.finish()
}

/// What stands before all items of a list: its metadata, a message already.
pub fn list_metadata(message: &[u8]) -> Vec<u8> {
    let mut out = Backward::default();
    out.text(1, message);
    out.finish()
}

/// The length that stands before each event of a stream of messages.
pub const WATCH_FRAME_PREFIX_BYTES: usize = 4;

/// One frame of a stream of events: its length in four bytes, and a `metav1.WatchEvent` around a body.
pub fn watch_frame(event: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Backward::default();
    out.nested(2, |raw| raw.text(1, body));
    out.text(1, event.as_bytes());
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out.bytes(&length.to_be_bytes());
    out.finish()
}

#[cfg(test)]
mod tests;
