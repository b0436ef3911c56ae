//! Nouns and pure functions of the Kubernetes API: names, versions, selectors, `Status`, patches, codecs, tables.
//!
//! **Architecture invariant:** no I/O, no clock, no tokio. Everything here is a function of its arguments.

#![allow(clippy::result_large_err, reason = "a Status is made once a request, and moved up a few frames")]

pub mod codec;
pub mod field;
pub mod group_version;
pub mod message;
pub mod object;
pub mod options;
pub mod patch;
pub mod quantity;
pub mod query;
pub mod request_info;
pub mod schema;
pub mod selector;
pub mod status;
pub mod time;
pub mod validation;

pub use group_version::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};
pub use request_info::RequestInfo;
pub use selector::{FieldSelector, LabelSelector};
pub use status::{Status, StatusReason};
