//! What a guest may call, on the host's side: one struct holds all that an instance can reach.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use admission::RequestContext;
use apimachinery::{GroupResource, GroupVersionKind, GroupVersionResource};
use ring::rand::{SecureRandom, SystemRandom};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use auth::Decision;

use crate::bindings::wasmgate::plugin::{
    admission_types, authorization, authorization_types, clock, cluster, jwt, log, objects, random, types,
};
use crate::cluster::ClusterView;
use crate::limits;
use crate::object::{Lent, ObjectHandle};
use crate::pick::Fields;
use crate::pool;
use crate::token::{TokenVerifier, Verification};

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
    pub(crate) reads: Vec<GroupResource>,
    pub(crate) services: Services,
}

/// All that one instance can reach.
pub(crate) struct HostState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lent: Lent,
    /// What is being admitted, during a call of admission.
    pub(crate) admitting: Option<Admitting>,
    pub(crate) limiter: Limiter,
    pub(crate) log_lines_left: u32,
}

/// What a call of admission is about, beyond the objects.
pub(crate) struct Admitting {
    /// What the client asked for.
    pub(crate) kind: GroupVersionKind,
    pub(crate) resource: GroupVersionResource,
    /// Behind `authorizer`: the chain that decides about the same request.
    pub(crate) context: Arc<RequestContext>,
}

impl Admitting {
    pub(crate) fn of(attributes: &admission::Attributes) -> Self {
        Self { kind: attributes.kind.clone(), resource: attributes.resource.clone(), context: attributes.context.clone() }
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

impl types::Host for HostState {}
impl authorization_types::Host for HostState {}
impl objects::Host for HostState {}

impl admission_types::Host for HostState {
    fn requested(&mut self) -> Result<admission_types::RequestedResource> {
        let Some(Admitting { kind, resource, .. }) = &self.admitting else { bail!("there is no request: this is no call of admission") };
        let kind = admission_types::GroupVersionKindResult {
            group: kind.group.to_string(),
            version: kind.version.to_string(),
            kind: kind.kind.to_string(),
        };
        let resource = admission_types::GroupVersionResourceResult {
            group: resource.group.to_string(),
            version: resource.version.to_string(),
            resource: resource.resource.to_string(),
        };
        Ok(admission_types::RequestedResource { kind, resource })
    }
}

impl objects::HostObject for HostState {
    fn bytes(&mut self, handle: Resource<ObjectHandle>) -> Result<Vec<u8>> {
        Ok(self.lent.get(&handle)?.bytes().to_vec())
    }

    fn get(&mut self, handle: Resource<ObjectHandle>, pointer: String) -> Result<Option<Vec<u8>>> {
        let found = self.lent.get(&handle)?.value().pointer(checked(&pointer)?);
        Ok(found.map(|value| serde_json::to_vec(value).expect("a Value has string keys only")))
    }

    fn get_string(&mut self, handle: Resource<ObjectHandle>, pointer: String) -> Result<Option<String>> {
        let found = self.lent.get(&handle)?.value().pointer(checked(&pointer)?);
        Ok(found.and_then(|value| value.as_str()).map(str::to_owned))
    }

    fn pick(&mut self, handle: Resource<ObjectHandle>, pointer: String, fields: Vec<String>) -> Result<Option<Vec<u8>>> {
        let fields = Fields::parse(&fields)?;
        let found = self.lent.get(&handle)?.value().pointer(checked(&pointer)?);
        Ok(found.map(|value| fields.json_of(value)))
    }

    fn drop(&mut self, _: Resource<ObjectHandle>) -> Result<()> {
        // Guests only borrow; the loan ends with the call.
        Ok(())
    }
}

fn checked(pointer: &str) -> Result<&str> {
    if pointer.len() > limits::POINTER_BYTES_MAX {
        bail!("a JSON Pointer has {} bytes, more than {}", pointer.len(), limits::POINTER_BYTES_MAX);
    }
    Ok(pointer)
}

impl log::Host for HostState {
    fn log(&mut self, level: log::Level, message: String) -> Result<()> {
        // Silently, beyond that: a chatty plugin must neither fill the disk nor fail for it.
        if self.log_lines_left == 0 {
            return Ok(());
        }
        self.log_lines_left -= 1;
        let plugin = self.shared.name.as_str();
        // One line is one line: a guest must not write what looks like another's.
        let line = limits::shorten(&message, limits::LOG_LINE_BYTES_MAX).replace(char::is_control, " ");
        match level {
            log::Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
            log::Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
            log::Level::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
            log::Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
        }
        Ok(())
    }
}

impl clock::Host for HostState {
    fn now_milliseconds(&mut self) -> Result<u64> {
        let since = (self.shared.services.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl random::Host for HostState {
    fn bytes(&mut self, count: u32) -> Result<Vec<u8>> {
        if count > limits::RANDOM_BYTES_MAX {
            bail!("{count} random bytes are more than {}", limits::RANDOM_BYTES_MAX);
        }
        let mut bytes = vec![0; count as usize];
        SystemRandom::new().fill(&mut bytes).map_err(|_| wasmtime::format_err!("the system has no random bytes"))?;
        Ok(bytes)
    }
}

impl jwt::Host for HostState {
    fn verify(&mut self, token: String) -> Result<jwt::Verification> {
        Ok(match self.shared.services.tokens.verify(&token) {
            Verification::Claims(claims) => jwt::Verification::Claims(claims.to_vec()),
            Verification::Unknown => jwt::Verification::Unknown,
            Verification::Invalid(why) => jwt::Verification::Invalid(why),
        })
    }

    fn audiences(&mut self) -> Result<Vec<String>> {
        Ok(self.shared.services.tokens.audiences().to_vec())
    }
}

impl HostState {
    /// Takes back what a call of admission was lent.
    pub(crate) fn end_admission(&mut self) {
        self.lent.end();
        self.admitting = None;
    }

    /// The resource, if the manifest's `reads` names it.
    fn readable(&self, group: &str, resource: &str) -> std::result::Result<GroupResource, String> {
        let found = self.shared.reads.iter().find(|item| item.group == group && item.resource == resource);
        found
            .cloned()
            .ok_or_else(|| format!("{} is not in the manifest's spec.reads", GroupResource::new(group.to_owned(), resource.to_owned())))
    }
}

impl cluster::Host for HostState {
    fn get(
        &mut self,
        resource: cluster::GroupResource,
        namespace: String,
        name: String,
    ) -> Result<std::result::Result<Option<Vec<u8>>, String>> {
        let resource = self.readable(&resource.group, &resource.resource);
        Ok(resource.map(|resource| self.shared.services.cluster.get(&resource, &namespace, &name).map(|bytes| bytes.to_vec())))
    }

    async fn get_live(
        &mut self,
        resource: cluster::GroupResource,
        namespace: String,
        name: String,
    ) -> Result<std::result::Result<Option<Vec<u8>>, String>> {
        let resource = match self.readable(&resource.group, &resource.resource) {
            Ok(resource) => resource,
            Err(why) => return Ok(Err(why)),
        };
        let found = self.shared.services.cluster.get_live(&resource, &namespace, &name).await;
        Ok(found.map(|object| object.map(|bytes| bytes.to_vec())))
    }

    fn list(&mut self, resource: cluster::GroupResource, namespace: String) -> Result<std::result::Result<Vec<Vec<u8>>, String>> {
        let resource = match self.readable(&resource.group, &resource.resource) {
            Ok(resource) => resource,
            Err(why) => return Ok(Err(why)),
        };
        let list = self.shared.services.cluster.list(&resource, &namespace);
        let bytes: usize = list.iter().map(bytes::Bytes::len).sum();
        if bytes > limits::LIST_BYTES_MAX {
            return Ok(Err(format!("{resource} are {bytes} bytes, more than {}; watch them instead", limits::LIST_BYTES_MAX)));
        }
        Ok(Ok(list.iter().map(|bytes| bytes.to_vec()).collect()))
    }
}

impl authorization::Host for HostState {
    async fn authorize(&mut self, attributes: authorization_types::AttributesResult) -> Result<authorization::Answer> {
        let Some(Admitting { context, .. }) = &self.admitting else {
            bail!("the authorizers may be asked while a request is admitted, and at no other time");
        };
        let answer = pool::nested(context.chain.authorize(&attributes_from(attributes))).await;
        Ok(authorization::Answer {
            decision: match answer.decision {
                Decision::Allow => authorization::Decision::Allow,
                Decision::Deny => authorization::Decision::Deny,
                Decision::NoOpinion => authorization::Decision::NoOpinion,
            },
            reason: answer.reason,
            evaluation_error: answer.evaluation_error,
        })
    }
}

fn attributes_from(attributes: authorization_types::AttributesResult) -> auth::Attributes {
    let requirements = |list: Vec<authorization_types::SelectorRequirementResult>| {
        list.into_iter().map(|item| auth::SelectorRequirement { key: item.key, operator: item.operator, values: item.values }).collect()
    };
    let user = attributes.user;
    auth::Attributes {
        user: Arc::new(auth::UserInfo {
            name: user.name,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra.into_iter().map(|extra| (extra.key, extra.values)).collect(),
        }),
        verb: attributes.verb,
        namespace: attributes.namespace,
        api_group: attributes.api_group,
        api_version: attributes.api_version,
        resource: attributes.resource,
        subresource: attributes.subresource,
        name: attributes.name,
        resource_request: attributes.resource_request,
        path: attributes.path,
        field_selector: requirements(attributes.field_selector),
        label_selector: requirements(attributes.label_selector),
    }
}
