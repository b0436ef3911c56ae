//! Every bound of the store, with its unit in its name.

use std::time::Duration;

/// Operations in one transaction; a place in the log has twelve bits for the position.
pub const TRANSACTION_OPERATIONS_MAX: usize = 1024;
/// Transactions that share one fsync.
pub const GROUP_REQUESTS_MAX: usize = 1024;
/// Keys and values that share one fsync. One transaction may be as large as this by itself.
pub const GROUP_BYTES_MAX: usize = 4 << 20;
/// A group that was not smaller than this is given a moment to come back before the next one is taken.
pub const GATHER_REQUESTS_MIN: usize = 8;
/// How long that moment is at most, in times of what the last group took.
pub const GATHER_TIMES_MAX: u32 = 8;
/// How long that moment is at most, whatever the last group took.
pub const GATHER_DURATION_MAX: Duration = Duration::from_millis(10);
/// The pause between two looks at how many writers wait during that moment; with the kernel's timers about twice as long.
pub const GATHER_PAUSE_MIN: Duration = Duration::from_micros(60);
/// Keys and values that wait for the committer; further writers wait their turn.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// What a waiting transaction counts as at the least, which bounds their number, too.
pub const QUEUED_REQUEST_BYTES_MIN: usize = 8 << 10;
/// The redb page cache. Small: what is read often lies in the watch cache above, and in the kernel's page cache below.
pub const PAGE_CACHE_BYTES_MAX: usize = 32 << 20;
/// Events that are kept in memory for watchers that keep up.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;
/// Commit groups that are kept in memory for watchers that keep up.
pub const WINDOW_GROUPS_MAX: usize = 4096;
/// Log records that a watcher that is behind reads from disk at a time.
pub const CATCH_UP_RECORDS_MAX: usize = 1024;
/// Bytes of values that a watcher that is behind reads from disk at a time.
pub const CATCH_UP_BYTES_MAX: usize = 4 << 20;
/// Range reads that run at once.
pub const RANGE_READS_MAX: usize = 32;
/// Superseded versions that one idle step removes.
pub const GARBAGE_STEP_RECORDS_MAX: usize = 256;
/// Keys that one step lets expire.
pub const EXPIRY_STEP_KEYS_MAX: usize = 256;
/// How often a watch without events says how far it has come.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Superseded versions that are kept, whatever their age.
pub const HISTORY_BYTES_MAX: u64 = 128 << 20;
/// Size of the reserve file, which is given up when the disk is full. More than the pages that one group writes.
pub const RESERVE_BYTES: usize = 16 << 20;
/// How often a store that is out of room, or could not be opened again, looks whether that has changed.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A file is copied to a smaller one that is larger than so many times what lies in it.
pub const SPARSE_RATIO: u64 = 3;
/// Records and values that one step of the copy moves.
pub const COPY_STEP_BYTES_MAX: usize = 1 << 20;
/// Superseded versions that wait to be taken out until the copy is given up: the load is too high for one.
pub const COPY_GARBAGE_RECORDS_MAX: usize = 16 * GARBAGE_STEP_RECORDS_MAX;

const _: () = assert!(TRANSACTION_OPERATIONS_MAX <= 1 << crate::record::POSITION_BITS);
const _: () = assert!(storage::size::REQUEST_BYTES_MAX <= GROUP_BYTES_MAX && GROUP_BYTES_MAX <= QUEUE_BYTES_MAX);
const _: () = assert!(GROUP_REQUESTS_MAX <= QUEUE_BYTES_MAX / QUEUED_REQUEST_BYTES_MIN);
const _: () = assert!(RESERVE_BYTES >= 4 * GROUP_BYTES_MAX);
