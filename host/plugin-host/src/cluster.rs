//! What plugins see of the cluster: look-ups, and a feed of changes. Implemented over the watch cache by whoever wires
//! the server.

use std::sync::Arc;

use apimachinery::GroupResource;
use async_trait::async_trait;
use bytes::Bytes;

/// A change to one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// `rolebindings.rbac.authorization.k8s.io`.
    pub resource: GroupResource,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// Its resource version; of a deletion, the revision at which it went.
    pub revision: u64,
    /// The object as it is now, in its wire form; `None`: deleted.
    pub object: Option<Bytes>,
}

/// All objects of the resources of a feed.
#[derive(Clone, Debug)]
pub struct FeedSnapshot {
    /// Where the feed stands: a cursor for [`Feed::changes_since`].
    pub cursor: u64,
    /// Every resource of the feed, with all its objects.
    pub objects: Vec<(GroupResource, Vec<Change>)>,
}

/// What happened since a cursor.
#[derive(Clone, Debug)]
pub enum Changes {
    /// These changes, in order.
    Since {
        /// Where the feed stands after them.
        cursor: u64,
        /// What changed.
        list: Vec<Change>,
    },
    /// The window has left the cursor behind: take a snapshot.
    Lost,
}

/// Changes of some resources, in one order.
pub trait Feed: Send + Sync {
    /// Where the feed stands: a number that grows with every change. Read before every call, so it must be cheap: an
    /// atomic load or a few.
    fn cursor(&self) -> u64;

    /// The state now.
    fn snapshot(&self) -> FeedSnapshot;

    /// What happened since a cursor of this feed.
    fn changes_since(&self, cursor: u64) -> Changes;
}

/// The cluster's state.
#[async_trait]
pub trait ClusterView: Send + Sync {
    /// One object from the watch cache; `namespace` is empty for cluster-scoped resources.
    fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Bytes>;

    /// One object from the store, past the cache.
    async fn get_live(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Option<Bytes>, String>;

    /// All objects of a namespace; of all namespaces where it is empty.
    fn list(&self, resource: &GroupResource, namespace: &str) -> Vec<Bytes>;

    /// Whether a namespace has any object of a resource; whether there is any at all, where it is empty.
    fn any(&self, resource: &GroupResource, namespace: &str) -> bool {
        !self.list(resource, namespace).is_empty()
    }

    /// Whether there is such a resource: a manifest that names another is refused.
    fn serves(&self, resource: &GroupResource) -> bool;

    /// The changes to some resources from now on.
    fn subscribe(&self, resources: &[GroupResource]) -> Arc<dyn Feed>;
}

/// A cluster without anything in it, for tools and tests.
pub struct EmptyCluster;

struct EmptyFeed(Vec<GroupResource>);

impl Feed for EmptyFeed {
    fn cursor(&self) -> u64 {
        1
    }

    fn snapshot(&self) -> FeedSnapshot {
        FeedSnapshot { cursor: 1, objects: self.0.iter().map(|resource| (resource.clone(), Vec::new())).collect() }
    }

    fn changes_since(&self, cursor: u64) -> Changes {
        Changes::Since { cursor, list: Vec::new() }
    }
}

#[async_trait]
impl ClusterView for EmptyCluster {
    fn get(&self, _: &GroupResource, _: &str, _: &str) -> Option<Bytes> {
        None
    }

    async fn get_live(&self, _: &GroupResource, _: &str, _: &str) -> Result<Option<Bytes>, String> {
        Ok(None)
    }

    fn list(&self, _: &GroupResource, _: &str) -> Vec<Bytes> {
        Vec::new()
    }

    fn serves(&self, _: &GroupResource) -> bool {
        true
    }

    fn subscribe(&self, resources: &[GroupResource]) -> Arc<dyn Feed> {
        Arc::new(EmptyFeed(resources.to_vec()))
    }
}
