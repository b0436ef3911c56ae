//! Objects in the store: under which keys they lie, and in which form.
//!
//! A value is JSON in one [`layout`], or upstream's protobuf envelope; its first bytes say which. It is of the version that is stored,
//! or of another version of the kind, and then it is converted: who reads gets the stored version, with its defaults, in layout. What is
//! written is of the [`StorageMediaType`] that the operator chose, and goes through a [`Transformer`] last (encryption at rest).
//!
//! kube-apiserver and Wasmgate read each other's values, so that both may run on one etcd.
//!
//! **Architecture invariant:** nothing else turns values of the store into objects, or objects into values.

mod codec;
pub mod layout;
mod range_allocation;
mod store;
mod transformer;

pub use codec::{Codec, DecodeError, EncodeError, Encoded, StorageMediaType, Stored};
pub use range_allocation::RangeAllocation;
pub use store::ObjectStore;
pub use transformer::{Identity, Opened, TransformError, Transformer};
