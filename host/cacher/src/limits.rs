//! Every bound of the watch cache.

use std::time::Duration;

/// Changes kept for watchers that reconnect, of one resource.
pub const WINDOW_EVENTS_MAX: usize = 65_536;
/// Bytes of changes kept, of one resource.
pub const WINDOW_BYTES_MAX: usize = 64 << 20;
/// Changes that are kept whatever their age.
pub const WINDOW_EVENTS_MIN: usize = 1_024;
/// Age at which a change goes from a window that holds more than [`WINDOW_EVENTS_MIN`]; upstream's `eventFreshDuration`.
pub const WINDOW_AGE_MAX: Duration = Duration::from_secs(75);
/// Changes handed to a watcher in one go: what it may hold while its connection is slow.
pub const WATCH_BATCH_EVENTS_MAX: usize = 128;
/// Bytes of other encodings that are kept with the objects of one resource; what is more is made again for each who asks.
pub const ENCODINGS_BYTES_MAX: usize = 64 << 20;
/// Snapshots kept for the next page of a list, of one resource.
pub const PAGE_SNAPSHOTS_MAX: usize = 16;
/// How long such a snapshot is kept.
pub const PAGE_SNAPSHOT_AGE_MAX: Duration = Duration::from_secs(300);
/// How long a read waits for the cache to reach a revision; upstream's `blockTimeout`.
pub const FRESH_WAIT_MAX: Duration = Duration::from_secs(3);
/// How often such a read asks the store how far it is; upstream's is a tenth of a second.
pub const FRESH_LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Keys read at once while the cache is filled.
pub const FILL_PAGE_KEYS: usize = 1_000;
/// Pause before the feed tries the store again.
pub const FEED_RETRY_PAUSE: Duration = Duration::from_millis(250);

const _: () = assert!(WINDOW_EVENTS_MIN < WINDOW_EVENTS_MAX);
const _: () = assert!(WATCH_BATCH_EVENTS_MAX < WINDOW_EVENTS_MIN);
