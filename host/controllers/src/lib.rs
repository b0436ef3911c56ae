//! The six controllers that a server alone needs, so that a newcomer can create a pod, delete a namespace and limit what is in one: default
//! service accounts, the root CA config map, namespace deletion, garbage collection, aggregation of cluster roles, counting for quotas.
//!
//! They are ordinary clients of the registry and the watch cache: everything they do passes admission. While upstream's controller manager
//! runs beside the server they stand back (`manager_lease`).
//!
//! **Architecture invariant:** this is not the start of a controller manager; what a cluster needs beyond these six is run beside it.

mod aggregation;
mod client;
mod definitions;
mod garbage;
mod manager_lease;
mod namespace;
mod per_namespace;
mod quota;
mod server;

use tokio::task::JoinSet;

use crate::manager_lease::ManagerLease;
pub use crate::server::Server;

/// A controller, under the name that `--controllers` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "upstream's names, below")]
pub enum Controller {
    ServiceAccount,
    RootCaCertificatePublisher,
    Namespace,
    GarbageCollector,
    ClusterRoleAggregation,
    ResourceQuota,
}

impl Controller {
    /// In the order in which they are started.
    pub const ALL: [Self; 6] = [
        Self::ServiceAccount,
        Self::RootCaCertificatePublisher,
        Self::Namespace,
        Self::GarbageCollector,
        Self::ClusterRoleAggregation,
        Self::ResourceQuota,
    ];

    /// kube-controller-manager's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccount-controller",
            Self::RootCaCertificatePublisher => "root-ca-certificate-publisher-controller",
            Self::Namespace => "namespace-controller",
            Self::GarbageCollector => "garbage-collector-controller",
            Self::ClusterRoleAggregation => "clusterrole-aggregation-controller",
            Self::ResourceQuota => "resourcequota-controller",
        }
    }
}

/// Starts controllers, and what upstream's server does by itself; they run until the set is dropped. The controllers stand back while a
/// kube-controller-manager holds its lease. `root_ca_pem` is what pods trust this server by.
pub fn start(server: &Server, controllers: &[Controller], root_ca_pem: &str) -> JoinSet<()> {
    let mut supervisor = JoinSet::new();
    supervisor.spawn(definitions::run(server.clone()));
    if !controllers.is_empty() {
        supervisor.spawn(run_unless_managed(server.clone(), controllers.to_vec(), root_ca_pem.to_owned()));
    }
    supervisor
}

/// All of them begin with the state and not with a change, so they can be ended and started at any time.
async fn run_unless_managed(server: Server, controllers: Vec<Controller>, root_ca_pem: String) {
    let mut lease = ManagerLease::watch(&server.registry, server.clock.clone());
    loop {
        if lease.is_held() {
            tracing::info!("a kube-controller-manager runs beside this server: the controllers inside of it stand back");
            lease.released().await;
            tracing::info!("no kube-controller-manager runs any more: the controllers inside of this server take over");
        }
        let running = start_all(&server, &controllers, &root_ca_pem);
        lease.taken().await;
        drop(running);
    }
}

fn start_all(server: &Server, controllers: &[Controller], root_ca_pem: &str) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for controller in controllers {
        let server = server.clone();
        match controller {
            Controller::ServiceAccount => running.spawn(per_namespace::run(server, per_namespace::default_service_account())),
            Controller::RootCaCertificatePublisher => running.spawn(per_namespace::run(server, per_namespace::root_ca(root_ca_pem))),
            Controller::Namespace => running.spawn(namespace::run(server)),
            Controller::GarbageCollector => running.spawn(garbage::run(server)),
            Controller::ClusterRoleAggregation => running.spawn(aggregation::run(server)),
            Controller::ResourceQuota => running.spawn(quota::run(server)),
        };
    }
    running
}
