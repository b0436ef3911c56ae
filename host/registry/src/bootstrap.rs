//! Objects that every server starts with: made where they are missing, and brought up to date, before the port opens.

use api::ResourceRef;
use api::bootstrap::{Reconciled, split_from};
use apimachinery::{Status, object};
use cacher::Object;
use serde_json::Value;
use std::sync::Arc;
use storage::{Error, Operation};

use crate::create::encode;
use crate::meta;
use crate::{Registry, error};

/// Operations of one transaction; etcd's default limit is 128.
const TRANSACTION_OPERATIONS_MAX: usize = 100;
/// How often the whole is tried again because another server does the same at the same time.
const BOOTSTRAP_TRIES_MAX: usize = 16;

/// Compares a stored object (the first argument) with the wanted one (the second), and says what is to be stored, if anything.
pub type Reconcile<'a> = &'a (dyn Fn(&Value, &Value) -> Reconciled + Send + Sync);

impl Registry {
    /// Creates the objects that are not there; one that is there is left as it is. Returns how many were made.
    ///
    /// # Errors
    /// What the store answers, and 409 where other servers changed the same objects each time that it was tried.
    pub async fn create_missing(&self, objects: &[(ResourceRef, Value)], now_seconds: i64) -> Result<usize, Status> {
        self.ensure(objects, &|_, _| Reconciled::Unchanged, now_seconds).await
    }

    /// Creates the objects that are not there, and changes those that are as `reconcile` says. Returns how many were written.
    ///
    /// These are the server's own and come before any plugin can decide: neither admission nor authorization is asked.
    ///
    /// # Errors
    /// As [`Self::create_missing`].
    pub async fn ensure(&self, objects: &[(ResourceRef, Value)], reconcile: Reconcile<'_>, now_seconds: i64) -> Result<usize, Status> {
        let mut written = 0;
        for _ in 0..BOOTSTRAP_TRIES_MAX {
            let wanted =
                objects.iter().filter_map(|(resource, object)| self.operation(resource, object, reconcile, now_seconds).transpose());
            let operations: Vec<Operation> = wanted.collect::<Result<_, Status>>()?;
            if operations.is_empty() {
                return Ok(written);
            }
            written += self.commit_in_batches(&operations).await?;
        }
        Err(Status::internal("the objects that every server starts with could not be created: another server keeps changing them"))
    }

    /// Removes objects of the resource that are to go, unless they are among those wanted. Returns how many were removed.
    ///
    /// # Errors
    /// As [`Self::create_missing`].
    pub async fn remove_outdated(
        &self,
        resource: &ResourceRef,
        wanted: &[(ResourceRef, Value)],
        is_outdated: impl Fn(&Value) -> bool,
    ) -> Result<usize, Status> {
        let Some(cacher) = self.caches().cacher(&resource.storage_prefix) else { return Ok(0) };
        let names = |object: &Object| wanted.iter().any(|(of, wanted)| of.gvr == resource.gvr && key(wanted) == **object.key());
        let outdated = |object: &Arc<Object>| {
            serde_json::from_slice::<Value>(&object.json()).is_ok_and(|value| is_outdated(&value) && object::finalizers(&value).is_empty())
        };
        let snapshot = cacher.snapshot();
        let found = snapshot.objects.values().filter(|object| !names(object) && outdated(object));
        let operations: Vec<Operation> =
            found.map(|object| Operation::delete(self.caches().store_key(resource, object.key()), object.revision())).collect();
        self.commit_in_batches(&operations).await
    }

    /// Returns how many were committed. A batch that met another writer is left out: what is left is looked at again by the caller.
    async fn commit_in_batches(&self, operations: &[Operation]) -> Result<usize, Status> {
        let mut committed = 0;
        for batch in operations.chunks(TRANSACTION_OPERATIONS_MAX) {
            match self.caches().store().commit(batch.to_vec()).await {
                Ok(revision) => {
                    committed += batch.len();
                    self.caches().wait_until(revision).await;
                }
                Err(Error::Conflict { current, .. }) => {
                    if let Some(current) = current {
                        self.caches().wait_until(current.mod_revision).await;
                    }
                }
                Err(other) => return Err(error::write(other)),
            }
        }
        Ok(committed)
    }

    fn operation(
        &self,
        resource: &ResourceRef,
        wanted: &Value,
        reconcile: Reconcile<'_>,
        now_seconds: i64,
    ) -> Result<Option<Operation>, Status> {
        let Some(cacher) = self.caches().cacher(&resource.storage_prefix) else { return Ok(None) };
        let key = key(wanted);
        let store_key = self.caches().store_key(resource, &key);
        let parse = |object: Arc<Object>| serde_json::from_slice::<Value>(&object.json()).ok();
        let Some(found) = cacher.get(&key) else {
            let mut object = wanted.clone();
            if let Some(source) = split_from(wanted).and_then(|source| cacher.get(source)).and_then(parse) {
                take_over(&mut object, &source);
            }
            let metadata = object::metadata_mut(&mut object);
            metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
            metadata.insert("creationTimestamp".into(), meta::timestamp(now_seconds).into());
            let value = encode(&cacher, &store_key, &object)?.value;
            return Ok(Some(Operation::create(store_key, value)));
        };
        let revision = found.revision();
        let Some(found) = parse(found) else { return Ok(None) };
        Ok(match reconcile(&found, wanted) {
            Reconciled::Unchanged => None,
            Reconciled::Update(object) => {
                let value = encode(&cacher, &store_key, &object)?.value;
                Some(Operation::update(store_key, revision, value))
            }
            // Somebody removed it meanwhile: the next round creates it.
            Reconciled::Recreate => Some(Operation::delete(store_key, revision)),
        })
    }
}

/// Below the resource's prefix.
fn key(object: &Value) -> String {
    match object::namespace(object) {
        "" => object::name(object).to_owned(),
        namespace => format!("{namespace}/{}", object::name(object)),
    }
}

/// See [`split_from`].
fn take_over(binding: &mut Value, source: &Value) {
    for pointer in ["/subjects", "/metadata/labels", "/metadata/annotations"] {
        let (Some(target), found) = (binding.pointer_mut(pointer), source.pointer(pointer)) else { continue };
        *target = found.cloned().unwrap_or_default();
    }
}
