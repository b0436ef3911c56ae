//! One watcher: a cursor into the window of a [`Cacher`], and what it wants to see.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use storage::Revision;

use crate::cacher::Cacher;
use crate::event::Event;
use crate::event_type::EventType;
use crate::limits::WATCH_BATCH_EVENTS_MAX;
use crate::object::Object;
use crate::predicate::{Interest, Predicate};
use crate::state::Lost;
use crate::waiter::Waiter;

/// Why a watch is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchEnd {
    /// The watcher is too far behind.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The resource is not served any more.
    #[error("the resource is not served any more")]
    Removed,
}

/// What a watcher is handed.
#[derive(Clone, Debug)]
pub enum Update {
    /// A change, as this watcher's selector sees it.
    Event(EventType, Arc<Object>),
    /// The state that the watch began with is complete.
    InitialEventsEnd(Revision),
}

/// One watcher. Dropping it ends the watch.
pub struct Watcher {
    cacher: Arc<Cacher>,
    predicate: Predicate,
    interest: Interest,
    waiter: Arc<Waiter>,
    cursor: u64,
    revision: Revision,
    initial: VecDeque<Arc<Object>>,
    initial_end: bool,
}

impl Watcher {
    pub(crate) fn new(cacher: Arc<Cacher>, predicate: Predicate, from: u64, revision: Revision, initial: Vec<Arc<Object>>) -> Self {
        let interest = predicate.interest(cacher.resource().namespaced());
        let waiter = Arc::new(Waiter::default());
        cacher.join(interest.clone(), waiter.clone());
        Self { cacher, predicate, interest, waiter, cursor: from, revision, initial: initial.into(), initial_end: false }
    }

    /// Asks for [`Update::InitialEventsEnd`] after the initial state.
    pub fn mark_initial_end(&mut self) {
        self.initial_end = true;
    }

    /// Up to where the watcher has seen everything: what a bookmark says.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Everything that is ready now, at most a batch; empty where there is nothing.
    pub fn take(&mut self) -> Result<Vec<Update>, WatchEnd> {
        if self.cacher.is_closed() {
            return Err(WatchEnd::Removed);
        }
        if !self.initial.is_empty() || self.initial_end {
            return Ok(self.take_initial());
        }
        let mut updates = Vec::new();
        let batch = self.read_window()?;
        for event in batch {
            self.revision = event.revision();
            if let Some((kind, object)) = self.seen(&event) {
                updates.push(Update::Event(kind, object));
            }
        }
        Ok(updates)
    }

    fn take_initial(&mut self) -> Vec<Update> {
        let count = self.initial.len().min(WATCH_BATCH_EVENTS_MAX);
        let mut updates: Vec<Update> = self.initial.drain(..count).map(|object| Update::Event(EventType::Added, object)).collect();
        if self.initial.is_empty() && std::mem::take(&mut self.initial_end) {
            updates.push(Update::InitialEventsEnd(self.revision));
        }
        updates
    }

    /// The next events that may concern it. Goes idle under the lock where there are none, so that no wake is missed.
    fn read_window(&mut self) -> Result<Vec<Arc<Event>>, Lost> {
        let applied = self.cacher.revision();
        let state = self.cacher.state.read();
        if self.waiter.idle.load(Ordering::Acquire) {
            // Not woken since: whatever happened is none of its interest. Where it goes on is said when it is woken.
            self.revision = self.revision.max(applied);
            return Ok(Vec::new());
        }
        let resume = self.waiter.resume.swap(0, Ordering::AcqRel);
        self.cursor = self.cursor.max(resume);
        let Some(events) = state.events_from(self.cursor) else {
            return Err(Lost { requested: self.revision, oldest: state.oldest() });
        };
        let batch: Vec<Arc<Event>> = events.take(WATCH_BATCH_EVENTS_MAX).cloned().collect();
        self.cursor += batch.len() as u64;
        if batch.is_empty() {
            self.waiter.idle.store(true, Ordering::Release);
            // Nothing of this resource happened up to here.
            self.revision = self.revision.max(applied);
        }
        Ok(batch)
    }

    /// Waits until [`Watcher::take`] may have something.
    pub async fn ready(&self) {
        if !self.initial.is_empty() || self.initial_end {
            return;
        }
        // Where what was read last concerned it nothing, more may lie behind it, of which nobody wakes it again.
        if self.waiter.idle.load(Ordering::Acquire) { self.waiter.notify.notified().await } else { tokio::task::yield_now().await }
    }

    /// What the change is to this watcher: an object that leaves the selector is deleted for it, one that enters is added.
    fn seen(&self, event: &Event) -> Option<(EventType, Arc<Object>)> {
        let now = event.kind != EventType::Deleted && self.predicate.matches(&event.object);
        let before = event.previous.as_ref().is_some_and(|previous| self.predicate.matches(previous));
        match (before, now) {
            (false, true) => Some((EventType::Added, event.object.clone())),
            (true, true) => Some((EventType::Modified, event.object.clone())),
            (true, false) if event.kind == EventType::Deleted => Some((EventType::Deleted, event.object.clone())),
            (true, false) => Some((EventType::Deleted, self.cacher.departed(event)?)),
            (false, false) => None,
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.cacher.leave(&self.interest, &self.waiter);
    }
}

impl Cacher {
    /// Watches changes after `revision`.
    ///
    /// # Errors
    /// [`Lost`] where the window no longer holds all of them.
    pub fn watch_from(self: &Arc<Self>, revision: Revision, predicate: Predicate) -> Result<Watcher, Lost> {
        let from = self.state.read().sequence_after(revision)?;
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
}

#[cfg(test)]
mod tests;
