//! One watch of the store.
//!
//! A watcher has a cursor, not a queue: the committer never waits for one, and a slow one holds no memory. A watcher whose
//! cursor the window has left reads from disk until it has caught up.

use std::sync::Arc;

use async_trait::async_trait;
use storage::{Error, Event, Revision, Watch, WatchBatch};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::limits::PROGRESS_INTERVAL;
use crate::shared::Shared;
use crate::window::Position;

/// One watch.
pub(crate) struct EmbeddedWatch {
    shared: Arc<Shared>,
    prefix: String,
    /// The first revision that the watcher has not seen.
    next: Revision,
    position: watch::Receiver<Position>,
    progress_seen: u64,
    progress_due: Instant,
}

impl EmbeddedWatch {
    pub(crate) fn new(shared: Arc<Shared>, prefix: &str, from: Revision) -> Self {
        let position = shared.window.begin_watch();
        let progress_seen = position.borrow().progress_requests;
        let progress_due = Instant::now() + PROGRESS_INTERVAL;
        Self { prefix: prefix.to_owned(), next: from, position, progress_seen, progress_due, shared }
    }

    /// The next events: from the window, or from disk where the window begins later.
    async fn read(&mut self) -> Result<Vec<Event>, Error> {
        if let Some((group, last)) = self.shared.window.group(self.next) {
            let wanted = |event: &&Event| event.revision >= self.next && event.key.starts_with(&self.prefix);
            let events = group.iter().filter(wanted).cloned().collect();
            self.next = last + 1;
            return Ok(events);
        }
        let (shared, prefix, from) = (self.shared.clone(), self.prefix.clone(), self.next);
        let (events, last) = shared.blocking(move |snapshot| snapshot.events(&prefix, from)).await?;
        self.next = last + 1;
        Ok(events)
    }
}

#[async_trait]
impl Watch for EmbeddedWatch {
    async fn next(&mut self) -> Result<WatchBatch, Error> {
        loop {
            let position = *self.position.borrow_and_update();
            if position.closed {
                return Err(Error::Unavailable("the store is closed".into()));
            }
            if self.next <= position.revision {
                let events = self.read().await?;
                if !events.is_empty() {
                    return Ok(WatchBatch::Events(events));
                }
                continue;
            }
            if self.progress_seen != position.progress_requests || self.progress_due <= Instant::now() {
                self.progress_seen = position.progress_requests;
                self.progress_due = Instant::now() + PROGRESS_INTERVAL;
                return Ok(WatchBatch::Progress(position.revision));
            }
            // `changed` cannot fail, as `shared` keeps the sender alive. A timeout means that progress is due.
            let _ = tokio::time::timeout_at(self.progress_due, self.position.changed()).await;
        }
    }
}

impl Drop for EmbeddedWatch {
    fn drop(&mut self) {
        self.shared.window.end_watch();
    }
}
