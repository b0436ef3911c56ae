//! The server's own authority, which signs its serving certificate and the administrator's.

use jiff::Timestamp;
use jiff::civil::Date;
use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::PkiError;
use crate::leaf::params;
use crate::pem::pem;
use crate::serving_certificate::certificates_from_pem;

const AUTHORITY_NAME: &str = "wasmgate";
const AUTHORITY_DAYS: i64 = 3650;

/// The authority in the data directory.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) issuer: Issuer<'static, KeyPair>,
    /// The identifier of its key, which what it signed names.
    pub(crate) key_id: Option<Vec<u8>>,
}

/// Why the files of an authority cannot be used.
pub(crate) enum AuthorityError {
    /// One of them is not what it should be.
    Broken {
        /// `ca.crt` or `ca.key`.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Nothing can be signed with them.
    Unusable(rcgen::Error),
}

impl Authority {
    /// From the texts of both files; `now` must be before its end.
    pub(crate) fn read(certificate_pem: &str, key_pem: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        let broken = |file, why: String| AuthorityError::Broken { file, why };
        let certificate = certificates_from_pem(certificate_pem).map_err(|error| broken("ca.crt", error.to_string()))?.swap_remove(0);
        let key = KeyPair::from_pem(key_pem).map_err(|_| broken("ca.key", "holds no private key that can be used".into()))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).expect("it has been parsed before");
        if !parsed.is_ca() {
            return Err(broken("ca.crt", "is not an authority's certificate".into()));
        }
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(broken("ca.key", "is not the key of ca.crt".into()));
        }
        if parsed.validity().not_after.timestamp() <= now.as_second() {
            return Err(broken("ca.crt", "has expired".into()));
        }
        let key_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(AuthorityError::Unusable)?;
        Ok(Self { certificate_pem: pem("CERTIFICATE", &certificate), certificate, issuer, key_id })
    }
}

/// A new one: its certificate as PEM, and what signs with its key.
pub(crate) fn make_authority(today: Date) -> Result<(String, Issuer<'static, KeyPair>), PkiError> {
    let key = KeyPair::generate()?;
    let mut params = params(AUTHORITY_NAME, AUTHORITY_DAYS, today);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((pem("CERTIFICATE", certificate.der()), Issuer::new(params, key)))
}
