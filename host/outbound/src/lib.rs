//! Requests that leave this server: to origins that were granted beforehand, and to nowhere else.
//!
//! What is granted is a list of origins (`https://idp.example.com:8443`), each by its exact name, scheme and port. A name that is granted does
//! not grant what it resolves to: loopback and link-local addresses (where cloud providers keep credentials) are reached only where the
//! origin names them itself. Redirects are not followed; the caller sees them, and asks again for what is granted. Certificates are verified,
//! always.
//!
//! A [`Client`] keeps its connections, and every request has an end in time and in bytes.

mod client;
mod connect;
mod grant;
pub mod limits;

pub use client::{Client, Error, Failure, Method, Request, Response};
pub use grant::{Grant, Origin, OriginError, Roots};
