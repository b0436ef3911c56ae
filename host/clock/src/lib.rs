//! What time it is, and waiting for a time: handed to whoever asks, so that a test may say what time it is.
//!
//! The program makes one [`Clock::system`] and hands it along. Measurements that nothing is decided by (metrics, logs) may read the
//! system's time themselves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock that is not the system's.
pub trait TimeSource: Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// The same moment, on a scale that never goes back.
    fn instant(&self) -> Instant;

    /// Waits until [`Self::instant`] has reached a moment.
    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The clock that a part of the server goes by. Clones show the same time.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<dyn TimeSource>>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self(None)
    }

    /// Another one.
    pub fn of(source: Arc<dyn TimeSource>) -> Self {
        Self(Some(source))
    }

    /// The time of day, as objects, tokens and certificates tell it.
    pub fn now(&self) -> SystemTime {
        self.0.as_ref().map_or_else(SystemTime::now, |source| source.now())
    }

    /// [`Self::now`] in seconds since 1970; 0 before that.
    pub fn now_seconds(&self) -> i64 {
        self.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
    }

    /// The same moment on a scale that never goes back: for deadlines and ages.
    pub fn instant(&self) -> Instant {
        self.0.as_ref().map_or_else(Instant::now, |source| source.instant())
    }

    /// Waits until a moment has come; not at all where it has passed.
    pub async fn sleep_until(&self, at: Instant) {
        match &self.0 {
            None => tokio::time::sleep_until(at.into()).await,
            Some(source) => source.sleep_until(at).await,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock(handed in)" } else { "Clock(system)" })
    }
}
