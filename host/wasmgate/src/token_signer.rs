//! Service-account tokens as the server issues them: the issuer and the audiences of the flags, signed with the key of `pki`.

use std::time::Duration;

use pki::{SigningError, SigningKey};
use serde_json::Value;
use server::endpoints::TokenSigner;

/// A key, and whose tokens it signs.
pub struct ServiceAccountTokens {
    signer: pki::TokenSigner,
    issuer: String,
    audiences: Vec<String>,
    expiration_seconds_max: Option<i64>,
}

impl ServiceAccountTokens {
    /// Takes the key.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn new(key: &SigningKey, issuer: &str, audiences: &[String], expiration_max: Option<Duration>) -> Result<Self, SigningError> {
        let signer = pki::TokenSigner::new(key)?;
        let expiration_seconds_max = expiration_max.map(|max| i64::try_from(max.as_secs()).unwrap_or(i64::MAX));
        Ok(Self { signer, issuer: issuer.to_owned(), audiences: audiences.to_vec(), expiration_seconds_max })
    }
}

impl TokenSigner for ServiceAccountTokens {
    fn sign(&self, mut claims: Value) -> Result<String, String> {
        claims["iss"] = self.issuer.clone().into();
        self.signer.sign(&claims).map_err(|error| error.to_string())
    }

    fn audiences(&self) -> Vec<String> {
        self.audiences.clone()
    }

    fn expiration_seconds_max(&self) -> Option<i64> {
        self.expiration_seconds_max
    }
}
