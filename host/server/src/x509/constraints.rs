//! Name constraints of authorities (RFC 5280, 4.2.1.10), with Go's reading: a DNS or URI constraint that begins with a dot wants at least
//! one label more. Names of a kind without constraints are free.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;

use super::names::AlternativeNames;

/// Comparisons for one chain; Go's own bound was this, before it went to sorted tables.
const COMPARISON_COUNT_MAX: usize = 250_000;

/// What an authority may sign for.
#[derive(Debug)]
pub(super) struct NameConstraints {
    pub(super) permitted: Subtrees,
    pub(super) excluded: Subtrees,
}

/// Names with all that is below them, by kind.
#[derive(Debug, Default)]
pub(super) struct Subtrees {
    dns: Vec<String>,
    uris: Vec<String>,
    email_domains: Vec<String>,
    mailboxes: Vec<(String, String)>,
    networks: Vec<Network>,
}

#[derive(Debug)]
struct Network {
    address: Vec<u8>,
    mask: Vec<u8>,
}

impl Network {
    /// Half of the bytes are the address, half the mask, which is ones and then zeros.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (address, mask) = bytes.split_at(bytes.len() / 2);
        let zeros = mask.iter().skip_while(|byte| **byte == 0xff);
        let mut zeros = zeros.enumerate();
        let is_mask = zeros.all(|(place, byte)| if place == 0 { byte.leading_ones() + byte.trailing_zeros() == 8 } else { *byte == 0 });
        (matches!(bytes.len(), 8 | 32) && is_mask).then(|| Self { address: address.to_vec(), mask: mask.to_vec() })
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let bytes = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let inside = |((byte, address), mask): ((&u8, &u8), &u8)| byte & mask == address & mask;
        bytes.len() == self.address.len() && bytes.iter().zip(&self.address).zip(&self.mask).all(inside)
    }
}

impl Subtrees {
    /// `None`: not well-formed. `false`: of a kind that is not understood.
    pub(super) fn add(&mut self, name: &GeneralName<'_>) -> Option<bool> {
        match name {
            GeneralName::DNSName(name) => self.dns.push(constraint_domain(name)?),
            GeneralName::URI(name) if name.parse::<IpAddr>().is_ok() => return None,
            GeneralName::URI(name) => self.uris.push(constraint_domain(name)?),
            GeneralName::RFC822Name(name) if name.contains('@') => self.mailboxes.push(mailbox(name)?),
            GeneralName::RFC822Name(name) => self.email_domains.push(constraint_domain(name)?),
            GeneralName::IPAddress(bytes) => self.networks.push(Network::parse(bytes)?),
            GeneralName::Invalid(..) => return None,
            _ => return Some(false),
        }
        Some(true)
    }

    fn count(&self) -> usize {
        self.dns.len() + self.uris.len() + self.email_domains.len() + self.mailboxes.len() + self.networks.len()
    }
}

/// What of a certificate in a chain is compared.
pub(super) struct Constrained<'a> {
    pub(super) names: Option<&'a AlternativeNames>,
    pub(super) constraints: Option<&'a NameConstraints>,
}

/// Compares the names of every certificate with the constraints of all that are above it. The chain's leaf comes first.
pub(super) fn check(chain: &[Constrained<'_>]) -> Result<(), String> {
    let mut comparisons = 0;
    for (place, certificate) in chain.iter().enumerate() {
        let above: Vec<&NameConstraints> = chain[place + 1..].iter().filter_map(|authority| authority.constraints).collect();
        let Some(names) = certificate.names.filter(|_| !above.is_empty()) else { continue };
        let names = Names::read(names)?;
        for constraints in above {
            comparisons += names.count() * (constraints.permitted.count() + constraints.excluded.count());
            if comparisons > COMPARISON_COUNT_MAX {
                return Err("too many names and constraints".to_owned());
            }
            names.check(constraints)?;
        }
    }
    Ok(())
}

/// A certificate's names, as constraints speak of them.
struct Names<'a> {
    names: &'a AlternativeNames,
    uri_hosts: Vec<String>,
    mailboxes: Vec<(String, String)>,
}

impl<'a> Names<'a> {
    /// A name that cannot be compared is refused, for a constraint could be about it.
    fn read(names: &'a AlternativeNames) -> Result<Self, String> {
        if let Some(name) = names.dns.iter().find(|name| !is_domain(name, false)) {
            return Err(format!("x509: cannot parse dnsName {name:?}"));
        }
        let host = |uri: &String| uri_host(uri).ok_or_else(|| format!("URI {uri:?} cannot be matched against constraints"));
        let parse = |email: &String| mailbox(email).ok_or_else(|| format!("cannot parse rfc822Name {email:?}"));
        let uri_hosts = names.uris.iter().map(host).collect::<Result<_, _>>()?;
        let mailboxes = names.emails.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { names, uri_hosts, mailboxes })
    }

    fn count(&self) -> usize {
        self.names.dns.len() + self.names.ips.len() + self.uri_hosts.len() + self.mailboxes.len()
    }

    fn check(&self, constraints: &NameConstraints) -> Result<(), String> {
        let NameConstraints { permitted, excluded } = constraints;
        let refuse = |kind: &str, name: &dyn std::fmt::Display, why: &str| Err(format!("{kind} \"{name}\" is {why}"));
        let judge = |kind: &str, name: &dyn std::fmt::Display, limited: bool, allowed: bool, forbidden: bool| {
            if limited && !allowed {
                return refuse(kind, name, "not permitted by any constraint");
            }
            if forbidden { refuse(kind, name, "excluded by a constraint") } else { Ok(()) }
        };
        for ip in &self.names.ips {
            let inside = |networks: &[Network]| networks.iter().any(|network| network.contains(*ip));
            judge("IP address", ip, !permitted.networks.is_empty(), inside(&permitted.networks), inside(&excluded.networks))?;
        }
        for name in &self.names.dns {
            let below = |domains: &[String]| domains.iter().any(|domain| is_below(name, domain));
            let wild = excluded.dns.iter().any(|domain| wildcard_reaches(name, domain));
            judge("DNS name", name, !permitted.dns.is_empty(), below(&permitted.dns), below(&excluded.dns) || wild)?;
        }
        for host in &self.uri_hosts {
            let below = |domains: &[String]| domains.iter().any(|domain| is_below(host, domain));
            judge("URI", host, !permitted.uris.is_empty(), below(&permitted.uris), below(&excluded.uris))?;
        }
        for mailbox in &self.mailboxes {
            let matches = |subtrees: &Subtrees| {
                subtrees.mailboxes.contains(mailbox) || subtrees.email_domains.iter().any(|domain| is_below(&mailbox.1, domain))
            };
            let limited = !permitted.mailboxes.is_empty() || !permitted.email_domains.is_empty();
            judge("email address", &format_args!("{}@{}", mailbox.0, mailbox.1), limited, matches(permitted), matches(excluded))?;
        }
        Ok(())
    }
}

/// Whether a name is the domain or below it, in any letter case. The empty domain has all names; one that begins with a dot only those
/// below it.
fn is_below(name: &str, domain: &str) -> bool {
    let Some(split) = name.len().checked_sub(domain.len()) else { return false };
    let (front, back) = (&name.as_bytes()[..split], &name.as_bytes()[split..]);
    back.eq_ignore_ascii_case(domain.as_bytes())
        && (domain.is_empty() || domain.starts_with('.') || front.is_empty() || front.ends_with(b"."))
}

/// Whether `*.example.com` stands for a domain that is one label below `example.com`, among others.
fn wildcard_reaches(name: &str, domain: &str) -> bool {
    let parent = |name: &str| name.find('.').map(|dot| name[dot..].to_ascii_lowercase());
    name.starts_with('*') && parent(name).is_some_and(|above| parent(domain) == Some(above))
}

fn constraint_domain(name: &str) -> Option<String> {
    is_domain(name, true).then(|| name.to_ascii_lowercase())
}

/// Labels of visible ASCII characters. A constraint may begin with a dot.
fn is_domain(name: &str, is_constraint: bool) -> bool {
    let labels = if is_constraint { name.strip_prefix('.').unwrap_or(name) } else { name };
    name.is_empty() || labels.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// `local@domain`, the domain in lower case. Quoted local parts are not understood.
fn mailbox(text: &str) -> Option<(String, String)> {
    let (local, domain) = text.rsplit_once('@')?;
    let is_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let is_local = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom));
    (is_local && is_domain(domain, false)).then(|| (local.to_owned(), domain.to_ascii_lowercase()))
}

/// The host of a URI that has one and it is no address, in lower case.
fn uri_host(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host_and_port.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return None,
        None => host_and_port,
    };
    let is_name = !host.is_empty() && is_domain(host, false) && host.parse::<IpAddr>().is_err();
    is_name.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_below_domains() {
        for (name, domain, want) in [
            ("example.com", "example.com", true),
            ("EXAMPLE.com", "example.COM", true),
            ("a.example.com", "example.com", true),
            ("aexample.com", "example.com", false),
            ("example.com", "a.example.com", false),
            ("example.com", ".example.com", false),
            ("a.example.com", ".example.com", true),
            ("anything", "", true),
            ("com", "example.com", false),
        ] {
            assert_eq!(is_below(name, domain), want, "{name} {domain}");
        }
        assert!(wildcard_reaches("*.example.com", "secret.example.com"));
        assert!(!wildcard_reaches("*.example.com", "a.secret.example.com"));
        assert!(!wildcard_reaches("www.example.com", "secret.example.com"));
    }

    #[test]
    fn what_is_not_well_formed_is_no_name() {
        for (text, want) in [
            ("a@b", Some(("a", "b"))),
            ("a.b+c@EXAMPLE.com", Some(("a.b+c", "example.com"))),
            ("a..b@c", None),
            ("@c", None),
            ("a", None),
            ("\"a b\"@c", None),
            ("a@b.", None),
        ] {
            let want = want.map(|(local, domain)| (local.to_owned(), domain.to_owned()));
            assert_eq!(mailbox(text), want, "{text}");
        }
        for (uri, want) in [
            ("spiffe://Trust.Domain/x", Some("trust.domain")),
            ("https://user@host:8443/x?y#z", Some("host")),
            ("https://10.0.0.1/", None),
            ("https://[::1]/", None),
            ("urn:uuid:1", None),
            ("https:///x", None),
            ("https://host:x/", None),
        ] {
            assert_eq!(uri_host(uri).as_deref(), want, "{uri}");
        }
        for (bytes, want) in [
            (&[10, 0, 0, 0, 255, 0, 0, 0][..], true),
            (&[10, 0, 0, 0, 255, 240, 0, 0], true),
            (&[10, 0, 0, 0, 0, 0, 0, 0], true),
            (&[10, 0, 0, 0, 255, 0, 255, 0], false),
            (&[10, 0, 0, 0, 254, 1, 0, 0], false),
            (&[10, 0, 0, 0, 251, 0, 0, 0], false),
            (&[10, 0, 0, 255, 0, 0], false),
        ] {
            assert_eq!(Network::parse(bytes).is_some(), want, "{bytes:?}");
        }
    }
}
