//! A registry on an embedded store that fails when it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use admission::{Admission, Attributes, EmptyChain, FixedChain, ObjectInterfaces, Objects, RequestContext};
use api::ResourceRef;
use apimachinery::Status;
use apimachinery::options::DeleteOptions;
use async_trait::async_trait;
use auth::{Authorization, Authorizer, Decision, Rules, UserInfo};
use cacher::{Caches, Freshness};
use registry::{Deleted, Registry, Request};
use serde_json::Value;
use services::{ServiceHooks, ServiceRanges};
use storage::{Error, KeyValue, Operation, Range, RangeResult, Revision, Storage, Watch};
use storage_embedded::{Embedded, Options};

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It happens.
    None,
    /// Somebody else changes the object just before.
    Conflict,
    /// Nothing happens, and an error is answered.
    Refused,
    /// It happens, and an error is answered.
    AnswerLost,
}

/// A store whose next commits go as planned, and well when the plan is over.
pub struct Faulty {
    store: Arc<Embedded>,
    plan: Mutex<VecDeque<Fault>>,
}

impl Faulty {
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.plan.lock().unwrap() = faults.into_iter().collect();
    }

    /// Whether there were as many commits as were planned for.
    pub fn is_plan_over(&self) -> bool {
        self.plan.lock().unwrap().is_empty()
    }

    async fn touch(&self, key: &str) -> Result<(), Error> {
        if let (Some(found), _) = self.store.get(key).await? {
            let mut object: Value = serde_json::from_slice(&found.value).unwrap();
            object["metadata"]["annotations"]["touched"] = found.mod_revision.to_string().into();
            let touched = objectstore::layout::encode(&object, &gvk(&object)).into();
            self.store.commit(vec![Operation::update(key, found.mod_revision, touched)]).await?;
        }
        Ok(())
    }
}

fn gvk(object: &Value) -> apimachinery::GroupVersionKind {
    let version = apimachinery::GroupVersion::parse(object["apiVersion"].as_str().unwrap()).unwrap();
    version.with_kind(object["kind"].as_str().unwrap().to_owned())
}

#[async_trait]
impl Storage for Faulty {
    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        let fault = self.plan.lock().unwrap().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.store.commit(operations).await,
            Fault::Refused => Err(Error::Unavailable("refused".into())),
            Fault::AnswerLost => {
                self.store.commit(operations).await?;
                Err(Error::Unavailable("the answer is lost".into()))
            }
            Fault::Conflict => {
                self.touch(&operations[0].key).await?;
                self.store.commit(operations).await
            }
        }
    }

    async fn get(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Error> {
        self.store.get(key).await
    }

    async fn range(&self, range: Range) -> Result<RangeResult, Error> {
        self.store.range(range).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, Error> {
        self.store.watch(prefix, from).await
    }

    async fn current_revision(&self) -> Result<Revision, Error> {
        self.store.current_revision().await
    }

    async fn request_progress(&self) -> Result<bool, Error> {
        self.store.request_progress().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), Error> {
        self.store.compact(revision).await
    }

    async fn size_bytes(&self) -> Result<u64, Error> {
        self.store.size_bytes().await
    }

    async fn healthy(&self) -> Result<(), Error> {
        self.store.healthy().await
    }
}

/// Everybody may do everything, and is warned of it.
struct Anything;

#[async_trait]
impl Admission for Anything {
    async fn mutate(
        &self,
        attributes: &Attributes,
        _: &dyn ObjectInterfaces,
        _: Option<&mut Value>,
        _: Option<&Value>,
    ) -> Result<(), Status> {
        attributes.context.recorder.warnings.add("it is allowed");
        attributes.context.recorder.annotations.add("allowed".into(), "true".into());
        Ok(())
    }

    async fn validate(&self, _: &Attributes, _: &dyn ObjectInterfaces, _: Objects<'_>) -> Result<(), Status> {
        Ok(())
    }
}

#[async_trait]
impl Authorizer for Anything {
    async fn authorize(&self, _: &auth::Attributes) -> Authorization {
        Authorization { decision: Decision::Allow, reason: String::new(), evaluation_error: None }
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules::default()
    }
}

/// 2026-01-01T00:00:00Z: when everything happens that a test asks for.
pub const NOW: i64 = 1_767_225_600;

pub struct World {
    pub store: Arc<Faulty>,
    pub registry: Arc<Registry>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path(), Options::default()).unwrap();
        let store = Arc::new(Faulty { store, plan: Mutex::default() });
        let registry = registry(&store).await;
        Self { store, registry, _folder: folder }
    }

    /// A server that knows what is stored, and nothing of what the last one was about to do.
    pub async fn restart(&mut self) {
        self.store.plan([]);
        self.registry = registry(&self.store).await;
    }

    /// Waits until reads see all that was stored, with or without an answer.
    pub async fn settle(&self) {
        let now = self.store.current_revision().await.unwrap();
        assert!(self.registry.caches().wait_until(now).await, "the caches do not get there");
    }

    /// Puts an object into the store as it is.
    pub async fn seed(&self, resource: &ResourceRef, object: &Value) {
        let meta = |field| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = if resource.namespaced() { format!("{}/{}", meta("namespace"), meta("name")) } else { meta("name") };
        let key = self.registry.caches().store_key(resource, &key);
        let bytes = objectstore::layout::encode(object, &resource.gvk).into();
        self.store.store.commit(vec![Operation::create(key, bytes)]).await.unwrap();
        self.settle().await;
    }

    pub async fn create(&self, resource: &ResourceRef, namespace: &str, mut object: Value) -> Result<Value, Status> {
        api::kinds::strategy(resource).default(resource, &mut object);
        let written = self.registry.create(&request(resource, "create", namespace, ""), object).await?;
        Ok(serde_json::from_slice(&written.json).unwrap())
    }

    /// What is there now.
    pub async fn get(&self, resource: &ResourceRef, namespace: &str, name: &str) -> Option<Value> {
        self.settle().await;
        let found = self.registry.get(&request(resource, "get", namespace, name), None).await;
        found.ok().map(|found| serde_json::from_slice(&found.json()).unwrap())
    }

    pub async fn delete(&self, resource: &ResourceRef, namespace: &str, name: &str, options: &DeleteOptions) -> Result<Deleted, Status> {
        self.registry.delete(&request(resource, "delete", namespace, name), options).await
    }

    /// Starts controllers; they end with what is returned.
    pub fn control(&self, controllers: &[controllers::Controller]) -> tokio::task::JoinSet<()> {
        let server = controllers::Server { registry: self.registry.clone(), chains: Arc::new(chain()), clock: clock::Clock::system() };
        controllers::start(&server, controllers, "")
    }

    /// All objects of a kind.
    pub async fn all(&self, resource: &ResourceRef) -> Vec<Value> {
        self.settle().await;
        let snapshot = self.registry.caches().cacher(&resource.storage_prefix).unwrap().snapshot();
        snapshot.objects.values().map(|object| serde_json::from_slice(&object.json()).unwrap()).collect()
    }

    /// Waits until an object is as it should be; none: until it is gone.
    pub async fn until(
        &self,
        resource: &ResourceRef,
        (namespace, name): (&str, &str),
        what: &str,
        holds: impl Fn(Option<&Value>) -> bool,
    ) -> Option<Value> {
        let give_up = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let now = self.get(resource, namespace, name).await;
            if holds(now.as_ref()) {
                return now;
            }
            assert!(tokio::time::Instant::now() < give_up, "{what}: {now:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    pub async fn until_gone(&self, resource: &ResourceRef, at: (&str, &str), what: &str) {
        self.until(resource, at, what, |now| now.is_none()).await;
    }

    /// PUT of the object as it is then.
    pub async fn update(
        &self,
        resource: &ResourceRef,
        (subresource, namespace, name): (&str, &str, &str),
        change: impl Fn(&mut Value) + Send + Sync,
    ) -> Result<Value, Status> {
        let request = Request { subresource: subresource.to_owned(), ..request(resource, "update", namespace, name) };
        let changed = |old: Option<&Value>| {
            let mut object = old.cloned().ok_or_else(Status::path_not_found)?;
            change(&mut object);
            Ok(object)
        };
        let written = self.registry.update(&request, &changed, false).await?;
        Ok(serde_json::from_slice(&written.json).unwrap())
    }
}

async fn registry(store: &Arc<Faulty>) -> Arc<Registry> {
    let store = objectstore::ObjectStore::new(store.clone(), "/registry/");
    let caches = Caches::start(store, Freshness::InWritePath, api::Catalogue::built_in()).await.unwrap();
    let ranges = ServiceRanges::new(["10.0.0.0/24"], 30000..=30100).unwrap();
    Arc::new(Registry::new(caches, Arc::new(ServiceHooks::new(ranges))))
}

/// A built-in resource, as it is stored.
pub fn resource(group: &str, version: &str, plural: &str) -> ResourceRef {
    api::tables::find(group, version, plural).unwrap_or_else(|| panic!("{group} {version} {plural} is not built in")).into()
}

fn chain() -> FixedChain {
    FixedChain { authenticator: Arc::new(EmptyChain), authorizer: Arc::new(Anything), admission: Arc::new(Anything) }
}

/// Of a request at this time.
pub fn context(now_seconds: i64) -> Arc<RequestContext> {
    let now = UNIX_EPOCH + Duration::from_secs(now_seconds as u64);
    Arc::new(RequestContext::new(Arc::new(chain()), Arc::default(), now))
}

pub fn request(resource: &ResourceRef, verb: &str, namespace: &str, name: &str) -> Request {
    Request {
        requested: resource.clone(),
        resource: resource.clone(),
        subresource: String::new(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        verb: verb.to_owned(),
        dry_run: false,
        options: None,
        context: context(NOW),
    }
}
