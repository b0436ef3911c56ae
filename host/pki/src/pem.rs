//! Sections of PEM files, and what can be wrong with them. Errors speak of the content; the caller puts the flag and the path in front.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::pem::{PemObject, SectionKind};

/// What is wrong with a PEM file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeyError {
    #[error("is not valid PEM")]
    Pem,
    #[error("holds no certificate")]
    NoCertificate,
    #[error("holds a certificate that can not be parsed")]
    BadCertificate,
    #[error("holds no private key")]
    NoPrivateKey,
    #[error("holds no key")]
    NoKey,
    #[error("holds a key that is neither RSA nor ECDSA on P-256 or P-384")]
    UnknownKey,
    #[error("the private key is not the certificate's")]
    Mismatch,
}

/// All sections that the parser knows.
pub(crate) fn sections(text: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, KeyError> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|_| KeyError::Pem)
}

/// A PEM section.
pub fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The content of the first section with that label.
pub(crate) fn pem_section(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (content, _) = after.split_once(&format!("-----END {label}-----"))?;
    BASE64_STANDARD.decode(content.split_ascii_whitespace().collect::<String>()).ok()
}
