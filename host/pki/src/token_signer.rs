//! Signs service-account tokens; the key never leaves this file.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;

use crate::key::{SigningAlgorithm, SigningKey};

/// A key that signs tokens.
pub struct TokenSigner {
    header: Header,
    key: EncodingKey,
}

/// Why a token is not signed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SigningError(#[from] jsonwebtoken::errors::Error);

impl TokenSigner {
    /// Takes the key.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn new(key: &SigningKey) -> Result<Self, SigningError> {
        let pem = key.pem.as_bytes();
        let (algorithm, encoding) = match key.public.algorithm {
            SigningAlgorithm::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)?),
            SigningAlgorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)?),
            SigningAlgorithm::Es384 => (Algorithm::ES384, EncodingKey::from_ec_pem(pem)?),
        };
        let header = Header { typ: None, kid: Some(key.public.key_id.clone()), ..Header::new(algorithm) };
        Ok(Self { header, key: encoding })
    }

    /// The claims as a signed token.
    ///
    /// # Errors
    /// The claims cannot be signed.
    pub fn sign(&self, claims: &Value) -> Result<String, SigningError> {
        Ok(encode(&self.header, claims, &self.key)?)
    }
}
