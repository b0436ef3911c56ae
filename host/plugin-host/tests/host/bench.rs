//! What the tests share: a cluster in memory, plugins from text, requests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use admission::{Attributes, ChainSource, DecidingChain, ObjectInterfaces, Operation, Recorder, RequestContext, ResourceKind};
use apimachinery::{GroupResource, GroupVersionKind, GroupVersionResource, Status};
use async_trait::async_trait;
use auth::{Authorization, Authorizer, UserInfo};
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};
use wasmgate_plugin_host::*;

/// A component that `cargo xtask` made.
pub fn component(folder: &str, name: &str) -> Vec<u8> {
    let path = format!("{}/../../target/{folder}/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}; run cargo xtask guests and cargo xtask plugins first"))
}

pub fn scripted() -> Vec<u8> {
    component("test-guests", "scripted")
}

/// The same, as it was built for version 0.1 of the interface.
pub fn scripted_0_1() -> Vec<u8> {
    component("test-guests", "scripted-0-1")
}

/// A manifest of the scripted guest with all its roles but for what `change` says.
pub fn manifest(name: &str, change: Value) -> String {
    let mut manifest = json!({
        "apiVersion": "plugins.wasmgate.dev/v1alpha1",
        "kind": "Plugin",
        "metadata": {"name": name},
        "spec": {
            "component": "scripted.wasm",
            "roles": ["authenticator", "authorizer", "mutating-admission", "validating-admission"],
            "capabilities": ["log", "clock", "random", "jwt", "cluster", "index", "http", "counters", "authorizer"],
            "http": {"origins": ["http://127.0.0.1:1"]},
            "credentials": ["client-certificate", "bearer-token"],
            "instances": "Reused",
        },
    });
    merge(&mut manifest["spec"], change);
    if !manifest["spec"]["capabilities"].as_array().is_some_and(|words| words.contains(&json!("http"))) {
        manifest["spec"].as_object_mut().expect("an object").remove("http");
    }
    manifest.to_string()
}

fn merge(target: &mut Value, change: Value) {
    for (key, value) in change.as_object().cloned().unwrap_or_default() {
        target[key] = value;
    }
}

/// A cluster in memory: pods of `default`, and their changes.
#[derive(Default)]
pub struct Memory {
    state: Mutex<Pods>,
    gate: Mutex<bool>,
    opened: Condvar,
}

#[derive(Default)]
struct Pods {
    now: Vec<String>,
    /// A name, and whether it came or went.
    log: Vec<(String, bool)>,
    /// How much of the log is forgotten.
    compacted: u64,
}

pub fn pod(name: &str) -> Bytes {
    json!({"metadata": {"namespace": "default", "name": name}}).to_string().into()
}

impl Memory {
    pub fn add(&self, name: &str) {
        let mut pods = self.state.lock();
        pods.now.push(name.to_owned());
        pods.log.push((name.to_owned(), true));
    }

    pub fn remove(&self, name: &str) {
        let mut pods = self.state.lock();
        pods.now.retain(|pod| pod != name);
        pods.log.push((name.to_owned(), false));
    }

    /// Lets plugins that read the resource `gated` load.
    pub fn open_gate(&self) {
        *self.gate.lock() = true;
        self.opened.notify_all();
    }

    fn wait_at_gate(&self) {
        let mut open = self.gate.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
    }

    /// Forgets the changes so far.
    pub fn compact(&self) {
        let mut pods = self.state.lock();
        pods.compacted = pods.log.len() as u64;
    }
}

pub struct MemoryFeed(Arc<Memory>);

fn pods() -> GroupResource {
    GroupResource::of("", "pods")
}

impl Feed for MemoryFeed {
    fn cursor(&self) -> u64 {
        self.0.state.lock().log.len() as u64
    }

    fn snapshot(&self) -> FeedSnapshot {
        let state = self.0.state.lock();
        let there = |name: &String| Change {
            resource: pods(),
            namespace: "default".into(),
            name: name.as_str().into(),
            revision: state.log.iter().rposition(|(known, _)| known == name).map_or(0, |at| at as u64 + 1),
            object: Some(pod(name)),
        };
        FeedSnapshot { cursor: state.log.len() as u64, objects: vec![(pods(), state.now.iter().map(there).collect())] }
    }

    fn changes_since(&self, cursor: u64) -> Changes {
        let state = self.0.state.lock();
        if cursor < state.compacted {
            return Changes::Lost;
        }
        let change = |(at, (name, there)): (usize, &(String, bool))| Change {
            resource: pods(),
            namespace: "default".into(),
            name: name.as_str().into(),
            revision: at as u64 + 1,
            object: there.then(|| pod(name)),
        };
        let new = state.log.iter().enumerate().skip(cursor as usize);
        Changes::Since { cursor: state.log.len() as u64, list: new.map(change).collect() }
    }
}

pub struct MemoryView(pub Arc<Memory>);

#[async_trait]
impl ClusterView for MemoryView {
    fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Bytes> {
        let there = *resource == pods() && namespace == "default" && self.0.state.lock().now.iter().any(|pod| pod == name);
        there.then(|| pod(name))
    }

    async fn get_live(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Option<Bytes>, String> {
        tokio::task::yield_now().await;
        Ok(self.get(resource, namespace, name))
    }

    fn list(&self, _: &GroupResource, _: &str) -> Vec<Bytes> {
        self.0.state.lock().now.iter().map(|name| pod(name)).collect()
    }

    fn serves(&self, resource: &GroupResource) -> bool {
        // A plugin that reads this loads for as long as the test wants.
        if resource.resource == "gated" {
            self.0.wait_at_gate();
        }
        resource.resource != "unicorns"
    }

    fn subscribe(&self, _: &[GroupResource]) -> Arc<dyn Feed> {
        Arc::new(MemoryFeed(self.0.clone()))
    }
}

/// A manifest's file and its component.
pub fn candidate(file: &str, manifest: String, component: Arc<[u8]>) -> Candidate {
    Candidate {
        file: file.to_owned(),
        fingerprint: format!("{manifest} {}", component.len()),
        manifest: Ok(manifest.into()),
        component: Ok(component),
    }
}

/// A set with nothing in it yet.
pub struct Bench {
    pub set: Arc<PluginSet>,
    pub cluster: Arc<Memory>,
}

pub fn services(cluster: &Arc<Memory>) -> Services {
    Services {
        cluster: Arc::new(MemoryView(cluster.clone())),
        tokens: Arc::new(NoTokens),
        now: || UNIX_EPOCH + Duration::from_millis(1234),
    }
}

pub fn loader(cluster: &Arc<Memory>) -> Loader {
    Loader {
        engine: PluginEngine::new().expect("an engine"),
        services: services(cluster),
        allowed: BTreeSet::from(Capability::ALL),
        reserved_names: vec!["LimitRanger".to_owned()],
        cache: None,
        metrics: Metrics::unregistered(),
    }
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Loader)) -> Self {
        let cluster = Arc::new(Memory::default());
        let mut loader = loader(&cluster);
        change(&mut loader);
        let set = PluginSet::new(loader, Vec::new()).await.expect("an empty set");
        Self { set, cluster }
    }

    /// Puts scripted plugins into force: manifests, in order.
    pub async fn load(&self, manifests: &[String]) {
        let bytes: Arc<[u8]> = scripted().into();
        self.load_components(manifests.iter().map(|manifest| (manifest.clone(), bytes.clone())).collect()).await;
    }

    pub async fn load_components(&self, plugins: Vec<(String, Arc<[u8]>)>) {
        let named = |(index, (manifest, component)): (usize, (String, Arc<[u8]>))| candidate(&format!("{index}.yaml"), manifest, component);
        self.set.replace_directory(plugins.into_iter().enumerate().map(named).collect()).await;
    }

    /// The reason of the only plugin's failure.
    pub fn failure(&self) -> String {
        match &self.set.states()[..] {
            [PluginState { status: PluginStatus::Failed { reason, .. }, .. }] => reason.clone(),
            other => panic!("one failed plugin is expected: {other:?}"),
        }
    }

    pub async fn authorize(&self) -> Authorization {
        self.set.chain().authorize(&auth::Attributes { verb: "get".into(), ..Default::default() }).await
    }

    /// A create of `pods "web"`: the object, or the refusal; and what was recorded.
    pub async fn create(&self) -> (Result<Value, Status>, Recorder) {
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}, "spec": {"number": 7, "parts": [{"name": "a", "more": ["x", 1]}, {"a/b": "c"}, {}]}});
        let attributes = create(self.set.in_force());
        let chain = attributes.context.chain.clone();
        let result = async {
            chain.mutate(&attributes, &Untyped::PODS, Some(&mut object), None).await?;
            chain.validate(&attributes, &Untyped::PODS, admission::Objects { object: Some(&object), old: None }).await
        };
        let result = result.await;
        (result.map(|_| object), attributes.context.recorder.clone())
    }
}

/// Objects of one kind, in one version, that may have any fields.
pub struct Untyped(GroupVersionKind);

impl Untyped {
    pub const PODS: Self = Self(GroupVersionKind::of("", "v1", "Pod"));
}

impl ObjectInterfaces for Untyped {
    fn held(&self) -> &GroupVersionKind {
        &self.0
    }
    fn equivalents(&self) -> Vec<ResourceKind> {
        Vec::new()
    }
    fn convert(&self, object: &Value, _: &GroupVersionKind) -> Value {
        object.clone()
    }
    fn retype(&self, _: &GroupVersionKind, _: &mut Value, _: &[Vec<String>]) -> Result<(), String> {
        Ok(())
    }
}

/// The attributes of a create of `pods "web"` that a chain decides about.
pub fn create(chain: Arc<dyn DecidingChain>) -> Attributes {
    let user = UserInfo { name: "jane".into(), ..Default::default() };
    Attributes {
        operation: Operation::Create,
        kind: GroupVersionKind::of("", "v1", "Pod"),
        resource: GroupVersionResource::of("", "v1", "pods"),
        subresource: String::new(),
        namespace: "default".into(),
        name: "web".into(),
        dry_run: false,
        options: None,
        context: Arc::new(RequestContext::new(chain, Arc::new(user), UNIX_EPOCH)),
    }
}
