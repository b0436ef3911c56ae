//! What a token says.

use wasmgate_sdk::serde::{Deserialize, Deserializer};

/// The issuer of tokens that are kept in a Secret.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// The claims that mean something here.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Claims {
    iss: String,
    pub sub: String,
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<String>,
    pub exp: Option<f64>,
    pub nbf: Option<f64>,
    pub iat: Option<f64>,
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Kubernetes,
    #[serde(flatten)]
    pub legacy: Legacy,
}

/// What a token is bound to.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Kubernetes {
    pub namespace: String,
    pub serviceaccount: Reference,
    pub pod: Option<Reference>,
    pub secret: Option<Reference>,
    pub node: Option<Reference>,
}

/// An object by name and uid.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Reference {
    pub name: String,
    pub uid: String,
}

/// The claims of a token that is kept in a Secret.
#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
pub struct Legacy {
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    pub namespace: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    pub name: String,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.uid")]
    pub uid: String,
    #[serde(rename = "kubernetes.io/serviceaccount/secret.name")]
    pub secret: String,
}

impl Claims {
    /// For whom the token is.
    pub fn audiences(&self) -> &[String] {
        &self.aud
    }

    /// Whether it is one that is kept in a Secret.
    pub fn is_legacy(&self) -> bool {
        self.iss == LEGACY_ISSUER
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(crate = "wasmgate_sdk::serde", untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<Audience>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Audience::One(audience)) => vec![audience],
        Some(Audience::Many(audiences)) => audiences,
    })
}
