//! Whether a kube-controller-manager runs beside this server, which its lease tells. Then the controllers inside of the server stand back:
//! both would do the same work, and the second one to come would find it done and log that as an error.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use apimachinery::time::Time;
use cacher::{Cacher, Predicate, Watcher};
use clock::Clock;
use registry::Registry;
use serde_json::Value;

use crate::client;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-controller-manager";
/// However long a lease says that it lasts, after this time without a renewal nobody holds it.
const LEASE_DURATION_MAX: Duration = Duration::from_secs(3600);

/// The lease, watched.
pub(crate) struct ManagerLease {
    clock: Clock,
    cacher: Arc<Cacher>,
    watcher: Watcher,
    /// Until when it is held, if nothing is heard of it.
    held_until: Option<Instant>,
}

impl ManagerLease {
    pub(crate) fn watch(registry: &Registry, clock: Clock) -> Self {
        let resource = client::resource("coordination.k8s.io", "v1", "leases");
        let cacher = registry.caches().cacher(&resource.storage_prefix).expect("every stored resource has a cache");
        let watcher = watch(&cacher);
        let mut lease = Self { clock, cacher, watcher, held_until: None };
        // At the start the only thing that is known of the last renewal is the time that the lease itself says.
        let since_epoch = lease.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        lease.held_until =
            lease.found().and_then(|found| remaining(&found, since_epoch)).map(|remaining| lease.clock.instant() + remaining);
        lease
    }

    /// Whether somebody holds it now.
    pub(crate) fn is_held(&self) -> bool {
        self.held_until.is_some_and(|until| self.clock.instant() < until)
    }

    /// Waits until somebody takes it.
    pub(crate) async fn taken(&mut self) {
        while !self.is_held() {
            self.changed().await;
        }
    }

    /// Waits until nobody holds it: it was given up, removed, or not renewed in time.
    pub(crate) async fn released(&mut self) {
        let clock = self.clock.clone();
        while let Some(until) = self.held_until.filter(|_| self.is_held()) {
            tokio::select! {
                () = clock.sleep_until(until) => {}
                () = self.changed() => {}
            }
        }
    }

    /// Waits for the next change. The lease counts from when the change is seen here, and not from its `renewTime`, which is by another
    /// machine's clock (as client-go's `leaderelection` does it).
    async fn changed(&mut self) {
        self.watcher.ready().await;
        if self.watcher.take().is_err() {
            self.watcher = watch(&self.cacher);
        }
        self.held_until = self.found().and_then(|found| duration(&found)).map(|duration| self.clock.instant() + duration);
    }

    fn found(&self) -> Option<Value> {
        serde_json::from_slice(&self.cacher.get(&format!("{NAMESPACE}/{NAME}"))?.json()).ok()
    }
}

fn watch(cacher: &Arc<Cacher>) -> Watcher {
    cacher.watch_from_now(Predicate { namespace: Some(NAMESPACE.into()), name: Some(NAME.into()), ..Predicate::default() })
}

/// How long the lease lasts from its renewal. `None`: nobody holds it.
fn duration(lease: &Value) -> Option<Duration> {
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let seconds = lease["spec"]["leaseDurationSeconds"].as_u64().filter(|_| !holder.is_empty())?;
    Some(Duration::from_secs(seconds).min(LEASE_DURATION_MAX))
}

/// How long the lease still lasts, by what it says. `None`: nobody holds it any more.
fn remaining(lease: &Value, now_since_epoch: Duration) -> Option<Duration> {
    let renewed = Time::parse_micro(lease["spec"]["renewTime"].as_str()?).ok()?;
    let renewed = Duration::new(u64::try_from(renewed.seconds).ok()?, renewed.nanoseconds);
    let duration = duration(lease)?;
    (renewed + duration).checked_sub(now_since_epoch).filter(|left| !left.is_zero()).map(|left| left.min(duration))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_is_held_by_somebody_and_for_a_time() {
        let lease = |holder: &str, seconds: u64, renewed: &str| json!({ "spec": { "holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renewed } });
        let renewed = "1970-01-01T00:01:40.500000Z";
        for (lease, now, want) in [
            (lease("a", 15, renewed), 100, Some(15_000)),
            (lease("a", 15, renewed), 101, Some(14_500)),
            (lease("a", 15, renewed), 115, Some(500)),
            (lease("a", 15, renewed), 116, None),
            (lease("", 15, renewed), 101, None),
            (lease("a", 15, "yesterday"), 101, None),
            (lease("a", 1 << 40, renewed), 101, Some(3_599_500)),
            (json!({}), 101, None),
            (json!({ "spec": null }), 101, None),
        ] {
            let got = remaining(&lease, Duration::from_secs(now)).map(|left| left.as_millis());
            assert_eq!(got, want, "{lease} at {now}");
        }
    }
}
