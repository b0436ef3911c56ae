//! Keys that sign service-account tokens, and keys that check them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest;
use rustls_pki_types::pem::SectionKind;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer, alg_id};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::pem::{KeyError, pem, pem_section, sections};

/// The first private key of a PEM file, and its public half.
pub(crate) fn private_key_from_pem(text: &str) -> Result<(PrivateKeyDer<'static>, PublicKey), KeyError> {
    for section in sections(text)? {
        if let Some(key) = private_key(section) {
            let public = public_half(&key)?;
            return Ok((key, public));
        }
    }
    Err(KeyError::NoPrivateKey)
}

fn private_key((kind, der): (SectionKind, Vec<u8>)) -> Option<PrivateKeyDer<'static>> {
    match kind {
        SectionKind::PrivateKey => Some(PrivatePkcs8KeyDer::from(der).into()),
        SectionKind::RsaPrivateKey => Some(PrivatePkcs1KeyDer::from(der).into()),
        SectionKind::EcPrivateKey => Some(PrivateSec1KeyDer::from(der).into()),
        _ => None,
    }
}

fn public_half(key: &PrivateKeyDer<'_>) -> Result<PublicKey, KeyError> {
    let key = rustls::crypto::ring::sign::any_supported_type(key).map_err(|_| KeyError::UnknownKey)?;
    let public = key.public_key().ok_or(KeyError::UnknownKey)?;
    PublicKey::from_spki(public.to_vec())
}

/// The algorithm that a key signs tokens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "JWA's names")]
pub enum SigningAlgorithm {
    Rs256,
    Es256,
    Es384,
}

/// A key that service-account tokens are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// What it checks.
    pub algorithm: SigningAlgorithm,
    /// DER of the SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
    /// The `kid` of tokens that its private half signs, as upstream derives it.
    pub key_id: String,
}

impl PublicKey {
    fn from_spki(spki_der: Vec<u8>) -> Result<Self, KeyError> {
        let (_, spki) = SubjectPublicKeyInfo::from_der(&spki_der).map_err(|_| KeyError::UnknownKey)?;
        let algorithm = match spki.parsed().map_err(|_| KeyError::UnknownKey)? {
            ParsedKey::RSA(_) => SigningAlgorithm::Rs256,
            ParsedKey::EC(point) => match point.key_size() {
                256 => SigningAlgorithm::Es256,
                384 => SigningAlgorithm::Es384,
                _ => return Err(KeyError::UnknownKey),
            },
            _ => return Err(KeyError::UnknownKey),
        };
        let key_id = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &spki_der));
        Ok(Self { algorithm, spki_der, key_id })
    }

    /// As a `PUBLIC KEY` section.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &self.spki_der)
    }

    /// All keys of a PEM file: public ones, and those of private keys and certificates.
    ///
    /// # Errors
    /// What is wrong with the file, or that it holds no key.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for (kind, der) in sections(text)? {
            keys.push(match kind {
                SectionKind::PublicKey => Self::from_spki(der)?,
                SectionKind::Certificate => {
                    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| KeyError::BadCertificate)?;
                    Self::from_spki(certificate.public_key().raw.to_vec())?
                }
                kind => match private_key((kind, der)) {
                    Some(key) => public_half(&key)?,
                    None => continue,
                },
            });
        }
        if !keys.is_empty() {
            return Ok(keys);
        }
        // PKCS #1 public keys, a section that the parser does not know.
        let rsa = pem_section(text, "RSA PUBLIC KEY").ok_or(KeyError::NoKey)?;
        let spki = rustls::sign::public_key_to_spki(&alg_id::RSA_ENCRYPTION, rsa);
        Ok(vec![Self::from_spki(spki.to_vec())?])
    }
}

/// The key that service-account tokens are signed with.
#[derive(Clone)]
pub struct SigningKey {
    /// `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1).
    pub pem: String,
    /// Its public half.
    pub public: PublicKey,
}

/// Without the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.key_id)
    }
}

impl SigningKey {
    /// The first private key of a PEM file.
    ///
    /// # Errors
    /// What is wrong with the file, or that it holds no private key.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (key, public) = private_key_from_pem(text)?;
        let pem = match &key {
            PrivateKeyDer::Pkcs1(der) => pem("RSA PRIVATE KEY", der.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(der) => pem("PRIVATE KEY", &sec1_in_pkcs8(der.secret_sec1_der(), public.algorithm)),
            PrivateKeyDer::Pkcs8(der) => pem("PRIVATE KEY", der.secret_pkcs8_der()),
            _ => return Err(KeyError::UnknownKey),
        };
        Ok(Self { pem, public })
    }
}

/// `PrivateKeyInfo` around an `ECPrivateKey`: JWT libraries take nothing else.
fn sec1_in_pkcs8(sec1: &[u8], algorithm: SigningAlgorithm) -> Vec<u8> {
    let curve = match algorithm {
        SigningAlgorithm::Es384 => alg_id::ECDSA_P384,
        _ => alg_id::ECDSA_P256,
    };
    let mut content = vec![0x02, 0x01, 0x00];
    der_value(0x30, curve.as_ref(), &mut content);
    der_value(0x04, sec1, &mut content);
    let mut der = Vec::new();
    der_value(0x30, &content, &mut der);
    der
}

fn der_value(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    match content.len() {
        len @ 0..128 => out.push(len as u8),
        len @ 128..256 => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving_certificate::ServingCertificate;

    const RSA: &str = include_str!("../testdata/rsa.key");
    const RSA_PKCS1: &str = include_str!("../testdata/rsa-pkcs1.key");
    const RSA_PUBLIC: &str = include_str!("../testdata/rsa.pub");
    const RSA_PUBLIC_PKCS1: &str = include_str!("../testdata/rsa-pkcs1.pub");
    const EC: &str = include_str!("../testdata/ec.key");
    const EC_SEC1: &str = include_str!("../testdata/ec-sec1.key");
    const EC_PUBLIC: &str = include_str!("../testdata/ec.pub");
    const EC_CERTIFICATE: &str = include_str!("../testdata/ec.crt");
    const P521: &str = include_str!("../testdata/p521.key");

    #[test]
    fn every_spelling_of_a_key_is_the_same_key() {
        for (algorithm, spellings) in [
            (SigningAlgorithm::Rs256, &[RSA, RSA_PKCS1, RSA_PUBLIC, RSA_PUBLIC_PKCS1][..]),
            (SigningAlgorithm::Es256, &[EC, EC_SEC1, EC_PUBLIC, EC_CERTIFICATE][..]),
        ] {
            let first = PublicKey::all_from_pem(spellings[0]).expect("a key");
            assert_eq!(first[0].algorithm, algorithm);
            for spelling in spellings {
                assert_eq!(PublicKey::all_from_pem(spelling).as_ref(), Ok(&first), "{spelling}");
            }
            assert_eq!(PublicKey::all_from_pem(&first[0].to_pem()), Ok(first));
        }
        assert_eq!(PublicKey::all_from_pem(&format!("{RSA}{EC_PUBLIC}")).expect("two keys").len(), 2);
    }

    #[test]
    fn signing_keys_come_in_a_form_that_parses_again() {
        for text in [RSA, RSA_PKCS1, EC, EC_SEC1] {
            let key = SigningKey::from_pem(text).expect("a private key");
            assert!(!key.pem.contains("EC PRIVATE KEY"));
            assert_eq!(SigningKey::from_pem(&key.pem).expect("a private key").public, key.public);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(ServingCertificate::from_pem(EC_CERTIFICATE, EC).map(|c| c.chain.len()).ok(), Some(1));
        assert_eq!(ServingCertificate::from_pem(EC_CERTIFICATE, EC_SEC1).map(|c| c.chain.len()).ok(), Some(1));
        for (certificate, key, want) in [
            (EC_CERTIFICATE, RSA, KeyError::Mismatch),
            (EC_CERTIFICATE, EC_PUBLIC, KeyError::NoPrivateKey),
            (EC_CERTIFICATE, garbage, KeyError::UnknownKey),
            (EC_CERTIFICATE, P521, KeyError::UnknownKey),
            (EC, EC, KeyError::NoCertificate),
            ("", EC, KeyError::NoCertificate),
            (broken, EC, KeyError::BadCertificate),
        ] {
            assert_eq!(ServingCertificate::from_pem(certificate, key).err(), Some(want), "{key}");
        }
        for (text, want) in
            [("", KeyError::NoKey), ("nonsense", KeyError::NoKey), (garbage, KeyError::UnknownKey), (P521, KeyError::UnknownKey)]
        {
            assert_eq!(PublicKey::all_from_pem(text).err(), Some(want), "{text}");
        }
    }
}
