//! Which servers there are: each keeps a key that dies with it, and all keep the endpoints of the Service `kubernetes` up to date
//! (upstream's lease reconciler, with its keys).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use admission::{EmptyChain, RequestContext};
use apimachinery::Status;
use auth::UserInfo;
use clock::Clock;
use registry::{Registry, Request, bump_generation, error};
use serde_json::{Value, json};
use storage::{Operation, Range};

use crate::bootstrap::{NAME, NAMESPACE, endpoint_slice, endpoints, resource_of, service_bootstrap};
use crate::service_ranges::ServiceRanges;

/// How often a server says that it is there, and looks at the endpoints.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long it is believed.
const LEASE_TIME_TO_LIVE: Duration = Duration::from_secs(15);
/// How often one renewal is tried where the key is being changed by others.
const RENEWAL_TRIES_MAX: usize = 4;

/// This server among those that share a store.
pub struct Masters {
    registry: Arc<Registry>,
    ranges: ServiceRanges,
    address: IpAddr,
    port: u16,
    alone: bool,
    clock: Clock,
}

impl Masters {
    /// `address` and `port` are where members of the cluster reach this server. `alone`: nobody shares its store, so that no
    /// key is needed to say that it lives.
    pub fn new(registry: Arc<Registry>, ranges: ServiceRanges, address: IpAddr, port: u16, alone: bool, clock: Clock) -> Self {
        Self { registry, ranges, address, port, alone, clock }
    }

    /// Makes what is missing and corrects what is out of date; to be called once before the port opens.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn reconcile(&self) -> Result<(), Status> {
        let context = Arc::new(own_context(&self.clock));
        let now_seconds = context.now_seconds();
        self.registry.create_missing(&service_bootstrap(&self.ranges, self.address, self.port, now_seconds), now_seconds).await?;
        let addresses = if self.alone {
            vec![self.address]
        } else {
            self.renew().await?;
            self.living().await?
        };
        self.show(endpoints(&addresses, self.port), &["subsets"], &context).await?;
        self.show(endpoint_slice(&addresses, self.port), &["addressType", "endpoints", "ports"], &context).await
    }

    /// Does so for ever. A failure is logged, and the next turn tries again.
    pub async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Err(status) = self.reconcile().await {
                tracing::warn!(%status, "the endpoints of the service kubernetes are not up to date");
            }
        }
    }

    /// Takes this server out of the endpoints' sources; the others forget it at their next turn.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn leave(&self) -> Result<(), Status> {
        if self.alone {
            return Ok(());
        }
        let storage = self.registry.caches().storage();
        let (stored, _) = storage.get(&self.lease_key()).await.map_err(error::read)?;
        match stored {
            Some(stored) => {
                storage.commit(vec![Operation::delete(self.lease_key(), stored.mod_revision)]).await.map(drop).map_err(error::write)
            }
            None => Ok(()),
        }
    }

    fn leases(&self) -> String {
        format!("{}masterleases/", self.registry.caches().root())
    }

    fn lease_key(&self) -> String {
        format!("{}{}", self.leases(), self.address)
    }

    async fn renew(&self) -> Result<(), Status> {
        let storage = self.registry.caches().storage();
        let value = json!({
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": { "creationTimestamp": null },
            "subsets": [{ "addresses": [{ "ip": self.address.to_string() }] }],
        });
        for _ in 0..RENEWAL_TRIES_MAX {
            let (stored, _) = storage.get(&self.lease_key()).await.map_err(error::read)?;
            let renewal = Operation {
                key: self.lease_key(),
                expected: stored.map_or(0, |stored| stored.mod_revision),
                value: Some(value.to_string().into()),
                time_to_live: Some(LEASE_TIME_TO_LIVE),
            };
            match storage.commit(vec![renewal]).await {
                Ok(_) => return Ok(()),
                // It ran out just now.
                Err(storage::Error::Conflict { .. }) => {}
                Err(other) => return Err(error::write(other)),
            }
        }
        Err(Status::internal("the key that says that this server is there is being changed by somebody else"))
    }

    /// All servers that are there, in order.
    async fn living(&self) -> Result<Vec<IpAddr>, Status> {
        let leases = self.leases();
        let found = self.registry.caches().storage().range(Range::prefix(&leases)).await.map_err(error::read)?;
        let mut addresses: Vec<IpAddr> = found
            .items
            .iter()
            .filter_map(|kv| kv.key.strip_prefix(&leases)?.parse().ok())
            .filter(|ip: &IpAddr| self.is_of_family(ip))
            .collect();
        addresses.sort_unstable();
        Ok(addresses)
    }

    fn is_of_family(&self, ip: &IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4()
    }

    /// Gives the object the wanted fields, where it has others.
    async fn show(&self, wanted: Value, fields: &[&str], context: &Arc<RequestContext>) -> Result<(), Status> {
        let resource = resource_of(&wanted);
        let request = Request {
            requested: resource.clone(),
            resource,
            subresource: String::new(),
            namespace: NAMESPACE.to_owned(),
            name: NAME.to_owned(),
            verb: "update".to_owned(),
            dry_run: false,
            options: None,
            context: context.clone(),
        };
        let change = |old: Option<&Value>| {
            let mut object = old.cloned().unwrap_or_default();
            if fields.iter().all(|field| object.get(field) == wanted.get(field)) {
                return Ok(object);
            }
            for field in fields {
                object[*field] = wanted[*field].clone();
            }
            bump_generation(&mut object);
            Ok(object)
        };
        self.registry.modify(&request, &change).await.map(drop)
    }
}

/// Of what this server says of itself: nobody decides about that.
fn own_context(clock: &Clock) -> RequestContext {
    let user = UserInfo { name: "system:apiserver".into(), groups: vec!["system:masters".into()], ..UserInfo::default() };
    RequestContext::new(Arc::new(EmptyChain), Arc::new(user), clock.now())
}
