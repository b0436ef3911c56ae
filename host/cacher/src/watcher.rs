//! One watcher: a cursor into the window of a [`Cacher`], and what it wants to see.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use storage::Revision;
use tokio::sync::Notify;

use crate::cacher::{Cacher, Event, EventType, Lost, Snapshot};
use crate::limits::WATCH_BATCH_EVENTS_MAX;
use crate::object::Object;

/// Which changes wake a watcher. The narrowest that covers its predicate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Every change of the resource.
    All,
    /// Those in a namespace.
    Namespace(Box<str>),
    /// Those of one object.
    Key(Arc<str>),
    /// Those of objects whose indexed field (of pods: `spec.nodeName`) has this value, before or after the change.
    Indexed(Box<str>),
}

type Matcher = Arc<dyn Fn(&Object) -> bool + Send + Sync>;

/// What a list or watch selects.
#[derive(Clone, Default)]
pub struct Predicate {
    /// Only in this namespace.
    pub namespace: Option<Box<str>>,
    /// Only the object of this name.
    pub name: Option<Box<str>>,
    /// Only where the resource's indexed field has this value. The matcher has to say so, too.
    pub indexed: Option<Box<str>>,
    /// Label and field selectors; none: everything.
    pub matcher: Option<Matcher>,
}

impl Predicate {
    /// Whether it selects the object.
    pub fn matches(&self, object: &Object) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| namespace == object.namespace())
            && self.name.as_deref().is_none_or(|name| name == object.name())
            && self.matcher.as_ref().is_none_or(|matches| matches(object))
    }

    /// The narrowest interest that covers it. `namespaced` is the resource's scope.
    pub fn interest(&self, namespaced: bool) -> Interest {
        match (&self.namespace, &self.name, &self.indexed) {
            (Some(namespace), Some(name), _) => Interest::Key(format!("{namespace}/{name}").into()),
            (None, Some(name), _) if !namespaced => Interest::Key((&**name).into()),
            (_, _, Some(value)) => Interest::Indexed(value.clone()),
            (Some(namespace), None, None) => Interest::Namespace(namespace.clone()),
            _ => Interest::All,
        }
    }

    /// The objects of a snapshot that it selects, in order. A namespace is a range of keys, a name one key.
    pub fn select<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Object>> {
        self.select_from(snapshot, None)
    }

    /// The same, from a key on.
    pub fn select_from<'a>(&'a self, snapshot: &'a Snapshot, start: Option<&str>) -> impl Iterator<Item = &'a Arc<Object>> {
        use std::ops::Bound;
        let (low, high): (Arc<str>, Bound<Arc<str>>) = match &self.namespace {
            Some(namespace) => (format!("{namespace}/").into(), Bound::Excluded(format!("{namespace}0").into())),
            None => ("".into(), Bound::Unbounded),
        };
        let low = match start {
            Some(start) if *start >= *low => Bound::Included(Arc::from(start)),
            _ => Bound::Included(low),
        };
        let range = if bounds_are_empty(&low, &high) { None } else { Some(snapshot.objects.range((low, high))) };
        range.into_iter().flatten().map(|(_, object)| object).filter(|object| self.matches(object))
    }
}

fn bounds_are_empty(low: &std::ops::Bound<Arc<str>>, high: &std::ops::Bound<Arc<str>>) -> bool {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    match (low, high) {
        (Excluded(low), Excluded(high)) | (Included(low), Excluded(high)) => low >= high,
        (Unbounded, _) | (_, Unbounded | Included(_)) => false,
    }
}

/// What the dispatcher and a watcher share.
pub(crate) struct Waiter {
    /// The watcher has read everything and waits.
    idle: AtomicBool,
    /// Where it goes on: set by the dispatcher when it wakes an idle watcher, so that changes that are none of its
    /// interest are never looked at, and do not make it fall behind.
    resume: AtomicU64,
    notify: Notify,
}

impl Waiter {
    pub(crate) fn wake(&self, sequence: u64) {
        // In this order: a watcher that finds itself awake must find where it goes on. Only the feed wakes.
        if self.idle.load(Ordering::Acquire) {
            self.resume.store(sequence, Ordering::Release);
            self.idle.store(false, Ordering::Release);
        }
        self.notify.notify_one();
    }
}

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
        let waiter = Arc::new(Waiter { idle: AtomicBool::new(false), resume: AtomicU64::new(0), notify: Notify::new() });
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

#[cfg(test)]
mod tests;
