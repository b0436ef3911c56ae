//! A certificate's subject alternative names (RFC 5280, 4.2.1.6).

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;

/// Without names of other kinds, which nothing here asks for.
#[derive(Debug, Default)]
pub(super) struct AlternativeNames {
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) uris: Vec<String>,
    pub(super) ips: Vec<IpAddr>,
}

impl AlternativeNames {
    pub(super) fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.emails.is_empty() && self.uris.is_empty() && self.ips.is_empty()
    }

    /// `None`: one of them is not well-formed.
    pub(super) fn read(names: &[GeneralName<'_>]) -> Option<Self> {
        let ascii = |name: &str| name.is_ascii().then(|| name.to_owned());
        let mut found = Self::default();
        for name in names {
            match name {
                GeneralName::DNSName(name) => found.dns.push(ascii(name)?),
                GeneralName::RFC822Name(name) => found.emails.push(ascii(name)?),
                GeneralName::URI(name) => found.uris.push(ascii(name)?),
                GeneralName::IPAddress(bytes) => found.ips.push(ip(bytes)?),
                GeneralName::Invalid(..) => return None,
                _ => {}
            }
        }
        Some(found)
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
