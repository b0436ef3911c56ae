//! The built-in kinds: what is served (`catalogue`, generated at build time), what a kind is and the list of all (`kinds`), and for each
//! kind a file or folder with all that it does differently (`<group>/<kind>`).

mod admissionregistration;
mod apiextensions;
mod apiregistration;
mod apps;
mod authentication;
mod authorization;
mod autoscaling;
mod batch;
pub mod bootstrap;
pub mod capabilities;
pub mod catalogue;
mod certificates;
mod coordination;
mod core;
mod discovery;
mod flowcontrol;
pub mod kinds;
mod networking;
mod node;
mod policy;
mod rbac;
mod resource;
mod scheduling;
mod shared;
mod storage;
mod storagemigration;
pub mod unenforced;

pub use catalogue::{Catalogue, Resource, ResourceRef, ResourceScope, Subresource, Verbs};
pub use catalogue::{connect, openapi, selectable, tables, version};
pub use kinds::{convert, printers, strategy};
pub use strategy::Strategy;
