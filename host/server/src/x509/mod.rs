//! Client certificates, judged as Go's `crypto/x509` judges them for upstream.
//!
//! Why not webpki: it takes an authority for a name and a key, and asks neither whether it has expired nor whether it may sign; it knows no
//! certificates of version 1, which `openssl x509 -req` made for years. Both the refusals and the acceptances of kube-apiserver are Go's.
//! What is taken from webpki is the checking of signatures.
//!
//! `certificate` reads one, `verify` looks for a chain to an authority, `constraints` compares `names` with an authority's name constraints.

mod certificate;
mod constraints;
mod names;
#[cfg(test)]
mod tests;
mod text;
mod verify;

pub(crate) use certificate::Certificate;
pub use certificate::Malformed;
pub(crate) use verify::{Authorities, why_not_an_authority};
