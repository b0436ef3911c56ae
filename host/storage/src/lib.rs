//! The storage trait, in the terms of etcd's key-value model, its errors and its conformance suite.
//!
//! A backend is a crate of its own and alone knows its engine. Everything above speaks this trait, so that an embedded
//! store and an etcd cluster that several servers share are the same to it.
//!
//! **Architecture invariant:** nothing above this trait assumes that it is the only writer.

pub mod conformance;
pub mod size;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// One number that orders everything that was ever written; etcd's revision. The first write is at least 2, as
/// upstream's first is: 0 and 1 mean something else in the API.
pub type Revision = u64;

/// A key with its value and history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// `/registry/pods/default/web`.
    pub key: Arc<str>,
    /// What was written.
    pub value: Bytes,
    /// When the key came to be.
    pub create_revision: Revision,
    /// When the value was written: the object's `resourceVersion`.
    pub mod_revision: Revision,
}

/// A write, with the condition under which it happens.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The key.
    pub key: String,
    /// The key's `mod_revision` as the writer saw it; 0: the key must not exist.
    pub expected: Revision,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
    /// Deletes the key by itself after this time.
    pub time_to_live: Option<Duration>,
}

impl Operation {
    /// Writes a key that must not exist.
    pub fn create(key: impl Into<String>, value: Bytes) -> Self {
        Self { key: key.into(), expected: 0, value: Some(value), time_to_live: None }
    }

    /// Replaces a value that must be as seen.
    pub fn update(key: impl Into<String>, expected: Revision, value: Bytes) -> Self {
        Self { key: key.into(), expected, value: Some(value), time_to_live: None }
    }

    /// Deletes a key that must be as seen.
    pub fn delete(key: impl Into<String>, expected: Revision) -> Self {
        Self { key: key.into(), expected, value: None, time_to_live: None }
    }
}

/// Which keys to read. The range is `[start, end)`, in the order of bytes.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// First key.
    pub start: String,
    /// First key that is not read any more.
    pub end: String,
    /// How many at the most; 0: all.
    pub limit: usize,
    /// As of this revision; 0: now.
    pub revision: Revision,
}

impl Range {
    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        Self { start: prefix.to_owned(), end: prefix_end(prefix), limit: 0, revision: 0 }
    }
}

/// The first key after all keys that begin with `prefix`.
pub fn prefix_end(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    while let Some(last) = bytes.pop() {
        if last < 0x7f {
            bytes.push(last + 1);
            break;
        }
    }
    String::from_utf8(bytes).expect("an ASCII prefix stays ASCII")
}

/// What a range read found.
#[derive(Clone, Debug)]
pub struct RangeResult {
    /// In the order of keys.
    pub items: Vec<KeyValue>,
    /// The limit cut the answer short.
    pub more: bool,
    /// How many keys the range holds in all, whatever the limit.
    pub count: u64,
    /// The store's revision at the read; the revision asked for, if one was.
    pub revision: Revision,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key that changed.
    pub key: Arc<str>,
    /// The new value; `None`: deleted.
    pub value: Option<Bytes>,
    /// When it happened.
    pub revision: Revision,
    /// When the key came to be; 0 for a deletion. What was before is not read: who needs it keeps it.
    pub create_revision: Revision,
}

/// What a watch delivers.
#[derive(Clone, Debug)]
pub enum WatchBatch {
    /// Changes in order. A revision is never split over two batches.
    Events(Vec<Event>),
    /// Nothing else happened up to this revision.
    Progress(Revision),
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A guard did not hold. `current` is the key as it is now.
    #[error("the key {key} is not as expected")]
    Conflict {
        /// The key whose guard failed.
        key: String,
        /// What is there now.
        current: Option<KeyValue>,
    },
    /// The revision has been compacted away.
    #[error("revision {requested} has been compacted; the oldest is {oldest}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest that can be read.
        oldest: Revision,
    },
    /// The revision is in the future.
    #[error("revision {requested} is in the future; the store is at {current}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// Where the store is.
        current: Revision,
    },
    /// The value or transaction is larger than the store takes, in the words that upstream's clients see.
    #[error("{0}")]
    TooLarge(String),
    /// The store has no room (a full disk, etcd's quota).
    #[error("the store is out of space: {0}")]
    NoSpace(String),
    /// The store could not be reached or failed. Whether a write took effect is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is on disk is not what was written.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// A stream of changes. Dropping it ends the watch.
#[async_trait]
pub trait Watch: Send {
    /// The next batch, in order and without gaps. An error ends the watch; a new one starts from the last revision seen.
    async fn next(&mut self) -> Result<WatchBatch, Error>;
}

/// An ordered, versioned key-value store.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Does all operations at one new revision, or none. A key may occur once.
    ///
    /// When it returns, the change is durable, and visible to every later read.
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error>;

    /// Reads one key, with the store's revision at the read. Linearizable.
    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error>;

    /// Reads a range. Linearizable where `revision` is 0.
    async fn range(&self, range: Range) -> Result<RangeResult, Error>;

    /// Changes to keys under `prefix`, from `from` on (inclusive). Sends [`WatchBatch::Progress`] now and then.
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error>;

    /// The store's revision now, linearizable. A watch that has delivered it has delivered everything before.
    async fn current_revision(&self) -> Result<Revision, Error>;

    /// Asks that every open watch soon delivers [`WatchBatch::Progress`] at or above the current revision. `false`
    /// where the backend cannot be trusted with that (etcd below 3.4.25 and 3.5.8): then read from the store instead.
    async fn request_progress(&self) -> Result<bool, Error>;

    /// Forgets all history before `revision`.
    async fn compact(&self, revision: Revision) -> Result<(), Error>;

    /// The size of the store on disk, in bytes.
    async fn size_bytes(&self) -> Result<u64, Error>;

    /// Answers whether the store serves, for `/healthz/etcd`.
    async fn healthy(&self) -> Result<(), Error>;
}
