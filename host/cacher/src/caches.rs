//! The feed: one watch on the store, spread over the caches of all resources.
//!
//! The caches follow the catalogue ([`Caches::serve`]). One that joins is filled beside the feed, which keeps for it what happens
//! meanwhile; nobody else waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use api::Catalogue;
use apimachinery::GroupResource;
use arc_swap::ArcSwap;
use objectstore::{DecodeError, ObjectStore};
use storage::{Range, Revision, Storage, WatchBatch};
use tokio::sync::{Semaphore, watch};

use crate::cacher::Cacher;
use crate::limits::{FEED_RETRY_PAUSE, FILL_PAGE_KEYS, FRESH_LOOK_INTERVAL, FRESH_WAIT_MAX};
use crate::object::Object;
use crate::probe::RevisionProbe;
use crate::snapshot::{Objects, Snapshot};

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

/// The caches at a time, by where their objects lie in the store.
#[derive(Clone, Default)]
struct Places {
    /// Those that are read.
    ready: HashMap<String, Arc<Cacher>>,
    /// The same, by the resource in whose version they hold objects.
    by_resource: HashMap<GroupResource, Arc<Cacher>>,
    /// Those that the feed tells of changes: also the ones that are being filled, which may lie where another is read.
    fed: HashMap<String, Vec<Arc<Cacher>>>,
}

impl Places {
    fn of(ready: HashMap<String, Arc<Cacher>>) -> Self {
        let fed = ready.iter().map(|(place, cacher)| (place.clone(), vec![cacher.clone()])).collect();
        let by_resource = ready.values().map(|cacher| (cacher.resource().gvr.group_resource(), cacher.clone())).collect();
        Self { ready, by_resource, fed }
    }

    /// All that the feed tells of changes.
    fn all_fed(&self) -> impl Iterator<Item = &Arc<Cacher>> {
        self.fed.values().flatten()
    }
}

/// All caches, over one store.
pub struct Caches {
    store: ObjectStore,
    freshness: Freshness,
    places: ArcSwap<Places>,
    /// The kinds that are served now.
    catalogue: watch::Sender<Arc<Catalogue>>,
    /// Catalogues take each other's place one after the other.
    turn: Semaphore,
    applied: Arc<AtomicU64>,
    /// What is older is gone, as far as this process knows.
    compacted: AtomicU64,
    progress: watch::Sender<Revision>,
    probe: RevisionProbe,
}

impl Caches {
    /// Fills the caches of the catalogue's kinds from the store, and keeps them up to date until the last reference is gone.
    pub async fn start(store: ObjectStore, freshness: Freshness, catalogue: Arc<Catalogue>) -> Result<Arc<Self>, storage::Error> {
        let applied = Arc::new(AtomicU64::new(0));
        let ready: HashMap<String, Arc<Cacher>> = catalogue
            .stored_resources()
            .map(|resource| {
                let codec = store.codec(resource.clone(), catalogue.clone());
                (resource.storage_prefix.to_string(), Arc::new(Cacher::new(codec, applied.clone())))
            })
            .collect();
        let caches = Arc::new(Self {
            store,
            freshness,
            places: ArcSwap::from_pointee(Places::of(ready)),
            catalogue: watch::Sender::new(catalogue),
            turn: Semaphore::new(1),
            applied,
            compacted: AtomicU64::new(0),
            progress: watch::Sender::new(0),
            probe: RevisionProbe::new(),
        });
        let from = caches.fill().await?;
        let watch = caches.storage().watch(caches.root(), from + 1).await?;
        tokio::spawn(feed(Arc::downgrade(&caches), watch));
        Ok(caches)
    }

    /// The kinds that are served now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.borrow().clone()
    }

    /// Tells of every new catalogue.
    pub fn catalogues(&self) -> watch::Receiver<Arc<Catalogue>> {
        self.catalogue.subscribe()
    }

    /// Serves other kinds from now on: what `change` makes of those that are served. Returns when the new ones can be read; nothing else
    /// is held up. Watches of a kind that is not served any more, or is stored differently, end. Objects in the store stay.
    ///
    /// # Errors
    /// The store failed; the kinds are then as they were.
    pub async fn serve(&self, change: impl FnOnce(&Catalogue) -> Catalogue + Send) -> Result<Arc<Catalogue>, storage::Error> {
        let _turn = self.turn.acquire().await;
        let catalogue = Arc::new(change(&self.catalogue()));
        let before = self.places.load_full();
        let (mut ready, mut joining) = (HashMap::new(), HashMap::new());
        for resource in catalogue.stored_resources() {
            let place = resource.storage_prefix.to_string();
            match before.ready.get(&place).filter(|cacher| cacher.codec().serves(resource, &catalogue)) {
                Some(cacher) => ready.insert(place, cacher.clone()),
                None => {
                    let codec = self.store.codec(resource.clone(), catalogue.clone());
                    joining.insert(place, Arc::new(Cacher::joining(codec, self.applied.clone())))
                }
            };
        }
        if let Err(error) = self.fill_joining(&before, &joining).await {
            self.places.store(before);
            return Err(error);
        }
        ready.extend(joining);
        let leaving: Vec<Arc<Cacher>> =
            before.ready.values().filter(|old| !ready.values().any(|cacher| Arc::ptr_eq(cacher, old))).cloned().collect();
        self.places.store(Arc::new(Places::of(ready)));
        self.catalogue.send_replace(catalogue.clone());
        leaving.iter().for_each(|cacher| cacher.close());
        Ok(catalogue)
    }

    /// Reads what the new caches hold, while the feed keeps their changes.
    async fn fill_joining(&self, before: &Places, joining: &HashMap<String, Arc<Cacher>>) -> Result<(), storage::Error> {
        let mut places = before.clone();
        joining.iter().for_each(|(place, cacher)| places.fed.entry(place.clone()).or_default().push(cacher.clone()));
        self.places.store(Arc::new(places));
        for cacher in joining.values() {
            let prefix = self.store.key(cacher.resource(), "");
            let found = self.store.list(cacher.resource(), 0).await?;
            let mut objects = Objects::new();
            for kv in found.items {
                cacher.read_into(&mut objects, kv.key.strip_prefix(&prefix).unwrap_or(&kv.key).into(), &kv);
            }
            cacher.fill(objects, found.revision);
        }
        Ok(())
    }

    /// The cache of the resource that lies under a prefix.
    pub fn cacher(&self, storage_prefix: &str) -> Option<Arc<Cacher>> {
        self.places.load().ready.get(storage_prefix).cloned()
    }

    /// The cache of a resource, whose objects are in the version that is stored.
    pub fn cacher_of(&self, resource: &GroupResource) -> Option<Arc<Cacher>> {
        self.places.load().by_resource.get(resource).cloned()
    }

    /// All caches.
    pub fn all(&self) -> Vec<Arc<Cacher>> {
        self.places.load().ready.values().cloned().collect()
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
        let mut objects = Objects::new();
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
        self.places.load().ready.values().for_each(|cacher| cacher.forget_before(revision));
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
        let current = self.probe.revision(&**self.storage()).await?;
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
        let places = self.places.load_full();
        // By place, one for each cache there. A page is read into objects before the next comes, so that values are not held twice.
        let mut by_prefix: HashMap<&str, Vec<Objects>> = HashMap::new();
        let mut range = Range { limit: FILL_PAGE_KEYS, ..Range::prefix(self.root()) };
        let revision = loop {
            let page = self.storage().range(range.clone()).await?;
            range.revision = page.revision;
            if let Some(last) = page.items.last() {
                range.start = format!("{}\0", last.key);
            }
            for kv in page.items {
                if let Some((prefix, cachers, key)) = self.route(&places, &kv.key) {
                    let key: Arc<str> = key.into();
                    let found = by_prefix.entry(prefix).or_insert_with(|| vec![Objects::new(); cachers.len()]);
                    found.iter_mut().zip(cachers).for_each(|(objects, cacher)| cacher.read_into(objects, key.clone(), &kv));
                }
            }
            if !page.more {
                break page.revision;
            }
        };
        for (prefix, cachers) in &places.fed {
            let mut found = by_prefix.remove(prefix.as_str()).unwrap_or_default().into_iter();
            cachers.iter().for_each(|cacher| cacher.replace(found.next().unwrap_or_default(), revision));
        }
        places.all_fed().for_each(|cacher| cacher.publish());
        self.reach(revision);
        Ok(revision)
    }

    /// `/registry/services/specs/default/web` → the caches of services (as a rule one), `default/web`.
    fn route<'p, 'k>(&self, places: &'p Places, key: &'k str) -> Option<(&'p str, &'p [Arc<Cacher>], &'k str)> {
        let path = key.strip_prefix(self.root())?;
        path.match_indices('/').take(2).find_map(|(slash, _)| {
            let (prefix, cachers) = places.fed.get_key_value(&path[..slash])?;
            Some((prefix.as_str(), cachers.as_slice(), &path[slash + 1..]))
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
                let places = self.places.load();
                let mut touched: Vec<&Arc<Cacher>> = Vec::new();
                for event in &events {
                    let Some((_, cachers, key)) = self.route(&places, &event.key) else { continue };
                    for cacher in cachers {
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
