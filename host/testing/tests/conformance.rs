//! The store in memory is a store: the suite that every backend passes.

#![allow(missing_docs, reason = "a test")]

use std::sync::Arc;

use clock::Clock;
use storage::{Storage, conformance};
use wasmgate_testing::{FaultyStorage, MemoryStorage};

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    let store: Arc<dyn Storage> = Arc::new(MemoryStorage::new(Clock::system()));
    conformance::run_all(|_| async { store.clone() }).await;
}

/// A store of faults that does nothing of its own is the store below it.
#[tokio::test(flavor = "multi_thread")]
async fn memory_without_faults() {
    conformance::run_all(|_| async { FaultyStorage::new(Arc::new(MemoryStorage::new(Clock::system()))) as Arc<dyn Storage> }).await;
}
