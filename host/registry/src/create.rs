//! Create, and the commit that all writes share.

use std::time::Duration;

use admission::{Objects, Operation};
use api::kinds::strategy;
use apimachinery::options::parse_uint;
use apimachinery::{Status, object};
use bytes::Bytes;
use cacher::wire;
use serde_json::Value;
use storage::Error;

use crate::meta;
use crate::update::served;
use crate::{Registry, Request, Written, error};

/// How often a generated name is drawn again when it is taken.
const GENERATE_NAME_TRIES_MAX: usize = 8;
/// How often a create is tried again because another request was given the same address or port.
const TAKEN_TRIES_MAX: usize = 32;
/// How long an Event is kept; kube-apiserver's `--event-ttl`.
const EVENT_TIME_TO_LIVE: Duration = Duration::from_secs(3600);

/// Why a commit did not happen.
pub(crate) enum CommitError {
    /// Somebody else was faster with the object itself.
    Conflict,
    /// Somebody else was faster with what belongs to it: an address, a port.
    Taken,
    Failed(Status),
}

/// What one try of a create came to.
enum Tried {
    Created(Bytes),
    /// The object's name is somebody else's.
    NameTaken(String),
    /// Something else that it was given is.
    Again,
}

impl Registry {
    /// Creates an object.
    pub async fn create(&self, request: &Request, object: Value) -> Result<Written, Status> {
        let generated = object::name(&object).is_empty() && !object::meta_str(&object, "generateName").is_empty();
        let repeatable = generated || self.hooks.concern(request);
        let (mut names_left, mut tries_left) = (if generated { GENERATE_NAME_TRIES_MAX } else { 1 }, TAKEN_TRIES_MAX);
        let mut next = Some(object);
        while let Some(object) = next.take() {
            let spare = repeatable.then(|| object.clone());
            match self.try_create(request, object).await? {
                Tried::Created(json) => return Ok(Written { json, created: true }),
                Tried::NameTaken(name) => {
                    names_left -= 1;
                    if names_left == 0 {
                        return Err(self.already_exists(request, &name, generated));
                    }
                }
                Tried::Again => {}
            }
            tries_left -= 1;
            next = spare.filter(|_| tries_left > 0);
        }
        Err(Status::internal("what the object needs besides its name is being taken by others too fast"))
    }

    async fn try_create(&self, request: &Request, mut object: Value) -> Result<Tried, Status> {
        let resource = &*request.resource;
        let strategy = strategy(resource);
        meta::wipe_for_create(&mut object);
        let mut attributes = request.attributes(Operation::Create);
        attributes.name = object::name(&object).to_owned();
        request.warn(meta::drop_repeated_owners(&mut object, ""));
        request.context.chain.mutate(&attributes, request, Some(&mut object), None).await?;
        meta::keep_namespace(request, &mut object)?;
        request.warn(meta::drop_repeated_owners(&mut object, meta::AFTER_MUTATION));
        meta::fill_for_create(request, &mut object);
        if object::name(&object).is_empty() {
            let prefix = object::meta_str(&object, "generateName").to_owned();
            if !prefix.is_empty() {
                object::set_meta_str(&mut object, "name", &meta::generate_name(&prefix));
            }
        }
        request.warn(strategy.warnings_before_preparation(&object));
        strategy.prepare_for_create(resource, &mut object);
        request.stamp(strategy, &mut object, None);
        let name = object::name(&object).to_owned();
        // Before validation: upstream's words about an address come before those about the rest.
        let also = self.hooks.before_write(self, request, &mut object, None).await?;
        let errors = strategy.validate(&request.requested, &object);
        if !errors.is_empty() {
            return Err(Status::invalid(&group_kind(request), &name, &errors));
        }
        request.warn(strategy.warnings("", &object, None));
        attributes.name.clone_from(&name);
        request.context.chain.validate(&attributes, request, Objects { object: Some(&object), old: None }).await?;
        let key = request.key_of(&name);
        if request.dry_run {
            let there = self.cacher(request)?.get(&key).is_some();
            return Ok(if there { Tried::NameTaken(name) } else { Tried::Created(served(request, &object)) });
        }
        // The store's to say, as upstream has it: who only tries never hears of it, and what is no number is passed over.
        if parse_uint(object::resource_version(&object)).is_ok_and(|version| version != 0) {
            return Err(error::unclassified("resourceVersion should not be set on objects to be created"));
        }
        object::metadata_mut(&mut object).remove("resourceVersion");
        match self.commit(request, &key, 0, &object, also).await {
            Ok(json) => Ok(Tried::Created(json)),
            Err(CommitError::Conflict) => Ok(Tried::NameTaken(name)),
            Err(CommitError::Taken) => Ok(Tried::Again),
            Err(CommitError::Failed(status)) => Err(status),
        }
    }

    fn already_exists(&self, request: &Request, name: &str, generated: bool) -> Status {
        let resource = request.group_resource();
        let mut status = Status::already_exists(&resource, name);
        let existing = self.cacher(request).ok().and_then(|cacher| cacher.get(&request.key_of(name)));
        let deleting = existing
            .and_then(|existing| serde_json::from_slice::<Value>(&existing.json()).ok())
            .is_some_and(|existing| object::is_being_deleted(&existing));
        if generated {
            status.message =
                format!("{resource} \"{name}\" already exists, the server was not able to generate a unique name for the object");
        } else if deleting {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }

    /// Writes an object if it is still at `expected`, together with `also`. Returns the bytes as served.
    pub(crate) async fn commit(
        &self,
        request: &Request,
        key: &str,
        expected: u64,
        object: &Value,
        also: Vec<storage::Operation>,
    ) -> Result<Bytes, CommitError> {
        let gvk = &request.resource.gvk;
        let stored: Bytes = wire::encode(object, gvk).into();
        let revision = self.commit_bytes(request, key, expected, Some(stored.clone()), also).await?;
        // As a rule the cache has made the very bytes already.
        let cached = self.caches.cacher(&request.resource.storage_prefix).and_then(|cacher| cacher.get(key));
        if let Some(cached) = cached.filter(|cached| cached.revision() == revision) {
            return Ok(cached.json());
        }
        let mut served = Vec::with_capacity(stored.len() + 32);
        wire::splice(&mut served, &stored, &wire::head(gvk), revision);
        Ok(served.into())
    }

    /// The same for an object as it is stored; none removes what is there. Returns the revision of the change.
    pub(crate) async fn commit_bytes(
        &self,
        request: &Request,
        key: &str,
        expected: u64,
        stored: Option<Bytes>,
        also: Vec<storage::Operation>,
    ) -> Result<u64, CommitError> {
        let resource = &*request.resource;
        let own_key = self.caches.store_key(resource, key);
        let time_to_live = (stored.is_some() && resource.storage_prefix == "events").then_some(EVENT_TIME_TO_LIVE);
        let mut operations = vec![storage::Operation { key: own_key.clone(), expected, value: stored, time_to_live }];
        operations.extend(also);
        let revision = match self.caches.storage().commit(operations).await {
            Ok(revision) => revision,
            Err(Error::Conflict { key, .. }) if key == own_key => return Err(CommitError::Conflict),
            Err(Error::Conflict { current, .. }) => {
                // The next choice must know of it.
                if let Some(current) = current {
                    self.caches.wait_until(current.mod_revision).await;
                }
                return Err(CommitError::Taken);
            }
            Err(other) => return Err(CommitError::Failed(error::write(other))),
        };
        // Whoever is told of the write finds it: plugins decide on what the cache holds.
        self.caches.wait_until(revision).await;
        Ok(revision)
    }
}

/// The kind as refusals name it. Events of both groups are one type to upstream, of the core group.
pub(crate) fn group_kind(request: &Request) -> apimachinery::GroupKind {
    let group = if &*request.resource.storage_prefix == "events" { "".into() } else { request.requested.gvk.group.clone() };
    apimachinery::GroupKind { group, kind: request.requested.gvk.kind.clone() }
}
