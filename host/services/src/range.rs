//! What may be given out of a network or of a range of ports: which numbers, and in what order they are tried.
//!
//! The lower part is left to those who ask for a number of their own (KEP-3070): it is used when the upper part is full.

use std::net::IpAddr;

use apimachinery::validation::ip::Cidr;

use crate::family::Family;

/// Numbers from 0 to below `count`, the first `reserved` of which are given out last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Band {
    pub(crate) count: u128,
    pub(crate) reserved: u128,
}

impl Band {
    /// The first free number from a random one on, in the upper part, then in the lower. `taken_count` is how many are taken
    /// at most: of one number more, one is free.
    pub(crate) fn choose(self, random: u128, taken_count: usize, is_taken: impl Fn(u128) -> bool) -> Option<u128> {
        let tries_max = taken_count as u128 + 1;
        [(self.reserved, self.count), (0, self.reserved)].into_iter().find_map(|(low, high)| {
            let size = high.saturating_sub(low);
            (0..size.min(tries_max)).map(|i| low + (random % size + i) % size).find(|number| !is_taken(*number))
        })
    }
}

/// One sixteenth, but not less than 16 and not more than `max`; nothing of what is small.
pub(crate) fn reserved(count: u128, step: u128, min: u128, max: u128) -> u128 {
    if count <= min { 0 } else { (count / step).clamp(min, max) }
}

/// The addresses of a network that may be given out: not the network's own, and not IPv4's broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressRange {
    first: u128,
    family: Family,
    band: Band,
}

impl AddressRange {
    /// None: there is no such address.
    pub(crate) fn of(network: Cidr) -> Option<Self> {
        let family = Family::of(network.ip);
        let (bits, outer) = if family == Family::V4 { (32, 2) } else { (128, 1) };
        // Upstream takes nothing shorter than /64.
        let host_bits = (bits - network.prefix).min(64);
        let size = 1u128 << host_bits;
        let count = size.checked_sub(outer).filter(|count| *count > 0)?;
        let band = Band { count, reserved: reserved(size, 16, 16, 256).min(count) };
        Some(Self { first: number(network.network()) + 1, family, band })
    }

    pub(crate) fn family(self) -> Family {
        self.family
    }

    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family && number(ip).checked_sub(self.first).is_some_and(|offset| offset < self.band.count)
    }

    /// The address at a distance from the first that may be given out.
    pub(crate) fn nth(self, offset: u128) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(((self.first + offset) as u32).into()),
            Family::V6 => IpAddr::V6((self.first + offset).into()),
        }
    }

    pub(crate) fn choose(self, random: u128, taken_count: usize, is_taken: &dyn Fn(IpAddr) -> bool) -> Option<IpAddr> {
        self.band.choose(random, taken_count, |offset| is_taken(self.nth(offset))).map(|offset| self.nth(offset))
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::validation::ip::parse_cidr_sloppy;

    use super::*;

    #[test]
    fn usable_addresses() {
        for (network, first, count, reserved) in [
            ("10.0.0.0/24", "10.0.0.1", 254, 16),
            ("10.0.0.0/16", "10.0.0.1", 65_534, 256),
            ("10.0.0.0/28", "10.0.0.1", 14, 0),
            ("fd00::/112", "fd00::1", 65_535, 256),
        ] {
            let range = AddressRange::of(parse_cidr_sloppy(network).expect(network)).expect(network);
            assert_eq!(range.nth(0).to_string(), first, "{network}");
            assert_eq!(range.band, Band { count, reserved }, "{network}");
            assert!(range.contains(range.nth(count - 1)) && !range.contains(range.nth(count)), "{network}");
        }
        assert!(AddressRange::of(parse_cidr_sloppy("10.0.0.0/31").expect("a network")).is_none());
    }

    #[test]
    fn the_last_free_number_is_found() {
        let band = Band { count: 20, reserved: 16 };
        for random in [0, 7, u128::MAX] {
            for free in 0..20 {
                assert_eq!(band.choose(random, 19, |number| number != free), Some(free), "{random} {free}");
            }
            assert_eq!(band.choose(random, 20, |_| true), None);
            assert!(band.choose(random, 0, |_| false).is_some_and(|number| number >= 16));
        }
    }
}
