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
mod extract;
pub mod limits;
mod object;
mod probe;
mod watcher;

pub use announced::Announced;
pub use cacher::{Cacher, Event, EventType, Lost, Snapshot};
pub use caches::{Caches, Freshness, ReadError};
pub use compactor::compact;
pub use object::{Encoding, EncodingKey, Object};
pub use watcher::{Interest, Predicate, Update, WatchEnd, Watcher};

#[cfg(test)]
fn codec_for_tests(resource: &'static api::Resource) -> objectstore::Codec {
    objectstore::Codec::new(
        resource.into(),
        api::Catalogue::built_in(),
        objectstore::StorageMediaType::Json,
        std::sync::Arc::new(objectstore::Identity),
    )
}
