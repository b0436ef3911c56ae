//! What is served: the generated table of resources, look-ups in it, and the documents that tell clients of it.

pub mod connect;
pub mod discovery;
pub mod openapi;
pub mod resource;
pub mod selectable;
pub mod tables;
pub mod version;
