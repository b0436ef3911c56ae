//! Addresses and networks (`k8s.io/apimachinery/pkg/util/validation/ip.go`).
//!
//! Fields that are older than the strict rules take leading zeros and IPv4 inside of IPv6 where the caller says so.

use std::net::{IpAddr, Ipv4Addr};

use crate::field::{Error, Path, go_quote};

/// Reads an address as upstream's `ParseIPSloppy` does: leading zeros are passed over.
pub fn parse_ip_sloppy(text: &str) -> Option<IpAddr> {
    let Some((groups, last)) = text.rsplit_once(':') else { return parse_ipv4_sloppy(text).map(IpAddr::V4) };
    if let Ok(ip) = text.parse() {
        return Some(IpAddr::V6(ip));
    }
    let last = if last.contains('.') { parse_ipv4_sloppy(last)?.to_string() } else { significant_digits(last).to_owned() };
    let groups: Vec<&str> = groups.split(':').map(significant_digits).collect();
    format!("{}:{last}", groups.join(":")).parse().ok().map(IpAddr::V6)
}

/// A group of an IPv6 address without leading zeros that are too many.
fn significant_digits(group: &str) -> &str {
    match group.trim_start_matches('0') {
        "" => &group[..group.len().min(1)],
        digits => digits,
    }
}

fn parse_ipv4_sloppy(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let significant = part.trim_start_matches('0');
        *octet = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    }
    parts.next().is_none().then_some(octets.into())
}

/// As Go prints it: IPv4 inside of IPv6 is IPv4.
fn canonical_ip(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

fn is_4in6(ip: IpAddr) -> bool {
    ip.to_canonical() != ip
}

fn parse_ip(path: &Path, value: &str, strict: bool) -> Result<IpAddr, Vec<Error>> {
    let Some(ip) = parse_ip_sloppy(value) else {
        return Err(vec![Error::invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]);
    };
    if strict && value.parse::<IpAddr>().is_err() {
        return Err(vec![Error::invalid(path, value, "must not have leading 0s")]);
    }
    if strict && is_4in6(ip) {
        return Err(vec![Error::invalid(path, value, "must not be an IPv4-mapped IPv6 address")]);
    }
    Ok(ip)
}

/// An address in canonical form: newer fields.
pub fn is_valid_ip(path: &Path, value: &str) -> Vec<Error> {
    match parse_ip(path, value, true) {
        Err(errors) => errors,
        Ok(ip) if canonical_ip(ip) == value => Vec::new(),
        Ok(ip) => vec![Error::invalid(path, value, &format!("must be in canonical form ({})", go_quote(&canonical_ip(ip))))],
    }
}

/// An address in an older field; `old` are values that were stored before and may stay.
pub fn is_valid_ip_for_legacy_field(path: &Path, value: &str, strict: bool, old: &[&str]) -> Vec<Error> {
    if old.contains(&value) {
        return Vec::new();
    }
    parse_ip(path, value, strict).err().unwrap_or_default()
}

/// Warnings about a valid address that is not written as it should be.
pub fn warnings_for_ip(path: &Path, value: &str) -> Vec<String> {
    let Some(ip) = parse_ip_sloppy(value) else { return Vec::new() };
    let (shown, canonical) = (go_quote(value), canonical_ip(ip));
    if value.parse::<IpAddr>().is_err() || is_4in6(ip) {
        return vec![format!("{path}: non-standard IP address {shown} is invalid: use {}", go_quote(&canonical))];
    }
    if ip.is_ipv6() && canonical != value {
        return vec![format!("{path}: IPv6 address {shown} should be in RFC 5952 canonical format ({})", go_quote(&canonical))];
    }
    Vec::new()
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address as given.
    pub ip: IpAddr,
    /// Bits of the prefix.
    pub prefix: u32,
}

/// Reads `10.0.0.0/8` as upstream's `ParseCIDRSloppy` does.
pub fn parse_cidr_sloppy(text: &str) -> Option<Cidr> {
    let (address, prefix) = text.split_once('/')?;
    let ip = parse_ip_sloppy(address)?;
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let prefix: u32 = prefix.parse().ok()?;
    (prefix <= if ip.is_ipv4() { 32 } else { 128 }).then_some(Cidr { ip, prefix })
}

impl Cidr {
    /// The first address of the network.
    pub fn network(self) -> IpAddr {
        match self.ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        }
    }

    /// Whether the address lies in the network. IPv4 inside of IPv6 is IPv4.
    pub fn contains(self, ip: IpAddr) -> bool {
        let canonical = Self { ip: ip.to_canonical(), prefix: self.prefix };
        self.ip.is_ipv4() == canonical.ip.is_ipv4() && canonical.network() == self.network()
    }

    fn written(self, ip: IpAddr) -> String {
        let shortened = ip.is_ipv6() && is_4in6(ip);
        let prefix = if shortened { self.prefix.saturating_sub(96) } else { self.prefix };
        format!("{}/{prefix}", canonical_ip(ip))
    }

    /// The network as Go prints it.
    fn canonical(self) -> String {
        self.written(self.network())
    }
}

fn has_leading_zeros(value: &str) -> bool {
    let (address, prefix) = value.split_once('/').unwrap_or((value, ""));
    address.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0'))
}

fn parse_cidr(path: &Path, value: &str, strict: bool) -> Result<Cidr, Vec<Error>> {
    let invalid = |words: &str| Err(vec![Error::invalid(path, value, words)]);
    let Some(cidr) = parse_cidr_sloppy(value) else {
        return invalid("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    };
    match strict {
        true if has_leading_zeros(value) => invalid("must not have leading 0s in IP or prefix length"),
        true if is_4in6(cidr.ip) => invalid("must not have an IPv4-mapped IPv6 address"),
        true if cidr.network() != cidr.ip => invalid("must not have bits set beyond the prefix length"),
        _ => Ok(cidr),
    }
}

/// A network in canonical form: newer fields.
pub fn is_valid_cidr(path: &Path, value: &str) -> Vec<Error> {
    match parse_cidr(path, value, true) {
        Err(errors) => errors,
        Ok(cidr) if cidr.canonical() == value => Vec::new(),
        Ok(cidr) => vec![Error::invalid(path, value, &format!("must be in canonical form ({})", go_quote(&cidr.canonical())))],
    }
}

/// A network in an older field; `old` are values that were stored before and may stay.
pub fn is_valid_cidr_for_legacy_field(path: &Path, value: &str, strict: bool, old: &[&str]) -> Vec<Error> {
    if old.contains(&value) {
        return Vec::new();
    }
    parse_cidr(path, value, strict).err().unwrap_or_default()
}

/// Warnings about a valid network that is not written as it should be.
pub fn warnings_for_cidr(path: &Path, value: &str) -> Vec<String> {
    let Some(cidr) = parse_cidr_sloppy(value) else { return Vec::new() };
    let (shown, canonical) = (go_quote(value), go_quote(&cidr.canonical()));
    let mut warnings = Vec::new();
    if cidr.network() != cidr.ip {
        let bits = if cidr.ip.is_ipv4() { 32 } else { 128 };
        let single = go_quote(&format!("{}/{bits}", canonical_ip(cidr.ip)));
        warnings.push(format!("{path}: CIDR value {shown} is ambiguous in this context (should be {canonical} or {single}?)"));
    }
    if has_leading_zeros(value) || is_4in6(cidr.ip) {
        warnings.push(format!("{path}: non-standard CIDR value {shown} is invalid: use {canonical}"));
    }
    if warnings.is_empty() && cidr.ip.is_ipv6() && cidr.canonical() != value {
        warnings.push(format!("{path}: IPv6 CIDR value {shown} should be in RFC 5952 canonical format ({canonical})"));
    }
    warnings
}

/// An address of an interface with its network, in canonical form: `192.168.1.5/24`.
pub fn is_valid_interface_address(path: &Path, value: &str) -> Vec<Error> {
    match parse_cidr_sloppy(value) {
        None => vec![Error::invalid(path, value, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)")],
        Some(cidr) if cidr.written(cidr.ip) == value => Vec::new(),
        Some(cidr) => {
            let canonical = go_quote(&cidr.written(cidr.ip));
            vec![Error::invalid(path, value, &format!("must be in canonical form ({canonical})"))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(errors: Vec<Error>) -> String {
        errors.iter().map(|error| error.body.clone()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn addresses() {
        let rows = [
            ("10.0.0.1", "", ""),
            ("2001:db8::1", "", ""),
            (
                "010.0.0.1",
                "Invalid value: \"010.0.0.1\": must not have leading 0s",
                "x: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"",
            ),
            (
                "::00001",
                "Invalid value: \"::00001\": must not have leading 0s",
                "x: non-standard IP address \"::00001\" is invalid: use \"::1\"",
            ),
            (
                "::ffff:01.2.3.4",
                "Invalid value: \"::ffff:01.2.3.4\": must not have leading 0s",
                "x: non-standard IP address \"::ffff:01.2.3.4\" is invalid: use \"1.2.3.4\"",
            ),
            ("::+1", "Invalid value: \"::+1\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", ""),
            (
                "::ffff:1.2.3.4",
                "Invalid value: \"::ffff:1.2.3.4\": must not be an IPv4-mapped IPv6 address",
                "x: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"",
            ),
            (
                "2001:DB8::1",
                "Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")",
                "x: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            ),
            ("1.2.3", "Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", ""),
            ("nope", "Invalid value: \"nope\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", ""),
        ];
        let path = Path::new("x");
        for (value, want, warning) in rows {
            assert_eq!(words(is_valid_ip(&path, value)), want, "{value}");
            assert_eq!(warnings_for_ip(&path, value).join("; "), warning, "{value}");
        }
        assert_eq!(is_valid_ip_for_legacy_field(&path, "010.0.0.1", false, &[]), []);
        assert_eq!(is_valid_ip_for_legacy_field(&path, "010.0.0.1", true, &["010.0.0.1"]), []);
    }

    #[test]
    fn networks() {
        let rows = [
            ("10.0.0.0/8", ""),
            ("2001:db8::/64", ""),
            ("0.0.0.0/0", ""),
            ("10.0.0.1/8", "Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length"),
            ("10.0.0.0/08", "Invalid value: \"10.0.0.0/08\": must not have leading 0s in IP or prefix length"),
            ("::ffff:10.0.0.0/104", "Invalid value: \"::ffff:10.0.0.0/104\": must not have an IPv4-mapped IPv6 address"),
            ("2001:DB8::/64", "Invalid value: \"2001:DB8::/64\": must be in canonical form (\"2001:db8::/64\")"),
            ("10.0.0.0/33", "Invalid value: \"10.0.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
            ("10.0.0.0", "Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ];
        let path = Path::new("x");
        for (value, want) in rows {
            assert_eq!(words(is_valid_cidr(&path, value)), want, "{value}");
        }
        let ambiguous = warnings_for_cidr(&path, "10.0.0.1/8");
        assert_eq!(ambiguous, ["x: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)"]);
        assert_eq!(is_valid_interface_address(&path, "10.0.0.1/8"), []);
        let service = parse_cidr_sloppy("10.0.0.0/16").expect("a network");
        let inside = ["10.0.255.1", "10.1.0.1", "::ffff:10.0.0.5", "::1"].map(|ip| service.contains(ip.parse().expect("an address")));
        assert_eq!(inside, [true, false, true, false]);
    }
}
