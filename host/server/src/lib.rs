//! The request road: from the socket to an authorized request, and from an answer back to bytes.
//!
//! [`road`] is the map: every stage in arrival order. Handlers implement [`request::Handler`] and see nothing of connections.
//!
//! **Architecture invariant:** this crate alone knows hyper and rustls; it sees authentication, authorization, admission and storage only
//! through their traits.

pub mod body;
mod conditional;
pub mod connection;
pub mod endpoints;
pub mod filters;
pub mod health;
pub mod index;
pub mod limits;
pub mod listener;
pub mod load;
pub mod metrics;
pub mod negotiate;
pub mod openid;
mod pretty;
mod protobuf;
pub mod request;
pub mod response;
pub mod road;
mod serving;
pub mod shutdown;
mod socket;
mod strangers;
pub mod tls;
mod websocket;
mod x509;
mod yaml;
