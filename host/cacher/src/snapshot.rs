//! All objects of a resource at one revision.

use std::sync::Arc;

use imbl::OrdMap;
use storage::Revision;

use crate::object::Object;

/// All objects of a resource at one revision.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By key, in the order of bytes: upstream's order.
    pub objects: OrdMap<Arc<str>, Arc<Object>>,
    /// The revision that this is the state of.
    pub revision: Revision,
}
