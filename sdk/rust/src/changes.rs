//! Optional export `changes`: the host tells of every change to the resources in the manifest's `watches`, so that a plugin
//! can keep an index of its own. Before a call the instance has been told of everything up to the cache's revision.

use crate::json::Json;

/// `deployments.apps`; the core group is the empty string.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// `apps`.
    pub group: String,
    /// `deployments`.
    pub resource: String,
}

impl GroupResource {
    /// Of these two.
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { group: group.into(), resource: resource.into() }
    }
}

/// One object changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Of which resource.
    pub resource: GroupResource,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object as it is now; none: deleted.
    pub object: Option<Json>,
}

/// Optional export `changes`.
pub trait Changes: crate::Plugin {
    /// Forget what was known of this resource: these are all its objects.
    fn reset(&mut self, resource: GroupResource, objects: Vec<Json>);

    /// These changed, in order.
    fn apply(&mut self, changes: Vec<Change>);
}
