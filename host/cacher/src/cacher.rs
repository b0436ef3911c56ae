//! The cache of one resource: its objects, the window of its changes, and who waits for the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use api::ResourceRef;
use api::kinds::strategy;
use objectstore::{Codec, DecodeError, Encoded};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use storage::{KeyValue, Revision};

use crate::announced::{Announced, Announcements};
use crate::event::Event;
use crate::event_type::EventType;
use crate::limits::{PAGE_SNAPSHOT_AGE_MAX, PAGE_SNAPSHOTS_MAX};
use crate::object::{Decoder, Object};
use crate::predicate::Interest;
use crate::snapshot::{Objects, Snapshot};
use crate::state::{Lost, State};
use crate::waiter::Waiter;

/// The cache of one resource.
pub struct Cacher {
    decoder: Decoder,
    /// Where the indexed field is among the selectable ones.
    indexed_at: Option<usize>,
    pub(crate) state: RwLock<State>,
    /// The feed's revision: everything up to it is in `state`.
    applied: Arc<AtomicU64>,
    /// Revision of the last change of a batch that every cache has taken in whole; readable without the lock.
    published: AtomicU64,
    pages: Mutex<VecDeque<(Instant, Snapshot)>>,
    /// Changes that happen while the cache is being filled; none once it is full.
    kept: Mutex<Option<Vec<(Box<str>, storage::Event)>>>,
    announcements: Announcements,
    is_full: AtomicBool,
    /// The resource is not served any more: nobody feeds the cache, and watches of it end.
    is_closed: AtomicBool,
}

impl Cacher {
    /// A cache that is filled by [`Self::replace`] before the feed begins.
    pub(crate) fn new(codec: Codec, applied: Arc<AtomicU64>) -> Self {
        Self { kept: Mutex::new(None), is_full: AtomicBool::new(true), ..Self::joining(codec, applied) }
    }

    /// A cache that is filled by [`Self::fill`] while the feed goes on, and is not read before.
    pub(crate) fn joining(codec: Codec, applied: Arc<AtomicU64>) -> Self {
        let resource = codec.resource();
        let indexed = strategy(resource).indexed_field();
        Self {
            indexed_at: indexed.and_then(|indexed| resource.selectable_fields.iter().position(|field| field == indexed)),
            decoder: Decoder::new(codec),
            state: RwLock::default(),
            applied,
            published: AtomicU64::new(0),
            pages: Mutex::default(),
            kept: Mutex::new(Some(Vec::new())),
            announcements: Announcements::default(),
            is_full: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The resource whose objects these are, in the version that is stored.
    pub fn resource(&self) -> &ResourceRef {
        self.decoder.codec.resource()
    }

    /// How the objects are stored.
    pub fn codec(&self) -> &Codec {
        &self.decoder.codec
    }

    /// Says what is about to be written: `encoded` is `object`. To be held until the write is over.
    pub fn announce(&self, key: &str, encoded: Encoded, object: &Value) -> Announced<'_> {
        self.announcements.add(key, encoded, self.decoder.extract(object))
    }

    /// The object of a change, of which as a rule this process knows all.
    fn changed(&self, key: Arc<str>, kv: &KeyValue, kind: EventType) -> Result<Object, DecodeError> {
        match self.announcements.take(&key, &kv.value) {
            Some((stored, found)) => Ok(self.decoder.object(key, kv.mod_revision, kind, stored, found)),
            None => self.decoder.decode(key, kv, kind),
        }
    }

    /// Decodes a value that was read from the store past the cache.
    pub(crate) fn decode(&self, key: Arc<str>, kv: &KeyValue) -> Result<Arc<Object>, DecodeError> {
        self.decoder.decode(key, kv, EventType::Added).map(Arc::new)
    }

    /// One object as it is now.
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.state.read().objects.get(key).cloned()
    }

    /// Everything as it is now. Costs no copy of the objects.
    pub fn snapshot(&self) -> Snapshot {
        let applied = self.applied.load(Ordering::Acquire);
        let state = self.state.read();
        Snapshot { objects: state.objects.clone(), revision: state.revision().max(applied) }
    }

    /// The revision that a read has now.
    pub fn revision(&self) -> Revision {
        let applied = self.applied.load(Ordering::Acquire);
        self.state.read().revision().max(applied)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the changes of this resource stand: grows with each. All changes of all resources up to it have been taken in.
    /// One atomic load.
    pub fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }

    /// Ends a batch of changes. Only now are watchers woken: once, for all that concerns them.
    pub(crate) fn publish(&self) {
        let mut state = self.state.write();
        self.published.fetch_max(state.revision(), Ordering::AcqRel);
        let concerned = state.complete_batch();
        let state = parking_lot::RwLockWriteGuard::downgrade(state);
        concerned.iter().for_each(|(interest, sequence)| state.wake(interest, *sequence));
    }

    /// The changes after one revision and up to another; an error where the window has left it behind.
    pub fn changes_between(&self, after: Revision, up_to: Revision) -> Result<Vec<Arc<Event>>, Lost> {
        let state = self.state.read();
        Ok(state.events_after(after)?.take_while(|event| event.revision() <= up_to).cloned().collect())
    }

    /// Keeps a snapshot for the next page of a list.
    pub fn keep_for_pages(&self, snapshot: &Snapshot) {
        let mut pages = self.pages.lock();
        while pages.len() >= PAGE_SNAPSHOTS_MAX || pages.front().is_some_and(|(at, _)| at.elapsed() > PAGE_SNAPSHOT_AGE_MAX) {
            pages.pop_front();
        }
        if !pages.iter().any(|(_, kept)| kept.revision == snapshot.revision) {
            pages.push_back((Instant::now(), snapshot.clone()));
        }
    }

    /// Drops snapshots that are older than a revision.
    pub(crate) fn forget_before(&self, revision: Revision) {
        self.pages.lock().retain(|(_, kept)| kept.revision >= revision);
    }

    /// All objects, with the sequence number that later changes start from.
    pub(crate) fn snapshot_for_watch(&self) -> (Snapshot, u64) {
        let applied = self.applied.load(Ordering::Acquire);
        let state = self.state.read();
        (Snapshot { objects: state.objects.clone(), revision: state.revision().max(applied) }, state.next())
    }

    /// The state at exactly this revision, if it is now's or a kept one.
    pub fn snapshot_at(&self, revision: Revision) -> Option<Snapshot> {
        let now = self.snapshot();
        if now.revision == revision {
            return Some(now);
        }
        self.pages.lock().iter().find(|(_, kept)| kept.revision == revision).map(|(_, kept)| kept.clone())
    }

    /// What a watcher sees whose selector the object has left.
    pub(crate) fn departed(&self, event: &Event) -> Option<Arc<Object>> {
        let previous = event.previous.as_ref()?;
        Some(event.departed.get_or_init(|| Arc::new(self.decoder.departed(previous, event.revision()))).clone())
    }

    pub(crate) fn join(&self, interest: Interest, waiter: Arc<Waiter>) {
        self.state.write().join(interest, waiter);
    }

    pub(crate) fn leave(&self, interest: &Interest, waiter: &Arc<Waiter>) {
        self.state.write().leave(interest, waiter);
    }

    /// Takes in one change from the store. `key` is relative to the resource's prefix.
    pub(crate) fn apply(&self, key: &str, change: &storage::Event) {
        if !self.is_full.load(Ordering::Acquire)
            && let Some(kept) = self.kept.lock().as_mut()
        {
            kept.push((key.into(), change.clone()));
            return;
        }
        self.take_in(key, change);
    }

    /// Ends the joining: the state at a revision, and what happened since. The feed may still be behind that revision, or beyond it.
    pub(crate) fn fill(&self, objects: Objects, revision: Revision) {
        let mut kept = self.kept.lock();
        // The feed may have had to start over meanwhile, with a later state.
        if self.state.read().oldest() <= revision {
            self.replace(objects, revision);
        }
        for (key, change) in kept.take().into_iter().flatten() {
            self.take_in(&key, &change);
        }
        self.publish();
        self.is_full.store(true, Ordering::Release);
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.state.read().wake_all();
    }

    /// Whether the resource is not served any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn take_in(&self, key: &str, change: &storage::Event) {
        let previous = {
            let state = self.state.read();
            // The state that a joining cache began with holds it already.
            if change.revision <= state.oldest() {
                return;
            }
            state.objects.get(key).cloned()
        };
        let event = match &change.value {
            Some(value) => {
                let kind = if previous.is_some() { EventType::Modified } else { EventType::Added };
                let key: Arc<str> = previous.as_ref().map_or_else(|| key.into(), |p| p.key().clone());
                let kv = KeyValue {
                    key: change.key.clone(),
                    value: value.clone(),
                    create_revision: change.create_revision,
                    mod_revision: change.revision,
                };
                match self.changed(key, &kv, kind) {
                    Ok(object) => Event { kind, object: object.into(), previous, departed: Default::default(), at: Instant::now() },
                    Err(error) => {
                        tracing::error!(key = &*change.key, %error, "an object in the store cannot be read; it is left out of lists and watches");
                        return;
                    }
                }
            }
            None => {
                let Some(previous) = previous else { return };
                let object = Arc::new(self.decoder.departed(&previous, change.revision));
                Event { kind: EventType::Deleted, object, previous: Some(previous), departed: Default::default(), at: Instant::now() }
            }
        };
        self.push(Arc::new(event));
    }

    fn push(&self, event: Arc<Event>) {
        let indexed_before = event.previous.as_ref().and_then(|previous| self.indexed(previous));
        let indexed_now = self.indexed(&event.object);
        let interests = [
            Some(Interest::All),
            Some(Interest::Namespace(event.object.namespace().into())),
            Some(Interest::Key(event.object.key().clone())),
            indexed_now.map(|value| Interest::Indexed(value.into())),
            indexed_before.filter(|before| Some(*before) != indexed_now).map(|value| Interest::Indexed(value.into())),
        ];
        self.state.write().push(event, interests.into_iter().flatten());
    }

    /// The value of the indexed field, where the resource has one.
    fn indexed<'a>(&self, object: &'a Object) -> Option<&'a str> {
        object.fields().get(self.indexed_at?).map(|value| &**value).filter(|value| !value.is_empty())
    }

    /// Adds an object as it lies in the store to those of a whole state. What cannot be read is left out.
    pub(crate) fn read_into(&self, objects: &mut Objects, key: Arc<str>, kv: &KeyValue) {
        match self.decoder.decode(key.clone(), kv, EventType::Added) {
            Ok(object) => drop(objects.insert(key, Arc::new(object))),
            Err(error) => {
                tracing::error!(key = &*kv.key, %error, "an object in the store cannot be read; it is left out of lists and watches")
            }
        }
    }

    /// Replaces everything: the feed had to start over. Watchers that are behind are told that they lost track.
    pub(crate) fn replace(&self, objects: Objects, revision: Revision) {
        self.state.write().replace(objects, revision);
    }
}
