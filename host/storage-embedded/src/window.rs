//! The last changes, in memory, for the watchers that keep up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use storage::{Event, Revision};
use tokio::sync::watch;

use crate::limits::{WINDOW_BYTES_MAX, WINDOW_GROUPS_MAX};

/// Where the store is, as the committer tells all watchers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    /// The store's revision.
    pub revision: Revision,
    /// How often [`Storage::request_progress`](storage::Storage::request_progress) was called.
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
    /// Every event from this revision on is in `groups`.
    start: Revision,
    /// Of each commit group its last revision, its events and their bytes; oldest first.
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

    /// A watch begins. Gives where the store is, now and later; [`Self::end_watch`] is called when it ends.
    pub(crate) fn begin_watch(&self) -> watch::Receiver<Position> {
        self.watchers.fetch_add(1, Ordering::AcqRel);
        self.position.subscribe()
    }

    /// A watch has ended.
    pub(crate) fn end_watch(&self) {
        self.watchers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether somebody watches. Where nobody does, the committer makes no events.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// Takes in the events of a commit group whose last revision is `revision`. `None`: no events were made, for nobody watched; the window
    /// then begins after it.
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
    pub(crate) fn group(&self, from: Revision) -> Option<(Arc<[Event]>, Revision)> {
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
