//! Discovery of the keys that sign service-account tokens: `/.well-known/openid-configuration` and `/openid/v1/jwks`.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::{Value, json};

use crate::body::Body;
use crate::response::{self, Response};

/// Both documents, written once.
#[derive(Clone, Debug)]
pub struct OpenId {
    configuration: Bytes,
    keys: Bytes,
}

impl OpenId {
    /// The issuer, where its keys are found, and the keys (each a JWK with its `alg`).
    pub fn new(issuer: &str, jwks_uri: &str, keys: &[Value]) -> Self {
        let mut algorithms: Vec<&str> = keys.iter().filter_map(|key| key["alg"].as_str()).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        let configuration = json!({
            "issuer": issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        });
        Self { configuration: configuration.to_string().into(), keys: json!({ "keys": keys }).to_string().into() }
    }

    /// Answers `/.well-known/openid-configuration`.
    pub fn configuration(&self) -> Response {
        cached("application/json", &self.configuration)
    }

    /// Answers `/openid/v1/jwks`.
    pub fn jwks(&self) -> Response {
        cached("application/jwk-set+json", &self.keys)
    }
}

fn cached(content_type: &'static str, document: &Bytes) -> Response {
    let mut response = response::with_type(200, content_type, Body::full(document.clone()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}
