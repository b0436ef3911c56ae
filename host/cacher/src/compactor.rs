//! Compaction every few minutes, by one of the servers that share the store.
//!
//! All of them race for a key, which says whose turn it is. Who wins writes the revision of now under it, and compacts to the revision
//! that it read a turn ago: history is kept for at least one interval, and for less than two. Who loses takes over the winner's turn.
//! Upstream's protocol and upstream's key, so that it and we may share a cluster. A server that is alone takes every turn; what it writes
//! also moves the revision on, so that tokens of lists grow old where nothing else happens.

use std::sync::Weak;
use std::time::Duration;

use storage::{Error, Operation, Revision};

use crate::Caches;

/// Upstream's key, outside of `/registry`.
const TURN_KEY: &str = "compact_rev_key";

/// The last turn that we know of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// When the key was written; 0: never.
    written: Revision,
    /// Where the store was.
    revision: Revision,
}

/// Takes turns until the caches are gone.
pub async fn compact(caches: Weak<Caches>, interval: Duration) {
    let mut turn = Turn::default();
    loop {
        tokio::time::sleep(interval).await;
        let Some(caches) = caches.upgrade() else { return };
        match take_turn(&caches, turn).await {
            Ok(next) => turn = next,
            Err(error) => tracing::warn!(%error, "the store was not compacted"),
        }
    }
}

/// Takes a turn, or learns of another's.
pub(crate) async fn take_turn(caches: &Caches, last: Turn) -> Result<Turn, Error> {
    let storage = caches.storage();
    let value = last.revision.to_string().into();
    let turn = if last.written == 0 { Operation::create(TURN_KEY, value) } else { Operation::update(TURN_KEY, last.written, value) };
    match storage.commit(vec![turn]).await {
        Ok(revision) => {
            if last.revision > 0 {
                compact_to(caches, last.revision).await?;
            }
            Ok(Turn { written: revision, revision })
        }
        Err(Error::Conflict { current, .. }) => {
            let revision = storage.current_revision().await?;
            let Some(current) = current else { return Ok(Turn { written: 0, revision }) };
            if let Some(compacted) = std::str::from_utf8(&current.value).ok().and_then(|text| text.parse().ok()) {
                caches.forget_before(compacted);
            }
            Ok(Turn { written: current.mod_revision, revision })
        }
        Err(error) => Err(error),
    }
}

async fn compact_to(caches: &Caches, revision: Revision) -> Result<(), Error> {
    // Lists name the caches' revision: it must not be one that is gone.
    if caches.storage().request_progress().await? {
        caches.wait_until(revision).await;
    }
    match caches.storage().compact(revision).await {
        Ok(()) => tracing::debug!(revision, "the store is compacted"),
        // Somebody else has; the turn is ours all the same.
        Err(Error::Compacted { .. }) => {}
        Err(error) => return Err(error),
    }
    caches.forget_before(revision);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use storage::{KeyValue, Range, RangeResult, Storage, Watch};

    use super::*;
    use crate::Freshness;

    /// A store of one key.
    #[derive(Default)]
    struct OneKey {
        now: Mutex<(Revision, Option<KeyValue>)>,
        compacted: Mutex<Revision>,
    }

    struct Quiet;

    #[async_trait]
    impl Watch for Quiet {
        async fn next(&mut self) -> Result<storage::WatchBatch, Error> {
            std::future::pending().await
        }
    }

    #[async_trait]
    impl Storage for OneKey {
        async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
            let Operation { key, expected, value, .. } = operations.into_iter().next().expect("one operation");
            let mut now = self.now.lock();
            if now.1.as_ref().map_or(0, |kv| kv.mod_revision) != expected {
                return Err(Error::Conflict { key, current: now.1.clone() });
            }
            now.0 += 1;
            let revision = now.0;
            let value = value.expect("turns are written");
            now.1 = Some(KeyValue { key: key.into(), value, create_revision: revision, mod_revision: revision });
            Ok(revision)
        }

        async fn get(&self, _: &str) -> Result<(Option<KeyValue>, Revision), Error> {
            unreachable!("turns are not read by themselves")
        }

        async fn range(&self, _: Range) -> Result<RangeResult, Error> {
            Ok(RangeResult { items: Vec::new(), more: false, count: 0, revision: self.now.lock().0 })
        }

        async fn watch(&self, _: &str, _: Revision) -> Result<Box<dyn Watch>, Error> {
            Ok(Box::new(Quiet))
        }

        async fn current_revision(&self) -> Result<Revision, Error> {
            Ok(self.now.lock().0)
        }

        async fn request_progress(&self) -> Result<bool, Error> {
            Ok(false)
        }

        async fn compact(&self, revision: Revision) -> Result<(), Error> {
            *self.compacted.lock() = revision;
            Ok(())
        }

        async fn size_bytes(&self) -> Result<u64, Error> {
            Ok(0)
        }

        async fn healthy(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn servers_take_turns_and_keep_an_interval_of_history() {
        let store = Arc::new(OneKey::default());
        store.now.lock().0 = 10;
        let caches = || {
            let nothing = api::Catalogue::built_in();
            Caches::start(objectstore::ObjectStore::new(store.clone(), "/registry/"), Freshness::AskStore, nothing)
        };
        let (one, other) = (caches().await.expect("it starts"), caches().await.expect("it starts"));
        let (mut of_one, mut of_other) = (Turn::default(), Turn::default());

        // An interval: one writes the first turn, the other one learns of it. Nothing is old enough to go.
        of_one = take_turn(&one, of_one).await.expect("its turn");
        of_other = take_turn(&other, of_other).await.expect("it learns");
        assert_eq!((of_one, of_other), (Turn { written: 11, revision: 11 }, Turn { written: 11, revision: 11 }));
        assert_eq!(*store.compacted.lock(), 0);

        // The next: objects are written, and history goes up to where the store was an interval before, not further.
        store.now.lock().0 = 20;
        of_one = take_turn(&one, of_one).await.expect("its turn");
        of_other = take_turn(&other, of_other).await.expect("it learns");
        assert_eq!((of_one.revision, of_other.revision, *store.compacted.lock()), (21, 21, 11));
        assert_eq!((one.compacted(), other.compacted()), (11, 11), "both know what is gone");

        // One has ended: the other one goes on after it, an interval later.
        store.now.lock().0 = 30;
        of_other = take_turn(&other, of_other).await.expect("its turn");
        assert_eq!((of_other.revision, *store.compacted.lock(), other.compacted(), one.compacted()), (31, 21, 21, 11));
    }
}
