//! Calls of plugins that another plugin's call waits for.

use std::future::Future;

tokio::task_local! {
    /// Set while a plugin's call waits for other plugins' answers.
    static NESTED: ();
}

/// Runs calls that a plugin's own call waits for.
pub(crate) async fn run<F: Future>(calls: F) -> F::Output {
    NESTED.scope((), calls).await
}

/// Whether it is within one.
pub(crate) fn is_running() -> bool {
    NESTED.try_with(|()| ()).is_ok()
}
