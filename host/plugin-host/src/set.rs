//! All plugins in force, and how one set is replaced by the next.
//!
//! Each candidate is loaded on its own, off the request path; then the chain is replaced in one step. A request that runs
//! keeps the chain that it began with, so that no request is decided by half a plugin. A candidate
//! that does not load leaves the last good version in force; where there never was one, a [`Missing`] answers for it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use admission::chain::{self, AdmissionChain, AdmissionPlugin};
use admission::{Admission, ChainSource, Charges, DecidingChain, ObjectInterfaces, Objects};
use apimachinery::Status;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use auth::chain::{AuthenticatorChain, AuthorizerChain};
use auth::{Authentication, Authenticator, Authorization, Authorizer, Credentials, Rules, UserInfo};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::component::{self, Artifact, LoadError};
use crate::limits;
use crate::manifest::{Manifest, Role};
use crate::missing::Missing;
use crate::plugin::{Loader, Plugin};
use crate::source::{Candidate, Following, Found, Origin, PluginSource, SourceId};
use crate::state::{PluginState, PluginStatus};

/// The source of [`PluginSet::replace_directory`].
const DIRECTORY: SourceId = SourceId(0);

/// A plugin of the standard set, as it is built into the binary and switched by flags.
pub struct Standard {
    /// The manifest's text.
    pub manifest: Cow<'static, str>,
    /// What [`crate::PluginEngine::precompile`] made. Borrowed and [`crate::PageAligned`], it is run where it lies.
    pub code: Cow<'static, [u8]>,
    /// sha256 of the component that it was made from, in hex.
    pub digest: Cow<'static, str>,
    /// Its place, where flags say so (`--authorization-mode=Node,RBAC`).
    pub order: Option<i32>,
    /// What flags add to its `config`; replaces the manifest's.
    pub config: Option<Value>,
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

/// What answers in the chain under a plugin's name: the plugin, or what stands in for one that never loaded.
trait Installed: Authenticator + Authorizer + AdmissionPlugin {
    fn manifest(&self) -> &Manifest;
}

impl Installed for Plugin {
    fn manifest(&self) -> &Manifest {
        Plugin::manifest(self)
    }
}

impl Installed for Missing {
    fn manifest(&self) -> &Manifest {
        Missing::manifest(self)
    }
}

/// The plugins in force, in order.
pub struct Chain {
    authenticators: AuthenticatorChain<dyn Installed>,
    authorizers: AuthorizerChain<dyn Installed>,
    admission: AdmissionChain,
    links: Vec<Arc<dyn Installed>>,
}

impl Chain {
    fn new(links: Vec<Arc<dyn Installed>>) -> Self {
        let of_role = |role: Role| {
            let mut of_role: Vec<Arc<dyn Installed>> = links.iter().filter(|link| link.manifest().roles.contains(&role)).cloned().collect();
            of_role.sort_by_cached_key(|link| (link.manifest().order_as(role), link.manifest().name.clone()));
            of_role
        };
        let admission = |plugins: Vec<Arc<dyn Installed>>| {
            let link = |plugin: Arc<dyn Installed>| chain::Link { mode: plugin.manifest().mode, plugin };
            plugins.into_iter().map(link).collect()
        };
        let (fallback, named) = of_role(Role::Authenticator).into_iter().partition(|link| link.manifest().fallback);
        Self {
            authenticators: AuthenticatorChain::new(named, fallback),
            authorizers: AuthorizerChain::new(of_role(Role::Authorizer)),
            admission: AdmissionChain::new(admission(of_role(Role::MutatingAdmission)), admission(of_role(Role::ValidatingAdmission))),
            links,
        }
    }

    /// Whether the same plugins are in force in it, in the same versions.
    fn is_of(&self, links: &[Arc<dyn Installed>]) -> bool {
        self.links.len() == links.len() && self.links.iter().zip(links).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// A plugin of a source: the version that serves, and what became of the newest files.
struct Member {
    /// Of the newest files.
    fingerprint: String,
    /// As it is shown: what the newest manifest that could be read says; the file's name where none could.
    name: String,
    origin: Origin,
    /// The name that is this file's and no other's.
    claim: Option<String>,
    /// The version in force.
    serving: Option<Arc<Plugin>>,
    /// What stands in for it where no version ever loaded and the manifest says what it would have decided.
    missing: Option<Arc<Missing>>,
    progress: Progress,
}

/// What became of a member's newest files.
enum Progress {
    Loading,
    Ready,
    Failed {
        reason: String,
        /// They may load at another time.
        again: bool,
    },
}

/// Files on their way into force.
struct Load {
    key: Key,
    fingerprint: String,
    manifest: Manifest,
    component: Arc<[u8]>,
}

impl Member {
    fn new(file: &str, origin: Origin) -> Self {
        Self {
            fingerprint: String::new(),
            name: file.to_owned(),
            origin,
            claim: None,
            serving: None,
            missing: None,
            progress: Progress::Loading,
        }
    }

    /// The version in force of the plugin that the newest manifest names. A file whose manifest names another plugin now has none of that.
    fn last_good(&self) -> Option<&Arc<Plugin>> {
        self.serving.as_ref().filter(|plugin| plugin.manifest().name.eq_ignore_ascii_case(&self.name))
    }

    /// Names that no other file can have: the newest manifest's, and the serving version's.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.claim.as_deref().into_iter().chain(self.serving.as_deref().map(|plugin| plugin.manifest().name.as_str()))
    }

    /// Whether the files of a look are those of the last one, and trying once more is of no use.
    fn is_settled(&self, fingerprint: &str) -> bool {
        self.fingerprint == fingerprint && !matches!(self.progress, Progress::Failed { again: true, .. })
    }

    fn fail(&mut self, file: &str, error: &LoadError) {
        let reason = in_one_line(&error.to_string());
        // Said once, however often it is tried.
        if !matches!(&self.progress, Progress::Failed { reason: before, .. } if *before == reason) {
            tracing::error!(plugin = self.name, file, still_serving = self.last_good().is_some(), "a plugin does not load: {reason}");
        }
        let again = error.is_transient() || matches!(error, LoadError::NameTaken { .. });
        self.progress = Progress::Failed { reason, again };
    }

    /// What answers for it: the version in force, and what stands in for a plugin that never loaded. Both, where a file's manifest names
    /// another plugin that does not load: what is in force stays so, and what the other would have decided is not left open.
    fn links(&self) -> impl Iterator<Item = Arc<dyn Installed>> + use<> {
        let serving = self.serving.clone().map(|plugin| plugin as Arc<dyn Installed>);
        serving.into_iter().chain(self.missing.clone().map(|missing| missing as Arc<dyn Installed>))
    }

    fn state(&self) -> PluginState {
        let still_serving = self.last_good().is_some();
        let status = match &self.progress {
            Progress::Ready => PluginStatus::Ready,
            Progress::Failed { reason, .. } => PluginStatus::Failed { reason: reason.clone(), still_serving },
            // Until it is over, nothing is better than it was.
            Progress::Loading if self.missing.is_some() => {
                PluginStatus::Failed { reason: "its newest files are being loaded".to_owned(), still_serving }
            }
            Progress::Loading => PluginStatus::Loading { still_serving },
        };
        PluginState {
            name: self.name.clone(),
            origin: self.origin,
            digest: self.last_good().map(|plugin| plugin.digest().to_owned()).unwrap_or_default(),
            status,
            // What nobody can read may be anything.
            required: self.links().last().is_none_or(|link| link.manifest().is_required()),
        }
    }
}

/// What a plugin is known by: whose it is, and there the manifest's file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: SourceId,
    file: String,
}

/// The plugins of all sources.
type Members = BTreeMap<Key, Member>;

/// All plugins in force.
pub struct PluginSet {
    loader: Loader,
    standard: Vec<Arc<Plugin>>,
    in_force: ArcSwap<Chain>,
    states: watch::Sender<Arc<Vec<PluginState>>>,
    /// Held for a look and a change, never while a candidate loads.
    members: Mutex<Members>,
    /// Loads at once.
    loads: Semaphore,
    /// Components without a manifest, by source.
    strays: Mutex<BTreeMap<SourceId, Vec<String>>>,
    sources: AtomicU32,
}

impl PluginSet {
    /// Loads the standard set. All of it must load.
    pub async fn new(loader: Loader, standard: Vec<Standard>) -> Result<Arc<Self>, StandardError> {
        let mut plugins: Vec<Arc<Plugin>> = Vec::with_capacity(standard.len());
        for Standard { manifest, code, digest, order, config } in standard {
            let failed = |plugin: &str| {
                let plugin = plugin.to_owned();
                move |source| StandardError { plugin, source }
            };
            let mut manifest = Manifest::parse(&manifest).map_err(LoadError::Manifest).map_err(failed("?"))?;
            manifest.order = order.or(manifest.order);
            manifest.config = config.unwrap_or(manifest.config);
            let name = manifest.name.clone();
            if plugins.iter().any(|other| other.manifest().name.eq_ignore_ascii_case(&name)) {
                return Err(failed(&name)(LoadError::NameTaken { name: name.clone(), owner: "another standard plugin".into() }));
            }
            let artifact = match &code {
                Cow::Borrowed(code) => Artifact::Embedded(code),
                Cow::Owned(code) => Artifact::Precompiled(code),
            };
            let loaded = loader.load(manifest, artifact, digest.into_owned(), Origin::Embedded).await;
            plugins.push(Arc::new(loaded.map_err(failed(&name))?));
        }
        let set = Self {
            loader,
            standard: plugins,
            in_force: ArcSwap::from_pointee(Chain::new(Vec::new())),
            states: watch::Sender::default(),
            members: Mutex::default(),
            loads: Semaphore::new(limits::LOADS_COUNT_MAX),
            strays: Mutex::default(),
            sources: AtomicU32::new(DIRECTORY.0 + 1),
        };
        set.publish(&Members::new());
        Ok(Arc::new(set))
    }

    /// The chain in force now.
    pub fn chain(&self) -> Arc<Chain> {
        self.in_force.load_full()
    }

    /// Every plugin and how it is.
    pub fn states(&self) -> Arc<Vec<PluginState>> {
        self.states.borrow().clone()
    }

    /// Waits until nothing goes undecided: every plugin of the directory is in force, or its manifest says that its faults are passed
    /// over. Says in the log what it waits for.
    pub async fn until_required_are_in_force(&self) {
        let mut states = self.states.subscribe();
        let mut said = String::new();
        loop {
            let waited_for = waited_for(&states.borrow_and_update());
            if waited_for.is_empty() {
                return;
            }
            if waited_for != said {
                tracing::error!("the port stays closed until these plugins are in force, or taken out of --plugin-dir: {waited_for}");
                said = waited_for;
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes in what a source has, and from then on what it comes to have. What is there has loaded when this returns, or failed to. Dropping
    /// the answer ends it; the plugins stay as they are.
    pub async fn follow(self: &Arc<Self>, mut source: impl PluginSource) -> Following {
        let id = SourceId(self.sources.fetch_add(1, Ordering::Relaxed));
        if let Some(found) = source.look().await {
            self.take_in(id, source.origin(), found).await;
        }
        let set = self.clone();
        let task = tokio::spawn(async move {
            loop {
                source.changed(set.has_failed(id)).await;
                if let Some(found) = source.look().await {
                    // Nobody waits for what is loaded: the next change may come meanwhile.
                    drop(set.take_in(id, source.origin(), found));
                }
            }
        });
        Following(task)
    }

    fn take_in(self: &Arc<Self>, source: SourceId, origin: Origin, found: Found) -> impl Future<Output = ()> + use<> {
        self.note_strays(source, found.strays);
        self.replace(source, origin, found.candidates)
    }

    /// Makes the directory's plugins be those of `candidates`: see [`Self::follow`], which does that for a source of any kind.
    pub fn replace_directory(self: &Arc<Self>, candidates: Vec<Candidate>) -> impl Future<Output = ()> + use<> {
        self.replace(DIRECTORY, Origin::Directory, candidates)
    }

    /// Makes a source's plugins be those of `candidates`. What did not change is left alone. What is gone is out of force when this
    /// returns; what is new or different is loaded meanwhile, each on its own, and whoever wants to wait for that awaits the future.
    fn replace(self: &Arc<Self>, source: SourceId, origin: Origin, candidates: Vec<Candidate>) -> impl Future<Output = ()> + use<> {
        let loads: Vec<Load> = {
            let mut members = self.members.lock();
            follow_renames(&mut members, source, &candidates);
            let there: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.file.as_str()).collect();
            members.retain(|key, member| {
                let stays = key.source != source || there.contains(key.file.as_str());
                if !stays {
                    tracing::info!(plugin = member.name, file = key.file, "a plugin is removed");
                }
                stays
            });
            let loads = candidates.into_iter().filter_map(|candidate| self.take(&mut members, source, origin, candidate)).collect();
            self.publish(&members);
            loads
        };
        let tasks: Vec<_> = loads.into_iter().map(|load| tokio::spawn(self.clone().load(load, origin))).collect();
        async move {
            for task in tasks {
                if let Err(error) = task.await {
                    tracing::error!("loading a plugin failed: {error}");
                }
            }
        }
    }

    /// Remembers components that a source has without a manifest.
    fn note_strays(&self, source: SourceId, files: Vec<String>) {
        let before = self.strays.lock().insert(source, files.clone()).unwrap_or_default();
        for file in files.iter().filter(|file| !before.contains(file)) {
            tracing::warn!(file, "a component is no plugin without a manifest that names it");
        }
    }

    /// Components that there are without a manifest.
    pub fn strays(&self) -> Vec<String> {
        self.strays.lock().values().flatten().cloned().collect()
    }

    /// Whether something of a source does not load, so that another look at the same may find more.
    fn has_failed(&self, source: SourceId) -> bool {
        self.members.lock().iter().any(|(key, member)| key.source == source && matches!(member.progress, Progress::Failed { .. }))
    }

    /// What is to be loaded of a candidate: nothing where it is as it was, or cannot be read.
    fn take(&self, members: &mut Members, source: SourceId, origin: Origin, candidate: Candidate) -> Option<Load> {
        let Candidate { file, fingerprint, manifest, component } = candidate;
        let key = Key { source, file: file.clone() };
        if members.get(&key).is_some_and(|member| member.is_settled(&fingerprint)) {
            return None;
        }
        let manifest = manifest.map_err(LoadError::File).and_then(|text| Ok(Manifest::parse(&text)?));
        let owner = manifest.as_ref().ok().and_then(|manifest| self.owner(&manifest.name, &key, members));
        let member = members.entry(key.clone()).or_insert_with(|| Member::new(&file, origin));
        member.fingerprint.clone_from(&fingerprint);
        let manifest = match (manifest, owner) {
            (Ok(manifest), None) => manifest,
            (Ok(manifest), Some(owner)) => {
                if member.claim.is_none() {
                    member.name.clone_from(&manifest.name);
                }
                member.fail(&file, &LoadError::NameTaken { name: manifest.name, owner });
                return None;
            }
            (Err(error), _) => {
                member.fail(&file, &error);
                return None;
            }
        };
        member.name.clone_from(&manifest.name);
        member.claim = Some(manifest.name.clone());
        match component {
            Ok(component) => {
                member.progress = Progress::Loading;
                Some(Load { key, fingerprint, manifest, component })
            }
            Err(why) => {
                self.fail(member, &file, manifest, &LoadError::File(why));
                None
            }
        }
    }

    /// Whose a name is, if it is not this file's. Case does not tell names apart.
    fn owner(&self, name: &str, key: &Key, members: &Members) -> Option<String> {
        let is_it = |other: &str| other.eq_ignore_ascii_case(name);
        let standard = self.standard.iter().map(|plugin| plugin.manifest().name.as_str());
        if standard.chain(self.loader.reserved_names.iter().map(String::as_str)).any(is_it) {
            return Some("a standard plugin".to_owned());
        }
        members.iter().find(|(other, member)| *other != key && member.names().any(is_it)).map(|(other, _)| other.file.clone())
    }

    /// A member's newest files do not load. Where no version of the plugin ever did, its questions are answered by faults from here on.
    fn fail(&self, member: &mut Member, file: &str, manifest: Manifest, error: &LoadError) {
        member.fail(file, error);
        member.missing = member.last_good().is_none().then(|| {
            let metrics = self.loader.metrics.of(&manifest.name);
            Arc::new(Missing::new(manifest, metrics))
        });
    }

    async fn load(self: Arc<Self>, load: Load, origin: Origin) {
        let Ok(_permit) = self.loads.acquire().await else { return };
        let is_wanted = |members: &Members| {
            let member = members.get(&load.key);
            member.is_some_and(|member| member.fingerprint == load.fingerprint && matches!(member.progress, Progress::Loading))
        };
        if !is_wanted(&self.members.lock()) {
            return;
        }
        let loaded = self.load_apart(load.manifest.clone(), load.component.clone(), origin).await;
        let mut members = self.members.lock();
        // It took a while: the files may be others by now.
        if !is_wanted(&members) {
            return;
        }
        let Some(member) = members.get_mut(&load.key) else { return };
        match loaded {
            Ok(plugin) => {
                member.serving = Some(Arc::new(plugin));
                member.missing = None;
                member.progress = Progress::Ready;
            }
            Err(error) => self.fail(member, &load.key.file, load.manifest, &error),
        }
        self.publish(&members);
        if let Some(Member { serving: Some(plugin), progress: Progress::Ready, .. }) = members.get(&load.key) {
            tracing::info!(plugin = plugin.manifest().name, file = load.key.file, digest = plugin.digest(), "a plugin is in force");
        }
    }

    /// Compiling takes seconds of processor time; the workers have requests to serve meanwhile.
    async fn load_apart(&self, manifest: Manifest, component: Arc<[u8]>, origin: Origin) -> Result<Plugin, LoadError> {
        let loader = self.loader.clone();
        let runtime = tokio::runtime::Handle::current();
        let load = move || runtime.block_on(loader.load(manifest, Artifact::Wasm(&component), component::digest(&component), origin));
        let task = tokio::task::spawn_blocking(load);
        task.await.unwrap_or_else(|error| Err(LoadError::Compile(format!("the compiler failed: {error}"))))
    }

    /// Puts the members into force, in one step, and shows their states.
    fn publish(&self, members: &Members) {
        let standard = self.standard.iter().map(|plugin| plugin.clone() as Arc<dyn Installed>);
        let links: Vec<Arc<dyn Installed>> = standard.chain(members.values().flat_map(Member::links)).collect();
        if !self.in_force.load().is_of(&links) {
            self.in_force.store(Arc::new(Chain::new(links)));
            self.loader.metrics.swapped();
        }
        let standard = self.standard.iter().map(|plugin| PluginState {
            name: plugin.manifest().name.clone(),
            origin: Origin::Embedded,
            digest: plugin.digest().to_owned(),
            status: PluginStatus::Ready,
            required: plugin.manifest().is_required(),
        });
        let states: Vec<PluginState> = standard.chain(members.values().map(Member::state)).collect();
        self.loader.metrics.show(&states);
        self.states.send_replace(Arc::new(states));
    }
}

/// Why something does not load, as it is logged and shown: a manifest's and a component's own words are in it, which could look like other
/// lines, and have any length.
fn in_one_line(reason: &str) -> String {
    let mut line = String::new();
    for c in reason.chars().take(limits::REASON_CHARS_MAX) {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// A plugin whose manifest has another file name now is the same plugin: the version in force serves on until the new file's is loaded.
fn follow_renames(members: &mut Members, source: SourceId, candidates: &[Candidate]) {
    let there: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.file.as_str()).collect();
    let gone: Vec<Key> = members.keys().filter(|key| key.source == source && !there.contains(key.file.as_str())).cloned().collect();
    if gone.is_empty() {
        return;
    }
    let key = |file: &str| Key { source, file: file.to_owned() };
    let has_none_in_force = |file: &str| members.get(&key(file)).is_none_or(|member| member.serving.is_none());
    let named = |candidate: &Candidate| {
        let manifest = Manifest::parse(candidate.manifest.as_deref().ok()?).ok()?;
        Some((manifest.name.to_ascii_lowercase(), candidate.file.clone()))
    };
    // Of two files with one name the first, as everywhere.
    let mut successors: BTreeMap<String, String> =
        candidates.iter().rev().filter(|candidate| has_none_in_force(&candidate.file)).filter_map(named).collect();
    for before in gone {
        let successor = members[&before].names().find_map(|name| successors.remove(&name.to_ascii_lowercase()));
        if let Some(successor) = successor
            && let Some(mut member) = members.remove(&before)
        {
            tracing::info!(plugin = member.name, file = before.file, successor, "a plugin's manifest has another file name");
            // What was on its way by the old name does not arrive any more.
            if matches!(member.progress, Progress::Loading) {
                member.fingerprint.clear();
            }
            members.insert(key(&successor), member);
        }
    }
}

/// The plugins that the port waits for, and why they are not in force.
fn waited_for(states: &[PluginState]) -> String {
    let line = |state: &PluginState| match &state.status {
        PluginStatus::Failed { reason, .. } => format!("{} ({reason})", state.name),
        _ => format!("{} (it is being loaded)", state.name),
    };
    let missing = states.iter().filter(|state| state.required && !state.status.is_in_force());
    missing.map(line).collect::<Vec<_>>().join("; ")
}

impl ChainSource for PluginSet {
    fn in_force(&self) -> Arc<dyn DecidingChain> {
        self.chain()
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
    ) -> Result<Charges, Status> {
        self.admission.validate(attributes, interfaces, objects).await
    }
}
