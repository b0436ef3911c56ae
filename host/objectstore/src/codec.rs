//! Between an object of one resource and the value under its key.

use std::sync::Arc;

use api::convert::Conversion;
use api::kinds::{shape, strategy};
use api::{Catalogue, Resource, ResourceRef};
use apimachinery::codec::{self, MediaType, protobuf};
use apimachinery::schema::SchemaRef;
use apimachinery::{GroupVersionKind, object};
use bytes::Bytes;
use serde_json::Value;

use crate::layout;
use crate::transformer::{Opened, TransformError, Transformer};

/// The form in which values are written; `--storage-media-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageMediaType {
    /// JSON in [`layout`]: reads serve the stored bytes.
    #[default]
    Json,
    /// Upstream's protobuf envelope. Kinds that have no messages (custom resources) are JSON all the same.
    Protobuf,
}

impl StorageMediaType {
    /// The form of this name, for example `application/json`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "application/json" => Some(Self::Json),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The object in the version that is stored, with its defaults, in [`layout`], without a resource version.
    pub json: Bytes,
    /// Whether the same object would be stored as another value now (another media type, version or key of encryption). The next update then
    /// stores it anew, even where nothing changed.
    pub stale: bool,
}

/// An object to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The object in [`layout`], without a resource version: what reading the value gives.
    pub json: Bytes,
    /// What is stored.
    pub value: Bytes,
}

/// A value that is no object of the resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The transformer could not open it (decrypt it).
    #[error("it cannot be opened: {0}")]
    Transform(#[from] TransformError),
    /// It cannot be read as what it says it is.
    #[error("{0}")]
    Unreadable(String),
    /// It is an object of another kind, or of a version that is not served.
    #[error("it is a {0}, which is not stored here")]
    OtherKind(GroupVersionKind),
    /// It is of another version than the one that is stored now, and nobody here can convert it.
    #[error("it is a {0}, which is converted elsewhere; write it anew in the version that is stored")]
    Unconverted(GroupVersionKind),
    /// Every object has a name.
    #[error("it has no metadata.name")]
    Nameless,
}

/// An object that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It does not fit its kind's message.
    #[error("the object cannot be written as protobuf: {0}")]
    Protobuf(#[from] protobuf::EncodeError),
    /// The transformer could not seal it (encrypt it).
    #[error("the object cannot be sealed: {0}")]
    Transform(#[from] TransformError),
}

/// How objects of one resource are stored.
#[derive(Clone)]
pub struct Codec {
    resource: ResourceRef,
    catalogue: Arc<Catalogue>,
    head: String,
    media_type: StorageMediaType,
    transformer: Arc<dyn Transformer>,
}

impl Codec {
    /// `resource` is a row of the catalogue, in the version that is stored.
    pub fn new(resource: ResourceRef, catalogue: Arc<Catalogue>, media_type: StorageMediaType, transformer: Arc<dyn Transformer>) -> Self {
        let media_type = if resource.schema.message.is_some() { media_type } else { StorageMediaType::Json };
        Self { head: layout::head(&resource.gvk), resource, catalogue, media_type, transformer }
    }

    /// The resource, in the version that is stored.
    pub fn resource(&self) -> &ResourceRef {
        &self.resource
    }

    /// Whether values are read and written as another codec of the same store would: for the same rows at the same place.
    pub fn serves(&self, resource: &ResourceRef, catalogue: &Catalogue) -> bool {
        let (own, others) = (self.catalogue.sharing(&self.resource.storage_prefix), catalogue.sharing(&resource.storage_prefix));
        self.resource.is(resource) && own.len() == others.len() && own.iter().zip(others).all(|(own, other)| own.is(other))
    }

    /// What all objects begin with, as [`layout::head`] says.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Reads a value. `key` is its whole key.
    ///
    /// # Errors
    /// It is no object of the resource.
    pub fn decode(&self, key: &str, value: &Bytes) -> Result<Stored, DecodeError> {
        let Opened { value, stale } = self.transformer.open(key, value)?;
        if layout::in_layout(&value, &self.head) {
            return Ok(Stored { stale: stale || self.media_type != StorageMediaType::Json, json: value });
        }
        let is_message = value.starts_with(&protobuf::PREFIX);
        let media_type = if is_message { MediaType::Protobuf } else { MediaType::Json };
        let (found, object) = self.read(&value, media_type)?;
        let as_written = is_message && self.media_type == StorageMediaType::Protobuf && found == self.resource.gvk;
        Ok(Stored { json: layout::encode(&object, &self.resource.gvk).into(), stale: stale || !as_written })
    }

    /// What somebody else wrote: the kind that it was written as, and the object as it is stored now.
    fn read(&self, value: &[u8], media_type: MediaType) -> Result<(GroupVersionKind, Value), DecodeError> {
        let schema_of = |kind: &GroupVersionKind| self.schema_of(kind);
        let (found, decoded) = codec::decode_any(value, media_type, &self.resource.gvk, &schema_of).map_err(|error| match error.kind {
            Some(kind) if self.schema_of(&kind).is_none() => DecodeError::OtherKind(kind),
            _ => DecodeError::Unreadable(error.message),
        })?;
        let mut object = decoded.value;
        if object::name(&object).is_empty() {
            return Err(DecodeError::Nameless);
        }
        match self.row(&found) {
            Some(row) => strategy(row).default(row, &mut object),
            None => self.schema_of(&found).iter().for_each(|schema| shape::normalize(schema, &mut object)),
        }
        if found != self.resource.gvk {
            // A webhook would have to be waited for, which a reader of the store cannot do.
            if let Conversion::Asked(_) = self.resource.conversion {
                return Err(DecodeError::Unconverted(found));
            }
            object = api::convert::convert(object, &self.resource.gvk).map_err(|error| DecodeError::Unreadable(error.to_string()))?;
            strategy(&self.resource).default(&self.resource, &mut object);
        }
        Ok((found, object))
    }

    /// The served resource of a kind whose objects may lie here.
    fn row(&self, kind: &GroupVersionKind) -> Option<&Resource> {
        let others = self.catalogue.sharing(&self.resource.storage_prefix).iter();
        std::iter::once(&self.resource).chain(others).find(|row| row.gvk == *kind).map(|row| &**row)
    }

    /// The schema of a kind whose objects may lie here: also of a version of the resource's kind that is not served (any more, or yet).
    fn schema_of(&self, kind: &GroupVersionKind) -> Option<SchemaRef> {
        if let Some(row) = self.row(kind) {
            return Some(row.schema.clone());
        }
        let own = &self.resource.gvk;
        self.catalogue.schema_of(kind).filter(|_| kind.group == own.group && kind.kind == own.kind)
    }

    /// An object as it is written. `key` is its whole key.
    ///
    /// # Errors
    /// It cannot be written as protobuf, or cannot be sealed.
    ///
    /// # Panics
    /// As [`layout::encode`].
    pub fn encode(&self, key: &str, object: &Value) -> Result<Encoded, EncodeError> {
        let json: Bytes = layout::encode(object, &self.resource.gvk).into();
        let plain = match self.media_type {
            StorageMediaType::Json => json.clone(),
            StorageMediaType::Protobuf => self.message(object)?.into(),
        };
        Ok(Encoded { value: self.transformer.seal(key, plain)?, json })
    }

    fn message(&self, object: &Value) -> Result<Vec<u8>, EncodeError> {
        let gvk = &self.resource.gvk;
        let unversioned;
        let object = if object::resource_version(object).is_empty() {
            object
        } else {
            let mut copy = object.clone();
            object::metadata_mut(&mut copy).remove("resourceVersion");
            unversioned = copy;
            &unversioned
        };
        let message = protobuf::encode(object, &self.resource.schema)?;
        Ok(protobuf::enveloped(&gvk.api_version(), &gvk.kind, &message))
    }
}

#[cfg(test)]
mod tests;
