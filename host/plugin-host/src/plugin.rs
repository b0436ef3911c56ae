//! An installed plugin that works: its roles as the host's traits.
//!
//! Every call goes the same way: lease an instance, run the guest with a deadline, judge the answer, give the instance
//! back. An answer that is none is a fault like a trap: the instance is dropped.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::chain::{AdmissionPlugin, Denial, FailurePolicy, Mutation, Round, Verdict};
use admission::{Charges, Operation, Recorder, Version};
use apimachinery::{GroupResource, GroupVersionKind, Status, StatusReason};
use async_trait::async_trait;
use auth::{Authentication, Authorization, Credentials, Rules, UserInfo};
use bytes::Bytes;
use prometheus::Histogram;
use serde_json::Value;
use tokio::time::timeout;

use crate::answer::{RawDenial, RawMutation};
use crate::code_cache::CodeCache;
use crate::component::{self, Artifact, LoadError};
use crate::counters::Counters;
use crate::engine::PluginEngine;
use crate::fault::Fault;
use crate::host::{Services, Shared};
use crate::index::{IndexSnapshot, Indexes};
use crate::instance::{Instance, InstanceTemplate, StartError};
use crate::limits;
use crate::manifest::{Capability, Credential, Instances, LookupRequirement, Manifest, Reinvocation, Role, Surroundings};
use crate::memo::{Memo, Question};
use crate::metrics::{Metrics, PluginMetrics, Remembered};
use crate::pool::{Lease, Pool};
use crate::projection::ProjectedResource;
use crate::request::Subject;
use crate::source::Origin;

/// What a plugin is made with.
#[derive(Clone)]
pub struct Loader {
    /// Runs it.
    pub engine: PluginEngine,
    /// What it may reach, if granted.
    pub services: Services,
    /// What the operator lets plugins that are not embedded call.
    pub allowed: BTreeSet<Capability>,
    /// Names that no plugin from elsewhere may have: those of the standard plugins, whether they run or not.
    pub reserved_names: Vec<String>,
    /// Where compiled code of foreign components is kept.
    pub cache: Option<CodeCache>,
    /// What is counted.
    pub metrics: Metrics,
}

/// A plugin that works.
pub struct Plugin {
    manifest: Manifest,
    origin: Origin,
    digest: String,
    shared: Arc<Shared>,
    pool: Pool,
    timeout: Duration,
    metrics: PluginMetrics,
    durations: Durations,
    /// What it answered, where it declares itself pure.
    authenticated: Option<Remembering<Authentication>>,
    authorized: Option<Remembering<Authorization>>,
}

/// A memo, and how often it spared a call.
struct Remembering<A> {
    memo: Memo<A>,
    spared: Remembered,
}

/// An answer, and for how long it is one: while the feed stands at this position. `None`: it is of more than its question.
struct Answered<A> {
    answer: A,
    at: Option<u64>,
}

struct Durations {
    authenticate: Histogram,
    authorize: Histogram,
    rules_for: Histogram,
    admit: Histogram,
    validate: Histogram,
}

impl Loader {
    /// Loads a component as the manifest says: compiled, linked, and with a first instance configured and told of the
    /// cluster's state. `digest` is the component's sha256, in hex.
    pub(crate) async fn load(
        &self,
        manifest: Manifest,
        artifact: Artifact<'_>,
        digest: String,
        origin: Origin,
    ) -> Result<Plugin, LoadError> {
        let named = |field, list: &[ProjectedResource]| list.iter().map(|item| (field, item.resource.clone())).collect::<Vec<_>>();
        let indexed = manifest.indexes.iter().map(|index| ("indexes", index.resource().clone()));
        let charged = manifest.charges.iter().map(|resource| ("charges", resource.clone()));
        let named = [named("reads", &manifest.reads), named("watches", &manifest.watches)].into_iter().flatten();
        for (field, resource) in named.chain(indexed).chain(charged) {
            if !self.services.cluster.serves(&resource) {
                return Err(LoadError::UnknownResource { field, resource: resource.to_string() });
            }
        }
        let everything = BTreeSet::from(Capability::ALL);
        let allowed = if origin == Origin::Embedded { &everything } else { &self.allowed };
        let linked = component::link(&self.engine, artifact, &manifest, allowed, self.cache.as_ref())?;
        let metrics = self.metrics.of(&manifest.name);
        let indexes = Indexes::new(&manifest.indexes, &*self.services.cluster);
        if let Some(indexes) = &indexes {
            indexes.up_to_now().await.map_err(LoadError::Start)?;
        }
        let http = manifest.http.clone().map(outbound::Client::new).transpose().map_err(LoadError::Http)?;
        let shared = Arc::new(Shared {
            name: manifest.name.clone(),
            reads: manifest.reads.clone(),
            charges: manifest.charges.clone(),
            indexes,
            http,
            counters: Counters::new(manifest.limits.counter_keys),
            services: self.services.clone(),
        });
        let watched: Vec<_> = manifest.watches.iter().map(|watch| watch.resource.clone()).collect();
        let template = InstanceTemplate {
            linked,
            shared: shared.clone(),
            memory_bytes_max: manifest.limits.memory_bytes,
            config: serde_json::to_vec(&manifest.config).expect("a Value has string keys only"),
            watches: manifest.watches.clone(),
            feed: (!watched.is_empty()).then(|| self.services.cluster.subscribe(&watched)),
            live: metrics.instances.clone(),
        };
        let timeout = Duration::from_millis(manifest.limits.timeout_milliseconds);
        let workers = std::thread::available_parallelism().map_or(2, usize::from) as u32;
        let instances_max = manifest.limits.instances.unwrap_or((workers * 4).clamp(8, limits::INSTANCES_MAX));
        let pool = Pool::new(template, instances_max, manifest.instances == Instances::Reused, timeout);
        pool.warm_up().await.map_err(|error| match error {
            StartError::Refused(words) => LoadError::Refused(words),
            StartError::Fault(fault) => LoadError::Start(fault),
        })?;
        let durations = Durations {
            authenticate: metrics.call("authenticate"),
            authorize: metrics.call("authorize"),
            rules_for: metrics.call("rules-for"),
            admit: metrics.call("admit"),
            validate: metrics.call("validate"),
        };
        let remembers = |role| manifest.pure && manifest.roles.contains(&role);
        let spared = |call| metrics.remembered(call);
        let authenticated = remembers(Role::Authenticator).then(|| Remembering { memo: Memo::new(), spared: spared("authenticate") });
        let authorized = remembers(Role::Authorizer).then(|| Remembering { memo: Memo::new(), spared: spared("authorize") });
        Ok(Plugin { manifest, origin, digest, shared, pool, timeout, metrics, durations, authenticated, authorized })
    }
}

impl Plugin {
    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// sha256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Ends every call: measures the time that it took, and counts and logs its fault.
    fn record<T>(&self, started: Instant, duration: &Histogram, result: Result<T, Fault>) -> Result<T, auth::Fault> {
        duration.observe(started.elapsed().as_secs_f64());
        result.map_err(|fault| {
            self.metrics.fault(fault.kind());
            tracing::warn!(plugin = self.manifest.name, digest = self.digest, "a plugin did not answer: {fault}");
            auth::Fault { plugin: self.manifest.name.clone(), reason: fault.to_string() }
        })
    }

    /// What the manifest lets it see.
    fn shown(&self, credentials: &Credentials) -> Credentials {
        let wanted = |credential| self.manifest.credentials.contains(&credential);
        Credentials {
            certificate: credentials.certificate.clone().filter(|_| wanted(Credential::ClientCertificate)),
            bearer_token: credentials.bearer_token.clone().filter(|_| wanted(Credential::BearerToken)),
            audiences: credentials.audiences.clone(),
            asked_for: credentials.asked_for.clone(),
        }
    }

    async fn call_authenticate(&self, shown: &Credentials) -> Result<Answered<Authentication>, Fault> {
        let subject = Subject::Authentication(shown);
        let mut call = Call::begin(self, &subject).await?;
        let Call { instance, input, .. } = &mut call;
        let Instance { exports, store, .. } = instance.instance();
        let result = timeout(self.timeout, exports.authenticate(store, &subject, input)).await;
        let answer = match call.end(result)? {
            Authentication::NoOpinion => Authentication::NoOpinion,
            Authentication::Rejected(why) => Authentication::Rejected(limits::bounded(why)),
            Authentication::User(user) => Authentication::User(checked_user(user)?),
            Authentication::UserFor(_, audiences) if audiences.is_empty() => {
                return Err(Fault::Malformed("a user by a token that is meant for nobody".into()));
            }
            Authentication::UserFor(user, audiences) => Authentication::UserFor(checked_user(user)?, audiences),
        };
        Ok(Answered { answer, at: call.give_back() })
    }

    async fn call_authorize(&self, attributes: &auth::Attributes) -> Result<Answered<Authorization>, Fault> {
        let subject = Subject::Authorization(attributes);
        let mut call = Call::begin(self, &subject).await?;
        let Call { instance, input, .. } = &mut call;
        let Instance { exports, store, .. } = instance.instance();
        let result = timeout(self.timeout, exports.authorize(store, &subject, input)).await;
        let Some(answer) = call.end(result)? else {
            return Err(Fault::Malformed("a conditional decision, which was not asked for".into()));
        };
        let at = call.give_back();
        let Authorization { decision, reason, evaluation_error } = answer;
        let (reason, evaluation_error) = (limits::bounded(reason), evaluation_error.map(limits::bounded));
        Ok(Answered { answer: Authorization { decision, reason, evaluation_error }, at })
    }

    /// Its indexes with everything up to now.
    async fn indexes_now(&self) -> Result<Option<Arc<IndexSnapshot>>, Fault> {
        match &self.shared.indexes {
            Some(indexes) => Ok(Some(indexes.up_to_now().await?)),
            None => Ok(None),
        }
    }

    /// Where all stands that an answer may be of: the sum grows with whatever changes, and is the same only where all is the same.
    fn position(&self) -> u64 {
        self.pool.position().wrapping_add(self.shared.indexes.as_ref().map_or(0, |indexes| indexes.position()))
    }

    async fn call_rules_for(&self, user: &UserInfo, namespace: &str) -> Result<Option<Rules>, Fault> {
        let indexes = self.indexes_now().await?;
        let mut lease = self.pool.lease().await?;
        let Instance { exports, store, .. } = lease.instance();
        let state = store.data_mut();
        (state.indexes, state.deadline) = (indexes, Some(Instant::now() + self.timeout));
        let result = timeout(self.timeout, exports.rules_for(store, user, namespace)).await;
        lease.instance().store.data_mut().end();
        let answer = lease.outcome(result, self.timeout)?;
        lease.give_back();
        Ok(answer.map(|rules| Rules { evaluation_error: limits::bounded(rules.evaluation_error), ..rules }))
    }

    async fn call_admit(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Mutation, Fault> {
        let subject = Subject::Admission(attributes, version);
        let mut call = Call::begin(self, &subject).await?;
        let Call { instance, input, .. } = &mut call;
        let Instance { exports, store, .. } = instance.instance();
        let result = timeout(self.timeout, exports.admit(store, &subject, input)).await;
        let mutation = match call.end(result)? {
            RawMutation::Unchanged => Mutation::Unchanged,
            RawMutation::Denied(denial) => Mutation::Denied(denial_from(denial)?),
            RawMutation::Patch(bytes) => Mutation::Patch(operations(&bytes)?),
        };
        call.give_back();
        Ok(mutation)
    }

    async fn call_validate(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Verdict, Fault> {
        let subject = Subject::Admission(attributes, version);
        let mut call = Call::begin(self, &subject).await?;
        let Call { instance, input, .. } = &mut call;
        let Instance { exports, store, .. } = instance.instance();
        if matches!(attributes.operation, Operation::Create | Operation::Update) {
            store.data_mut().charges = Some(Charges::default());
        }
        let result = timeout(self.timeout, exports.validate(store, &subject, input)).await;
        let denial = call.end(result)?.map(denial_from).transpose()?;
        let charges = std::mem::take(&mut call.charges);
        call.give_back();
        Ok(denial.map_or(Verdict::Admitted(charges), Verdict::Denied))
    }
}

/// A call on its way: an instance, and the request that it was lent.
struct Call<'a> {
    plugin: &'a Plugin,
    instance: Lease<'a>,
    /// What is handed over with the call.
    input: Vec<u8>,
    recorder: Recorder,
    /// What it charged.
    charges: Charges,
    /// Where the plugin's indexes stood when the call began.
    indexes_position: u64,
    /// Whether the answer is of nothing but the question, what the instance was told and what the indexes hold.
    of_question_only: bool,
}

impl<'a> Call<'a> {
    /// Leases an instance, and lends it the request. The caller holds the request's borrow for as long as the guest may run: in the same
    /// future as this, so that the instance goes where the future goes.
    async fn begin(plugin: &'a Plugin, subject: &'a Subject<'_>) -> Result<Self, Fault> {
        let indexes = plugin.indexes_now().await?;
        let mut instance = plugin.pool.lease().await?;
        let input = plugin.manifest.input.of(subject, &*plugin.shared);
        let state = instance.instance().store.data_mut();
        // SAFETY: the caller's future holds the borrow, and the lease; where it is dropped, so is the lease with the store.
        unsafe { state.request.begin(subject) };
        if let Subject::Admission(attributes, _) = subject {
            state.admitting = Some(attributes.context.clone());
        }
        let indexes_position = indexes.as_ref().map_or(0, |indexes| indexes.position());
        state.indexes = indexes;
        let asked_for = subject.asked_for();
        let own = Instant::now() + plugin.timeout;
        state.deadline = Some(asked_for.deadline.map_or(own, |deadline| deadline.min(own)));
        let recorder = asked_for.recorder;
        Ok(Self { plugin, instance, input, recorder, charges: Charges::default(), indexes_position, of_question_only: false })
    }

    /// Takes the request back. Notes are kept before the answer is judged: they reach the client and the audit log with a refusal, too.
    fn end<T>(&mut self, result: Result<wasmtime::Result<T>, tokio::time::error::Elapsed>) -> Result<T, Fault> {
        let state = self.instance.instance().store.data_mut();
        self.charges = state.charges.take().unwrap_or_default();
        state.end();
        let notes = std::mem::take(&mut state.notes);
        self.of_question_only = notes.is_empty() && !state.looked_around;
        let answer = self.instance.outcome(result, self.plugin.timeout)?;
        if notes.too_many() {
            return Err(Fault::Malformed(format!("more than {} warnings or annotations", limits::NOTES_MAX)));
        }
        if !notes.is_empty() {
            // Standard plugins write upstream's keys; nobody else may write a key that looks like another's.
            notes.record(&self.recorder, &self.plugin.manifest.name, self.plugin.origin == Origin::Embedded);
        }
        Ok(answer)
    }

    /// The call went well. At which position of the feed its answer may be given again; `None`: at none.
    fn give_back(mut self) -> Option<u64> {
        let position = self.instance.instance().position().wrapping_add(self.indexes_position);
        let at = self.of_question_only.then_some(position);
        self.instance.give_back();
        at
    }
}

#[async_trait]
impl auth::Authenticator for Plugin {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, auth::Fault> {
        // Who shows nothing of what it looks at is nobody that it knows.
        if !self.manifest.credentials.is_empty() && !self.manifest.fallback && !self.manifest.is_shown(credentials) {
            return Ok(Authentication::NoOpinion);
        }
        let shown = self.shown(credentials);
        let question = self.authenticated.as_ref().map(|_| Question::of_credentials(&shown));
        if let (Some(Remembering { memo, spared }), Some(question)) = (&self.authenticated, &question)
            && let Some(answer) = memo.get(self.position(), question)
        {
            spared.inc();
            return Ok(answer);
        }
        let started = Instant::now();
        let result = self.call_authenticate(&shown).await;
        let Answered { answer, at } = self.record(started, &self.durations.authenticate, result)?;
        if let (Some(Remembering { memo, .. }), Some(question), Some(at)) = (&self.authenticated, question, at) {
            memo.put(at, question, answer.clone());
        }
        Ok(answer)
    }
}

#[async_trait]
impl auth::Authorizer for Plugin {
    async fn authorize(&self, attributes: &auth::Attributes) -> Authorization {
        let question = self.authorized.as_ref().map(|_| Question::of_access(attributes));
        if let (Some(Remembering { memo, spared }), Some(question)) = (&self.authorized, &question)
            && let Some(answer) = memo.get(self.position(), question)
        {
            spared.inc();
            return answer;
        }
        let started = Instant::now();
        let result = self.call_authorize(attributes).await;
        match self.record(started, &self.durations.authorize, result) {
            Ok(Answered { answer, at }) => {
                if let (Some(Remembering { memo, .. }), Some(question), Some(at)) = (&self.authorized, question, at) {
                    memo.put(at, question, answer.clone());
                }
                answer
            }
            Err(fault) => Authorization::of_fault(&fault, self.manifest.authorizer_failure_policy),
        }
    }

    async fn rules_for(&self, user: &UserInfo, namespace: &str) -> Rules {
        let started = Instant::now();
        let result = self.call_rules_for(user, namespace).await;
        let incomplete = |evaluation_error| Rules { incomplete: true, evaluation_error, ..Default::default() };
        match self.record(started, &self.durations.rules_for, result) {
            Ok(Some(rules)) => rules,
            Ok(None) => incomplete(format!("{} authorizer does not support user rule resolution", self.manifest.name)),
            Err(fault) => incomplete(fault.to_string()),
        }
    }
}

/// What a plugin's rules ask of the cluster while it is found out whether one of them is about a request.
struct AskedOfCluster<'a> {
    plugin: &'a Plugin,
    /// What the last look-up was, in which of the request's versions it was made, and what it found. Rules that follow each other often ask
    /// for the same.
    last: RefCell<Option<(String, GroupVersionKind, Option<Bytes>)>>,
}

impl Surroundings for AskedOfCluster<'_> {
    fn exists(&self, resource: &GroupResource, namespace: &str) -> bool {
        self.plugin.shared.services.cluster.any(resource, namespace)
    }

    fn meets(&self, requirement: &LookupRequirement, attributes: &admission::Attributes, version: &Version<'_>) -> bool {
        let mut last = self.last.borrow_mut();
        let known = last.take().filter(|(name, kind, _)| *name == requirement.name && kind == version.kind);
        let (.., found) = last.insert(known.unwrap_or_else(|| {
            let subject = Subject::Admission(attributes, *version);
            let found = self.plugin.manifest.input.look_up(&requirement.name, &subject, &*self.plugin.shared);
            (requirement.name.clone(), version.kind.clone(), found)
        }));
        requirement.holds(found.as_deref())
    }
}

#[async_trait]
impl AdmissionPlugin for Plugin {
    fn name(&self) -> &str {
        &self.manifest.name
    }

    fn selects(&self, round: Round, attributes: &admission::Attributes, versions: &[Version<'_>]) -> Option<usize> {
        self.manifest.selects(round, attributes, versions, &AskedOfCluster { plugin: self, last: RefCell::default() })
    }

    fn failure_policy(&self) -> FailurePolicy {
        self.manifest.failure_policy
    }

    fn reinvoked(&self) -> bool {
        self.manifest.reinvocation == Reinvocation::IfNeeded
    }

    async fn admit(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Mutation, auth::Fault> {
        let started = Instant::now();
        let result = self.call_admit(attributes, version).await;
        let rejected = !matches!(result, Ok(Mutation::Unchanged | Mutation::Patch(_)));
        self.metrics.admission(Round::Mutating, attributes.operation, rejected).observe(started.elapsed().as_secs_f64());
        self.record(started, &self.durations.admit, result)
    }

    async fn validate(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Verdict, auth::Fault> {
        let started = Instant::now();
        let result = self.call_validate(attributes, version).await;
        let rejected = !matches!(result, Ok(Verdict::Admitted(_)));
        self.metrics.admission(Round::Validating, attributes.operation, rejected).observe(started.elapsed().as_secs_f64());
        self.record(started, &self.durations.validate, result)
    }

    fn faulted(&self, fault: &auth::Fault) {
        self.metrics.fault("malformed");
        tracing::warn!(plugin = self.manifest.name, digest = self.digest, "a plugin did not answer: {}", fault.reason);
    }

    fn disagreed(&self) {
        self.metrics.disagreed();
    }

    fn ignored(&self, fault: &auth::Fault) {
        self.metrics.ignored();
        tracing::warn!(plugin = self.manifest.name, "a fault is passed over, as failurePolicy says: {}", fault.reason);
    }
}

/// A user as a guest names one.
fn checked_user(user: UserInfo) -> Result<UserInfo, Fault> {
    // Upstream's userid annotation and every message would be empty; nobody means that.
    if user.name.is_empty() {
        return Err(Fault::Malformed("a user without a name".into()));
    }
    let extra = user.extra.into_iter().map(|(key, values)| (key.to_ascii_lowercase(), values)).collect();
    Ok(UserInfo { extra, ..user })
}

/// A guest's patch has the bounds of a client's.
fn operations(patch: &[u8]) -> Result<Vec<Value>, Fault> {
    let malformed = |why: String| Fault::Malformed(format!("its patch is no JSON Patch: {why}"));
    if patch.len() > limits::PATCH_BYTES_MAX {
        return Err(malformed(format!("it has {} bytes, more than {}", patch.len(), limits::PATCH_BYTES_MAX)));
    }
    match apimachinery::codec::json::value(patch).map_err(malformed)? {
        Value::Array(operations) => Ok(operations),
        _ => Err(malformed("it is no list".to_owned())),
    }
}

fn denial_from(denial: RawDenial) -> Result<Denial, Fault> {
    match denial {
        RawDenial::Forbidden(message) => Ok(Denial::Forbidden(limits::bounded(message))),
        RawDenial::Status(bytes) => {
            let malformed = |error| Fault::Malformed(format!("its refusal is no Status: {error}"));
            let mut value: Value = serde_json::from_slice(&bytes).map_err(malformed)?;
            if let Some(fields) = value.as_object_mut() {
                // As upstream treats webhooks: a refusal is never a success, whatever it says of itself.
                fields.insert("status".into(), "Failure".into());
                fields.remove("continueToken");
                // A reason of the plugin's own says nothing to a client, and must not make its refusal a fault.
                if fields.get("reason").is_some_and(|reason| serde_json::from_value::<StatusReason>(reason.clone()).is_err()) {
                    fields.remove("reason");
                }
            }
            let mut status: Status = serde_json::from_value(value).map_err(malformed)?;
            if !(400..600).contains(&status.code) {
                status.code = 400;
            }
            Ok(Denial::Status(Box::new(status)))
        }
    }
}

/// Only so that `Lease` stays `Send` across the awaits above: a store that is not would show here first.
#[allow(dead_code, reason = "checked by the compiler, never called")]
fn leases_are_send(lease: Lease<'_>) -> impl Send {
    lease
}
