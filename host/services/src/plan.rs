//! What one write of a Service does to what the cluster has only once, decided before anything is stored.

use std::collections::HashSet;
use std::net::IpAddr;

/// What a write of a Service takes and gives back.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) addresses_taken: Vec<IpAddr>,
    pub(crate) addresses_released: Vec<String>,
    pub(crate) ports_taken: HashSet<u16>,
    pub(crate) ports_released: Vec<u16>,
}
