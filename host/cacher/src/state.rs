//! What a cache holds under its one lock: the objects as they are now, the window of the last changes, and who waits for the next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use storage::Revision;

use crate::event::Event;
use crate::event_type::EventType;
use crate::limits::{WINDOW_AGE_MAX, WINDOW_BYTES_MAX, WINDOW_EVENTS_MAX, WINDOW_EVENTS_MIN};
use crate::predicate::Interest;
use crate::snapshot::Objects;
use crate::waiter::Waiter;

/// The window no longer holds what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {requested} ({oldest})")]
pub struct Lost {
    /// What was asked for.
    pub requested: Revision,
    /// The oldest revision that can be asked for.
    pub oldest: Revision,
}

#[derive(Default)]
pub(crate) struct State {
    /// By key, relative to the resource's prefix.
    pub(crate) objects: Objects,
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

    /// Revision of the last change of this resource.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The complete batches from an event on; none where the window has left it behind.
    pub(crate) fn events_from(&self, sequence: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        let skip = sequence.checked_sub(self.first)? as usize;
        // Events of a batch that is not complete may have pushed older ones out of the window.
        let end = self.published.saturating_sub(self.first) as usize;
        Some(self.window.range(skip.min(end)..end))
    }

    /// All changes after a revision, those of a batch that is not complete too.
    ///
    /// # Errors
    /// [`Lost`] where the window no longer holds all of them.
    pub(crate) fn events_after(&self, revision: Revision) -> Result<impl Iterator<Item = &Arc<Event>>, Lost> {
        Ok(self.window.range(self.place_after(revision)?..))
    }

    /// Sequence number of the first change after a revision.
    ///
    /// # Errors
    /// [`Lost`] where the window no longer holds it.
    pub(crate) fn sequence_after(&self, revision: Revision) -> Result<u64, Lost> {
        Ok(self.first + self.place_after(revision)? as u64)
    }

    fn place_after(&self, revision: Revision) -> Result<usize, Lost> {
        if revision < self.oldest {
            return Err(Lost { requested: revision, oldest: self.oldest });
        }
        Ok(self.window.partition_point(|event| event.revision() <= revision))
    }

    /// Takes in a change. `interests`: whose watchers are to be woken when its batch is complete.
    pub(crate) fn push(&mut self, event: Arc<Event>, interests: impl Iterator<Item = Interest>) {
        match event.kind {
            EventType::Deleted => drop(self.objects.remove(event.object.key())),
            _ => drop(self.objects.insert(event.object.key().clone(), event.object.clone())),
        }
        self.revision = event.revision();
        self.window_bytes += event.object.bytes();
        self.window.push_back(event);
        self.trim();
        let sequence = self.next() - 1;
        for interest in interests {
            // Recorded even where no watcher has the interest now: one may begin before the batch is complete.
            self.concerned.entry(interest).or_insert(sequence);
        }
    }

    /// Lets the oldest changes go that the window has no room for.
    fn trim(&mut self) {
        loop {
            let Some(first) = self.window.front() else { return };
            let full = self.window.len() > WINDOW_EVENTS_MAX
                || (self.window.len() > WINDOW_EVENTS_MIN && (self.window_bytes > WINDOW_BYTES_MAX || first.at.elapsed() > WINDOW_AGE_MAX));
            if !full {
                return;
            }
            self.oldest = first.revision();
            self.window_bytes -= first.object.bytes();
            self.window.pop_front();
            self.first += 1;
        }
    }

    /// Ends a batch: watchers may read it. Whom it concerns, and from which event on; they are to be woken.
    pub(crate) fn complete_batch(&mut self) -> HashMap<Interest, u64> {
        self.published = self.next();
        std::mem::take(&mut self.concerned)
    }

    /// Puts another state in place of everything. Watchers that are behind are told that they lost track.
    pub(crate) fn replace(&mut self, objects: Objects, revision: Revision) {
        // One sequence number is skipped, so that even a watcher that had read everything finds its place gone, and is told so.
        self.first = self.next() + 1;
        self.published = self.first;
        self.concerned.clear();
        self.objects = objects;
        self.window.clear();
        self.window_bytes = 0;
        self.oldest = revision;
        self.revision = revision;
        self.wake_all();
    }

    /// A watcher begins to wait.
    pub(crate) fn join(&mut self, interest: Interest, waiter: Arc<Waiter>) {
        self.waiters.entry(interest).or_default().push(waiter);
    }

    /// A watcher is gone.
    pub(crate) fn leave(&mut self, interest: &Interest, waiter: &Arc<Waiter>) {
        if let Some(waiters) = self.waiters.get_mut(interest) {
            waiters.retain(|w| !Arc::ptr_eq(w, waiter));
            if waiters.is_empty() {
                self.waiters.remove(interest);
            }
        }
    }

    /// Wakes those who have an interest; they go on at `sequence`.
    pub(crate) fn wake(&self, interest: &Interest, sequence: u64) {
        self.waiters.get(interest).into_iter().flatten().for_each(|waiter| waiter.wake(sequence));
    }

    /// Wakes everybody, to find out that they lost track or that the watch is over.
    pub(crate) fn wake_all(&self) {
        self.waiters.values().flatten().for_each(|waiter| waiter.wake(0));
    }
}
