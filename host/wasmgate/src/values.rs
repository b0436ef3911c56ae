//! Values that flags take, in Go's spellings: durations, booleans, CIDRs, port ranges.
//!
//! The words of the errors follow `invalid argument "x" for "--flag" flag: `, as pflag puts them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use apimachinery::field;
use apimachinery::time::parse_duration;
use objectstore::StorageMediaType;

/// Go's `time.ParseDuration`, without negative durations: no flag of ours takes one.
pub fn duration(text: &str) -> Result<Duration, String> {
    match u64::try_from(parse_duration(text)?) {
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds)),
        Err(_) => Err("can not be negative".to_owned()),
    }
}

/// A form in which objects can be written.
pub fn storage_media_type(text: &str) -> Result<StorageMediaType, String> {
    StorageMediaType::parse(text)
        .ok_or_else(|| "must be application/json or application/vnd.kubernetes.protobuf: objects are written in no other form".to_owned())
}

/// Go's `strconv.ParseInt`, in decimal.
pub fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("strconv.ParseInt: parsing {}: invalid syntax", field::go_quote(text)))
}

/// Go's `strconv.ParseBool`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", field::go_quote(text))),
    }
}

/// A network, as `10.0.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    prefix_len: u8,
}

impl Cidr {
    /// The network's address; all bits of the host part are zero.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// How many bits the host part has.
    pub fn host_bits(&self) -> u8 {
        let bits = if self.base.is_ipv4() { 32 } else { 128 };
        bits - self.prefix_len
    }

    /// The address that is `offset` above the base. `None`: outside of the network.
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        if self.host_bits() < 128 && offset >> self.host_bits() != 0 {
            return None;
        }
        Some(match self.base {
            IpAddr::V4(base) => Ipv4Addr::from(u32::from(base) + offset as u32).into(),
            IpAddr::V6(base) => Ipv6Addr::from(u128::from(base) + offset).into(),
        })
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid CIDR address: {text}");
        let (address, prefix_len) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let digits = !prefix_len.is_empty() && prefix_len.bytes().all(|b| b.is_ascii_digit());
        let prefix_len: u8 = prefix_len.parse().ok().filter(|len| digits && *len <= bits).ok_or_else(invalid)?;
        let base = match address {
            IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4) & u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0)).into(),
        };
        Ok(Self { base, prefix_len })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix_len)
    }
}

/// A range of ports as upstream writes it: `30000-32767`, `30000+100` (a base and a size), or one port.
pub fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let invalid = || format!("unable to parse port range {text:?}");
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| invalid());
    let (first, last) = if let Some((first, last)) = text.split_once('-') {
        (port(first)?, port(last)?)
    } else if let Some((first, size)) = text.split_once('+') {
        let (first, size) = (port(first)?, port(size)?);
        (first, first.checked_add(size).ok_or_else(invalid)?)
    } else {
        let only = port(text)?;
        (only, only)
    };
    if first > last {
        return Err(format!("the last port of {text:?} is below the first"));
    }
    if first == 0 {
        return Err(format!("port range {text:?} must not contain port 0"));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, want) in [
            ("0", Some(0)),
            ("1m0s", Some(60_000_000_000)),
            ("1h", Some(3_600_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("100ms", Some(100_000_000)),
            ("2h45m", Some(9_900_000_000_000)),
            ("7µs", Some(7_000)),
            ("+3s", Some(3_000_000_000)),
            ("", None),
            ("1", None),
            ("s", None),
            ("1 s", None),
            ("1d", None),
            ("-1s", None),
            ("1..2s", None),
            ("9999999999h", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text).ok().map(|d| d.as_nanos()), want, "{text:?}");
        }
    }

    #[test]
    fn booleans_are_gos() {
        for (text, want) in [("true", Some(true)), ("1", Some(true)), ("F", Some(false)), ("False", Some(false)), ("yes", None), ("", None)]
        {
            assert_eq!(boolean(text).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn networks() {
        for (text, want, second) in [
            ("10.0.0.0/24", "10.0.0.0/24", Some("10.0.0.1")),
            ("10.0.3.7/16", "10.0.0.0/16", Some("10.0.0.1")),
            ("0.0.0.0/0", "0.0.0.0/0", Some("0.0.0.1")),
            ("10.0.0.5/32", "10.0.0.5/32", None),
            ("fd00::/108", "fd00::/108", Some("fd00::1")),
            ("::/0", "::/0", Some("::1")),
        ] {
            let cidr: Cidr = text.parse().expect(text);
            assert_eq!(cidr.to_string(), want);
            assert_eq!(cidr.nth(1).map(|ip| ip.to_string()).as_deref(), second, "{text}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0/24", "x/8", "10.0.0.0/+8", "10.0.0.0/", "fd00::/129"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn port_ranges() {
        for (text, want) in [
            ("30000-32767", Some(30000..=32767)),
            ("30000+10", Some(30000..=30010)),
            ("80", Some(80..=80)),
            ("20-10", None),
            ("0-10", None),
            ("1-70000", None),
            ("a-b", None),
            ("65000+1000", None),
        ] {
            assert_eq!(port_range(text).ok(), want, "{text}");
        }
    }
}
