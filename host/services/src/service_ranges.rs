//! What addresses and ports Services may have.

use std::ops::RangeInclusive;

use apimachinery::validation::ip::{Cidr, parse_cidr_sloppy};

use crate::family::Family;

/// What the operator lets services have: networks, the first of which says the default family, and ports of nodes.
#[derive(Clone, Debug)]
pub struct ServiceRanges {
    pub(crate) networks: Vec<Cidr>,
    pub(crate) node_ports: RangeInclusive<u16>,
}

impl ServiceRanges {
    /// `networks` as `10.0.0.0/16`, one or one of each family. None: one of them is no network.
    pub fn new<'a>(networks: impl IntoIterator<Item = &'a str>, node_ports: RangeInclusive<u16>) -> Option<Self> {
        let networks: Option<Vec<Cidr>> = networks.into_iter().map(parse_cidr_sloppy).collect();
        networks.filter(|networks| !networks.is_empty()).map(|networks| Self { networks, node_ports })
    }

    /// `30000-32767`, as the stored range names it.
    pub(crate) fn node_ports_text(&self) -> String {
        format!("{}-{}", self.node_ports.start(), self.node_ports.end())
    }

    pub(crate) fn families(&self) -> Vec<Family> {
        self.networks.iter().map(|network| Family::of(network.ip)).collect()
    }
}
