//! Where the store is now, asked once for all who want to know at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use storage::{Error, Revision, Storage};
use tokio::sync::{Semaphore, watch};

/// Shares the answers to the question for the store's revision. Whoever asks gets an answer to a question that was put after they asked:
/// what was written before is not older than that.
pub(crate) struct RevisionProbe {
    /// Questions that were put so far.
    put: AtomicU64,
    /// The last question that was answered, and the answer.
    answered: watch::Sender<(u64, Revision)>,
    turn: Semaphore,
}

impl RevisionProbe {
    pub(crate) fn new() -> Self {
        Self { put: AtomicU64::new(0), answered: watch::Sender::new((0, 0)), turn: Semaphore::new(1) }
    }

    /// The store's revision at some moment after this call.
    ///
    /// # Errors
    /// What the store answers.
    pub(crate) async fn revision(&self, storage: &dyn Storage) -> Result<Revision, Error> {
        // A question that is under way may have been put before what the caller wants to see was written.
        let wanted = self.put.load(Ordering::SeqCst) + 1;
        let mut answered = self.answered.subscribe();
        let _turn = tokio::select! {
            biased;
            Ok(answer) = answered.wait_for(|(question, _)| *question >= wanted) => return Ok(answer.1),
            turn = self.turn.acquire() => turn,
        };
        let (question, revision) = *self.answered.borrow();
        if question >= wanted {
            return Ok(revision);
        }
        let question = self.put.fetch_add(1, Ordering::SeqCst) + 1;
        let revision = storage.current_revision().await?;
        self.answered.send_replace((question, revision));
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use storage::{KeyValue, Operation, Range, RangeResult, Watch};

    use super::*;

    /// A store that only says where it is, slowly.
    #[derive(Default)]
    struct Slow {
        now: AtomicU64,
        asked: AtomicU64,
    }

    #[async_trait]
    impl Storage for Slow {
        async fn commit(&self, _: Vec<Operation>) -> Result<Revision, Error> {
            Ok(self.now.fetch_add(1, Ordering::SeqCst) + 1)
        }
        async fn get(&self, _: &str) -> Result<(Option<KeyValue>, Revision), Error> {
            unreachable!("nobody reads")
        }
        async fn range(&self, _: Range) -> Result<RangeResult, Error> {
            unreachable!("nobody reads")
        }
        async fn watch(&self, _: &str, _: Revision) -> Result<Box<dyn Watch>, Error> {
            unreachable!("nobody watches")
        }
        async fn current_revision(&self) -> Result<Revision, Error> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            // As it was when the question came, told later.
            let now = self.now.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            if now % 7 == 3 { Err(Error::Unavailable("now and then".into())) } else { Ok(now) }
        }
        async fn request_progress(&self) -> Result<bool, Error> {
            Ok(true)
        }
        async fn compact(&self, _: Revision) -> Result<(), Error> {
            Ok(())
        }
        async fn size_bytes(&self) -> Result<u64, Error> {
            Ok(0)
        }
        async fn healthy(&self) -> Result<(), Error> {
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_is_told_of_an_older_state_and_few_questions_are_put() {
        const READERS: u64 = 64;
        const ROUNDS: u64 = 20;
        let (store, probe) = (Arc::new(Slow::default()), Arc::new(RevisionProbe::new()));
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (store, probe) = (store.clone(), probe.clone());
                tokio::spawn(async move {
                    for round in 0..ROUNDS {
                        let written = store.commit(Vec::new()).await.expect("it always does");
                        // Some give up in the middle.
                        let asking = probe.revision(&*store);
                        let answer = match (reader + round) % 5 {
                            0 => tokio::time::timeout(Duration::from_millis(1), asking).await.ok(),
                            _ => Some(asking.await),
                        };
                        if let Some(Ok(revision)) = answer {
                            assert!(revision >= written, "{revision} is before {written}");
                        }
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.await.expect("it ends");
        }
        let asked = store.asked.load(Ordering::SeqCst);
        assert!(asked < READERS * ROUNDS / 4, "{asked} questions for {}", READERS * ROUNDS);
    }
}
