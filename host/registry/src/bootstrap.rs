//! Objects that every server starts with: made where they are missing, before the port opens.

use api::ResourceRef;
use apimachinery::{Status, object};
use cacher::wire;
use serde_json::Value;
use storage::{Error, Operation};

use crate::meta;
use crate::{Registry, error};

/// Operations of one transaction; etcd's default limit is 128.
const TRANSACTION_OPERATIONS_MAX: usize = 100;
/// How often the whole is tried again because another server does the same at the same time.
const BOOTSTRAP_TRIES_MAX: usize = 16;

impl Registry {
    /// Creates the objects that are not there; one that is there is left as it is. Returns how many were made.
    ///
    /// These are the server's own and come before any plugin can decide: neither admission nor authorization is asked.
    pub async fn create_missing(&self, objects: &[(ResourceRef, Value)], now_seconds: i64) -> Result<usize, Status> {
        let mut made = 0;
        for _ in 0..BOOTSTRAP_TRIES_MAX {
            let missing: Vec<Operation> =
                objects.iter().filter_map(|(resource, object)| self.creation(resource, object, now_seconds)).collect();
            if missing.is_empty() {
                return Ok(made);
            }
            for batch in missing.chunks(TRANSACTION_OPERATIONS_MAX) {
                match self.caches().storage().commit(batch.to_vec()).await {
                    Ok(revision) => {
                        made += batch.len();
                        self.caches().wait_until(revision).await;
                    }
                    // Another server was faster with one of them; what is left is looked at again.
                    Err(Error::Conflict { current, .. }) => {
                        if let Some(current) = current {
                            self.caches().wait_until(current.mod_revision).await;
                        }
                    }
                    Err(other) => return Err(error::write(other)),
                }
            }
        }
        Err(Status::internal("the objects that every server starts with could not be created: another server keeps changing them"))
    }

    fn creation(&self, resource: &ResourceRef, object: &Value, now_seconds: i64) -> Option<Operation> {
        let cacher = self.caches().cacher(&resource.storage_prefix)?;
        let key = match object::namespace(object) {
            "" => object::name(object).to_owned(),
            namespace => format!("{namespace}/{}", object::name(object)),
        };
        if cacher.get(&key).is_some() {
            return None;
        }
        let mut object = object.clone();
        let metadata = object::metadata_mut(&mut object);
        metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
        metadata.insert("creationTimestamp".into(), meta::timestamp(now_seconds).into());
        let stored = wire::encode(&object, &resource.gvk);
        Some(Operation::create(self.caches().store_key(resource, &key), stored.into()))
    }
}
