//! All plugins in force, and how one set is replaced by the next.
//!
//! A candidate is loaded off the request path; then the chain is replaced in one step. A request that runs keeps the
//! chain that it began with ([`PluginSet::pinned`]), so that no request is decided by half a plugin. A candidate that
//! does not load changes nothing but its state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use admission::chain::AdmissionChain;
use admission::{Admission, ObjectInterfaces, Objects};
use apimachinery::Status;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use auth::chain::{AuthenticatorChain, AuthorizerChain};
use auth::{Authentication, Authenticator, Authorization, Authorizer, Credentials, Rules, UserInfo};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::component::{self, Artifact, LoadError};
use crate::manifest::{Manifest, Role};
use crate::plugin::{Loader, Origin, Plugin};

/// A plugin of the standard set, as it is built into the binary and switched by flags.
pub struct Standard {
    /// The manifest's text.
    pub manifest: Cow<'static, str>,
    /// What [`crate::PluginEngine::precompile`] made.
    pub code: Cow<'static, [u8]>,
    /// Its place, where flags say so (`--authorization-mode=Node,RBAC`).
    pub order: Option<i32>,
    /// What flags add to its `config`; replaces the manifest's.
    pub config: Option<Value>,
}

/// Whether a plugin's newest version serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginStatus {
    /// It does.
    Ready,
    /// It does not load.
    Failed {
        /// Why.
        reason: String,
        /// The version before it does.
        still_serving: bool,
    },
}

impl PluginStatus {
    /// For a metric's label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed { still_serving: true, .. } => "failed-still-serving",
            Self::Failed { still_serving: false, .. } => "failed",
        }
    }
}

/// A plugin as `/readyz?verbose`, metrics and the log show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginState {
    /// Its name; the file's where the manifest cannot be read.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// sha256 of the component that serves; empty where none does.
    pub digest: String,
    /// Whether the newest version serves.
    pub status: PluginStatus,
}

/// The standard set does not load: a bug of the build, or a config that a plugin refuses.
#[derive(Debug, thiserror::Error)]
#[error("standard plugin {plugin}: {source}")]
pub struct StandardError {
    /// Which.
    pub plugin: String,
    /// Why.
    #[source]
    pub source: LoadError,
}

/// What a directory holds under one manifest's name.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The manifest's file name: what the plugin is known by from one look at the directory to the next.
    pub file: String,
    /// Changes when the manifest or the component does.
    pub fingerprint: String,
    /// The manifest's text and the component, or why they cannot be read.
    pub content: Result<(Arc<str>, Arc<[u8]>), String>,
}

/// The plugins in force, in order.
pub struct Chain {
    authenticators: AuthenticatorChain<Plugin>,
    authorizers: AuthorizerChain<Plugin>,
    admission: AdmissionChain<Plugin>,
    plugins: Vec<Arc<Plugin>>,
}

impl Chain {
    fn new(mut plugins: Vec<Arc<Plugin>>) -> Self {
        plugins.sort_by(|a, b| (a.manifest().order, &a.manifest().name).cmp(&(b.manifest().order, &b.manifest().name)));
        let with = |role| plugins.iter().filter(move |plugin| plugin.has(role)).cloned();
        let (fallback, named) = with(Role::Authenticator).partition(|plugin| plugin.manifest().fallback);
        Self {
            authenticators: AuthenticatorChain::new(named, fallback),
            authorizers: AuthorizerChain::new(with(Role::Authorizer).collect()),
            admission: AdmissionChain::new(with(Role::MutatingAdmission).collect(), with(Role::ValidatingAdmission).collect()),
            plugins,
        }
    }

    /// In order.
    pub fn plugins(&self) -> &[Arc<Plugin>] {
        &self.plugins
    }
}

/// A plugin of the directory: the version that serves, and what became of the newest.
struct Member {
    fingerprint: String,
    name: String,
    serving: Option<Arc<Plugin>>,
    failure: Option<String>,
}

/// All plugins in force.
pub struct PluginSet {
    loader: Loader,
    standard: Vec<Arc<Plugin>>,
    chain: ArcSwap<Chain>,
    states: ArcSwap<Vec<PluginState>>,
    /// Held while candidates load: one change at a time, and no request ever waits for it.
    directory: Mutex<BTreeMap<String, Member>>,
}

tokio::task_local! {
    static PINNED: Arc<Chain>;
}

impl PluginSet {
    /// Loads the standard set. All of it must load.
    pub async fn new(loader: Loader, standard: Vec<Standard>) -> Result<Arc<Self>, StandardError> {
        let mut plugins: Vec<Arc<Plugin>> = Vec::with_capacity(standard.len());
        for Standard { manifest, code, order, config } in standard {
            let failed = |plugin: &str| {
                let plugin = plugin.to_owned();
                move |source| StandardError { plugin, source }
            };
            let mut manifest = Manifest::parse(&manifest).map_err(LoadError::Manifest).map_err(failed("?"))?;
            manifest.order = order.unwrap_or(manifest.order);
            manifest.config = config.unwrap_or(manifest.config);
            let name = manifest.name.clone();
            if plugins.iter().any(|other| other.manifest().name == name) {
                return Err(failed(&name)(LoadError::NameTaken { name: name.clone(), owner: "another standard plugin".into() }));
            }
            let plugin = loader.load(manifest, Artifact::Precompiled(&code), Origin::Embedded).await.map_err(failed(&name))?;
            if let Cow::Borrowed(code) = code {
                component::give_back_pages(code);
            }
            plugins.push(Arc::new(plugin));
        }
        let set = Self {
            loader,
            chain: ArcSwap::from_pointee(Chain::new(plugins.clone())),
            standard: plugins,
            states: ArcSwap::default(),
            directory: Mutex::default(),
        };
        set.publish(&BTreeMap::new());
        Ok(Arc::new(set))
    }

    /// The chain in force: the request's own inside [`Self::pinned`], else the newest.
    pub fn chain(&self) -> Arc<Chain> {
        PINNED.try_with(Arc::clone).unwrap_or_else(|_| self.chain.load_full())
    }

    /// Runs a request: whatever it asks of the plugins, it asks the chain in force now. Holds for the request's own task,
    /// not for tasks that it spawns.
    pub fn pinned<F: Future>(&self, request: F) -> impl Future<Output = F::Output> + use<F> {
        PINNED.scope(self.chain.load_full(), request)
    }

    /// Every plugin and how it is.
    pub fn states(&self) -> Arc<Vec<PluginState>> {
        self.states.load_full()
    }

    /// Makes the directory's plugins be those of `candidates`. What did not change is left alone; what is new or
    /// different is loaded first; then the chain is replaced once.
    pub async fn replace_directory(&self, candidates: Vec<Candidate>) {
        let mut members = self.directory.lock().await;
        let before = members.len();
        let mut next: BTreeMap<String, Member> = BTreeMap::new();
        let mut changed = false;
        for candidate in candidates {
            let member = members.remove(&candidate.file);
            match member {
                Some(member) if member.fingerprint == candidate.fingerprint => {
                    next.insert(candidate.file, member);
                }
                old => {
                    let taken: Vec<(String, String)> = next.iter().map(|(file, member)| (member.name.clone(), file.clone())).collect();
                    let (file, member) = self.replace_member(candidate, old, &taken).await;
                    next.insert(file, member);
                    changed = true;
                }
            }
        }
        for (file, member) in &*members {
            tracing::info!(plugin = member.name, file, "a plugin is removed");
        }
        changed |= !members.is_empty() || before != next.len();
        *members = next;
        if changed {
            self.publish(&members);
        }
    }

    async fn replace_member(&self, candidate: Candidate, old: Option<Member>, taken: &[(String, String)]) -> (String, Member) {
        let Candidate { file, fingerprint, content } = candidate;
        let mut name = old.as_ref().map_or_else(|| file.clone(), |old| old.name.clone());
        let loaded = match content {
            Ok((manifest, component)) => self.load_candidate(&manifest, &component, taken, &mut name).await,
            Err(why) => Err(LoadError::File(why)),
        };
        match loaded {
            Ok(plugin) => {
                tracing::info!(plugin = name, file, digest = plugin.digest(), "a plugin is in force");
                (file, Member { fingerprint, name, serving: Some(Arc::new(plugin)), failure: None })
            }
            Err(error) => {
                let serving = old.and_then(|old| old.serving);
                tracing::error!(plugin = name, file, still_serving = serving.is_some(), "a plugin does not load: {error}");
                (file, Member { fingerprint, name, serving, failure: Some(error.to_string()) })
            }
        }
    }

    async fn load_candidate(
        &self,
        manifest: &str,
        component: &Arc<[u8]>,
        taken: &[(String, String)],
        name: &mut String,
    ) -> Result<Plugin, LoadError> {
        let manifest = Manifest::parse(manifest)?;
        name.clone_from(&manifest.name);
        let owner = if self.standard.iter().any(|plugin| plugin.manifest().name == *name) {
            Some("a standard plugin".to_owned())
        } else {
            taken.iter().find(|(other, _)| other == name).map(|(_, file)| file.clone())
        };
        if let Some(owner) = owner {
            return Err(LoadError::NameTaken { name: name.clone(), owner });
        }
        // Compiling takes seconds of processor time; the workers have requests to serve meanwhile.
        let (loader, component) = (self.loader.clone(), component.clone());
        let runtime = tokio::runtime::Handle::current();
        let task =
            tokio::task::spawn_blocking(move || runtime.block_on(loader.load(manifest, Artifact::Wasm(&component), Origin::Directory)));
        task.await.unwrap_or_else(|error| Err(LoadError::Compile(format!("the compiler failed: {error}"))))
    }

    /// Puts the members into force, in one step, and shows their states.
    fn publish(&self, members: &BTreeMap<String, Member>) {
        let serving = members.values().filter_map(|member| member.serving.clone());
        self.chain.store(Arc::new(Chain::new(self.standard.iter().cloned().chain(serving).collect())));
        let standard = self.standard.iter().map(|plugin| PluginState {
            name: plugin.manifest().name.clone(),
            origin: Origin::Embedded,
            digest: plugin.digest().to_owned(),
            status: PluginStatus::Ready,
        });
        let directory = members.values().map(|member| PluginState {
            name: member.name.clone(),
            origin: Origin::Directory,
            digest: member.serving.as_ref().map(|plugin| plugin.digest().to_owned()).unwrap_or_default(),
            status: match &member.failure {
                None => PluginStatus::Ready,
                Some(reason) => PluginStatus::Failed { reason: reason.clone(), still_serving: member.serving.is_some() },
            },
        });
        let states: Vec<PluginState> = standard.chain(directory).collect();
        self.loader.metrics.swapped(&states);
        self.states.store(Arc::new(states));
    }
}

#[async_trait]
impl Authenticator for Chain {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, auth::Fault> {
        self.authenticators.authenticate(credentials).await
    }
}

#[async_trait]
impl Authorizer for Chain {
    async fn authorize(&self, attributes: &auth::Attributes) -> Authorization {
        self.authorizers.authorize(attributes).await
    }

    async fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        self.authorizers.rules_for(user, namespace).await
    }
}

#[async_trait]
impl Admission for Chain {
    async fn mutate(
        &self,
        attributes: &admission::Attributes,
        interfaces: &dyn ObjectInterfaces,
        object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.admission.mutate(attributes, interfaces, object, old).await
    }

    async fn validate(
        &self,
        attributes: &admission::Attributes,
        interfaces: &dyn ObjectInterfaces,
        objects: Objects<'_>,
    ) -> Result<(), Status> {
        self.admission.validate(attributes, interfaces, objects).await
    }
}

#[async_trait]
impl Authenticator for PluginSet {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, auth::Fault> {
        self.chain().authenticators.authenticate(credentials).await
    }
}

#[async_trait]
impl Authorizer for PluginSet {
    async fn authorize(&self, attributes: &auth::Attributes) -> Authorization {
        self.chain().authorizers.authorize(attributes).await
    }

    async fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        self.chain().authorizers.rules_for(user, namespace).await
    }
}

#[async_trait]
impl Admission for PluginSet {
    async fn mutate(
        &self,
        attributes: &admission::Attributes,
        interfaces: &dyn ObjectInterfaces,
        object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        self.chain().admission.mutate(attributes, interfaces, object, old).await
    }

    async fn validate(
        &self,
        attributes: &admission::Attributes,
        interfaces: &dyn ObjectInterfaces,
        objects: Objects<'_>,
    ) -> Result<(), Status> {
        self.chain().admission.validate(attributes, interfaces, objects).await
    }
}
