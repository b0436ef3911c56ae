//! Brings the range of node ports in line with the Services that there are, as upstream's `portallocator/controller.Repair` does: at the
//! start, and from time to time. What writes a Service here changes the range in the same transaction; kube-apiserver on the same etcd
//! changes it before, and may leave a port behind that no Service has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use objectstore::RangeAllocation;
use registry::{Registry, error, range_change};
use serde_json::Value;
use storage::Error;

use crate::node_ports;
use crate::service_ranges::ServiceRanges;

/// How often the range is looked at; upstream's.
const INTERVAL: Duration = Duration::from_secs(3 * 60);
/// How many looks a port survives that no Service has: one is perhaps about to be written. Upstream's `numRepairsBeforeLeakCleanup`.
const LOOKS_BEFORE_RELEASE: u32 = 3;
/// How often one repair is tried again because others change the range.
const TRIES_MAX: usize = 16;

/// Repairs the range of node ports.
pub struct NodePortRepair {
    registry: Arc<Registry>,
    ranges: ServiceRanges,
    /// Ports that no Service has, and how many looks they survive yet.
    unused: HashMap<u16, u32>,
}

impl NodePortRepair {
    /// Over the operator's ranges.
    pub fn new(registry: Arc<Registry>, ranges: ServiceRanges) -> Self {
        Self { registry, ranges, unused: HashMap::new() }
    }

    /// Repairs the range for ever; to be run beside the server. A failure is logged, and the next look tries again.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Err(status) = self.repair().await {
                tracing::warn!(%status, "the range of node ports could not be repaired");
            }
        }
    }

    /// Takes the ports that Services have, and gives back those that none has had for some looks.
    ///
    /// # Errors
    /// The store failed, or what is stored is no range.
    pub async fn repair(&mut self) -> Result<(), Status> {
        let registry = self.registry.clone();
        let store = registry.caches().store();
        for _ in 0..TRIES_MAX {
            // In this order: a Service that is written after the range was read changes the range, and this attempt is in vain.
            let stored = range_change::read(store, node_ports::RANGE, &self.ranges.node_ports_text()).await?;
            registry.caches().make_fresh().await.map_err(error::read)?;
            let (wanted, unused) = self.wanted(&stored.allocation);
            if stored.revision > 0 && wanted == stored.allocation {
                self.unused = unused;
                return Ok(());
            }
            let operation = range_change::write(store, node_ports::RANGE, stored.revision, &wanted)?;
            match store.commit(vec![operation]).await {
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error::write(error)),
                Ok(_) => {
                    self.unused = unused;
                    return Ok(());
                }
            }
        }
        Err(Status::internal("others change it too often"))
    }

    /// What the range is to be, and which ports in it no Service has.
    fn wanted(&self, stored: &RangeAllocation) -> (RangeAllocation, HashMap<u16, u32>) {
        let ports = &self.ranges.node_ports;
        let mut wanted = RangeAllocation::new(self.ranges.node_ports_text());
        for port in self.held() {
            if ports.contains(&port) {
                wanted.take(usize::from(port - ports.start()));
            } else {
                tracing::warn!(port, "a Service has a node port outside of --service-node-port-range; nobody keeps others from taking it");
            }
        }
        let mut unused = HashMap::new();
        if stored.range != wanted.range {
            return (wanted, unused);
        }
        let given_out = stored.taken().filter_map(|offset| Some((offset, ports.start().checked_add(u16::try_from(offset).ok()?)?)));
        for (offset, port) in given_out.filter(|(_, port)| ports.contains(port)) {
            let looks_left = self.unused.get(&port).copied().unwrap_or(LOOKS_BEFORE_RELEASE);
            if !wanted.has(offset) && looks_left > 0 {
                wanted.take(offset);
                unused.insert(port, looks_left - 1);
            }
        }
        (wanted, unused)
    }

    fn held(&self) -> Vec<u16> {
        let Some(services) = self.registry.caches().cacher("services/specs") else { return Vec::new() };
        let snapshot = services.snapshot();
        let services = snapshot.objects.values().filter_map(|service| serde_json::from_slice::<Value>(&service.json()).ok());
        services.flat_map(|service| node_ports::held(&service)).collect()
    }
}
