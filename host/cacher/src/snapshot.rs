//! All objects of a resource at one revision.

use std::sync::Arc;

use imbl::OrdMap;
use storage::Revision;

use crate::object::Object;

/// Objects by key, in the order of bytes: upstream's order.
pub type Objects = OrdMap<Arc<str>, Arc<Object>>;

/// All objects of a resource at one revision.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The objects.
    pub objects: Objects,
    /// The revision that this is the state of.
    pub revision: Revision,
}
