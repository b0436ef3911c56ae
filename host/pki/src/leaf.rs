//! Certificates that the server's own authority signs: the serving certificate and the administrator's.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

use crate::error::PkiError;
use crate::pem::pem;
use crate::server_names::ServerNames;

const CERTIFICATE_DAYS: i64 = 730;
/// A certificate that ends sooner than this is made anew at the next start.
const RENEWAL_DAYS: i64 = 30;
/// A certificate is valid from the day before: clients' clocks may be behind.
const BACKDATED_DAYS: i64 = 1;

const SERVER_NAME: &str = "kube-apiserver";
const ADMIN_NAME: &str = "kubernetes-admin";
const ADMIN_GROUP: &str = "system:masters";

/// What a certificate is for.
#[derive(Clone, Copy)]
pub(crate) enum Leaf<'a> {
    /// The serving certificate, for these names.
    Server(&'a ServerNames),
    /// The administrator's client certificate.
    Admin,
}

/// A certificate as PEM.
pub(crate) fn issue(issuer: &Issuer<'_, KeyPair>, key: &KeyPair, leaf: Leaf<'_>, today: Date) -> Result<String, PkiError> {
    let mut params = match leaf {
        Leaf::Server(sans) => {
            let mut params = params(SERVER_NAME, CERTIFICATE_DAYS, today);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for name in &sans.dns {
                params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
            }
            params.subject_alt_names.extend(sans.ips.iter().map(|ip| SanType::IpAddress(*ip)));
            params
        }
        Leaf::Admin => {
            let mut params = params(ADMIN_NAME, CERTIFICATE_DAYS, today);
            params.distinguished_name.push(DnType::OrganizationName, ADMIN_GROUP);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params
        }
    };
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, issuer)?;
    Ok(pem("CERTIFICATE", certificate.der()))
}

/// Who it names and how long it holds.
pub(crate) fn params(common_name: &str, days: i64, today: Date) -> CertificateParams {
    let date = |days: i64| {
        let date = today.saturating_add(days.days());
        rcgen::date_time_ymd(date.year().into(), date.month() as u8, date.day() as u8)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(-BACKDATED_DAYS);
    params.not_after = date(days);
    params
}

/// Why a certificate needs to be made anew.
pub(crate) fn outdated(
    certificate: &X509Certificate<'_>,
    authority_key_id: Option<&[u8]>,
    leaf: Leaf<'_>,
    now: Timestamp,
) -> Option<&'static str> {
    if certificate.validity().not_after.timestamp() < now.as_second() + RENEWAL_DAYS * 24 * 3600 {
        return Some("it expires soon");
    }
    let signed_by = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    if signed_by.as_deref() != authority_key_id {
        return Some("it is signed by another authority");
    }
    if let Leaf::Server(wanted) = leaf {
        let names = certificate.subject_alternative_name().ok().flatten().map(|san| san.value.general_names.as_slice()).unwrap_or_default();
        let has_name = |wanted: &String| names.iter().any(|name| matches!(name, GeneralName::DNSName(name) if name == wanted));
        let has_ip = |wanted: &IpAddr| {
            let wanted = match wanted {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            names.iter().any(|name| matches!(name, GeneralName::IPAddress(ip) if *ip == wanted))
        };
        if !wanted.dns.iter().all(has_name) || !wanted.ips.iter().all(has_ip) {
            return Some("the server has names or addresses that it lacks");
        }
    }
    None
}
