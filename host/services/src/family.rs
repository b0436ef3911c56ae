//! The two families of IP addresses, as Services name them.

use std::net::IpAddr;

/// `IPv4` or `IPv6`, as `spec.ipFamilies` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.as_str() == text)
    }

    pub(crate) fn other(self) -> Self {
        if self == Self::V4 { Self::V6 } else { Self::V4 }
    }
}
