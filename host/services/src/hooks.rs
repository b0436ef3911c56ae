//! What a write of a Service takes and gives back, decided before the Service is validated and committed with it.

use std::net::IpAddr;
use std::sync::Mutex;

use apimachinery::validation::ip::{Cidr, parse_cidr_sloppy};
use apimachinery::{Status, object};
use async_trait::async_trait;
use objectstore::RangeAllocation;
use registry::range_change::{self, StoredRange};
use registry::{Also, Hooks, Registry, Request, error};
use serde_json::Value;

use crate::in_use::InUse;
use crate::invalid::invalid;
use crate::plan::Plan;
use crate::range::AddressRange;
use crate::service_ranges::ServiceRanges;
use crate::{addresses, families, node_ports, spec};

/// Gives Services their addresses and ports.
pub struct ServiceHooks {
    ranges: ServiceRanges,
    in_use: Mutex<InUse>,
}

impl ServiceHooks {
    /// Over the operator's ranges.
    pub fn new(ranges: ServiceRanges) -> Self {
        Self { ranges, in_use: Mutex::default() }
    }

    /// Networks that addresses come from: those of all ServiceCIDRs, and before there is one the operator's.
    fn networks(&self, registry: &Registry) -> Vec<Cidr> {
        let objects = registry.caches().cacher("servicecidrs").map(|cacher| cacher.snapshot().objects).unwrap_or_default();
        let found: Vec<Cidr> = objects
            .values()
            .filter_map(|object| serde_json::from_slice::<Value>(&object.json()).ok())
            .filter(is_ready)
            .flat_map(|object| spec::texts(&object["spec"], "cidrs"))
            .filter_map(|text| parse_cidr_sloppy(&text))
            .collect();
        if found.is_empty() { self.ranges.networks.clone() } else { found }
    }

    /// The node ports that are given out; read only where the Service has to do with them.
    async fn node_ports(&self, registry: &Registry, service: &Value, old: Option<&Value>) -> Result<RangeAllocation, Status> {
        let range = self.ranges.node_ports_text();
        if ![Some(service), old].into_iter().flatten().any(|service| spec::has_node_ports(&service["spec"])) {
            return Ok(RangeAllocation::new(range));
        }
        let StoredRange { allocation, .. } = range_change::read(registry.caches().store(), node_ports::RANGE, &range).await?;
        Ok(allocation)
    }

    /// Decides everything at once, under the lock of the index; nothing is stored yet.
    fn plan(&self, registry: &Registry, service: &mut Value, old: Option<&Value>, ports: &RangeAllocation) -> Result<Plan, Status> {
        families::fill(&self.ranges.families(), service, old).map_err(|errors| invalid(service, &errors))?;
        let addresses = registry.caches().cacher("ipaddresses");
        let mut in_use = self.in_use.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(services) = registry.caches().cacher("services/specs") {
            in_use.follow(&services);
        }
        let ranges: Vec<AddressRange> = self.networks(registry).into_iter().filter_map(AddressRange::of).collect();
        let mut plan = Plan::default();
        let pool = addresses::Pool {
            ranges: &ranges,
            is_taken: &|ip: IpAddr| in_use.has_address(ip) || addresses.as_ref().is_some_and(|known| known.get(&ip.to_string()).is_some()),
            taken_count: in_use.address_count() + addresses.as_ref().map_or(0, |known| known.len()),
        };
        addresses::plan(&pool, service, old, &mut plan).map_err(|refusal| refusal.into_status(service))?;
        node_ports::plan(&node_ports::Pool::new(&self.ranges, ports), service, old, &mut plan)?;
        Ok(plan)
    }

    async fn also(&self, registry: &Registry, request: &Request, service: &Value, plan: Plan) -> Result<Also, Status> {
        let mut operations = Vec::new();
        for ip in &plan.addresses_taken {
            operations.extend(addresses::creation(registry, request, service, *ip)?);
        }
        for ip in &plan.addresses_released {
            operations.extend(addresses::release(registry, service, ip).await?);
        }
        Ok(Also { operations, range: node_ports::change(&self.ranges, &plan), ..Also::default() })
    }
}

#[async_trait]
impl Hooks for ServiceHooks {
    fn allocates(&self, request: &Request) -> bool {
        is_service(request)
    }

    async fn before_write(&self, registry: &Registry, request: &Request, service: &mut Value, old: Option<&Value>) -> Result<Also, Status> {
        if !is_service(request) || !request.subresource.is_empty() {
            return Ok(Also::default());
        }
        registry.caches().make_fresh().await.map_err(error::read)?;
        let ports = self.node_ports(registry, service, old).await?;
        let plan = self.plan(registry, service, old, &ports)?;
        if request.dry_run {
            return Ok(Also::default());
        }
        self.also(registry, request, service, plan).await
    }

    async fn before_remove(&self, registry: &Registry, request: &Request, service: &Value) -> Result<Also, Status> {
        if !is_service(request) {
            return Ok(Also::default());
        }
        let plan = Plan { addresses_released: addresses::held(service), ports_released: node_ports::held(service), ..Plan::default() };
        self.also(registry, request, service, plan).await
    }
}

fn is_service(request: &Request) -> bool {
    &*request.resource.storage_prefix == "services/specs"
}

/// A network that nobody has judged is taken as it is, so that a server works alone.
fn is_ready(service_cidr: &Value) -> bool {
    let ready = spec::list(&service_cidr["status"], "conditions").iter().find(|condition| condition["type"] == "Ready");
    !object::is_being_deleted(service_cidr) && ready.is_none_or(|condition| condition["status"] == "True")
}
