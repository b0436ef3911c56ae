//! A store in memory that keeps all of its history. It passes the conformance suite that every backend passes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clock::Clock;
use parking_lot::Mutex;
use storage::{Error, Event, KeyValue, Operation, Range, RangeResult, Revision, Storage, Watch, WatchBatch};
use tokio::sync::watch;

/// Operations of one transaction; etcd's default.
const TRANSACTION_OPERATIONS_MAX: usize = 128;

/// The store. Clones are the same one: what a killed server leaves behind is handed to the next.
#[derive(Clone)]
pub struct MemoryStorage(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    position: watch::Sender<Position>,
}

/// How far the store is, for those who wait for more.
#[derive(Clone, Copy)]
struct Position {
    revision: Revision,
    progress_requests: u64,
}

struct State {
    live: BTreeMap<Arc<str>, Live>,
    /// All changes since the store was made, whether it still tells of them or not.
    history: Vec<Event>,
    /// What was under the key before, for each event of `history`.
    before: Vec<Option<KeyValue>>,
    revision: Revision,
    compacted: Revision,
}

struct Live {
    kv: KeyValue,
    expires: Option<Instant>,
}

impl MemoryStorage {
    /// An empty store; keys expire by this clock.
    pub fn new(clock: Clock) -> Self {
        let state = State { live: BTreeMap::new(), history: Vec::new(), before: Vec::new(), revision: 1, compacted: 0 };
        let position = watch::Sender::new(Position { revision: 1, progress_requests: 0 });
        Self(Arc::new(Shared { clock, state: Mutex::new(state), position }))
    }

    /// Every change that was ever made, in order: the truth that watchers are measured by. Compaction takes nothing from it.
    pub fn history(&self) -> Vec<Event> {
        self.0.state.lock().history.clone()
    }

    /// Reads or changes the state, in which nothing is left whose time is over.
    fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.state.lock();
        state.expire(self.0.clock.instant());
        let result = act(&mut state);
        let revision = state.revision;
        self.0.position.send_if_modified(|position| std::mem::replace(&mut position.revision, revision) != revision);
        result
    }
}

impl State {
    fn expire(&mut self, now: Instant) {
        let due = |(_, live): &(&Arc<str>, &Live)| live.expires.is_some_and(|at| at <= now);
        let due: Vec<_> = self.live.iter().filter(due).map(|(key, live)| Operation::delete(&**key, live.kv.mod_revision)).collect();
        for operation in due {
            self.apply(&[operation], now);
        }
    }

    /// When the next key expires.
    fn next_expiry(&self) -> Option<Instant> {
        self.live.values().filter_map(|live| live.expires).min()
    }

    fn check(&self, operations: &[Operation]) -> Result<(), Error> {
        if operations.len() > TRANSACTION_OPERATIONS_MAX {
            return Err(Error::TooLarge("etcdserver: too many operations in txn request".to_owned()));
        }
        storage::size::check(operations)?;
        let mut keys = HashSet::new();
        if let Some(twice) = operations.iter().find(|operation| !keys.insert(operation.key.as_str())) {
            return Err(Error::Unavailable(format!("the key {} occurs twice in a transaction", twice.key)));
        }
        for operation in operations {
            let current = self.live.get(operation.key.as_str()).map(|live| &live.kv);
            if current.map_or(0, |kv| kv.mod_revision) != operation.expected {
                return Err(Error::Conflict { key: operation.key.clone(), current: current.cloned() });
            }
        }
        Ok(())
    }

    /// Does what was checked, at one revision.
    fn apply(&mut self, operations: &[Operation], now: Instant) {
        let revision = self.revision + 1;
        for operation in operations {
            let key: Arc<str> = operation.key.as_str().into();
            let previous = self.live.remove(&key).map(|live| live.kv);
            if previous.is_none() && operation.value.is_none() {
                continue;
            }
            let create_revision = previous.as_ref().map_or(revision, |kv| kv.create_revision);
            if let Some(value) = &operation.value {
                let kv = KeyValue { key: key.clone(), value: value.clone(), create_revision, mod_revision: revision };
                self.live.insert(key.clone(), Live { kv, expires: operation.time_to_live.map(|time| now + time) });
            }
            let create_revision = if operation.value.is_some() { create_revision } else { 0 };
            self.history.push(Event { key, value: operation.value.clone(), revision, create_revision });
            self.before.push(previous);
        }
        self.revision = revision;
    }

    /// All keys with their values as of a revision that has not been compacted.
    fn at(&self, revision: Revision) -> BTreeMap<Arc<str>, KeyValue> {
        let mut all: BTreeMap<_, _> = self.live.iter().map(|(key, live)| (key.clone(), live.kv.clone())).collect();
        for (event, before) in self.history.iter().zip(&self.before).rev().take_while(|(event, _)| event.revision > revision) {
            match before {
                Some(kv) => drop(all.insert(event.key.clone(), kv.clone())),
                None => drop(all.remove(&event.key)),
            }
        }
        all
    }

    fn range(&self, range: &Range) -> Result<RangeResult, Error> {
        if range.revision > self.revision {
            return Err(Error::Future { requested: range.revision, current: self.revision });
        }
        if range.revision > 0 && range.revision < self.compacted {
            return Err(Error::Compacted { requested: range.revision, oldest: self.compacted });
        }
        let revision = if range.revision == 0 { self.revision } else { range.revision };
        let within = |key: &str| *range.start <= *key && *key < *range.end;
        let mut items: Vec<KeyValue> = self.at(revision).into_values().filter(|kv| within(&kv.key)).collect();
        let count = items.len();
        items.truncate(if range.limit == 0 { count } else { range.limit });
        Ok(RangeResult { more: items.len() < count, items, count: count as u64, revision })
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        let now = self.0.clock.instant();
        self.with_state(|state| {
            state.check(&operations)?;
            if !operations.is_empty() {
                state.apply(&operations, now);
            }
            Ok(state.revision)
        })
    }

    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error> {
        Ok(self.with_state(|state| (state.live.get(key).map(|live| live.kv.clone()), state.revision)))
    }

    async fn range(&self, range: Range) -> Result<RangeResult, Error> {
        self.with_state(|state| state.range(&range))
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error> {
        let compacted = self.with_state(|state| state.compacted);
        if from < compacted {
            return Err(Error::Compacted { requested: from, oldest: compacted });
        }
        let position = self.0.position.subscribe();
        let progress_seen = position.borrow().progress_requests;
        Ok(Box::new(MemoryWatch { store: self.clone(), prefix: prefix.to_owned(), next: from, position, progress_seen }))
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        Ok(self.with_state(|state| state.revision))
    }

    async fn request_progress(&self) -> Result<bool, Error> {
        self.0.position.send_modify(|position| position.progress_requests += 1);
        Ok(true)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.with_state(|state| {
            if revision > state.revision {
                return Err(Error::Future { requested: revision, current: state.revision });
            }
            if revision <= state.compacted {
                return Err(Error::Compacted { requested: revision, oldest: state.compacted });
            }
            state.compacted = revision;
            Ok(())
        })
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        Ok(self.with_state(|state| state.live.values().map(|live| live.kv.value.len() as u64).sum()))
    }

    async fn healthy(&self) -> Result<(), Error> {
        Ok(())
    }
}

struct MemoryWatch {
    store: MemoryStorage,
    prefix: String,
    /// The first revision that was not looked at yet.
    next: Revision,
    position: watch::Receiver<Position>,
    progress_seen: u64,
}

impl MemoryWatch {
    /// What there is to tell; also up to which revision that is all, and when a key expires next.
    fn read(&mut self) -> Result<(Vec<Event>, Revision, Option<Instant>), Error> {
        let (next, prefix) = (self.next, &self.prefix);
        self.store.with_state(|state| {
            if next < state.compacted {
                return Err(Error::Compacted { requested: next, oldest: state.compacted });
            }
            let first = state.history.partition_point(|event| event.revision < next);
            let events = state.history[first..].iter().filter(|event| event.key.starts_with(prefix.as_str())).cloned().collect();
            Ok((events, state.revision, state.next_expiry()))
        })
    }
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<WatchBatch, Error> {
        loop {
            let position = *self.position.borrow_and_update();
            let (events, revision, next_expiry) = self.read()?;
            self.next = self.next.max(revision + 1);
            if !events.is_empty() {
                return Ok(WatchBatch::Events(events));
            }
            if std::mem::replace(&mut self.progress_seen, position.progress_requests) != position.progress_requests {
                return Ok(WatchBatch::Progress(revision));
            }
            // As good as never, so that there is one way to wait.
            let next_expiry = next_expiry.unwrap_or_else(|| self.store.0.clock.instant() + Duration::from_secs(1 << 32));
            tokio::select! {
                _ = self.position.changed() => {}
                () = self.store.0.clock.sleep_until(next_expiry) => {}
            }
        }
    }
}
