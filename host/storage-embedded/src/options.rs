//! What may be chosen of the embedded store.

use std::time::Duration;

use clock::Clock;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// The history keeps the newest so many revisions. Older ones are forgotten even if nobody asks for it.
    pub history_revisions_max: u64,
    /// How often the committer looks for history to forget and for room to give back.
    pub housekeeping_interval: Duration,
    /// Only a file that is larger than this is ever copied to a smaller one.
    pub sparse_file_bytes_min: u64,
    /// The clock by which keys expire. Waiting goes by the system's.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history_revisions_max: 50_000,
            housekeeping_interval: Duration::from_secs(5),
            sparse_file_bytes_min: 64 << 20,
            clock: Clock::system(),
        }
    }
}
