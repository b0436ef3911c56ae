//! What plugins see of the cluster: the watch cache, behind the plugin host's traits.

use std::sync::Arc;

use apimachinery::GroupResource;
use async_trait::async_trait;
use bytes::Bytes;
use cacher::{Cacher, Caches, EventType};
use plugin_host::cluster::{Change, Changes, ClusterView, Feed, FeedSnapshot};

/// The caches, by the resource that plugins name.
pub struct CachedCluster {
    caches: Arc<Caches>,
}

impl CachedCluster {
    /// Over caches that are filled.
    pub fn new(caches: Arc<Caches>) -> Self {
        Self { caches }
    }

    fn find(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<(Arc<Cacher>, String)> {
        let cacher = self.caches.cacher_of(resource)?;
        let key = if cacher.resource().namespaced() { format!("{namespace}/{name}") } else { name.to_owned() };
        Some((cacher, key))
    }
}

#[async_trait]
impl ClusterView for CachedCluster {
    fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Bytes> {
        let (cacher, key) = self.find(resource, namespace, name)?;
        cacher.get(&key).map(|object| object.json())
    }

    async fn get_live(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Option<Bytes>, String> {
        let Some((cacher, key)) = self.find(resource, namespace, name) else { return Ok(None) };
        let object = self.caches.read(&cacher, &key).await.map_err(|error| error.to_string())?;
        Ok(object.map(|object| object.json()))
    }

    fn list(&self, resource: &GroupResource, namespace: &str) -> Vec<Bytes> {
        let Some(cacher) = self.caches.cacher_of(resource) else { return Vec::new() };
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty()).map(Box::from);
        let predicate = cacher::Predicate { namespace, ..Default::default() };
        let snapshot = cacher.snapshot();
        predicate.select(&snapshot).map(|object| object.json()).collect()
    }

    fn any(&self, resource: &GroupResource, namespace: &str) -> bool {
        // Most clusters have none at all of what is asked for.
        let Some(cacher) = self.caches.cacher_of(resource).filter(|cacher| !cacher.is_empty()) else { return false };
        let namespaced = !namespace.is_empty() && cacher.resource().namespaced();
        let predicate = cacher::Predicate { namespace: namespaced.then(|| namespace.into()), ..Default::default() };
        predicate.select(&cacher.snapshot()).next().is_some()
    }

    fn serves(&self, resource: &GroupResource) -> bool {
        self.caches.cacher_of(resource).is_some()
    }

    fn subscribe(&self, resources: &[GroupResource]) -> Arc<dyn Feed> {
        let cachers = resources.iter().filter_map(|resource| Some((resource.clone(), self.caches.cacher_of(resource)?))).collect();
        Arc::new(CachedFeed { cachers })
    }
}

/// The changes of some resources; the cursor is the revision of the last one.
struct CachedFeed {
    cachers: Vec<(GroupResource, Arc<Cacher>)>,
}

impl Feed for CachedFeed {
    fn cursor(&self) -> u64 {
        self.cachers.iter().map(|(_, cacher)| cacher.published()).max().unwrap_or(0)
    }

    fn snapshot(&self) -> FeedSnapshot {
        // The cursor is taken before the state. A change in between is in the state and is told once more, which does no harm.
        let cursor = self.cursor();
        let change = |resource: &GroupResource, object: &cacher::Object| Change {
            resource: resource.clone(),
            namespace: object.namespace().into(),
            name: object.name().into(),
            revision: object.revision(),
            object: Some(object.json()),
        };
        let objects_of =
            |resource: &GroupResource, cacher: &Cacher| cacher.snapshot().objects.values().map(|object| change(resource, object)).collect();
        let of = |(resource, cacher): &(GroupResource, Arc<Cacher>)| (resource.clone(), objects_of(resource, cacher));
        FeedSnapshot { cursor, objects: self.cachers.iter().map(of).collect() }
    }

    fn changes_since(&self, cursor: u64) -> Changes {
        let up_to = self.cursor();
        let mut list = Vec::new();
        for (resource, cacher) in &self.cachers {
            let Ok(events) = cacher.changes_between(cursor, up_to) else { return Changes::Lost };
            list.extend(events.into_iter().map(|event| (event.revision(), resource, event)));
        }
        list.sort_by_key(|(revision, ..)| *revision);
        let change = |resource: &GroupResource, event: &cacher::Event| Change {
            resource: resource.clone(),
            namespace: event.object.namespace().into(),
            name: event.object.name().into(),
            revision: event.revision(),
            object: (event.kind != EventType::Deleted).then(|| event.object.json()),
        };
        Changes::Since { cursor: up_to, list: list.iter().map(|(_, resource, event)| change(resource, event)).collect() }
    }
}
