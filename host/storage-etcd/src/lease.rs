//! Leases, shared.
//!
//! A lease costs etcd more than a key, and Events, which expire, come by the thousand. Keys that are written soon after each other share
//! one. It lasts a little longer than the first of them asked for, so that the last one still gets its time. The rule and the figures are
//! upstream's (`k8s.io/apiserver/pkg/storage/etcd3/lease_manager.go`).

use std::time::Duration;

use storage::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::NotDone;
use crate::limits::{LEASE_KEYS_MAX, LEASE_SHARE_MAX};

pub(crate) struct Leases {
    connection: Connection,
    current: Mutex<Option<Lease>>,
}

struct Lease {
    id: i64,
    ends: Instant,
    keys: usize,
}

impl Lease {
    /// Whether a key that is to live for `time` from `now` on may share the lease.
    fn fits(&self, now: Instant, time: Duration) -> bool {
        let wanted = now + time;
        self.keys < LEASE_KEYS_MAX && self.ends >= wanted && self.ends.duration_since(wanted) <= share(time)
    }
}

/// How much longer than asked a key may live.
fn share(time: Duration) -> Duration {
    Duration::from_secs(LEASE_SHARE_MAX.min(time / 20).as_secs())
}

impl Leases {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, current: Mutex::default() }
    }

    /// A lease for a key that is to live for `time`. etcd counts in seconds, and has a least of its own.
    pub(crate) async fn get(&self, time: Duration) -> Result<i64, NotDone> {
        // Locked until etcd has granted the lease, so that writers who come meanwhile share it instead of asking for one each.
        let mut current = self.current.lock().await;
        let now = Instant::now();
        if let Some(lease) = current.as_mut().filter(|lease| lease.fits(now, time)) {
            lease.keys += 1;
            return Ok(lease.id);
        }
        let seconds = time.as_secs_f64().ceil() as i64 + share(time).as_secs() as i64;
        let granted = self.connection.write(move |mut connection| async move { connection.lease.grant(seconds, None).await }).await?;
        if !granted.error().is_empty() {
            return Err(Error::Unavailable(format!("etcd: no lease: {}", granted.error())).into());
        }
        *current = Some(Lease { id: granted.id(), ends: now + Duration::from_secs(granted.ttl().max(0) as u64), keys: 1 });
        Ok(granted.id())
    }

    /// The lease in use has run out or was revoked by somebody else.
    pub(crate) async fn forget(&self) {
        *self.current.lock().await = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_join_a_lease() {
        let now = Instant::now();
        let hour = Duration::from_secs(3600);
        let cases = [
            (3660, 1, 0, true, "just granted"),
            (3660, 1, 59, true, "a minute later"),
            (3660, 1, 61, false, "it would end too early"),
            (3660, LEASE_KEYS_MAX, 0, false, "full"),
            (7200, 1, 0, false, "it would end too late"),
        ];
        for (lives, keys, after, expected, why) in cases {
            let lease = Lease { id: 1, ends: now + Duration::from_secs(lives), keys };
            assert_eq!(lease.fits(now + Duration::from_secs(after), hour), expected, "{why}");
        }
        assert_eq!(share(Duration::from_secs(1)), Duration::ZERO, "a short time is kept to the second");
    }
}
