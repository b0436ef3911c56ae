//! What a guest may call, on the host's side, whichever version of the interface it was built for: one struct holds all that an instance
//! can reach.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use admission::{Amounts, ChargedObject, Charges, Recorder, RequestContext};
use apimachinery::GroupResource;
use apimachinery::quantity::Quantity;
use auth::Authorization;
use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use wasmtime::Result;

use crate::cluster::ClusterView;
use crate::counters::{Counters, Rate};
use crate::index::{IndexSnapshot, Indexes, Page};
use crate::input::Lookups;
use crate::limits;
use crate::lookup::{LookupError, LookupFailure};
use crate::nested;
use crate::projection::{Fields, ProjectedResource, texts_below};
use crate::request::{BorrowedRequest, Subject, checked};
use crate::token::TokenVerifier;

/// What the host offers to plugins, whatever each of them was granted.
#[derive(Clone)]
pub struct Services {
    /// Behind `cluster` and `changes`.
    pub cluster: Arc<dyn ClusterView>,
    /// Behind `jwt`.
    pub tokens: Arc<dyn TokenVerifier>,
    /// Behind `clock`.
    pub now: fn() -> SystemTime,
}

/// What all instances of a plugin share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) reads: Vec<ProjectedResource>,
    /// Of which resources objects may be charged.
    pub(crate) charges: Vec<GroupResource>,
    /// What `index` answers from; `None`: the manifest declares no index.
    pub(crate) indexes: Option<Arc<Indexes>>,
    /// What `counters` counts in.
    pub(crate) counters: Counters,
    /// What `http` sends with; `None`: the manifest grants nothing.
    pub(crate) http: Option<outbound::Client>,
    pub(crate) services: Services,
}

impl Shared {
    /// The resource, if the manifest's `reads` names it.
    fn readable(&self, group: &str, resource: &str) -> Result<&ProjectedResource, LookupError> {
        let found = self.reads.iter().find(|item| item.resource.group == group && item.resource.resource == resource);
        found.ok_or_else(|| {
            let resource = GroupResource::new(group.to_owned(), resource.to_owned());
            LookupError::new(LookupFailure::NotGranted, format!("{resource} is not in the manifest's spec.reads"))
        })
    }

    /// An object of the watch cache, as far as the manifest shows it.
    pub(crate) fn get(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Option<Bytes>, LookupError> {
        let read = self.readable(&resource.group, &resource.resource)?;
        Ok(self.services.cluster.get(&read.resource, namespace, name).map(|object| read.shown(&object)))
    }
}

impl Lookups for Shared {
    fn object(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<Bytes> {
        self.get(resource, namespace, name).ok().flatten()
    }
}

/// All that one instance can reach.
pub(crate) struct HostState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: BorrowedRequest,
    /// The chain that decides about the request that is being admitted, during a call of admission: behind `authorizer`.
    pub(crate) admitting: Option<Arc<RequestContext>>,
    /// What the indexes of the plugin are for the running call.
    pub(crate) indexes: Option<Arc<IndexSnapshot>>,
    /// Handles of indexes that the guest holds.
    pub(crate) index_handles: u32,
    /// When the running call ends; `None`: nothing runs in which a request may be sent.
    pub(crate) deadline: Option<Instant>,
    pub(crate) notes: Notes,
    /// What the running call charges; `None`: it is none that may.
    pub(crate) charges: Option<Charges>,
    /// Whether the running call has looked at anything but its input: its answer is then not only the input's.
    pub(crate) looked_around: bool,
    /// Handles of requests that the guest was given and has not dropped.
    pub(crate) handles_held: usize,
    pub(crate) limiter: Limiter,
    pub(crate) log_lines_left: u32,
}

/// Why a request of `http` has no answer.
pub(crate) enum HttpError {
    /// The instance is being told of changes.
    NotNow,
    /// It was sent, or refused to be sent.
    Outbound(outbound::Error),
}

/// What a guest says beside its answer.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) warnings: Vec<String>,
    pub(crate) annotations: Vec<(String, String)>,
}

impl Notes {
    /// Whether there are more than an answer may have. What goes beyond is not kept.
    pub(crate) fn too_many(&self) -> bool {
        self.warnings.len().max(self.annotations.len()) > limits::NOTES_MAX
    }

    pub(crate) fn warn(&mut self, text: String) {
        if self.warnings.len() <= limits::NOTES_MAX {
            self.warnings.push(text);
        }
    }

    pub(crate) fn annotate(&mut self, key: String, value: String) {
        if self.annotations.len() <= limits::NOTES_MAX {
            self.annotations.push((key, value));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.annotations.is_empty()
    }

    /// Hands them over. `own_keys`: the plugin may write keys that look like another's.
    pub(crate) fn record(self, recorder: &Recorder, plugin: &str, own_keys: bool) {
        self.warnings.iter().for_each(|warning| recorder.warnings.add(warning));
        for (key, value) in self.annotations {
            let key = if own_keys && key.contains('/') { key } else { format!("{plugin}/{key}") };
            recorder.annotations.add(limits::bounded(key), limits::bounded(value));
        }
    }
}

/// Says no to memory beyond the limit, and remembers that it did.
pub(crate) struct Limiter {
    memory_bytes_max: usize,
    memory_bytes: usize,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(memory_bytes_max: usize) -> Self {
        Self { memory_bytes_max, memory_bytes: 0, refused: false }
    }

    /// Forgets a refusal of an earlier call.
    pub(crate) fn begin(&mut self) {
        self.refused = false;
    }

    /// The limit, if it was met.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused.then_some(self.memory_bytes_max)
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let total = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if total > self.memory_bytes_max {
            self.refused = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        limits::PARTS_PER_INSTANCE_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::PARTS_PER_INSTANCE_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::PARTS_PER_INSTANCE_MAX as usize
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl HostState {
    pub(crate) fn new(shared: Arc<Shared>, memory_bytes_max: usize) -> Self {
        Self {
            shared,
            request: BorrowedRequest::default(),
            admitting: None,
            indexes: None,
            index_handles: 0,
            deadline: None,
            notes: Notes::default(),
            charges: None,
            looked_around: false,
            handles_held: 0,
            limiter: Limiter::new(memory_bytes_max),
            log_lines_left: limits::LOG_LINES_PER_CALL_MAX,
        }
    }

    /// Forgets what an earlier call left.
    pub(crate) fn begin(&mut self) {
        self.limiter.begin();
        self.log_lines_left = limits::LOG_LINES_PER_CALL_MAX;
        self.notes = Notes::default();
        self.looked_around = false;
    }

    /// Takes back what a call was lent.
    pub(crate) fn end(&mut self) {
        self.request.end();
        self.admitting = None;
        self.deadline = None;
        self.indexes = None;
        self.charges = None;
    }

    /// The request that the running call is about.
    pub(crate) fn subject(&self) -> Result<&Subject<'_>> {
        self.request.get().ok_or_else(|| wasmtime::format_err!("the request's handle outlived its call"))
    }

    /// JSON at a pointer into the request.
    pub(crate) fn request_get(&self, pointer: &str, fields: &Fields) -> Result<Result<Option<Vec<u8>>, LookupError>> {
        let subject = self.subject()?;
        if let Some(below) = pointer.strip_prefix("/namespaceObject").filter(|below| below.is_empty() || below.starts_with('/')) {
            return Ok(self.namespace_object().map(|object| {
                let object: serde_json::Value = serde_json::from_slice(&object?).ok()?;
                object.pointer(below).map(|value| fields.json_of(value))
            }));
        }
        Ok(checked(pointer).map(|pointer| subject.at(pointer, |value| fields.json_of(value))))
    }

    /// The texts at a pointer with `*` for every item of a list.
    pub(crate) fn request_texts(&self, pointer: &str) -> Result<Result<Vec<String>, LookupError>> {
        let subject = self.subject()?;
        Ok(checked(pointer).map(|pointer| {
            // What stands before the first list is a pointer like any other.
            let start = pointer.find("/*").filter(|&at| matches!(pointer.as_bytes().get(at + 2), None | Some(b'/')));
            let (above, below) = pointer.split_at(start.unwrap_or(pointer.len()));
            subject.at(above, |value| texts_below(value, below)).unwrap_or_default()
        }))
    }

    /// The object of the request's namespace.
    pub(crate) fn namespace_object(&self) -> Result<Option<Bytes>, LookupError> {
        let not_now = || LookupError::new(LookupFailure::NotNow, "there is no object's namespace: this is no call of admission");
        let subject = self.request.get().filter(|subject| matches!(subject, Subject::Admission(..))).ok_or_else(not_now)?;
        let namespace = subject.text_at("/namespace");
        let read = self.shared.readable("", "namespaces")?;
        Ok(Some(namespace).filter(|name| !name.is_empty()).and_then(|name| self.shared.get(&read.resource, "", &name).ok().flatten()))
    }

    pub(crate) fn log(&mut self, level: LogLevel, message: &str) {
        // Silently, beyond that: a chatty plugin must neither fill the disk nor fail for it.
        if self.log_lines_left == 0 {
            return;
        }
        self.log_lines_left -= 1;
        let plugin = self.shared.name.as_str();
        // One line is one line: a guest must not write what looks like another's.
        let line = limits::shorten(message, limits::LOG_LINE_BYTES_MAX).replace(char::is_control, " ");
        match level {
            LogLevel::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
            LogLevel::Info => tracing::info!(target: "plugin", plugin, "{line}"),
            LogLevel::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
            LogLevel::Error => tracing::error!(target: "plugin", plugin, "{line}"),
        }
    }

    pub(crate) fn now_milliseconds(&mut self) -> u64 {
        self.looked_around = true;
        let since = (self.shared.services.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn random_bytes(&mut self, count: u32) -> Result<Vec<u8>, LookupError> {
        self.looked_around = true;
        if count > limits::RANDOM_BYTES_MAX {
            let message = format!("{count} random bytes are more than {}", limits::RANDOM_BYTES_MAX);
            return Err(LookupError::new(LookupFailure::TooLong, message));
        }
        let mut bytes = vec![0; count as usize];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| LookupError::new(LookupFailure::Unavailable, "the system has no random bytes"))?;
        Ok(bytes)
    }

    pub(crate) fn cluster_get(&mut self, group: &str, resource: &str, namespace: &str, name: &str) -> Result<Option<Bytes>, LookupError> {
        self.looked_around = true;
        let read = self.shared.readable(group, resource)?;
        Ok(self.shared.services.cluster.get(&read.resource, namespace, name).map(|object| read.shown(&object)))
    }

    pub(crate) async fn cluster_get_live(
        &mut self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Bytes>, LookupError> {
        self.looked_around = true;
        let read = self.shared.readable(group, resource)?;
        let found = self.shared.services.cluster.get_live(&read.resource, namespace, name).await;
        let found = found.map_err(|why| LookupError::new(LookupFailure::Unavailable, why))?;
        Ok(found.map(|object| read.shown(&object)))
    }

    pub(crate) fn cluster_list(&mut self, group: &str, resource: &str, namespace: &str) -> Result<Vec<Bytes>, LookupError> {
        self.looked_around = true;
        let read = self.shared.readable(group, resource)?;
        let list = self.shared.services.cluster.list(&read.resource, namespace);
        let list: Vec<Bytes> = list.iter().map(|object| read.shown(object)).collect();
        let bytes: usize = list.iter().map(Bytes::len).sum();
        if bytes > limits::LIST_BYTES_MAX {
            let message = format!("{} are {bytes} bytes, more than {}; watch them instead", read.resource, limits::LIST_BYTES_MAX);
            return Err(LookupError::new(LookupFailure::TooLarge, message));
        }
        Ok(list)
    }

    /// The place of an index, for a handle.
    pub(crate) fn open_index(&mut self, name: &str) -> Result<u32, LookupError> {
        let place = self.shared.indexes.as_ref().and_then(|indexes| indexes.latest().place_of(name));
        let not_there = || {
            let name = limits::shorten(name, limits::INDEX_KEY_BYTES_MAX);
            LookupError::new(LookupFailure::NotGranted, format!("{name} is not in the manifest's spec.indexes"))
        };
        let place = place.ok_or_else(not_there)?;
        if self.index_handles >= limits::INDEX_HANDLES_MAX {
            let message = format!("more than {} handles of indexes are held at once", limits::INDEX_HANDLES_MAX);
            return Err(LookupError::new(LookupFailure::TooLarge, message));
        }
        self.index_handles += 1;
        Ok(place as u32)
    }

    /// Objects of an index by key. What is found is of the state that the answer is remembered for.
    pub(crate) fn find_in_index(
        &self,
        index: u32,
        namespace: &str,
        key: &[String],
        after: Option<(String, String)>,
    ) -> Result<Page, LookupError> {
        let Some(state) = &self.indexes else {
            let message = "an index may be asked while a request is decided about, and at no other time";
            return Err(LookupError::new(LookupFailure::NotNow, message));
        };
        state.find(index as usize, namespace, key, after)
    }

    /// Notes what the request takes of an object. What is wrong with it is said, and none of it is noted.
    pub(crate) fn charge(&mut self, charged: ChargedObject, amounts: Vec<(String, String)>) -> Result<(), LookupError> {
        if !self.shared.charges.contains(&charged.resource) {
            let message = format!("{} is not in the manifest's spec.charges", charged.resource);
            return Err(LookupError::new(LookupFailure::NotGranted, message));
        }
        let Some(charges) = &mut self.charges else {
            let message = "an object may be charged while a created or updated one is validated, and at no other time";
            return Err(LookupError::new(LookupFailure::NotNow, message));
        };
        if charged.name.is_empty() {
            return Err(LookupError::new(LookupFailure::Malformed, "an object that is charged has a name"));
        }
        let amounts = amounts_of(amounts)?;
        if charges.of(&charged).is_none() && charges.len() >= limits::CHARGED_OBJECTS_MAX {
            let message = format!("more than {} objects are charged at once", limits::CHARGED_OBJECTS_MAX);
            return Err(LookupError::new(LookupFailure::TooLong, message));
        }
        charges.add(charged, amounts);
        Ok(())
    }

    /// Takes tokens from a bucket of the plugin's. False: there are not so many.
    pub(crate) fn take_tokens(&mut self, key: &str, tokens: u32, rate: Rate) -> Result<bool, LookupError> {
        let now = self.now_milliseconds();
        self.shared.counters.take(key, tokens, rate, now)
    }

    /// Sends a request, and waits for its answer: not longer than the guest wants to, and not so long that it could not answer any more.
    pub(crate) async fn http_send(&mut self, request: outbound::Request, wish: Option<Duration>) -> Result<outbound::Response, HttpError> {
        self.looked_around = true;
        let not_granted = || outbound::Error::new(outbound::Failure::NotGranted, "the manifest's spec.http grants nothing");
        let client = self.shared.http.as_ref().ok_or_else(not_granted).map_err(HttpError::Outbound)?;
        let left = self.deadline.ok_or(HttpError::NotNow)?.saturating_duration_since(Instant::now());
        let within = left.mul_f64(1.0 - limits::HTTP_TIME_KEPT_BACK).min(wish.unwrap_or(left));
        client.send(request, within).await.map_err(HttpError::Outbound)
    }

    /// Asks the authorizers of the request that is being admitted.
    pub(crate) async fn authorize(&mut self, mut attributes: auth::Attributes) -> Result<Authorization, LookupError> {
        self.looked_around = true;
        let Some(context) = &self.admitting else {
            let message = "the authorizers may be asked while a request is admitted, and at no other time";
            return Err(LookupError::new(LookupFailure::NotNow, message));
        };
        attributes.asked_for = context.asking();
        Ok(nested::run(context.chain.authorize(&attributes)).await)
    }
}

/// Amounts as a guest gives them: none twice, none negative.
fn amounts_of(list: Vec<(String, String)>) -> Result<Amounts, LookupError> {
    if list.len() > limits::CHARGED_AMOUNTS_MAX {
        let message = format!("{} amounts are charged at once, more than {}", list.len(), limits::CHARGED_AMOUNTS_MAX);
        return Err(LookupError::new(LookupFailure::TooLong, message));
    }
    let mut amounts = Amounts::new();
    for (name, text) in list {
        if name.len().max(text.len()) > limits::CHARGED_AMOUNT_BYTES_MAX {
            let message = format!("an amount has more than {} bytes", limits::CHARGED_AMOUNT_BYTES_MAX);
            return Err(LookupError::new(LookupFailure::TooLong, message));
        }
        let malformed =
            |why: &dyn std::fmt::Display| LookupError::new(LookupFailure::Malformed, format!("the amount {name}={text}: {why}"));
        let amount = Quantity::parse(&text).map_err(|error| malformed(&error))?;
        if name.is_empty() || amount.sign() < 0 {
            return Err(malformed(&"it must have a name, and not be negative"));
        }
        if amounts.insert(name.clone(), amount).is_some() {
            return Err(malformed(&"it is there twice"));
        }
    }
    Ok(amounts)
}
