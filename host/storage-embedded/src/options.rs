//! What may be chosen of the embedded store.

use std::time::Duration;

use clock::Clock;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// History of more revisions than this is forgotten without being asked.
    pub history_revisions_max: u64,
    /// How often the committer looks for history to forget and for room to give back.
    pub housekeeping_interval: Duration,
    /// A file that is not larger is not made smaller.
    pub sparse_file_bytes_min: u64,
    /// By this clock keys expire. Waiting goes by the system's.
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
