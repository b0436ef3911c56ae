//! Capability `jwt`: whether this server signed a token. Keys stay here; a plugin learns the claims or why not.
//!
//! The key decides the algorithm, never the token: an RSA key verifies RS256 only, a P-256 key ES256, a P-384 key ES384,
//! and nothing verifies `none` or an HMAC. Times and audiences are the plugin's to check, so what is remembered here (a
//! signature holds) stays true for as long as the keys do.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::limits;

/// What a look at a token finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Signature and issuer hold; these are the claims, as JSON.
    Claims(Arc<[u8]>),
    /// No token of this server.
    Unknown,
    /// It claims to be one, and is not.
    Invalid(String),
}

/// Looks at tokens. Implemented by [`Tokens`]; another one may know keys that are not files.
pub trait TokenVerifier: Send + Sync {
    /// Checks signature and issuer.
    fn verify(&self, token: &str) -> Verification;

    /// `--api-audiences`.
    fn audiences(&self) -> &[String];
}

/// Knows no key: every token is unknown.
pub struct NoTokens;

impl TokenVerifier for NoTokens {
    fn verify(&self, _: &str) -> Verification {
        Verification::Unknown
    }

    fn audiences(&self) -> &[String] {
        &[]
    }
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// It holds no key.
    #[error("no public key, certificate or private key in PEM form")]
    Empty,
    /// A block of it is no key that tokens can be checked with.
    #[error("block {index} ({label}): {problem}")]
    Block {
        /// From 0.
        index: usize,
        /// `PUBLIC KEY`.
        label: String,
        /// What is wrong with it.
        problem: String,
    },
}

struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The keys of this server.
pub struct Tokens {
    keys: Vec<Key>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    verified: Mutex<HashMap<[u8; 32], Arc<[u8]>>>,
}

impl Tokens {
    /// From the PEM texts of `--service-account-key-file`, `--service-account-issuer` and `--api-audiences`.
    pub fn new(pem_files: &[impl AsRef<[u8]>], issuers: Vec<String>, audiences: Vec<String>) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for file in pem_files {
            keys.extend(keys_of(file.as_ref())?);
        }
        Ok(Self { keys, issuers, audiences, verified: Mutex::default() })
    }

    fn check(&self, token: &str) -> Result<Arc<[u8]>, Verification> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(Verification::Unknown);
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| Verification::Unknown);
        // The issuer says whose token it is, and is believed only once the signature holds.
        let claims = decode(payload)?;
        #[derive(serde::Deserialize)]
        struct Issuer {
            iss: String,
        }
        let issuer: Issuer = serde_json::from_slice(&claims).map_err(|_| Verification::Unknown)?;
        if !self.issuers.contains(&issuer.iss) {
            return Err(Verification::Unknown);
        }
        let invalid = |words: &str| Verification::Invalid(words.to_owned());
        #[derive(serde::Deserialize)]
        struct Header {
            alg: String,
            /// Extensions that must be understood (RFC 7515, 4.1.11). None is.
            crit: Option<serde_json::Value>,
        }
        let header_bytes = decode(header)?;
        let head: Header = serde_json::from_slice(&header_bytes).map_err(|_| Verification::Unknown)?;
        if head.crit.is_some() {
            return Err(invalid("the header has critical extensions"));
        }
        let algorithm = match head.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "ES384" => Algorithm::ES384,
            other => return Err(invalid(&format!("unexpected signature algorithm {:?}", limits::shorten(other, 32)))),
        };
        let message = &token[..header.len() + 1 + payload.len()];
        let holds = self
            .keys
            .iter()
            .filter(|key| key.algorithm == algorithm)
            .any(|key| jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, algorithm).unwrap_or(false));
        if holds { Ok(claims.into()) } else { Err(invalid("no key of this server made the signature")) }
    }
}

impl TokenVerifier for Tokens {
    fn verify(&self, token: &str) -> Verification {
        if token.len() > limits::TOKEN_BYTES_MAX || token.bytes().filter(|b| *b == b'.').count() != 2 {
            return Verification::Unknown;
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = self.verified.lock().get(&digest) {
            return Verification::Claims(claims.clone());
        }
        match self.check(token) {
            Ok(claims) => {
                let mut verified = self.verified.lock();
                // Only what was signed here comes in, so that nobody outside can push others out.
                if verified.len() >= limits::VERIFIED_TOKENS_MAX {
                    verified.clear();
                }
                verified.insert(digest, claims.clone());
                Verification::Claims(claims)
            }
            Err(other) => other,
        }
    }

    fn audiences(&self) -> &[String] {
        &self.audiences
    }
}

/// The public keys of a PEM text. As upstream, a private key stands for its public half.
fn keys_of(pem: &[u8]) -> Result<Vec<Key>, KeyError> {
    let text = String::from_utf8_lossy(pem);
    let mut keys = Vec::new();
    let mut rest = &*text;
    let mut index = 0;
    while let Some((label, block, after)) = next_block(rest) {
        // openssl writes the curve's name before an EC key.
        if label != "EC PARAMETERS" {
            let key = key_of(label, block.as_bytes()).map_err(|problem| KeyError::Block { index, label: label.to_owned(), problem })?;
            keys.push(key);
        }
        rest = after;
        index += 1;
    }
    if keys.is_empty() { Err(KeyError::Empty) } else { Ok(keys) }
}

/// The first PEM block: its label, its text, and what follows.
fn next_block(text: &str) -> Option<(&str, &str, &str)> {
    const BEGIN: &str = "-----BEGIN ";
    let start = text.find(BEGIN)?;
    let label = text[start + BEGIN.len()..].split("-----").next()?;
    let end_line = format!("-----END {label}-----");
    let end = start + text[start..].find(&end_line)? + end_line.len();
    Some((label, &text[start..end], &text[end..]))
}

fn key_of(label: &str, block: &[u8]) -> Result<Key, String> {
    let unusable = |error: jsonwebtoken::errors::Error| error.to_string();
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => match DecodingKey::from_rsa_pem(block) {
            Ok(key) => Ok(Key { algorithm: Algorithm::RS256, key }),
            Err(_) => ec_key(DecodingKey::from_ec_pem(block).map_err(unusable)?),
        },
        "RSA PRIVATE KEY" => rsa_private(block).map_err(unusable),
        "PRIVATE KEY" => rsa_private(block).or_else(|_| {
            let private = EncodingKey::from_ec_pem(block).map_err(unusable)?;
            let public =
                [Algorithm::ES256, Algorithm::ES384].into_iter().find_map(|algorithm| Jwk::from_encoding_key(&private, algorithm).ok());
            ec_key(DecodingKey::from_jwk(&public.ok_or("neither P-256 nor P-384")?).map_err(unusable)?)
        }),
        "EC PRIVATE KEY" => Err("write it as PKCS #8 (openssl pkcs8 -topk8 -nodes), or give its public key".to_owned()),
        _ => Err("is no key".to_owned()),
    }
}

fn rsa_private(block: &[u8]) -> Result<Key, jsonwebtoken::errors::Error> {
    let public = Jwk::from_encoding_key(&EncodingKey::from_rsa_pem(block)?, Algorithm::RS256)?;
    Ok(Key { algorithm: Algorithm::RS256, key: DecodingKey::from_jwk(&public)? })
}

fn ec_key(key: DecodingKey) -> Result<Key, String> {
    // An uncompressed point: 4, x, y.
    let algorithm = match key.try_get_as_bytes().map(<[u8]>::len) {
        Ok(65) => Algorithm::ES256,
        Ok(97) => Algorithm::ES384,
        _ => return Err("neither P-256 nor P-384".to_owned()),
    };
    Ok(Key { algorithm, key })
}
