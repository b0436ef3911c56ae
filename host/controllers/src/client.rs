//! A controller's way to the registry: under its own name, with watches that begin again by themselves.

use std::sync::Arc;
use std::time::Duration;

use admission::{ChainSource, RequestContext};
use api::{Catalogue, ResourceRef};
use apimachinery::Status;
use apimachinery::options::DeleteOptions;
use auth::UserInfo;
use cacher::{Cacher, EventType, Object, Predicate, Update, WatchEnd, Watcher};
use clock::Clock;
use registry::{ListRequest, ListRevision, Registry, Request};
use serde_json::Value;

use crate::server::Server;

/// First and longest pause before something that failed is tried again.
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause after this one: twice as long, up to the longest.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(RETRY_PAUSE_MAX)
}

/// The registry, as one controller uses it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) registry: Arc<Registry>,
    chains: Arc<dyn ChainSource>,
    pub(crate) clock: Clock,
    user: Arc<UserInfo>,
}

/// A built-in resource in the version that is stored.
pub(crate) fn resource(group: &str, version: &str, plural: &str) -> ResourceRef {
    Catalogue::built_in().find(group, version, plural).expect("the controllers work on built-in resources").clone()
}

impl Client {
    /// `account` is the service account that upstream's controller runs as.
    pub(crate) fn new(server: &Server, account: &str) -> Self {
        let user = UserInfo {
            name: format!("system:serviceaccount:kube-system:{account}"),
            groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"].map(Into::into).into(),
            ..UserInfo::default()
        };
        Self { registry: server.registry.clone(), chains: server.chains.clone(), clock: server.clock.clone(), user: Arc::new(user) }
    }

    pub(crate) fn cacher(&self, resource: &ResourceRef) -> Arc<Cacher> {
        self.registry.caches().cacher(&resource.storage_prefix).expect("every stored resource has a cache")
    }

    /// Now, RFC 3339 in whole seconds.
    pub(crate) fn now(&self) -> String {
        registry::timestamp(self.clock.now_seconds())
    }

    fn request(&self, resource: ResourceRef, verb: &str, namespace: &str, name: &str) -> Request {
        let context = RequestContext::new(self.chains.in_force(), self.user.clone(), self.clock.now());
        Request {
            requested: resource.clone(),
            resource,
            subresource: String::new(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            verb: verb.to_owned(),
            dry_run: false,
            options: None,
            context: Arc::new(RequestContext { catalogue: self.registry.caches().catalogue(), ..context }),
        }
    }

    pub(crate) async fn create(&self, resource: ResourceRef, namespace: &str, object: Value) -> Result<(), Status> {
        self.registry.create(&self.request(resource, "create", namespace, ""), object).await.map(drop)
    }

    pub(crate) async fn get(&self, resource: ResourceRef, namespace: &str, name: &str) -> Result<Arc<Object>, Status> {
        self.registry.get(&self.request(resource, "get", namespace, name), None).await
    }

    /// Changes an object in place; an object that is gone is no error.
    pub(crate) async fn modify(
        &self,
        resource: ResourceRef,
        subresource: &str,
        namespace: &str,
        name: &str,
        change: impl Fn(&mut Value) + Send + Sync,
    ) -> Result<(), Status> {
        let request = Request { subresource: subresource.to_owned(), ..self.request(resource, "patch", namespace, name) };
        let changed = |old: Option<&Value>| {
            let mut object = old.cloned().ok_or_else(Status::path_not_found)?;
            change(&mut object);
            Ok(object)
        };
        ignore_gone(self.registry.update(&request, &changed, false).await.map(drop))
    }

    /// All objects of a namespace, as fresh as the store.
    pub(crate) async fn list(&self, resource: ResourceRef, namespace: &str) -> Result<Vec<Arc<Object>>, Status> {
        let request = self.request(resource, "list", namespace, "");
        self.registry.list(&request, &of_namespace(namespace)).await.map(|found| found.objects)
    }

    /// Deletes all objects of a namespace; those that are gone meanwhile are no error.
    pub(crate) async fn delete_all(&self, resource: ResourceRef, namespace: &str, options: &DeleteOptions) -> Result<(), Status> {
        let request = self.request(resource, "deletecollection", namespace, "");
        self.registry.delete_collection(&request, &of_namespace(namespace), options).await.map(drop)
    }

    /// Deletes an object; one that is gone is no error.
    pub(crate) async fn delete(&self, resource: ResourceRef, namespace: &str, name: &str, options: &DeleteOptions) -> Result<(), Status> {
        let request = self.request(resource, "delete", namespace, name);
        ignore_gone(self.registry.delete(&request, options).await.map(drop))
    }
}

fn of_namespace(namespace: &str) -> ListRequest {
    ListRequest::all(Predicate { namespace: Some(namespace.into()), ..Predicate::default() }, ListRevision::MostRecent)
}

pub(crate) fn ignore_gone(result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if status.code == 404 => Ok(()),
        other => other,
    }
}

/// All changes of a resource, after its state. Where the watch is lost it begins again with the state; it ends with the resource.
pub(crate) struct Changes {
    cacher: Arc<Cacher>,
    watcher: Watcher,
}

impl Changes {
    pub(crate) fn of(cacher: &Arc<Cacher>) -> Self {
        Self { cacher: cacher.clone(), watcher: with_state(cacher) }
    }

    /// The next changes. The state comes first, as ADDED, and [`Update::InitialEventsEnd`] ends it.
    pub(crate) async fn next(&mut self) -> Vec<Update> {
        loop {
            match self.watcher.take() {
                Ok(updates) if updates.is_empty() => self.watcher.ready().await,
                Ok(updates) => return updates,
                Err(WatchEnd::Lost(_)) => self.watcher = with_state(&self.cacher),
                // The kind is gone and there is nothing more to wait for: the caller's task is ended by whoever started it.
                Err(WatchEnd::Removed) => std::future::pending().await,
            }
        }
    }
}

fn with_state(cacher: &Arc<Cacher>) -> Watcher {
    let mut watcher = cacher.watch_with_state(Predicate::default());
    watcher.mark_initial_end();
    watcher
}

/// The objects that an update speaks of.
pub(crate) fn event(update: Update) -> Option<(EventType, Arc<Object>)> {
    match update {
        Update::Event(kind, object) => Some((kind, object)),
        Update::InitialEventsEnd(_) => None,
    }
}
