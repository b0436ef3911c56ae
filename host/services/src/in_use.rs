//! Which addresses Services have, followed in the watch cache.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::validation::ip::parse_ip_sloppy;
use cacher::{Cacher, EventType, Object};
use serde_json::Value;

use crate::addresses;

/// An index over all Services as of a revision.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    cursor: Option<u64>,
    held: HashMap<Arc<str>, Vec<IpAddr>>,
    addresses: HashMap<IpAddr, usize>,
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
        if let Some(addresses) = self.held.remove(&key) {
            addresses.iter().for_each(|address| forget(&mut self.addresses, address));
        }
        let Some(service) = serde_json::from_slice::<Value>(&service.json()).ok().filter(|_| exists) else { return };
        let addresses: Vec<IpAddr> = addresses::held(&service).iter().filter_map(|ip| parse_ip_sloppy(ip)).collect();
        addresses.iter().for_each(|address| *self.addresses.entry(*address).or_default() += 1);
        if !addresses.is_empty() {
            self.held.insert(key, addresses);
        }
    }

    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        self.addresses.contains_key(&ip)
    }

    pub(crate) fn address_count(&self) -> usize {
        self.addresses.len()
    }
}

fn forget(counts: &mut HashMap<IpAddr, usize>, address: &IpAddr) {
    if let Some(count) = counts.get_mut(address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(address);
        }
    }
}
