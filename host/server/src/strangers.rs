//! Connections on which nobody has said yet who they are. When there is no room for another connection, the oldest of these makes room:
//! strangers can fill the server, and still keep nobody out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// All of them, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    next_id: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Arc<Notify>>>,
}

/// A connection, for as long as it lives; a stranger until [`Stranger::introduce`].
#[derive(Debug)]
pub(crate) struct Stranger {
    all: Arc<Strangers>,
    id: u64,
    known: AtomicBool,
    evicted: Arc<Notify>,
}

impl Strangers {
    /// A connection has been accepted.
    pub(crate) fn arrive(self: &Arc<Self>) -> Stranger {
        let (id, evicted) = (self.next_id.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        self.waiting.lock().insert(id, evicted.clone());
        Stranger { all: self.clone(), id, known: AtomicBool::new(false), evicted }
    }

    /// Ends the oldest one's connection; `false`: there is none.
    pub(crate) fn evict_oldest(&self) -> bool {
        let oldest = self.waiting.lock().pop_first();
        oldest.inspect(|(_, evicted)| evicted.notify_one()).is_some()
    }
}

impl Stranger {
    /// A request on the connection was authenticated, and not as anonymous.
    pub(crate) fn introduce(&self) {
        // Called for each request of the connection; only the first call changes anything.
        if !self.is_known() && !self.known.swap(true, Ordering::Relaxed) {
            self.all.waiting.lock().remove(&self.id);
        }
    }

    /// Whether a request on the connection was authenticated.
    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Resolves when the connection has to make room.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.all.waiting.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_oldest_that_nobody_knows_goes() {
        let all = Arc::new(Strangers::default());
        assert!(!all.evict_oldest());
        let [first, second, third] = [all.arrive(), all.arrive(), all.arrive()];
        first.introduce();
        first.introduce();
        assert!(all.evict_oldest());
        let gone = |stranger: &Stranger| stranger.evicted().now_or_never().is_some();
        assert_eq!((gone(&first), gone(&second), gone(&third)), (false, true, false));
        drop(third);
        assert!(!all.evict_oldest());
        drop((first, second));
        assert!(all.waiting.lock().is_empty());
    }
}
