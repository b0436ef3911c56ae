//! The cache of one resource: its objects, the window of its changes, and who waits for the next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use api::ResourceRef;
use api::kinds::strategy;
use imbl::OrdMap;
use objectstore::{Codec, DecodeError, Encoded};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use storage::{KeyValue, Revision};

use crate::announced::{Announced, Announcements};
use crate::limits::{PAGE_SNAPSHOT_AGE_MAX, PAGE_SNAPSHOTS_MAX, WINDOW_AGE_MAX, WINDOW_BYTES_MAX, WINDOW_EVENTS_MAX, WINDOW_EVENTS_MIN};
use crate::object::{Decoder, Object};
use crate::watcher::{Interest, Predicate, Waiter, Watcher};

/// The type of a watch event that carries an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum EventType {
    Added = 0,
    Modified = 1,
    Deleted = 2,
}

impl EventType {
    /// What the event's line begins with, up to the object.
    pub(crate) fn frame_start(self) -> &'static [u8] {
        match self {
            Self::Added => b"{\"type\":\"ADDED\",\"object\":",
            Self::Modified => b"{\"type\":\"MODIFIED\",\"object\":",
            Self::Deleted => b"{\"type\":\"DELETED\",\"object\":",
        }
    }

    /// `ADDED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// What happened to the object itself, whatever a selector makes of it.
    pub kind: EventType,
    /// As it is now; for a deletion as it was, at the revision of the deletion.
    pub object: Arc<Object>,
    /// As it was before; none for a creation.
    pub previous: Option<Arc<Object>>,
    /// `previous` at this change's revision: what a watcher sees whose selector the object has left.
    departed: std::sync::OnceLock<Arc<Object>>,
    at: Instant,
}

impl Event {
    /// When it happened.
    pub fn revision(&self) -> Revision {
        self.object.revision()
    }
}

/// The window no longer holds what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {requested} ({oldest})")]
pub struct Lost {
    /// What was asked for.
    pub requested: Revision,
    /// The oldest revision that can be asked for.
    pub oldest: Revision,
}

/// All objects of a resource at one revision.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By key, in the order of bytes: upstream's order.
    pub objects: OrdMap<Arc<str>, Arc<Object>>,
    /// The revision that this is the state of.
    pub revision: Revision,
}

pub(crate) struct State {
    objects: OrdMap<Arc<str>, Arc<Object>>,
    window: VecDeque<Arc<Event>>,
    window_bytes: usize,
    /// Sequence number of the window's first event.
    first: u64,
    /// A watch may start from this revision or any later one.
    oldest: Revision,
    /// Revision of the last change of this resource.
    revision: Revision,
    waiters: HashMap<Interest, Vec<Arc<Waiter>>>,
    /// Sequence number of the first event of the batch that is not complete yet: watchers read no further.
    published: u64,
    /// Which interests (see [`Interest`]) the batch touches, and from which event on: their watchers are woken when it is complete.
    concerned: HashMap<Interest, u64>,
}

impl State {
    /// Sequence number of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.window.len() as u64
    }

    /// A watch may start from this revision or any later one.
    pub(crate) fn oldest(&self) -> Revision {
        self.oldest
    }

    /// The complete batches from an event on; none where the window has left it behind.
    pub(crate) fn events_from(&self, sequence: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        let skip = sequence.checked_sub(self.first)? as usize;
        // Events of a batch that is not complete may have pushed older ones out of the window.
        let end = self.published.saturating_sub(self.first) as usize;
        Some(self.window.range(skip.min(end)..end))
    }
}

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
            state: RwLock::new(State {
                objects: OrdMap::new(),
                window: VecDeque::new(),
                window_bytes: 0,
                first: 0,
                oldest: 0,
                revision: 0,
                waiters: HashMap::new(),
                published: 0,
                concerned: HashMap::new(),
            }),
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
        Snapshot { objects: state.objects.clone(), revision: state.revision.max(applied) }
    }

    /// The revision that a read has now.
    pub fn revision(&self) -> Revision {
        let applied = self.applied.load(Ordering::Acquire);
        self.state.read().revision.max(applied)
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
        self.published.fetch_max(state.revision, Ordering::AcqRel);
        state.published = state.next();
        let concerned = std::mem::take(&mut state.concerned);
        let state = parking_lot::RwLockWriteGuard::downgrade(state);
        for (interest, sequence) in concerned {
            for waiter in state.waiters.get(&interest).into_iter().flatten() {
                waiter.wake(sequence);
            }
        }
    }

    /// The changes after one revision and up to another; an error where the window has left it behind.
    pub fn changes_between(&self, after: Revision, up_to: Revision) -> Result<Vec<Arc<Event>>, Lost> {
        let state = self.state.read();
        if after < state.oldest {
            return Err(Lost { requested: after, oldest: state.oldest });
        }
        let skip = state.window.partition_point(|event| event.revision() <= after);
        Ok(state.window.range(skip..).take_while(|event| event.revision() <= up_to).cloned().collect())
    }

    /// All objects, with the sequence number that later changes start from.
    fn snapshot_for_watch(&self) -> (Snapshot, u64) {
        let applied = self.applied.load(Ordering::Acquire);
        let state = self.state.read();
        (Snapshot { objects: state.objects.clone(), revision: state.revision.max(applied) }, state.next())
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

    /// The state at exactly this revision, if it is now's or a kept one.
    pub fn snapshot_at(&self, revision: Revision) -> Option<Snapshot> {
        let now = self.snapshot();
        if now.revision == revision {
            return Some(now);
        }
        self.pages.lock().iter().find(|(_, kept)| kept.revision == revision).map(|(_, kept)| kept.clone())
    }

    /// Watches changes after `revision`.
    pub fn watch_from(self: &Arc<Self>, revision: Revision, predicate: Predicate) -> Result<Watcher, Lost> {
        let state = self.state.read();
        if revision < state.oldest {
            return Err(Lost { requested: revision, oldest: state.oldest });
        }
        let skip = state.window.partition_point(|event| event.revision() <= revision);
        let from = state.first + skip as u64;
        drop(state);
        Ok(Watcher::new(self.clone(), predicate, from, revision, Vec::new()))
    }

    /// Watches from the next change on.
    pub fn watch_from_now(self: &Arc<Self>, predicate: Predicate) -> Watcher {
        let (snapshot, from) = self.snapshot_for_watch();
        Watcher::new(self.clone(), predicate, from, snapshot.revision, Vec::new())
    }

    /// Watches from now on, after what is there now as ADDED.
    pub fn watch_with_state(self: &Arc<Self>, predicate: Predicate) -> Watcher {
        let (snapshot, from) = self.snapshot_for_watch();
        let initial = predicate.select(&snapshot).cloned().collect();
        Watcher::new(self.clone(), predicate, from, snapshot.revision, initial)
    }

    /// What a watcher sees whose selector the object has left.
    pub(crate) fn departed(&self, event: &Event) -> Option<Arc<Object>> {
        let previous = event.previous.as_ref()?;
        Some(event.departed.get_or_init(|| Arc::new(self.decoder.departed(previous, event.revision()))).clone())
    }

    pub(crate) fn join(&self, interest: Interest, waiter: Arc<Waiter>) {
        self.state.write().waiters.entry(interest).or_default().push(waiter);
    }

    pub(crate) fn leave(&self, interest: &Interest, waiter: &Arc<Waiter>) {
        let mut state = self.state.write();
        if let Some(waiters) = state.waiters.get_mut(interest) {
            waiters.retain(|w| !Arc::ptr_eq(w, waiter));
            if waiters.is_empty() {
                state.waiters.remove(interest);
            }
        }
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
    pub(crate) fn fill(&self, objects: Vec<(Arc<str>, KeyValue)>, revision: Revision) {
        let mut kept = self.kept.lock();
        // The feed may have had to start over meanwhile, with a later state.
        if self.state.read().oldest <= revision {
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
        let state = self.state.read();
        state.waiters.values().flatten().for_each(|waiter| waiter.wake(0));
    }

    /// Whether the resource is not served any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn take_in(&self, key: &str, change: &storage::Event) {
        let previous = {
            let state = self.state.read();
            // The state that a joining cache began with holds it already.
            if change.revision <= state.oldest {
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
        let mut state = self.state.write();
        match event.kind {
            EventType::Deleted => drop(state.objects.remove(event.object.key())),
            _ => drop(state.objects.insert(event.object.key().clone(), event.object.clone())),
        }
        state.revision = event.revision();
        state.window_bytes += event.object.bytes();
        state.window.push_back(event.clone());
        trim(&mut state);
        let sequence = state.next() - 1;
        let indexed_before = event.previous.as_ref().and_then(|previous| self.indexed(previous));
        let indexed_now = self.indexed(&event.object);
        let interests = [
            Some(Interest::All),
            Some(Interest::Namespace(event.object.namespace().into())),
            Some(Interest::Key(event.object.key().clone())),
            indexed_now.map(|value| Interest::Indexed(value.into())),
            indexed_before.filter(|before| Some(*before) != indexed_now).map(|value| Interest::Indexed(value.into())),
        ];
        for interest in interests.into_iter().flatten() {
            // Recorded even where no watcher has the interest now: one may begin before the batch is complete.
            state.concerned.entry(interest).or_insert(sequence);
        }
    }

    /// The value of the indexed field, where the resource has one.
    fn indexed<'a>(&self, object: &'a Object) -> Option<&'a str> {
        object.fields().get(self.indexed_at?).map(|value| &**value).filter(|value| !value.is_empty())
    }

    /// Replaces everything: the feed had to start over. Watchers that are behind are told that they lost track.
    pub(crate) fn replace(&self, objects: Vec<(Arc<str>, KeyValue)>, revision: Revision) {
        let mut map = OrdMap::new();
        for (key, kv) in objects {
            match self.decoder.decode(key.clone(), &kv, EventType::Added) {
                Ok(object) => drop(map.insert(key, Arc::new(object))),
                Err(error) => {
                    tracing::error!(key = &*kv.key, %error, "an object in the store cannot be read; it is left out of lists and watches")
                }
            }
        }
        let mut state = self.state.write();
        // One sequence number is skipped, so that even a watcher that had read everything finds its place gone, and is told so.
        state.first = state.next() + 1;
        state.published = state.first;
        state.concerned.clear();
        state.objects = map;
        state.window.clear();
        state.window_bytes = 0;
        state.oldest = revision;
        state.revision = revision;
        for waiter in state.waiters.values().flatten() {
            waiter.wake(0);
        }
    }
}

fn trim(state: &mut State) {
    loop {
        let Some(first) = state.window.front() else { return };
        let full = state.window.len() > WINDOW_EVENTS_MAX
            || (state.window.len() > WINDOW_EVENTS_MIN && (state.window_bytes > WINDOW_BYTES_MAX || first.at.elapsed() > WINDOW_AGE_MAX));
        if !full {
            return;
        }
        state.oldest = first.revision();
        state.window_bytes -= first.object.bytes();
        state.window.pop_front();
        state.first += 1;
    }
}
