//! One change of one object, as every watcher of the resource reads it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use storage::Revision;

use crate::event_type::EventType;
use crate::object::Object;

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    /// What happened to the object itself, whatever a selector makes of it.
    pub kind: EventType,
    /// As it is now; for a deletion as it was, at the revision of the deletion.
    pub object: Arc<Object>,
    /// As it was before; none for a creation.
    pub previous: Option<Arc<Object>>,
    /// `previous` at this change's revision: what a watcher sees whose selector the object has left.
    pub(crate) departed: OnceLock<Arc<Object>>,
    /// When it was taken in, by which it leaves the window.
    pub(crate) at: Instant,
}

impl Event {
    /// The revision at which it happened.
    pub fn revision(&self) -> Revision {
        self.object.revision()
    }
}
