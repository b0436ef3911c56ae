//! How a watcher waits for its next change, and how it is woken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// What the feed and a watcher share.
#[derive(Default)]
pub(crate) struct Waiter {
    /// The watcher has read everything and waits.
    pub(crate) idle: AtomicBool,
    /// Where it goes on: set by the feed when it wakes an idle watcher, so that changes that are none of its
    /// interest are never looked at, and do not make it fall behind.
    pub(crate) resume: AtomicU64,
    pub(crate) notify: Notify,
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
