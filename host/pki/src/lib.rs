//! Keys and certificates: those that an operator gives are read and found to fit together, those that a server makes for itself are made
//! once and kept.
//!
//! [`Pki::load`] runs before the port opens, so that nothing later can fail on a key. The clock is handed in. Who signed a client's
//! certificate is judged in `server`, whose is a token by a plugin.
//!
//! **Architecture invariant:** knows neither flags nor HTTP. A private key leaves this crate only for TLS and for files that are its
//! owner's alone.

mod admin_credential;
mod authority;
mod directory;
mod error;
mod file;
mod jwk;
mod key;
mod leaf;
mod pem;
mod pki;
mod server_names;
mod serving_certificate;
mod token_signer;

pub use admin_credential::AdminCredential;
pub use error::PkiError;
pub use file::{Durable, replace};
pub use jwk::jwk;
pub use key::{PublicKey, SigningAlgorithm, SigningKey};
pub use pem::{KeyError, pem};
pub use pki::{Given, Pki, Wanted};
pub use server_names::ServerNames;
pub use serving_certificate::{ServingCertificate, certificates_from_pem};
pub use token_signer::{SigningError, TokenSigner};
