//! Generic create, get, list, watch, update, patch and delete over a resource's strategy.
//!
//! Stages 10 to 13 of a request's road: mutating admission, strategy, validating admission, compare-and-swap. On a conflict
//! they run again on what is stored now. Reads come from the watch cache as bytes.
//!
//! **Architecture invariant:** knows nothing of HTTP or of encodings; a body arrives decoded and defaulted, in the version that is stored.

mod bootstrap;
mod change;
mod charge;
mod continue_token;
mod create;
mod delete;
mod deletion;
pub mod error;
mod guaranteed;
mod hooks;
mod list;
mod meta;
pub mod range_change;
mod request;
mod shared_values;
mod update;
mod valid;
mod watch;

use std::sync::Arc;

use admission::{Objects, Operation};
use cacher::{Cacher, Caches, Object};

pub use change::{Change, Subresource};
pub use delete::Deleted;
pub use error::StoreFailure;
pub use hooks::{Also, Hooks, NoHooks};
pub use list::{ListRequest, ListResult, ListRevision};
pub use meta::{bump_generation, timestamp};
pub use range_change::RangeChange;
pub use request::{Request, Written};
pub use watch::{WatchRequest, WatchStart};

use apimachinery::Status;
use serde_json::Value;

/// The store of all resources, as the endpoints see it.
pub struct Registry {
    caches: Arc<Caches>,
    hooks: Arc<dyn Hooks>,
    /// Of the writes that change a range.
    range_turn: tokio::sync::Semaphore,
    /// Of the writes that charge objects.
    charge_turns: charge::ChargeTurns,
}

impl Registry {
    /// Over caches that are filled. `hooks` is what kinds need beyond their strategy (addresses of Services).
    pub fn new(caches: Arc<Caches>, hooks: Arc<dyn Hooks>) -> Self {
        Self { caches, hooks, range_turn: tokio::sync::Semaphore::new(1), charge_turns: charge::ChargeTurns::new() }
    }

    /// The caches below.
    pub fn caches(&self) -> &Arc<Caches> {
        &self.caches
    }

    /// Bytes of the object that a request is about, as far as the cache knows it; 0 where it does not.
    pub fn cached_bytes(&self, request: &Request) -> usize {
        let cached = self.cacher(request).ok().and_then(|cacher| cacher.get(&request.key()));
        cached.map_or(0, |object| object.json().len())
    }

    /// The cache of the request's resource. There is none where nothing is stored of the kind; and where it went away meanwhile, it is
    /// as if it had never been.
    pub(crate) fn cacher(&self, request: &Request) -> Result<Arc<Cacher>, Status> {
        let resource = &request.resource;
        let cacher = self.caches.cacher(&resource.storage_prefix).ok_or_else(|| match resource.storage_prefix.is_empty() {
            true => Status::method_not_allowed(&request.group_resource(), &request.verb),
            false => Status::path_not_found(),
        })?;
        // The cache holds another version than the request expects: its objects would be taken for what they are not.
        if cacher.resource().gvk != resource.gvk {
            return Err(error::stored_version_changed(&request.group_resource()));
        }
        Ok(cacher)
    }

    /// One object. `minimum` is the request's `resourceVersion`: none reads what is most recent, 0 anything.
    ///
    /// # Errors
    /// 404 where the object is not there, 504 where the revision asked for is not reached in time, 500 where the store fails.
    pub async fn get(&self, request: &Request, minimum: Option<u64>) -> Result<Arc<Object>, Status> {
        let cacher = self.cacher(request)?;
        let key = request.key();
        let found = match minimum {
            Some(minimum) => {
                self.wait_for(minimum).await?;
                cacher.get(&key)
            }
            None => self.get_fresh(&cacher, &key).await?,
        };
        found.ok_or_else(|| request.not_found())
    }

    /// As fresh as the store.
    pub(crate) async fn get_fresh(&self, cacher: &Cacher, key: &str) -> Result<Option<Arc<Object>>, Status> {
        if self.caches.make_fresh().await.map_err(error::read)? {
            return Ok(cacher.get(key));
        }
        self.get_from_store(cacher, key).await
    }

    /// Past the cache.
    pub(crate) async fn get_from_store(&self, cacher: &Cacher, key: &str) -> Result<Option<Arc<Object>>, Status> {
        self.caches.read(cacher, key).await.map_err(error::read_object)
    }

    /// Asks admission about an object that is answered and not stored (`Binding`, `TokenRequest`): lets it change the object.
    ///
    /// # Errors
    /// What admission answers.
    pub async fn mutate(&self, request: &Request, object: &mut Value) -> Result<(), Status> {
        request.context.chain.mutate(&request.attributes(Operation::Create), request, Some(object), None).await
    }

    /// Asks admission about an object that is answered and not stored, as it is now. It takes nothing: what is charged is charged for what is
    /// stored.
    ///
    /// # Errors
    /// What admission answers.
    pub async fn validate(&self, request: &Request, object: &Value) -> Result<(), Status> {
        let objects = Objects { object: Some(object), old: None };
        request.context.chain.validate(&request.attributes(Operation::Create), request, objects).await.map(drop)
    }

    /// Asks admission about a connection, whose object are its options.
    ///
    /// # Errors
    /// What admission answers.
    pub async fn admit_connection(&self, request: &Request, options: &mut Value) -> Result<(), Status> {
        let attributes = request.attributes(Operation::Connect);
        request.context.chain.mutate(&attributes, request, Some(options), None).await?;
        request.context.chain.validate(&attributes, request, Objects { object: Some(options), old: None }).await.map(drop)
    }

    /// Waits until reads are at least as new as a revision.
    pub(crate) async fn wait_for(&self, revision: u64) -> Result<(), Status> {
        if revision == 0 || self.caches.wait_until(revision).await {
            return Ok(());
        }
        Err(error::too_large_resource_version(revision, self.caches.applied(), 1))
    }
}
