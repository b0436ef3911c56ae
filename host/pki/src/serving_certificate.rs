//! What a TLS server shows, and the key that proves it.

use std::fmt;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::key::private_key_from_pem;
use crate::pem::KeyError;

/// A certificate with its intermediates, and the key that belongs to it.
pub struct ServingCertificate {
    /// The server's own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for ServingCertificate {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// Without the key.
impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServingCertificate({} certificates)", self.chain.len())
    }
}

impl ServingCertificate {
    /// From the two files' texts; checks that the key is the certificate's.
    ///
    /// # Errors
    /// What is wrong with one of them, or that they do not belong together.
    pub fn from_pem(certificates: &str, key: &str) -> Result<Self, KeyError> {
        let chain = certificates_from_pem(certificates)?;
        let (key, _) = private_key_from_pem(key)?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => KeyError::Mismatch,
            _ => KeyError::UnknownKey,
        })?;
        Ok(Self { chain, key })
    }
}

/// All certificates of a PEM file, at least one, each of which parses.
///
/// # Errors
/// What is wrong with the file, or that it holds no certificate.
pub fn certificates_from_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|_| KeyError::Pem)?;
    if certificates.is_empty() {
        return Err(KeyError::NoCertificate);
    }
    for certificate in &certificates {
        X509Certificate::from_der(certificate).map_err(|_| KeyError::BadCertificate)?;
    }
    Ok(certificates)
}
