//! The watch cache: the current state of every resource and a bounded window of its changes, in one order, fed by one
//! watch on the store.
//!
//! The road of a change: store event → [`Caches`] (one reader, one revision) → the [`Cacher`] of the resource → every
//! [`Watcher`]. An object is kept as the bytes that go over the wire ([`Object`]); reads concatenate or slice them.
//! What is read past the cache becomes the same [`Object`]s.
//!
//! **Architecture invariants:** the reader never waits for a watcher. No lock is held across an await. Everything that
//! `Caches::applied` covers is visible in every `Cacher`.

mod announced;
mod cacher;
mod caches;
mod compactor;
mod event;
mod event_type;
mod extract;
pub mod limits;
mod object;
mod predicate;
mod probe;
mod snapshot;
mod state;
mod waiter;
mod watcher;

pub use announced::Announced;
pub use cacher::Cacher;
pub use caches::{Caches, Freshness, ReadError};
pub use compactor::compact;
pub use event::Event;
pub use event_type::EventType;
pub use object::{Encoding, EncodingKey, Object};
pub use predicate::{Interest, Predicate};
pub use snapshot::{Objects, Snapshot};
pub use state::Lost;
pub use watcher::{Update, WatchEnd, Watcher};

#[cfg(test)]
fn codec_for_tests(resource: &'static api::Resource) -> objectstore::Codec {
    objectstore::Codec::new(
        resource.into(),
        api::Catalogue::built_in(),
        objectstore::StorageMediaType::Json,
        std::sync::Arc::new(objectstore::Identity),
    )
}
