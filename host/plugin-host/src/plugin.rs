//! An installed plugin that works: its roles as the host's traits.
//!
//! Every call goes the same way: lease an instance, run the guest with a deadline, judge the answer, give the instance
//! back. An answer that is none is a fault like a trap: the instance is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::Version;
use admission::chain::{AdmissionPlugin, Denial, FailurePolicy, Mutation, Round};
use apimachinery::{Status, StatusReason};
use async_trait::async_trait;
use auth::{Authentication, Authorization, Credentials, Decision, Rules, UserInfo};
use prometheus_client::metrics::histogram::Histogram;
use serde_json::Value;
use tokio::time::timeout;

use crate::bindings::exports::wasmgate::plugin as exports;
use crate::bindings::wasmgate::plugin::{admission_types, authorization_types, types};
use crate::code_cache::CodeCache;
use crate::component::{self, Artifact, LoadError};
use crate::engine::PluginEngine;
use crate::fault::Fault;
use crate::host::{Admitting, Services, Shared};
use crate::instance::{Mould, StartError};
use crate::limits;
use crate::manifest::{Capability, Credential, Instances, Manifest, Reinvocation};
use crate::metrics::{Metrics, PluginMetrics};
use crate::object::Lent;
use crate::pool::{Lease, Pool};

/// Where a plugin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Built into the binary.
    Embedded,
    /// From `--plugin-dir`.
    Directory,
}

impl Origin {
    /// For a metric's label and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Directory => "directory",
        }
    }
}

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
    pool: Pool,
    timeout: Duration,
    metrics: PluginMetrics,
    durations: Durations,
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
    /// cluster's state.
    pub(crate) async fn load(&self, manifest: Manifest, artifact: Artifact<'_>, origin: Origin) -> Result<Plugin, LoadError> {
        for (field, list) in [("reads", &manifest.reads), ("watches", &manifest.watches)] {
            if let Some(resource) = list.iter().find(|resource| !self.services.cluster.serves(resource)) {
                return Err(LoadError::UnknownResource { field, resource: resource.to_string() });
            }
        }
        let everything = BTreeSet::from(Capability::ALL);
        let allowed = if origin == Origin::Embedded { &everything } else { &self.allowed };
        let linked = component::link(&self.engine, artifact, &manifest, allowed, self.cache.as_ref())?;
        let metrics = self.metrics.of(&manifest.name);
        let shared = Shared { name: manifest.name.clone(), reads: manifest.reads.clone(), services: self.services.clone() };
        let mould = Mould {
            linked,
            shared: Arc::new(shared),
            memory_bytes_max: manifest.limits.memory_bytes,
            config: serde_json::to_vec(&manifest.config).expect("a Value has string keys only"),
            feed: (!manifest.watches.is_empty()).then(|| self.services.cluster.subscribe(&manifest.watches)),
            live: metrics.instances.clone(),
        };
        let timeout = Duration::from_millis(manifest.limits.timeout_milliseconds);
        let workers = std::thread::available_parallelism().map_or(2, usize::from) as u32;
        let instances_max = manifest.limits.instances.unwrap_or((workers * 4).clamp(8, limits::INSTANCES_MAX));
        let pool = Pool::new(mould, instances_max, manifest.instances == Instances::Reused, timeout);
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
        Ok(Plugin { manifest, origin, digest: artifact.digest(), pool, timeout, metrics, durations })
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

    /// The rim of every call: time, and the fault's count and log line.
    fn record<T>(&self, started: Instant, duration: &Histogram, result: Result<T, Fault>) -> Result<T, auth::Fault> {
        duration.observe(started.elapsed().as_secs_f64());
        result.map_err(|fault| {
            self.metrics.fault(fault.kind());
            tracing::warn!(plugin = self.manifest.name, digest = self.digest, "a plugin did not answer: {fault}");
            auth::Fault { plugin: self.manifest.name.clone(), reason: fault.to_string() }
        })
    }

    async fn call_authenticate(&self, credentials: &Credentials) -> Result<Authentication, Fault> {
        let wanted = |credential| self.manifest.credentials.contains(&credential);
        let certificate = credentials.certificate.as_deref().filter(|_| wanted(Credential::ClientCertificate));
        let organizations: Vec<&str> = certificate.map(|found| texts(&found.organizations)).unwrap_or_default();
        let audiences = texts(&credentials.audiences);
        let shown = exports::authenticator::Credentials {
            certificate: certificate.map(|found| exports::authenticator::PeerCertificate {
                der: &found.der,
                common_name: &found.common_name,
                organizations: &organizations,
                uid: &found.uid,
                sha256: &found.sha256,
                chain_error: found.chain_error.as_deref(),
            }),
            bearer_token: credentials.bearer_token.as_deref().filter(|_| wanted(Credential::BearerToken)),
            audiences: &audiences,
        };
        let mut lease = self.pool.lease().await?;
        let instance = lease.instance();
        let guest = instance.authenticator.clone().ok_or_else(missing)?;
        let result = timeout(self.timeout, guest.call_authenticate(&mut instance.store, shown)).await;
        let answer = match lease.outcome(result, self.timeout)? {
            exports::authenticator::Authentication::NoOpinion => Authentication::NoOpinion,
            exports::authenticator::Authentication::Rejected(why) => Authentication::Rejected(bounded(why)),
            exports::authenticator::Authentication::User(user) => Authentication::User(user_from(user)?),
            exports::authenticator::Authentication::UserFor((user, audiences)) => {
                if audiences.is_empty() {
                    return Err(Fault::Malformed("a user by a token that is meant for nobody".into()));
                }
                Authentication::UserFor(user_from(user)?, audiences)
            }
        };
        lease.give_back();
        Ok(answer)
    }

    async fn call_authorize(&self, attributes: &auth::Attributes) -> Result<Authorization, Fault> {
        let user = UserRef::of(&attributes.user);
        let extra = user.extra();
        let fields = Requirements::of(&attributes.field_selector);
        let labels = Requirements::of(&attributes.label_selector);
        let (fields, labels) = (fields.list(), labels.list());
        let shown = authorization_types::AttributesParam {
            user: user.param(&extra),
            verb: &attributes.verb,
            namespace: &attributes.namespace,
            api_group: &attributes.api_group,
            api_version: &attributes.api_version,
            resource: &attributes.resource,
            subresource: &attributes.subresource,
            name: &attributes.name,
            resource_request: attributes.resource_request,
            path: &attributes.path,
            field_selector: &fields,
            label_selector: &labels,
            conditional_accepted: false,
        };
        let mut lease = self.pool.lease().await?;
        let instance = lease.instance();
        let guest = instance.authorizer.clone().ok_or_else(missing)?;
        let result = timeout(self.timeout, guest.call_authorize(&mut instance.store, shown)).await;
        let answer = lease.outcome(result, self.timeout)?;
        let decision = match answer.decision {
            exports::authorizer::Decision::Allow => Decision::Allow,
            exports::authorizer::Decision::Deny => Decision::Deny,
            exports::authorizer::Decision::NoOpinion => Decision::NoOpinion,
            exports::authorizer::Decision::Conditional(_) => {
                return Err(Fault::Malformed("a conditional decision, which was not asked for".into()));
            }
        };
        lease.give_back();
        Ok(Authorization { decision, reason: bounded(answer.reason), evaluation_error: answer.evaluation_error.map(bounded) })
    }

    async fn call_rules_for(&self, user: &UserInfo, namespace: &str) -> Result<Option<Rules>, Fault> {
        let user = UserRef::of(user);
        let extra = user.extra();
        let mut lease = self.pool.lease().await?;
        let instance = lease.instance();
        let Some(guest) = instance.rules.clone() else {
            lease.give_back();
            return Ok(None);
        };
        let result = timeout(self.timeout, guest.call_rules_for(&mut instance.store, user.param(&extra), namespace)).await;
        let answer = lease.outcome(result, self.timeout)?;
        lease.give_back();
        let resource_rules = answer.resource_rules.into_iter().map(|rule| auth::ResourceRule {
            verbs: rule.verbs,
            api_groups: rule.api_groups,
            resources: rule.resources,
            resource_names: rule.resource_names,
        });
        let non_resource_rules = answer
            .non_resource_rules
            .into_iter()
            .map(|rule| auth::NonResourceRule { verbs: rule.verbs, non_resource_urls: rule.non_resource_urls });
        Ok(Some(Rules {
            resource_rules: resource_rules.collect(),
            non_resource_rules: non_resource_rules.collect(),
            incomplete: answer.incomplete,
            evaluation_error: bounded(answer.evaluation_error),
        }))
    }

    async fn call_admit(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Mutation, Fault> {
        let user = UserRef::of(&attributes.context.user);
        let extra = user.extra();
        let shown = admission_attributes(attributes, version, user.param(&extra));
        let mut lease = self.pool.lease().await?;
        let instance = lease.instance();
        let guest = instance.mutating.clone().ok_or_else(missing)?;
        let (handle, old_handle) = Lent::handles(version.object, version.old);
        // SAFETY: this future holds both borrows, and the lease; where it is dropped, so is the lease with the store.
        unsafe { instance.store.data_mut().lent.begin(version.object, version.old) };
        instance.store.data_mut().admitting = Some(Admitting::of(attributes));
        let result = timeout(self.timeout, guest.call_admit(&mut instance.store, shown, handle, old_handle)).await;
        instance.store.data_mut().end_admission();
        let answer = lease.outcome(result, self.timeout)?;
        self.record_notes(answer.notes, &attributes.context.recorder)?;
        let mutation = match answer.mutation {
            exports::mutating_admission::Mutation::Unchanged => Mutation::Unchanged,
            exports::mutating_admission::Mutation::Denied(denial) => Mutation::Denied(denial_from(denial)?),
            exports::mutating_admission::Mutation::Patch(bytes) => Mutation::Patch(operations(&bytes)?),
        };
        lease.give_back();
        Ok(mutation)
    }

    async fn call_validate(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Option<Denial>, Fault> {
        let user = UserRef::of(&attributes.context.user);
        let extra = user.extra();
        let shown = admission_attributes(attributes, version, user.param(&extra));
        let mut lease = self.pool.lease().await?;
        let instance = lease.instance();
        let guest = instance.validating.clone().ok_or_else(missing)?;
        let (handle, old_handle) = Lent::handles(version.object, version.old);
        // SAFETY: as in `call_admit`.
        unsafe { instance.store.data_mut().lent.begin(version.object, version.old) };
        instance.store.data_mut().admitting = Some(Admitting::of(attributes));
        let result = timeout(self.timeout, guest.call_validate(&mut instance.store, shown, handle, old_handle)).await;
        instance.store.data_mut().end_admission();
        let answer = lease.outcome(result, self.timeout)?;
        self.record_notes(answer.notes, &attributes.context.recorder)?;
        let denial = answer.denial.map(denial_from).transpose()?;
        lease.give_back();
        Ok(denial)
    }

    /// Keeps what goes with an answer, before the answer is judged: it reaches the client and the audit log with a refusal, too.
    fn record_notes(&self, notes: admission_types::Notes, recorder: &admission::Recorder) -> Result<(), Fault> {
        if notes.warnings.len().max(notes.audit_annotations.len()) > limits::NOTES_MAX {
            return Err(Fault::Malformed(format!("more than {} warnings or annotations", limits::NOTES_MAX)));
        }
        notes.warnings.iter().for_each(|warning| recorder.warnings.add(warning));
        for note in notes.audit_annotations {
            // Standard plugins write upstream's keys; nobody else may write a key that looks like another's.
            let own = self.origin == Origin::Embedded && note.key.contains('/');
            let key = if own { note.key } else { format!("{}/{}", self.manifest.name, note.key) };
            recorder.annotations.add(bounded(key), bounded(note.value));
        }
        Ok(())
    }
}

#[async_trait]
impl auth::Authenticator for Plugin {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, auth::Fault> {
        let started = Instant::now();
        let result = self.call_authenticate(credentials).await;
        self.record(started, &self.durations.authenticate, result)
    }
}

#[async_trait]
impl auth::Authorizer for Plugin {
    async fn authorize(&self, attributes: &auth::Attributes) -> Authorization {
        let started = Instant::now();
        let result = self.call_authorize(attributes).await;
        self.record(started, &self.durations.authorize, result)
            .unwrap_or_else(|fault| Authorization::of_fault(&fault, self.manifest.authorizer_failure_policy))
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

#[async_trait]
impl AdmissionPlugin for Plugin {
    fn name(&self) -> &str {
        &self.manifest.name
    }

    fn selects(&self, round: Round, attributes: &admission::Attributes, versions: &[Version<'_>]) -> Option<usize> {
        self.manifest.selects(round, attributes, versions)
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

    async fn validate(&self, attributes: &admission::Attributes, version: Version<'_>) -> Result<Option<Denial>, auth::Fault> {
        let started = Instant::now();
        let result = self.call_validate(attributes, version).await;
        let rejected = !matches!(result, Ok(None));
        self.metrics.admission(Round::Validating, attributes.operation, rejected).observe(started.elapsed().as_secs_f64());
        self.record(started, &self.durations.validate, result)
    }

    fn faulted(&self, fault: &auth::Fault) {
        self.metrics.fault("malformed");
        tracing::warn!(plugin = self.manifest.name, digest = self.digest, "a plugin did not answer: {}", fault.reason);
    }

    fn ignored(&self, fault: &auth::Fault) {
        self.metrics.ignored();
        tracing::warn!(plugin = self.manifest.name, "a fault is passed over, as failurePolicy says: {}", fault.reason);
    }
}

/// A role that was not looked up at load: ours, not the guest's, and still no reason to end the server.
fn missing() -> Fault {
    Fault::Malformed("the role is not exported".into())
}

fn bounded(mut text: String) -> String {
    let end = limits::shorten(&text, limits::MESSAGE_BYTES_MAX).len();
    text.truncate(end);
    text
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// A user as the guest is shown it: borrowed, but for the lists of pointers.
struct UserRef<'a> {
    user: &'a UserInfo,
    groups: Vec<&'a str>,
    extra: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> UserRef<'a> {
    fn of(user: &'a UserInfo) -> Self {
        Self { user, groups: texts(&user.groups), extra: user.extra.iter().map(|(key, values)| (key.as_str(), texts(values))).collect() }
    }

    fn extra(&self) -> Vec<types::ExtraParam<'_>> {
        self.extra.iter().map(|(key, values)| types::ExtraParam { key, values }).collect()
    }

    fn param<'b>(&'b self, extra: &'b [types::ExtraParam<'b>]) -> types::UserInfoParam<'b> {
        types::UserInfoParam { name: &self.user.name, uid: &self.user.uid, groups: &self.groups, extra }
    }
}

/// Selector requirements, in the same way.
struct Requirements<'a>(Vec<(&'a auth::SelectorRequirement, Vec<&'a str>)>);

impl<'a> Requirements<'a> {
    fn of(list: &'a [auth::SelectorRequirement]) -> Self {
        Self(list.iter().map(|item| (item, texts(&item.values))).collect())
    }

    fn list(&self) -> Vec<authorization_types::SelectorRequirementParam<'_>> {
        let item = |(item, values)| {
            let item: &auth::SelectorRequirement = item;
            authorization_types::SelectorRequirementParam { key: &item.key, operator: &item.operator, values }
        };
        self.0.iter().map(|(requirement, values)| item((requirement, values.as_slice()))).collect()
    }
}

fn admission_attributes<'a>(
    attributes: &'a admission::Attributes,
    version: Version<'a>,
    user: types::UserInfoParam<'a>,
) -> admission_types::Attributes<'a> {
    use admission_types::Operation;
    admission_types::Attributes {
        operation: match attributes.operation {
            admission::Operation::Create => Operation::Create,
            admission::Operation::Update => Operation::Update,
            admission::Operation::Delete => Operation::Delete,
            admission::Operation::Connect => Operation::Connect,
        },
        kind: admission_types::GroupVersionKindParam {
            group: &version.kind.group,
            version: &version.kind.version,
            kind: &version.kind.kind,
        },
        resource: admission_types::GroupVersionResourceParam {
            group: &version.resource.group,
            version: &version.resource.version,
            resource: &version.resource.resource,
        },
        subresource: &attributes.subresource,
        namespace: &attributes.namespace,
        name: &attributes.name,
        user,
        dry_run: attributes.dry_run,
        options: attributes.options.as_deref(),
    }
}

fn user_from(user: types::UserInfoResult) -> Result<UserInfo, Fault> {
    // Upstream's userid annotation and every message would be empty; nobody means that.
    if user.name.is_empty() {
        return Err(Fault::Malformed("a user without a name".into()));
    }
    let extra = user.extra.into_iter().map(|extra| (extra.key.to_ascii_lowercase(), extra.values)).collect();
    Ok(UserInfo { name: user.name, uid: user.uid, groups: user.groups, extra })
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

fn denial_from(denial: admission_types::Denial) -> Result<Denial, Fault> {
    match denial {
        admission_types::Denial::Forbidden(message) => Ok(Denial::Forbidden(bounded(message))),
        admission_types::Denial::Status(bytes) => {
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
