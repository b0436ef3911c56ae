//! What may be reached, and how much of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Scheme, host and port: what a request may go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    pub(crate) tls: bool,
    /// Lower case; an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why a text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" must be an origin such as https://idp.example.com:8443, without user, path or query")]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = || OriginError(text.chars().take(256).collect());
        let uri: Uri = text.parse().map_err(|_| error())?;
        let bare = uri.path_and_query().is_none_or(|path| path == "/") && !text.ends_with('/');
        Self::of(&uri).filter(|_| bare).ok_or_else(error)
    }
}

impl Origin {
    /// Of a URL. `None`: it is not absolute, is not HTTP, or has a user in it.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let port = match authority.as_str().rsplit_once(':') {
            // What stands behind the colon is no number, or too large a one.
            Some((_, port)) if !port.ends_with(']') => authority.port_u16().filter(|port| *port > 0)?,
            _ => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        (!host.is_empty()).then_some(Self { tls, host, port })
    }

    /// Whether an address that its name stands for may be reached.
    pub(crate) fn reaches(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.host.parse::<IpAddr>().is_ok_and(|named| named.to_canonical() == address) {
            return true;
        }
        if address.is_loopback() {
            return self.host == "localhost";
        }
        match address {
            IpAddr::V4(address) => !is_local_v4(address),
            IpAddr::V6(address) => !is_local_v6(address),
        }
    }
}

/// Nobody's address, this machine's, or that of something on its own wire.
fn is_local_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0 || address.is_link_local() || address.is_broadcast() || address.is_multicast()
}

/// The same. NAT64 and 6to4 wrap addresses of version 4, which would otherwise pass unseen.
fn is_local_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let wrapped = match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] | [0, 0, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    };
    address.is_unspecified()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || wrapped.is_some_and(|wrapped| wrapped.is_loopback() || is_local_v4(wrapped))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those that the system trusts.
    System,
    /// These authorities', and nobody else's.
    Given(Vec<CertificateDer<'static>>),
}

impl Roots {
    /// From certificates in PEM, at least one.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match found {
            Ok(certificates) if certificates.is_empty() => Err("there is no certificate in it".to_owned()),
            Ok(certificates) => Ok(Self::Given(certificates)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What may be reached, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where requests may go.
    pub origins: Vec<Origin>,
    /// Whose certificates are trusted there.
    pub roots: Roots,
    /// One request, from its beginning to the end of its answer.
    pub timeout: Duration,
    /// Bytes of a request's body.
    pub request_bytes_max: usize,
    /// Bytes of an answer's body.
    pub response_bytes_max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let rows = [
            ("https://idp.example.com", Some("https://idp.example.com:443")),
            ("http://IdP.example.com.:8080", Some("http://idp.example.com:8080")),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("https://[::1]", Some("https://[::1]:443")),
            ("https://10.0.0.1", Some("https://10.0.0.1:443")),
            ("https://idp.example.com/", None),
            ("https://idp.example.com/path", None),
            ("https://idp.example.com?x", None),
            ("https://user@idp.example.com", None),
            ("https://idp.example.com:99999", None),
            ("https://idp.example.com:0", None),
            ("https://idp.example.com:", None),
            ("ftp://idp.example.com", None),
            ("idp.example.com", None),
            ("/path", None),
            ("", None),
        ];
        for (text, want) in rows {
            assert_eq!(text.parse::<Origin>().ok().map(|origin| origin.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_name_does_not_grant_the_machine_itself() {
        let rows = [
            ("https://a.example.com", "203.0.113.1", true),
            ("https://a.example.com", "10.0.0.1", true),
            ("https://a.example.com", "127.0.0.1", false),
            ("https://a.example.com", "127.8.0.1", false),
            ("https://a.example.com", "::1", false),
            ("https://a.example.com", "::ffff:127.0.0.1", false),
            ("https://a.example.com", "::127.0.0.1", false),
            ("https://a.example.com", "64:ff9b::7f00:1", false),
            ("https://a.example.com", "2002:a9fe:a9fe::1", false),
            ("https://a.example.com", "169.254.169.254", false),
            ("https://a.example.com", "::ffff:169.254.169.254", false),
            ("https://a.example.com", "fe80::1", false),
            ("https://a.example.com", "0.0.0.0", false),
            ("https://a.example.com", "::", false),
            ("https://a.example.com", "255.255.255.255", false),
            ("https://a.example.com", "224.0.0.1", false),
            ("https://a.example.com", "ff02::1", false),
            ("https://a.example.com", "2001:db8::1", true),
            ("https://localhost", "127.0.0.1", true),
            ("https://localhost", "::1", true),
            ("https://localhost", "169.254.169.254", false),
            ("https://127.0.0.1", "127.0.0.1", true),
            ("https://127.0.0.1", "127.0.0.2", false),
            ("https://[::1]", "::1", true),
            ("https://169.254.169.254", "169.254.169.254", true),
        ];
        for (origin, address, want) in rows {
            let origin: Origin = origin.parse().expect("an origin");
            assert_eq!(origin.reaches(address.parse().expect("an address")), want, "{origin} {address}");
        }
    }
}
