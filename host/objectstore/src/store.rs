//! The store of all objects: one [`Storage`], with what is the same for every resource.

use std::sync::Arc;

use api::{Catalogue, Resource, ResourceRef};
use storage::{Error, KeyValue, Operation, Range, RangeResult, Revision, Storage};

use crate::codec::{Codec, StorageMediaType};
use crate::transformer::{Identity, Transformer};

/// Objects in a [`Storage`], under one root of keys.
#[derive(Clone)]
pub struct ObjectStore {
    storage: Arc<dyn Storage>,
    root: Arc<str>,
    media_type: StorageMediaType,
    transformer: Arc<dyn Transformer>,
}

impl ObjectStore {
    /// `root` is what all keys begin with: `/registry/`. Values are written as JSON, as they are.
    pub fn new(storage: Arc<dyn Storage>, root: &str) -> Self {
        Self { storage, root: root.into(), media_type: StorageMediaType::Json, transformer: Arc::new(Identity) }
    }

    /// Writes values in another form. What is there is read in any.
    pub fn with_media_type(self, media_type: StorageMediaType) -> Self {
        Self { media_type, ..self }
    }

    /// Seals values.
    pub fn with_transformer(self, transformer: Arc<dyn Transformer>) -> Self {
        Self { transformer, ..self }
    }

    /// The store below, for what is no object: its revision, its history, its health.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// What all keys begin with: `/registry/`.
    pub fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn media_type(&self) -> StorageMediaType {
        self.media_type
    }

    pub(crate) fn transformer(&self) -> &dyn Transformer {
        &*self.transformer
    }

    /// The key of an object; `key` is below the resource's prefix: `namespace/name`, or `name`.
    pub fn key(&self, resource: &Resource, key: &str) -> String {
        format!("{}{}/{key}", self.root, resource.storage_prefix)
    }

    /// How objects of a resource are stored. `resource` is its row in the version that is stored.
    pub fn codec(&self, resource: ResourceRef, catalogue: Arc<Catalogue>) -> Codec {
        Codec::new(resource, catalogue, self.media_type, self.transformer.clone())
    }

    /// Reads the value of an object.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn get(&self, resource: &Resource, key: &str) -> Result<Option<KeyValue>, Error> {
        self.storage.get(&self.key(resource, key)).await.map(|(found, _)| found)
    }

    /// Reads the values of all objects of a resource as of a revision; 0: now.
    ///
    /// # Errors
    /// What the store answers: [`Error::Compacted`] where the revision is gone.
    pub async fn list(&self, resource: &Resource, revision: Revision) -> Result<RangeResult, Error> {
        self.storage.range(Range { revision, ..Range::prefix(&self.key(resource, "")) }).await
    }

    /// Does all operations at one new revision, or none.
    ///
    /// # Errors
    /// What the store answers: [`Error::Conflict`] where a key is not as expected.
    pub async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        self.storage.commit(operations).await
    }
}
