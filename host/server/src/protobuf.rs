//! Answers in protobuf, made from the JSON that is stored and served.
//!
//! What cannot be written is our own fault or a kind without messages; it is never left out of a list or a stream in silence.

use std::collections::VecDeque;

use api::tables;
use apimachinery::codec::protobuf::{self, EncodeError};
use apimachinery::{GroupVersion, GroupVersionKind};
use bytes::Bytes;
use serde_json::Value;

/// `application/vnd.kubernetes.protobuf`, of a stream.
pub(crate) const STREAM_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// What a document says it is.
fn kind_of(document: &Value) -> GroupVersionKind {
    let text = |name| document.get(name).and_then(Value::as_str).unwrap_or_default();
    // The documents of `/api` and `/api/v1` have no version.
    let version = GroupVersion::parse(text("apiVersion")).filter(|found| !found.version.is_empty());
    let version = version.unwrap_or_else(|| GroupVersion::of("", "v1"));
    GroupVersionKind::new(version.group.to_string(), version.version.to_string(), text("kind").to_owned())
}

fn named(value: &Value, definition: &str) -> Result<Vec<u8>, EncodeError> {
    let schema = tables::schema_named(definition).ok_or_else(|| EncodeError::NotMarshalable(definition.to_owned()))?;
    protobuf::encode(value, &schema)
}

/// The message of a document of any kind, without its envelope.
pub(crate) fn message(document: &Value) -> Result<Vec<u8>, EncodeError> {
    let gvk = kind_of(document);
    if gvk.group == "meta.k8s.io" && gvk.kind == "PartialObjectMetadata" {
        // Metadata is its only field, and the first.
        return Ok(protobuf::list_metadata(&named(&document["metadata"], "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")?));
    }
    let schema = tables::schema_of(&gvk).ok_or_else(|| EncodeError::NotMarshalable(format!("*{}.{}", gvk.version, gvk.kind)))?;
    protobuf::encode(document, &schema)
}

/// A document as a whole body.
pub(crate) fn body(document: &Value) -> Result<Bytes, EncodeError> {
    let text = |name| document.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(protobuf::enveloped(text("apiVersion"), text("kind"), &message(document)?).into())
}

/// A list as a whole body, around messages that are there already.
pub(crate) fn list(api_version: &str, kind: &str, metadata: &Value, items: Vec<Bytes>) -> Result<VecDeque<Bytes>, EncodeError> {
    let metadata = protobuf::list_metadata(&named(metadata, "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta")?);
    let mut bytes = metadata.len();
    let mut chunks = VecDeque::with_capacity(items.len() * 2 + 3);
    for item in items {
        let head = protobuf::list_item_head(item.len());
        bytes += head.len() + item.len();
        chunks.push_back(head.into());
        chunks.push_back(item);
    }
    chunks.push_front(metadata.into());
    chunks.push_front(protobuf::envelope_head(api_version, kind, bytes).into());
    chunks.push_back(Bytes::from_static(&protobuf::ENVELOPE_TAIL));
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents() {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Gone", "code": 410});
        let bytes = body(&status).expect("a status");
        assert!(bytes.starts_with(b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12"), "{bytes:?}");
        for kind in ["APIVersions", "APIGroupList", "APIResourceList"] {
            assert!(body(&json!({"kind": kind, "apiVersion": "v1"})).is_ok(), "{kind}");
            assert!(body(&json!({ "kind": kind })).is_ok(), "{kind}");
        }
        let metadata = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "n"}});
        assert!(message(&metadata).expect("metadata").starts_with(b"\x0a\x11\x0a\x01n"), "{:?}", message(&metadata));
        assert!(body(&json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1"})).is_err());
        assert!(body(&json!({"kind": "ConfigMap", "apiVersion": "v1", "data": 1})).is_err());
    }

    #[test]
    fn lists_are_what_is_written_in_one_piece() {
        let item = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
        let whole = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [item, item]});
        let schema = tables::schema_of(&GroupVersionKind::of("", "v1", "ConfigMap")).expect("a schema");
        let message = Bytes::from(protobuf::encode(&item, &schema).expect("an item"));
        let chunks = list("v1", "ConfigMapList", &json!({"resourceVersion": "7"}), vec![message.clone(), message]).expect("a list");
        assert_eq!(Vec::from(chunks).concat(), body(&whole).expect("a list"));
    }
}
