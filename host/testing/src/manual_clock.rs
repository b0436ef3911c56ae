//! A clock that stands until a test moves it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clock::{Clock, TimeSource};
use tokio::sync::watch;

/// 2026-01-01T00:00:00Z, in seconds since 1970: what a new clock shows.
const START_SECONDS: u64 = 1_767_225_600;

/// The clock. Clones are the same one.
#[derive(Clone, Debug)]
pub struct ManualClock {
    began: Instant,
    /// What has passed since then.
    passed: Arc<watch::Sender<Duration>>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { began: Instant::now(), passed: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }
}

impl ManualClock {
    /// Lets time pass, and wakes who waited for it.
    pub fn advance(&self, by: Duration) {
        self.passed.send_modify(|passed| *passed += by);
    }

    /// The clock as the server is handed it.
    pub fn handle(&self) -> Clock {
        Clock::of(Arc::new(self.clone()))
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(START_SECONDS) + *self.passed.borrow()
    }

    fn instant(&self) -> Instant {
        self.began + *self.passed.borrow()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let (began, mut passed) = (self.began, self.passed.subscribe());
        // The sender lives in the clock, so that this cannot fail.
        Box::pin(async move { _ = passed.wait_for(|passed| began + *passed >= at).await })
    }
}
