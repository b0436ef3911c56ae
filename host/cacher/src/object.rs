//! An object as the cache holds it: final bytes, and what selectors look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apimachinery::group_version::Text;
use apimachinery::selector::label::Labels;
use bytes::Bytes;
use objectstore::{Codec, DecodeError, Stored, layout};
use parking_lot::Mutex;
use serde_json::Value;
use storage::{KeyValue, Revision};

use crate::event_type::EventType;
use crate::extract::{Extracted, Paths};
use crate::limits::ENCODINGS_BYTES_MAX;

/// Turns values of one resource into [`Object`]s.
pub(crate) struct Decoder {
    pub(crate) codec: Codec,
    paths: Paths,
    /// How many paths the decoder looks at for each selectable field, in their order: the first that has a value gives the field's.
    paths_per_field: Vec<usize>,
    /// What a field that is not there reads as: `false` for booleans, `0` for numbers.
    absent: Vec<&'static str>,
    /// Bytes of the encodings that are kept with objects.
    encodings_bytes: Arc<AtomicUsize>,
}

impl Decoder {
    pub(crate) fn new(codec: Codec) -> Self {
        let row = codec.resource().clone();
        let selectable: Vec<&str> = row.selectable_fields.iter().map(|field| &**field).collect();
        let stored: Vec<Vec<&str>> = selectable.iter().map(|path| api::selectable::stored_paths(&row, path)).collect();
        Self {
            paths_per_field: stored.iter().map(Vec::len).collect(),
            paths: Paths::new(stored.into_iter().flatten()),
            absent: selectable.iter().map(|path| api::selectable::absent_value(&row, path)).collect(),
            codec,
            encodings_bytes: Arc::default(),
        }
    }

    /// Decodes a value; `key` is relative to the resource's prefix.
    pub(crate) fn decode(&self, key: Arc<str>, kv: &KeyValue, event: EventType) -> Result<Object, DecodeError> {
        let stored = self.codec.decode(&kv.key, &kv.value)?;
        let found = self.paths.extract(&stored.json, self.paths_per_field.iter().sum());
        let found = found.map_err(|error| DecodeError::Unreadable(error.to_string()))?;
        Ok(self.object(key, kv.mod_revision, event, stored, found))
    }

    /// Labels and fields of an object that this process is about to write.
    pub(crate) fn extract(&self, object: &Value) -> Extracted {
        self.paths.extract_from(object, self.paths_per_field.iter().sum())
    }

    /// An object whose labels and fields are known.
    pub(crate) fn object(&self, key: Arc<str>, revision: Revision, event: EventType, stored: Stored, found: Extracted) -> Object {
        let head = self.codec.head();
        let mut frame = Vec::with_capacity(stored.json.len() + 80);
        frame.extend_from_slice(event.frame_start());
        layout::splice(&mut frame, &stored.json, head, revision);
        frame.extend_from_slice(FRAME_END);
        let mut values = found.fields.into_iter();
        let fields = self.paths_per_field.iter().zip(&self.absent).map(|(paths, absent)| {
            let given = values.by_ref().take(*paths).filter(|value| !value.is_empty());
            given.reduce(|first, _| first).unwrap_or_else(|| (*absent).into())
        });
        Object {
            key,
            fields: fields.collect(),
            labels: found.labels.into(),
            revision,
            frame_event: event,
            head_len: head.len() as u16,
            is_stale: stored.stale,
            frame: frame.into(),
            encodings: Encodings::new(&self.encodings_bytes),
        }
    }

    /// The object of a deletion, or of one that has left a selector: as it was, at the revision of the change.
    pub(crate) fn departed(&self, object: &Object, revision: Revision) -> Object {
        let mut frame = Vec::with_capacity(object.frame.len() + 16);
        frame.extend_from_slice(EventType::Deleted.frame_start());
        layout::respell(&mut frame, &object.json(), self.codec.head(), object.revision, revision);
        frame.extend_from_slice(FRAME_END);
        Object {
            key: object.key.clone(),
            labels: object.labels.clone(),
            fields: object.fields.clone(),
            revision,
            frame_event: EventType::Deleted,
            head_len: object.head_len,
            is_stale: false,
            frame: frame.into(),
            encodings: Encodings::new(&self.encodings_bytes),
        }
    }
}

const FRAME_END: &[u8] = b"}\n";

/// In which form an encoding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The object as JSON in another version.
    Json,
    /// The object as a protobuf message.
    Message,
    /// `PartialObjectMetadata` as JSON; `meta.k8s.io/v1beta1` where it is beta.
    Metadata {
        /// Of the older version.
        beta: bool,
    },
    /// `PartialObjectMetadata` as a protobuf message, which does not say its version.
    MetadataMessage,
}

/// What an encoding is kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingKey {
    /// Its form.
    pub encoding: Encoding,
    /// The group and version of the object in it; empty where that makes no difference.
    pub version: (Text, Text),
}

/// Encodings that somebody asked for, counted with those of all objects of the resource.
#[derive(Debug)]
struct Encodings {
    kept: Mutex<Vec<(EncodingKey, Bytes)>>,
    all_bytes: Arc<AtomicUsize>,
}

impl Encodings {
    fn new(all_bytes: &Arc<AtomicUsize>) -> Self {
        Self { kept: Mutex::default(), all_bytes: all_bytes.clone() }
    }

    fn reserve(&self, bytes: usize) -> bool {
        let enough = |all: usize| all.checked_add(bytes).filter(|all| *all <= ENCODINGS_BYTES_MAX);
        self.all_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }
}

impl Drop for Encodings {
    fn drop(&mut self) {
        let bytes = self.kept.get_mut().iter().map(|(_, bytes)| bytes.len()).sum();
        self.all_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// An object at one revision.
#[derive(Debug)]
pub struct Object {
    key: Arc<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    fields: Box<[Box<str>]>,
    revision: Revision,
    /// The event that `frame` is for.
    frame_event: EventType,
    head_len: u16,
    is_stale: bool,
    /// `{"type":"ADDED","object":{…}}\n`; the object's own bytes are a slice of it.
    frame: Bytes,
    encodings: Encodings,
}

impl Labels for Object {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.binary_search_by(|(k, _)| (**k).cmp(key)).ok().map(|i| &*self.labels[i].1)
    }
}

impl Object {
    /// `namespace/name`, or `name`: the key below the resource's prefix.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&self.key, |(_, name)| name)
    }

    /// Labels, sorted by key.
    pub fn labels(&self) -> &[(Box<str>, Box<str>)] {
        &self.labels
    }

    /// Values of the resource's selectable fields, in their order.
    pub fn fields(&self) -> &[Box<str>] {
        &self.fields
    }

    /// `metadata.resourceVersion`.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether the next write stores it anew, even where nothing changes: see [`objectstore::Stored::stale`].
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// The object, in the version that is stored.
    pub fn json(&self) -> Bytes {
        self.frame.slice(self.frame_event.frame_start().len()..self.frame.len() - FRAME_END.len())
    }

    /// The object without `kind` and `apiVersion` and without its opening brace: what follows `{` in a list.
    pub fn list_item_tail(&self) -> Bytes {
        self.frame.slice(self.frame_event.frame_start().len() + self.head_len as usize..self.frame.len() - FRAME_END.len())
    }

    /// The bytes of a watch event.
    pub fn frame(&self, event: EventType) -> Bytes {
        if event == self.frame_event {
            return self.frame.clone();
        }
        // Only the state that a watch begins with is sent as another event than the one that made it: not worth to be kept.
        let mut frame = Vec::with_capacity(self.frame.len() + 8);
        frame.extend_from_slice(event.frame_start());
        frame.extend_from_slice(&self.frame[self.frame_event.frame_start().len()..]);
        frame.into()
    }

    /// Another encoding that was made before.
    pub fn encoding(&self, key: &EncodingKey) -> Option<Bytes> {
        self.encodings.kept.lock().iter().find(|(kept, _)| kept == key).map(|(_, bytes)| bytes.clone())
    }

    /// Keeps an encoding for the next who asks, where there is room.
    pub fn keep_encoding(&self, key: EncodingKey, bytes: &Bytes) {
        let mut kept = self.encodings.kept.lock();
        if !kept.iter().any(|(known, _)| *known == key) && self.encodings.reserve(bytes.len()) {
            kept.push((key, bytes.clone()));
        }
    }

    /// What it weighs, about.
    pub(crate) fn bytes(&self) -> usize {
        self.frame.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selectable_field_may_have_a_second_place() {
        let resource = api::tables::find("", "v1", "events").expect("there are events");
        let at = resource.selectable_fields.iter().position(|field| field == "source").expect("events select by their source");
        let decoder = Decoder::new(crate::codec_for_tests(resource));
        for (fields, want) in [
            (r#""source":{"component":"kubelet"},"reportingComponent":"other""#, "kubelet"),
            (r#""source":{},"reportingComponent":"scheduler""#, "scheduler"),
            (r#""reportingComponent":"scheduler","source":{"component":""}"#, "scheduler"),
            (r#""reason":"Started""#, ""),
        ] {
            let json = format!(r#"{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"e"}},"type":"Normal",{fields}}}"#);
            let kv = KeyValue { key: "/registry/events/n/e".into(), value: json.into(), create_revision: 2, mod_revision: 2 };
            let object = decoder.decode("n/e".into(), &kv, EventType::Added).expect("an event");
            assert_eq!((&*object.fields()[at], object.fields().len()), (want, resource.selectable_fields.len()), "{fields}");
        }
    }

    #[test]
    fn encodings_are_kept_as_long_as_there_is_room() {
        let decoder = Decoder::new(crate::codec_for_tests(api::tables::find("", "v1", "configmaps").expect("built in")));
        let object = |name: &str| {
            let json = format!(r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}"}}}}"#);
            let kv = KeyValue { key: "/k".into(), value: json.into(), create_revision: 2, mod_revision: 2 };
            decoder.decode(name.into(), &kv, EventType::Added).expect("a config map")
        };
        let key = |encoding, version: &'static str| EncodingKey { encoding, version: ("".into(), version.into()) };
        let (one, other) = (object("one"), object("other"));
        let half: Bytes = vec![0; ENCODINGS_BYTES_MAX / 2].into();
        one.keep_encoding(key(Encoding::Json, "v2"), &half);
        one.keep_encoding(key(Encoding::Json, "v2"), &half);
        assert!(one.encoding(&key(Encoding::Json, "v2")).is_some() && one.encoding(&key(Encoding::Json, "v3")).is_none());
        one.keep_encoding(key(Encoding::Message, "v2"), &half);
        other.keep_encoding(key(Encoding::Message, "v2"), &half);
        assert!(one.encoding(&key(Encoding::Message, "v2")).is_some() && other.encoding(&key(Encoding::Message, "v2")).is_none());
        drop(one);
        other.keep_encoding(key(Encoding::Message, "v2"), &half);
        assert!(other.encoding(&key(Encoding::Message, "v2")).is_some());
    }
}
