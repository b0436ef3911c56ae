//! A registry on a store that fails when it is told to, with controllers where a test wants them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use admission::{Admission, Attributes, Charges, EmptyChain, FixedChain, ObjectInterfaces, Objects, RequestContext};
use api::ResourceRef;
use apimachinery::Status;
use apimachinery::options::DeleteOptions;
use async_trait::async_trait;
use auth::{Authorization, Authorizer, Decision, Rules, UserInfo};
use registry::{Deleted, Registry, Request};
use serde_json::Value;
use storage::{Operation, Storage};
pub use testing::Fault;
use testing::{FaultyStorage, ManualClock, MemoryStorage, Setup, TestServer};

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

    async fn validate(&self, _: &Attributes, _: &dyn ObjectInterfaces, _: Objects<'_>) -> Result<Charges, Status> {
        Ok(Charges::default())
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
    /// What the registry stores in; restarts take another one over the same memory.
    pub store: Arc<FaultyStorage>,
    pub registry: Arc<Registry>,
    memory: Arc<MemoryStorage>,
    clock: ManualClock,
}

impl World {
    pub async fn new() -> Self {
        let clock = ManualClock::default();
        let memory = Arc::new(MemoryStorage::new(clock.handle()));
        let TestServer { storage, registry, .. } = TestServer::start(Setup::over(memory.clone(), clock.clone())).await;
        Self { store: storage, registry, memory, clock }
    }

    /// A server that knows what is stored, and nothing of what the last one was about to do.
    pub async fn restart(&mut self) {
        let server = TestServer::start(Setup::over(self.memory.clone(), self.clock.clone())).await;
        (self.store, self.registry) = (server.storage, server.registry);
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
        self.memory.commit(vec![Operation::create(key, bytes)]).await.unwrap();
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

/// A built-in resource, as it is stored.
pub fn resource(group: &str, version: &str, plural: &str) -> ResourceRef {
    api::tables::find(group, version, plural).unwrap_or_else(|| panic!("{group} {version} {plural} is not built in")).into()
}

fn chain() -> FixedChain {
    chain_of(Arc::new(Anything))
}

/// Everybody may do everything that this admits.
pub fn chain_of(admission: Arc<dyn Admission>) -> FixedChain {
    FixedChain { authenticator: Arc::new(EmptyChain), authorizer: Arc::new(Anything), admission }
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
