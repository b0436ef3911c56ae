//! What the committer publishes and everybody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use storage::{Error, Event, Revision};
use tokio::sync::Semaphore;

use crate::limits::RANGE_READS_MAX;
use crate::queue::Queue;
use crate::snapshot::Snapshot;
use crate::window::Window;

pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) window: Window,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    revision: AtomicU64,
    /// Why the store does not serve; `None`: it does.
    broken: RwLock<Option<String>>,
    reads: Semaphore,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            queue: Queue::new(),
            window: Window::new(snapshot.revision),
            revision: AtomicU64::new(snapshot.revision),
            snapshot: RwLock::new(Some(Arc::new(snapshot))),
            broken: RwLock::default(),
            reads: Semaphore::new(RANGE_READS_MAX),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision.load(Ordering::Acquire)
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        self.snapshot.read().clone().ok_or_else(|| Error::Unavailable(self.why_broken()))
    }

    fn why_broken(&self) -> String {
        self.broken.read().clone().unwrap_or_else(|| "the store is closed".into())
    }

    /// Makes a commit visible: to readers first, then to watchers. The writers are answered after that.
    pub(crate) fn publish(&self, snapshot: Snapshot, events: Option<Vec<Event>>) {
        let revision = snapshot.revision;
        let old = self.snapshot.write().replace(Arc::new(snapshot));
        drop(old);
        *self.broken.write() = None;
        let before = self.revision.swap(revision, Ordering::AcqRel);
        if before != revision {
            self.window.push(revision, events);
        }
    }

    /// Refuses every read from now on, until the next [`publish`](Self::publish).
    pub(crate) fn withdraw(&self, why: Option<String>) {
        *self.broken.write() = why;
        let old = self.snapshot.write().take();
        drop(old);
    }

    /// Reads from the newest snapshot on a thread that may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self.reads.acquire().await.map_err(|_| Error::Unavailable("the store is closed".into()))?;
        let snapshot = self.snapshot()?;
        match tokio::task::spawn_blocking(move || read(&snapshot)).await {
            Ok(result) => result,
            Err(error) => Err(Error::Unavailable(format!("the read did not end: {error}"))),
        }
    }
}
