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
    /// The object's resource version; of a deletion, the revision at which it went. 0 where the host does not know.
    pub revision: u64,
    /// The object as it is now; none: deleted.
    pub object: Option<Json>,
}

impl Change {
    /// An object that is there: for tests.
    pub fn put(resource: GroupResource, object: &serde_json::Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Self { resource, namespace: text("/metadata/namespace"), name: text("/metadata/name"), revision: 0, object: Some(object.into()) }
    }
}

/// Optional export `changes`.
pub trait Changes: crate::Plugin {
    /// Forget what was known of this resource. All its objects follow, in as many calls of [`Self::apply`] as it takes.
    fn reset(&mut self, resource: GroupResource);

    /// These changed, in order.
    fn apply(&mut self, changes: Vec<Change>);
}
