//! The server's life in phases, as everything that must react to its end sees it.

use std::sync::Arc;

use tokio::sync::watch;

/// Where the server is in its life. Only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests are served.
    Serving,
    /// Requests are served, and `/readyz` fails, so that load balancers look elsewhere.
    NotReady,
    /// No connection is accepted; requests in flight finish, watches end.
    Draining,
    /// What is still there is cut.
    Over,
}

/// Tells everybody of the phase. Clones see the same life.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A life that begins.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Moves forward; going back is ignored.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let moved = *phase < to;
            *phase = (*phase).max(to);
            moved
        });
    }

    /// Resolves once requests should end: at once where they should already.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Resolves once nothing is waited for any more.
    pub async fn over(&self) {
        self.reached(Phase::Over).await;
    }

    async fn reached(&self, phase: Phase) {
        let mut receiver = self.0.subscribe();
        // The sender is held by `self`, so that it cannot be gone.
        let _ = receiver.wait_for(|now| *now >= phase).await;
    }
}
