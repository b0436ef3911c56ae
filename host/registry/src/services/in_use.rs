//! Which addresses and ports Services have, followed in the watch cache.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::validation::ip::parse_ip_sloppy;
use cacher::{Cacher, EventType, Object};
use serde_json::Value;

use super::{addresses, node_ports};

/// An index over all Services as of a revision.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    cursor: Option<u64>,
    held: HashMap<Arc<str>, (Vec<IpAddr>, Vec<u16>)>,
    addresses: HashMap<IpAddr, usize>,
    ports: HashMap<u16, usize>,
}

impl InUse {
    /// Takes in what has changed since the last time.
    pub(crate) fn follow(&mut self, services: &Cacher) {
        let up_to = services.published();
        match self.cursor.map(|cursor| services.changes_between(cursor, up_to)) {
            Some(Ok(events)) => events.iter().for_each(|event| self.put(&event.object, event.kind != EventType::Deleted)),
            // At the start, and where the window has gone on.
            None | Some(Err(_)) => {
                *self = Self::default();
                services.snapshot().objects.values().for_each(|service| self.put(service, true));
            }
        }
        self.cursor = Some(up_to);
    }

    fn put(&mut self, service: &Object, exists: bool) {
        let key: Arc<str> = service.key().clone();
        if let Some((addresses, ports)) = self.held.remove(&key) {
            addresses.iter().for_each(|address| forget(&mut self.addresses, address));
            ports.iter().for_each(|port| forget(&mut self.ports, port));
        }
        let Some(service) = serde_json::from_slice::<Value>(&service.json()).ok().filter(|_| exists) else { return };
        let addresses: Vec<IpAddr> = addresses::held(&service).iter().filter_map(|ip| parse_ip_sloppy(ip)).collect();
        let ports = node_ports::held(&service);
        addresses.iter().for_each(|address| *self.addresses.entry(*address).or_default() += 1);
        ports.iter().for_each(|port| *self.ports.entry(*port).or_default() += 1);
        if !addresses.is_empty() || !ports.is_empty() {
            self.held.insert(key, (addresses, ports));
        }
    }

    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        self.addresses.contains_key(&ip)
    }

    pub(crate) fn address_count(&self) -> usize {
        self.addresses.len()
    }

    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }

    pub(crate) fn port_count(&self) -> usize {
        self.ports.len()
    }

    /// Up to where it knows.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor.unwrap_or(0)
    }
}

fn forget<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
