//! The last changes, in memory, for the watchers that keep up; and the watch itself.
//!
//! A watcher has a cursor, not a queue: the committer never waits for one, and a slow one holds no memory. A watcher whose
//! cursor the window has left reads from disk until it has caught up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::RwLock;
use storage::{Error, Event, Revision, Watch, WatchBatch};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::limits::{PROGRESS_INTERVAL, WINDOW_BYTES_MAX, WINDOW_GROUPS_MAX};
use crate::shared::Shared;

/// What the committer tells all watchers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    /// The store's revision.
    pub revision: Revision,
    /// How often progress was asked for.
    pub progress_requests: u64,
    /// The store is closed.
    pub closed: bool,
}

/// The events of the last commit groups.
pub(crate) struct Window {
    groups: RwLock<Groups>,
    position: watch::Sender<Position>,
    watchers: AtomicUsize,
}

#[derive(Default)]
struct Groups {
    /// Every event from this revision on is in `events`.
    start: Revision,
    /// Last revision, events, bytes; oldest first.
    groups: VecDeque<(Revision, Arc<[Event]>, usize)>,
    bytes: usize,
}

impl Window {
    pub(crate) fn new(revision: Revision) -> Self {
        Self {
            groups: RwLock::new(Groups { start: revision + 1, ..Groups::default() }),
            position: watch::Sender::new(Position { revision, ..Position::default() }),
            watchers: AtomicUsize::new(0),
        }
    }

    /// Somebody watches, so that events are worth making.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// Takes in the events up to `revision`, all that happened since the last call. `None`: they were not made.
    pub(crate) fn push(&self, revision: Revision, events: Option<Vec<Event>>) {
        {
            let mut window = self.groups.write();
            match events {
                None => *window = Groups { start: revision + 1, ..Groups::default() },
                Some(events) => {
                    let bytes = events.iter().map(event_bytes).sum();
                    window.bytes += bytes;
                    window.groups.push_back((revision, events.into(), bytes));
                    while window.bytes > WINDOW_BYTES_MAX || window.groups.len() > WINDOW_GROUPS_MAX {
                        let Some((last, _, bytes)) = window.groups.pop_front() else { break };
                        window.start = last + 1;
                        window.bytes -= bytes;
                    }
                }
            }
        }
        self.position.send_modify(|position| position.revision = revision);
    }

    pub(crate) fn request_progress(&self) {
        self.position.send_modify(|position| position.progress_requests += 1);
    }

    pub(crate) fn close(&self) {
        self.position.send_modify(|position| position.closed = true);
    }

    /// The events of the group that holds `from`, and that group's last revision; `None` where the window has left it.
    fn group(&self, from: Revision) -> Option<(Arc<[Event]>, Revision)> {
        let window = self.groups.read();
        if from < window.start {
            return None;
        }
        let at = window.groups.partition_point(|(last, ..)| *last < from);
        window.groups.get(at).map(|(last, events, _)| (events.clone(), *last))
    }
}

fn event_bytes(event: &Event) -> usize {
    const OVERHEAD: usize = 256;
    OVERHEAD + event.value.as_ref().map_or(0, |value| value.len())
}

/// One watch.
pub(crate) struct EmbeddedWatch {
    shared: Arc<Shared>,
    prefix: String,
    /// The first revision that was not looked at yet.
    next: Revision,
    position: watch::Receiver<Position>,
    progress_seen: u64,
    progress_due: Instant,
}

impl EmbeddedWatch {
    pub(crate) fn new(shared: Arc<Shared>, prefix: &str, from: Revision) -> Self {
        let window = &shared.window;
        window.watchers.fetch_add(1, Ordering::AcqRel);
        let position = window.position.subscribe();
        let progress_seen = position.borrow().progress_requests;
        let progress_due = Instant::now() + PROGRESS_INTERVAL;
        Self { prefix: prefix.to_owned(), next: from, position, progress_seen, progress_due, shared }
    }

    /// The next events, if there are any to look at, wherever they lie.
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
            // The sender lives in `shared`, so that `changed` cannot fail; a timeout is progress that is due.
            let _ = tokio::time::timeout_at(self.progress_due, self.position.changed()).await;
        }
    }
}

impl Drop for EmbeddedWatch {
    fn drop(&mut self) {
        self.shared.window.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}
