//! The feed: one watch on the store, spread over the caches of all resources.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use api::ResourceRef;
use objectstore::{DecodeError, ObjectStore};
use storage::{KeyValue, Range, Revision, Storage, WatchBatch};
use tokio::sync::watch;

use crate::cacher::{Cacher, Snapshot};
use crate::limits::{FEED_RETRY_PAUSE, FILL_PAGE_KEYS, FRESH_LOOK_INTERVAL, FRESH_WAIT_MAX};
use crate::object::Object;

/// How reads get to be as fresh as the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// This process is the only writer, and a write is not acknowledged before the cache has it: the cache is fresh.
    InWritePath,
    /// Others write too: the store says where it is, and the read waits for the cache to get there.
    AskStore,
}

/// A read past the cache that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// What is stored is no object.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// All caches, over one store.
pub struct Caches {
    store: ObjectStore,
    freshness: Freshness,
    by_prefix: HashMap<String, Arc<Cacher>>,
    applied: Arc<AtomicU64>,
    /// What is older is gone, as far as this process knows.
    compacted: AtomicU64,
    progress: watch::Sender<Revision>,
}

impl Caches {
    /// Fills the caches of `resources` from the store, and keeps them up to date until the last
    /// reference is gone.
    pub async fn start(
        store: ObjectStore,
        freshness: Freshness,
        resources: impl IntoIterator<Item = ResourceRef>,
    ) -> Result<Arc<Self>, storage::Error> {
        let applied = Arc::new(AtomicU64::new(0));
        let by_prefix = resources
            .into_iter()
            .filter(|resource| !resource.storage_prefix.is_empty())
            .map(|resource| (resource.storage_prefix.to_string(), Arc::new(Cacher::new(store.codec(resource), applied.clone()))))
            .collect();
        let caches = Arc::new(Self { store, freshness, by_prefix, applied, compacted: AtomicU64::new(0), progress: watch::Sender::new(0) });
        let from = caches.fill().await?;
        let watch = caches.storage().watch(caches.root(), from + 1).await?;
        tokio::spawn(feed(Arc::downgrade(&caches), watch));
        Ok(caches)
    }

    /// The cache of the resource that lies under a prefix.
    pub fn cacher(&self, storage_prefix: &str) -> Option<&Arc<Cacher>> {
        self.by_prefix.get(storage_prefix)
    }

    /// All caches.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Cacher>> {
        self.by_prefix.values()
    }

    /// The store of objects below.
    pub fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// The store below that, for what is no object.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        self.store.storage()
    }

    /// What all keys begin with: `/registry/`.
    pub fn root(&self) -> &str {
        self.store.root()
    }

    /// The store's key of an object.
    pub fn store_key(&self, resource: &api::Resource, key: &str) -> String {
        self.store.key(resource, key)
    }

    /// Reads one object past its cache.
    ///
    /// # Errors
    /// The store failed, or what is stored is no object.
    pub async fn read(&self, cacher: &Cacher, key: &str) -> Result<Option<Arc<Object>>, ReadError> {
        let found = self.store.get(cacher.resource(), key).await?;
        Ok(found.map(|kv| cacher.decode(key.into(), &kv)).transpose()?)
    }

    /// Reads all objects of a resource as of a revision past its cache; 0: now.
    ///
    /// # Errors
    /// The store failed ([`storage::Error::Compacted`] where the revision is gone), or what is stored is no object.
    pub async fn read_all(&self, cacher: &Cacher, revision: Revision) -> Result<Snapshot, ReadError> {
        let prefix = self.store.key(cacher.resource(), "");
        let found = self.store.list(cacher.resource(), revision).await?;
        let mut objects = imbl::OrdMap::new();
        for kv in &found.items {
            let key: Arc<str> = kv.key.strip_prefix(&prefix).unwrap_or(&kv.key).into();
            objects.insert(key.clone(), cacher.decode(key, kv)?);
        }
        Ok(Snapshot { objects, revision: found.revision })
    }

    /// Everything up to this revision is in the caches.
    pub fn applied(&self) -> Revision {
        self.applied.load(Ordering::Acquire)
    }

    /// The oldest state that is served, as far as this process knows: the store may have forgotten more.
    pub fn compacted(&self) -> Revision {
        self.compacted.load(Ordering::Acquire)
    }

    /// Drops snapshots that are older than a revision, because the store has compacted its history up to there.
    pub(crate) fn forget_before(&self, revision: Revision) {
        self.compacted.fetch_max(revision, Ordering::AcqRel);
        self.by_prefix.values().for_each(|cacher| cacher.forget_before(revision));
    }

    /// Waits until the caches have reached a revision; `false` where that takes too long.
    pub async fn wait_until(&self, revision: Revision) -> bool {
        let mut progress = self.progress.subscribe();
        let deadline = tokio::time::Instant::now() + FRESH_WAIT_MAX;
        while self.applied() < revision {
            let now = tokio::time::Instant::now();
            if now >= deadline {
                return false;
            }
            let look_at = deadline.min(now + FRESH_LOOK_INTERVAL);
            let is_late = tokio::time::timeout_at(look_at, progress.wait_for(|reached| *reached >= revision)).await.is_err();
            // Where the store got there by changes that are none of ours, it says so only when it is asked. One that cannot be asked
            // now may still go on.
            if is_late && self.freshness == Freshness::AskStore {
                let _ = self.storage().request_progress().await;
            }
        }
        true
    }

    /// Makes the caches as fresh as the store is now. `false`: read from the store instead.
    pub async fn make_fresh(&self) -> Result<bool, storage::Error> {
        if self.freshness == Freshness::InWritePath {
            return Ok(true);
        }
        let current = self.storage().current_revision().await?;
        if self.applied() >= current {
            return Ok(true);
        }
        Ok(self.storage().request_progress().await? && self.wait_until(current).await)
    }

    /// Waits until the caches have what the store has now, where reads take that for granted: for whoever has read past them.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn catch_up(&self) -> Result<(), storage::Error> {
        if self.freshness == Freshness::InWritePath {
            self.wait_until(self.storage().current_revision().await?).await;
        }
        Ok(())
    }

    /// Reads everything under the root at one revision.
    async fn fill(&self) -> Result<Revision, storage::Error> {
        let mut by_prefix: HashMap<&str, Vec<(Arc<str>, KeyValue)>> = HashMap::new();
        let mut range = Range { limit: FILL_PAGE_KEYS, ..Range::prefix(self.root()) };
        let revision = loop {
            let page = self.storage().range(range.clone()).await?;
            range.revision = page.revision;
            if let Some(last) = page.items.last() {
                range.start = format!("{}\0", last.key);
            }
            for kv in page.items {
                if let Some((prefix, _, key)) = self.route(&kv.key) {
                    let key = key.into();
                    by_prefix.entry(prefix).or_default().push((key, kv));
                }
            }
            if !page.more {
                break page.revision;
            }
        };
        for (prefix, cacher) in &self.by_prefix {
            cacher.replace(by_prefix.remove(prefix.as_str()).unwrap_or_default(), revision);
        }
        self.by_prefix.values().for_each(|cacher| cacher.publish());
        self.reach(revision);
        Ok(revision)
    }

    /// `/registry/services/specs/default/web` → the cache of services, `default/web`.
    fn route<'a>(&self, key: &'a str) -> Option<(&str, &Arc<Cacher>, &'a str)> {
        let path = key.strip_prefix(self.root())?;
        path.match_indices('/').take(2).find_map(|(slash, _)| {
            let (prefix, cacher) = self.by_prefix.get_key_value(&path[..slash])?;
            Some((prefix.as_str(), cacher, &path[slash + 1..]))
        })
    }

    fn reach(&self, revision: Revision) {
        self.applied.fetch_max(revision, Ordering::AcqRel);
        self.progress.send_if_modified(|reached| {
            let further = revision > *reached;
            *reached = revision.max(*reached);
            further
        });
    }

    fn take_in(&self, batch: WatchBatch) {
        match batch {
            WatchBatch::Progress(revision) => self.reach(revision),
            WatchBatch::Events(events) => {
                let mut touched: Vec<&Arc<Cacher>> = Vec::new();
                for event in &events {
                    if let Some((_, cacher, key)) = self.route(&event.key) {
                        cacher.apply(key, event);
                        if !touched.iter().any(|other| Arc::ptr_eq(other, cacher)) {
                            touched.push(cacher);
                        }
                    }
                }
                // Only now: a revision may have changed several resources, and whoever sees one of the changes must see all.
                touched.iter().for_each(|cacher| cacher.publish());
                if let Some(last) = events.last() {
                    self.reach(last.revision);
                }
            }
        }
    }

    /// Watches from where the last watch ended. `is_lost`: the store has forgotten that, so that everything is read anew.
    async fn watch_again(&self, is_lost: bool) -> Result<Box<dyn storage::Watch>, storage::Error> {
        let from = if is_lost { self.fill().await? } else { self.applied() };
        self.storage().watch(self.root(), from + 1).await
    }
}

/// Reads the store's watch until the caches are gone. A watch that ends is begun again where it stopped.
async fn feed(caches: Weak<Caches>, mut watch: Box<dyn storage::Watch>) {
    loop {
        let batch = watch.next().await;
        match batch {
            Ok(batch) => match caches.upgrade() {
                Some(caches) => caches.take_in(batch),
                None => return,
            },
            Err(error) => {
                tracing::warn!(%error, "the watch on the store ended; beginning again");
                match begin_again(&caches, matches!(error, storage::Error::Compacted { .. })).await {
                    Some(again) => watch = again,
                    None => return,
                }
            }
        }
    }
}

/// A new watch, as soon as the store gives one; none: the caches are gone. `is_lost`: the store has forgotten where the last one was.
async fn begin_again(caches: &Weak<Caches>, mut is_lost: bool) -> Option<Box<dyn storage::Watch>> {
    loop {
        // Not held over the pause: nobody else may be left who needs them.
        match caches.upgrade()?.watch_again(is_lost).await {
            Ok(again) => return Some(again),
            Err(storage::Error::Compacted { .. }) => is_lost = true,
            Err(error) => tracing::warn!(%error, "the store cannot be watched; trying again"),
        }
        tokio::time::sleep(FEED_RETRY_PAUSE).await;
    }
}
