//! The store inside the binary: redb, one committer thread, group commit with a real fsync, and etcd's revisions.
//!
//! A commit is durable and visible when it returns. Reads take a snapshot and disturb nobody. Watchers read the last changes
//! from memory and older ones from disk. History is forgotten by itself, a step at a time.
//!
//! ```text
//! commit → queue → committer: guards → log + values (redb, one fsync a group) → snapshot → window → answer
//! get, range → snapshot                                   watch → window, or the snapshot's log
//! ```
//!
//! **Architecture invariant:** one process has the file, and one thread writes to it.

mod committer;
mod copy;
mod disk;
mod error;
mod group;
mod index;
pub mod limits;
mod open;
mod options;
mod queue;
mod record;
mod shared;
mod snapshot;
mod state;
mod watch;
mod window;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use parking_lot::Mutex;
use storage::{Error, KeyValue, Operation, Range, RangeResult, Revision, Storage, Watch};

use crate::committer::Committer;
pub use crate::disk::Disk;
use crate::disk::{Directory, Reserve};
use crate::error::catch;
use crate::limits::{RESERVE_BYTES, TRANSACTION_OPERATIONS_MAX};
pub use crate::options::Options;
use crate::queue::Work;
use crate::shared::Shared;
use crate::snapshot::{Readers, Snapshot};
use crate::watch::EmbeddedWatch;

/// The file in the data directory.
pub const FILE_NAME: &str = "store.redb";

/// The embedded store.
pub struct Embedded {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Opens the store in a directory, which is made where there is none. Blocks for as long as it takes to read the keys.
    pub fn open(dir: &Path, options: Options) -> Result<Arc<Self>, Error> {
        Self::open_on(Arc::new(Directory::new(dir, FILE_NAME, RESERVE_BYTES)?), options)
    }

    /// Opens the store on another [`Disk`] than a directory, in tests.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Arc<Self>, Error> {
        let reserve = Arc::new(Reserve::new(disk.clone()));
        let readers = Readers::default();
        let opened = catch(|| {
            let (database, state) = open::open(&*disk, &reserve)?;
            let snapshot = Snapshot::new(&database, &readers, state.index.clone(), state.revision, state.compacted)?;
            Ok((database, state, snapshot))
        });
        let (database, state, snapshot) = opened.map_err(|error| error.into_open(&disk.name()))?;
        // The directory is locked, so that a copy that is found there was left by a crash.
        _ = disk.discard_other();
        let shared = Arc::new(Shared::new(snapshot));
        let committer = Committer::new(shared.clone(), disk.clone(), reserve, database, readers, state, options);
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || committer.run());
        let thread = thread.map_err(|error| Error::Unavailable(format!("the committer cannot start: {error}")))?;
        Ok(Arc::new(Self { shared, disk, committer: Mutex::new(Some(thread)) }))
    }

    /// Ends the store: what waits is still written, then the file is closed. Later calls answer [`Error::Unavailable`].
    /// Dropping the store does the same.
    pub fn close(&self) {
        self.shared.queue.close();
        if let Some(thread) = self.committer.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Storage for Embedded {
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        if operations.is_empty() {
            return Ok(self.shared.revision());
        }
        let bytes = check(&operations)?;
        self.shared.queue.submit(Work::Commit(operations), bytes).await
    }

    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error> {
        // Reads a few pages, mostly from the cache: cheaper here than on a blocking thread.
        let snapshot = self.shared.snapshot()?;
        Ok((snapshot.get(key)?, snapshot.revision))
    }

    async fn range(&self, range: Range) -> Result<RangeResult, Error> {
        self.shared.blocking(move |snapshot| snapshot.range(&range)).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error> {
        let compacted = self.shared.snapshot()?.compacted;
        if from < compacted {
            return Err(Error::Compacted { requested: from, oldest: compacted });
        }
        Ok(Box::new(EmbeddedWatch::new(self.shared.clone(), prefix, from)))
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        Ok(self.shared.revision())
    }

    async fn request_progress(&self) -> Result<bool, Error> {
        self.shared.window.request_progress();
        Ok(true)
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.shared.queue.submit(Work::Compact(revision), 0).await.map(drop)
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        self.disk.size_bytes().map_err(|error| Error::Unavailable(error.to_string()))
    }

    async fn healthy(&self) -> Result<(), Error> {
        self.shared.snapshot().map(drop)
    }
}

/// Checks a transaction against the store's limits, and gives its size in bytes.
fn check(operations: &[Operation]) -> Result<usize, Error> {
    if operations.len() > TRANSACTION_OPERATIONS_MAX {
        return Err(Error::TooLarge("etcdserver: too many operations in txn request".to_owned()));
    }
    let bytes = storage::size::check(operations)?;
    if operations.len() > 1 {
        let mut keys = HashSet::with_capacity(operations.len());
        if let Some(twice) = operations.iter().find(|operation| !keys.insert(operation.key.as_str())) {
            return Err(Error::Unavailable(format!("the key {} occurs twice in a transaction", twice.key)));
        }
    }
    Ok(bytes)
}
