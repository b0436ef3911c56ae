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

/// The store's version number: it grows by one with each transaction, and orders all of them (etcd's revision). The first write is at
/// least 2, as with etcd, for the API gives 0 and 1 other meanings.
pub type Revision = u64;

/// A key with its value, and when both were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// `/registry/pods/default/web`.
    pub key: Arc<str>,
    /// The bytes that were written last.
    pub value: Bytes,
    /// The revision at which the key was created, after its last deletion if it had one.
    pub create_revision: Revision,
    /// The revision at which the value was written: the object's `resourceVersion`.
    pub mod_revision: Revision,
}

/// A write of one key, with the condition under which it happens (its guard).
#[derive(Clone, Debug)]
pub struct Operation {
    /// The key.
    pub key: String,
    /// The guard: the `mod_revision` that the key must still have; 0: the key must not exist.
    pub expected: Revision,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
    /// The store deletes the key after this time; `None`: never.
    pub time_to_live: Option<Duration>,
}

impl Operation {
    /// Writes a key that must not exist.
    pub fn create(key: impl Into<String>, value: Bytes) -> Self {
        Self { key: key.into(), expected: 0, value: Some(value), time_to_live: None }
    }

    /// Replaces a value that must still be of the revision `expected`.
    pub fn update(key: impl Into<String>, expected: Revision, value: Bytes) -> Self {
        Self { key: key.into(), expected, value: Some(value), time_to_live: None }
    }

    /// Deletes a key whose value must still be of the revision `expected`.
    pub fn delete(key: impl Into<String>, expected: Revision) -> Self {
        Self { key: key.into(), expected, value: None, time_to_live: None }
    }
}

/// Which keys to read. The range is `[start, end)`, in the order of bytes.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// First key.
    pub start: String,
    /// The first key after the range.
    pub end: String,
    /// How many keys are read at most; 0: all.
    pub limit: usize,
    /// Reads the state as of this revision; 0: the newest.
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
    /// Whether the range has more keys than the limit let through.
    pub more: bool,
    /// How many keys the range holds in all, whatever the limit.
    pub count: u64,
    /// The revision that was read: the one that was asked for, else the store's newest.
    pub revision: Revision,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key that changed.
    pub key: Arc<str>,
    /// The new value; `None`: the key was deleted.
    pub value: Option<Bytes>,
    /// The revision at which it happened.
    pub revision: Revision,
    /// The revision at which the key was created; 0 for a deletion. The value before is not part of an event: stores would have to read it,
    /// and the watch cache has it.
    pub create_revision: Revision,
}

/// What a watch delivers.
#[derive(Clone, Debug)]
pub enum WatchBatch {
    /// Changes in order. A revision is never split over two batches.
    Events(Vec<Event>),
    /// All changes up to this revision have been delivered.
    Progress(Revision),
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key is not of the revision that its operation expects. Nothing was written.
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
    /// The store has not come to that revision yet.
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
    /// The bytes on disk are not those that were written.
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
    /// Does all operations at one new revision, or none. A key may occur in one of them only.
    ///
    /// When it returns, the change is durable, and every later read sees it.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a guard does not hold, [`Error::TooLarge`] and [`Error::NoSpace`]: nothing was written. After
    /// [`Error::Unavailable`] it is not known whether it was.
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error>;

    /// Reads one key, with the store's revision at the read. Linearizable.
    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error>;

    /// Reads a range. Linearizable where `revision` is 0.
    async fn range(&self, range: Range) -> Result<RangeResult, Error>;

    /// Delivers the changes of keys that begin with `prefix`, from the revision `from` on (inclusive), and [`WatchBatch::Progress`] now and
    /// then.
    ///
    /// # Errors
    /// [`Error::Compacted`] where `from` is no longer in the history; a store may say so at the first [`Watch::next`] only.
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error>;

    /// The store's revision now, linearizable. A watch that has delivered it has delivered everything before.
    async fn current_revision(&self) -> Result<Revision, Error>;

    /// Asks that every open watch soon delivers [`WatchBatch::Progress`] at or above the current revision. `false`
    /// where the backend cannot be trusted with that (etcd below 3.4.25 and 3.5.8): then read from the store instead.
    async fn request_progress(&self) -> Result<bool, Error>;

    /// Forgets the history before `revision`: values that were replaced or deleted before it can no longer be read.
    ///
    /// # Errors
    /// [`Error::Compacted`] where that is done already, [`Error::Future`] where the store has not come to it yet.
    async fn compact(&self, revision: Revision) -> Result<(), Error>;

    /// The size of the store on disk, in bytes.
    async fn size_bytes(&self) -> Result<u64, Error>;

    /// Answers whether the store serves, for `/healthz/etcd`.
    async fn healthy(&self) -> Result<(), Error>;
}
