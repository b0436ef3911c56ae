//! Signs service-account tokens with the server's key; the key never leaves this file.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;
use server::endpoints::TokenSigner;

use crate::keys::{SigningAlgorithm, SigningKey};

/// A key, and whose tokens it signs.
pub struct KeySigner {
    header: Header,
    key: EncodingKey,
    issuer: String,
    audiences: Vec<String>,
    expiration_seconds_max: Option<i64>,
}

impl KeySigner {
    /// Takes the key; an error says why it cannot sign.
    pub fn new(
        key: &SigningKey,
        issuer: &str,
        audiences: &[String],
        expiration_max: Option<Duration>,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let pem = key.pem.as_bytes();
        let (algorithm, encoding) = match key.public.algorithm {
            SigningAlgorithm::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)?),
            SigningAlgorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)?),
            SigningAlgorithm::Es384 => (Algorithm::ES384, EncodingKey::from_ec_pem(pem)?),
        };
        let header = Header { typ: None, kid: Some(key.public.key_id.clone()), ..Header::new(algorithm) };
        let expiration_seconds_max = expiration_max.map(|max| i64::try_from(max.as_secs()).unwrap_or(i64::MAX));
        Ok(Self { header, key: encoding, issuer: issuer.to_owned(), audiences: audiences.to_vec(), expiration_seconds_max })
    }
}

impl TokenSigner for KeySigner {
    fn sign(&self, mut claims: Value) -> Result<String, String> {
        claims["iss"] = self.issuer.clone().into();
        encode(&self.header, &claims, &self.key).map_err(|error| error.to_string())
    }

    fn audiences(&self) -> Vec<String> {
        self.audiences.clone()
    }

    fn expiration_seconds_max(&self) -> Option<i64> {
        self.expiration_seconds_max
    }
}
