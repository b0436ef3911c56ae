//! The built-in kinds: a table generated at build time, and one file for each kind that has behaviour of its own.

pub mod bootstrap;
pub mod capabilities;
pub mod connect;
pub mod convert;
pub mod discovery;
pub mod kinds;
pub mod openapi;
pub mod printers;
pub mod resource;
pub mod selectable;
pub mod strategy;
pub mod tables;
pub mod unenforced;
pub mod version;

pub use resource::{Resource, ResourceRef, Scope, Subresource, Verbs};
pub use strategy::Strategy;
