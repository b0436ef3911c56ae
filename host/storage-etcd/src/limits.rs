//! Every bound of the etcd backend, with its unit in its name.

use std::time::Duration;

/// How long it may take to connect to one member.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take, its repetitions included. Upstream leaves it to the request's deadline; a store that hangs is worse.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a health check may take, as upstream's.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a read is tried: another member may answer.
pub const CALL_ATTEMPTS_MAX: u32 = 5;
/// How often a call is sent that no member took: of several members the dead ones are tried, too, and by chance one after the other.
pub const SEND_ATTEMPTS_MAX: u32 = 12;
/// The pause before the second attempt; it grows with each.
pub const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);
/// After so much silence a connection is sent an HTTP/2 ping, as upstream does.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the ping may stay unanswered before the connection is given up.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys in one page of a range; upstream's largest.
pub const PAGE_KEYS_MAX: usize = 10_000;
/// How often a range of "now" is begun anew because a compaction overtook it between two pages.
pub const RANGE_RESTARTS_MAX: u32 = 3;
/// The largest message taken from etcd: a page of large objects. etcd itself bounds what it sends.
pub const MESSAGE_BYTES_MAX: usize = i32::MAX as usize;
/// Events of one revision that arrive in fragments and are held until the revision is whole.
pub const FRAGMENTED_EVENTS_MAX: usize = 1 << 20;
/// Keys that share a lease, as upstream's.
pub const LEASE_KEYS_MAX: usize = 1000;
/// How much longer than asked a key may live so that leases can be shared, as upstream's; never more than a twentieth.
pub const LEASE_SHARE_MAX: Duration = Duration::from_secs(60);
