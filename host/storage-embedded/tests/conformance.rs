//! The conformance suite, on a store in a temporary directory.

use std::sync::Arc;

use storage::{Storage, conformance};
use wasmgate_storage_embedded::{Embedded, Options};

#[tokio::test(flavor = "multi_thread")]
async fn embedded() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store: Arc<dyn Storage> = Embedded::open(dir.path(), Options::default()).expect("an empty store opens");
    conformance::run_all(|_| async { store.clone() }).await;
}

/// Each case on a store of its own: the first revision counts.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_and_empty() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    conformance::run_all(|case| {
        let path = dir.path().join(case);
        async move {
            let store: Arc<dyn Storage> = Embedded::open(&path, Options::default()).expect("an empty store opens");
            assert_eq!(store.current_revision().await.expect("it is open"), 1);
            store
        }
    })
    .await;
}
