//! What clients may call the server by.

use std::collections::BTreeSet;
use std::net::IpAddr;

const DNS_NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// Names and addresses that clients may call this server by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// Addresses.
    pub ips: BTreeSet<IpAddr>,
}

impl ServerNames {
    /// What every API server is called by (`localhost`, `kubernetes.default.svc`, the loopback addresses), and more addresses of this one.
    /// Those that stand for any address are left out.
    pub fn with_addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut ips = BTreeSet::from([IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]);
        ips.extend(addresses);
        ips.retain(|ip| !ip.is_unspecified());
        Self { dns: DNS_NAMES.map(str::to_owned).into(), ips }
    }
}
