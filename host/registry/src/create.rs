//! Create, and the commit that all writes share.

use std::sync::Arc;

use admission::{Attributes, Objects, Operation};
use api::kinds::strategy;
use apimachinery::options::parse_uint;
use apimachinery::{Status, object};
use bytes::Bytes;
use cacher::{Cacher, Object};
use objectstore::{Encoded, layout};
use serde_json::Value;
use storage::Error;

use crate::charge::Charging;
use crate::meta;
use crate::shared_values::SharedCommitError;
use crate::update::served;
use crate::valid::Valid;
use crate::{Also, Registry, Request, Written, error};

/// How often a generated name is drawn again when it is taken.
const GENERATE_NAME_TRIES_MAX: usize = 8;
/// How often a write is tried again because another request was given the same address or port.
pub(crate) const TAKEN_TRIES_MAX: usize = 32;

/// Why a commit did not happen.
pub(crate) enum CommitError {
    /// Somebody else was faster with the object itself.
    Conflict,
    /// An address or a port of the object was given to another object meanwhile.
    Taken,
    Failed(Status),
}

/// What was written.
pub(crate) struct Stored {
    /// The bytes as served.
    pub(crate) json: Bytes,
    /// The object of the cache; none where it was not asked to store it, or somebody changed it since.
    pub(crate) object: Option<Arc<Object>>,
}

impl Stored {
    pub(crate) fn into_written(self, created: bool) -> Written {
        Written { json: self.json, object: self.object, created }
    }
}

/// What one try of a create came to.
enum Tried {
    Created(Stored),
    /// An object of that name exists. The object that was to be created is given back, for another generated name.
    NameTaken {
        name: String,
        object: Value,
    },
    /// An address or a port of the object was given to another object meanwhile: it is chosen anew.
    Again,
}

impl Registry {
    /// Creates an object.
    ///
    /// # Errors
    /// What admission, validation or the store answers; 409 where the name is taken.
    pub async fn create(&self, request: &Request, object: Value) -> Result<Written, Status> {
        match self.create_unless_taken(request, object).await? {
            Ok(stored) => Ok(stored.into_written(true)),
            Err(taken) => Err(taken),
        }
    }

    /// What was written, or the refusal of a name that is somebody else's.
    ///
    /// # Errors
    /// As [`Self::create`], but for the name.
    pub(crate) async fn create_unless_taken(&self, request: &Request, mut object: Value) -> Result<Result<Stored, Status>, Status> {
        self.admit_create(request, &mut object).await?;
        let generated = object::name(&object).is_empty() && !object::meta_str(&object, "generateName").is_empty();
        let mut names_left = if generated { GENERATE_NAME_TRIES_MAX } else { 1 };
        for _ in 0..TAKEN_TRIES_MAX {
            // The addresses and ports of a Service are written into the object: the next try needs the object without them.
            let spare = self.hooks.allocates(request).then(|| object.clone());
            object = match (self.try_create(request, object).await?, spare) {
                (Tried::Created(stored), _) => return Ok(Ok(stored)),
                (Tried::NameTaken { name, object }, spare) => {
                    names_left -= 1;
                    if names_left == 0 {
                        return Ok(Err(self.already_exists(request, &name, generated)));
                    }
                    let mut object = spare.unwrap_or(object);
                    object::metadata_mut(&mut object).remove("name");
                    object
                }
                (Tried::Again, Some(spare)) => spare,
                (Tried::Again, None) => break,
            };
        }
        Err(error::taken_too_fast())
    }

    /// What is done once, before the first try: fields that no client may set are removed, and the mutating plugins are called.
    async fn admit_create(&self, request: &Request, object: &mut Value) -> Result<(), Status> {
        meta::wipe_for_create(object);
        let mut attributes = request.attributes(Operation::Create);
        object::name(object).clone_into(&mut attributes.name);
        request.warn(meta::drop_repeated_owners(object, ""));
        request.context.chain.mutate(&attributes, request, Some(&mut *object), None).await?;
        meta::keep_namespace(request, object)?;
        request.warn(meta::drop_repeated_owners(object, meta::AFTER_MUTATION));
        Ok(())
    }

    async fn try_create(&self, request: &Request, mut object: Value) -> Result<Tried, Status> {
        let resource = &*request.resource;
        let strategy = strategy(resource);
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
        // Before validation, so that an address that cannot be had is what the client is told (upstream: `BeginCreate`, before `BeforeCreate`).
        let mut also = self.hooks.before_write(self, request, &mut object, None).await?;
        let mut valid = Valid::created(request, object)?;
        let name = object::name(valid.object()).to_owned();
        request.warn(strategy.warnings("", valid.object(), None));
        let attributes = Attributes { name: name.clone(), ..request.attributes(Operation::Create) };
        also.charges = request.context.chain.validate(&attributes, request, Objects { object: Some(valid.object()), old: None }).await?;
        let key = request.key_of(&name);
        if request.dry_run {
            self.check_charges(&Charging { request, name: &name, charges: &also.charges }).await?;
            let there = self.cacher(request)?.get(&key).is_some();
            return Ok(match there {
                true => Tried::NameTaken { name, object: valid.into_object() },
                false => Tried::Created(Stored { json: served(request, valid.object()), object: None }),
            });
        }
        // Upstream checks this in its store (`etcd3/store.go`, `Create`): a dry run does not come so far, and what is no number counts as none.
        if parse_uint(object::resource_version(valid.object())).is_ok_and(|version| version != 0) {
            return Err(error::unclassified("resourceVersion should not be set on objects to be created"));
        }
        valid.set_resource_version("");
        match self.commit(request, &key, 0, &valid, also).await {
            Ok(stored) => Ok(Tried::Created(stored)),
            Err(CommitError::Conflict) => Ok(Tried::NameTaken { name, object: valid.into_object() }),
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

    /// Writes an object if it is still at `expected`, together with `also`.
    pub(crate) async fn commit(
        &self,
        request: &Request,
        key: &str,
        expected: u64,
        object: &Valid,
        also: Also,
    ) -> Result<Stored, CommitError> {
        let cacher = self.cacher(request).map_err(CommitError::Failed)?;
        let encoded = encode(&cacher, &self.caches.store_key(&request.resource, key), object.object()).map_err(CommitError::Failed)?;
        let value = encoded.value.clone();
        let announced = cacher.announce(key, encoded.clone(), object.object());
        let revision = self.commit_bytes(request, key, expected, Some(value), also).await?;
        drop(announced);
        // The cache has met the change by now, in most cases, and has made the same bytes.
        if let Some(cached) = cacher.get(key).filter(|cached| cached.revision() == revision) {
            return Ok(Stored { json: cached.json(), object: Some(cached) });
        }
        let mut served = Vec::with_capacity(encoded.json.len() + 32);
        layout::splice(&mut served, &encoded.json, cacher.codec().head(), revision);
        Ok(Stored { json: served.into(), object: None })
    }

    /// The same for an object as it is stored; none removes what is there. Returns the revision of the change.
    pub(crate) async fn commit_bytes(
        &self,
        request: &Request,
        key: &str,
        expected: u64,
        stored: Option<Bytes>,
        also: Also,
    ) -> Result<u64, CommitError> {
        let resource = &*request.resource;
        let own_key = self.caches.store_key(resource, key);
        let time_to_live = stored.as_ref().and_then(|_| strategy(resource).time_to_live());
        let mut operations = vec![storage::Operation { key: own_key.clone(), expected, value: stored, time_to_live }];
        operations.extend(also.operations);
        // To the end: whoever is next finds what this write has left in the cache.
        let _turns = self.charge_turns.of(&also.charges).await;
        let committed = if also.range.is_none() && also.charges.is_empty() {
            self.caches.store().commit(operations).await
        } else {
            let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
            let charging = Charging { request, name, charges: &also.charges };
            match self.commit_with_shared(operations, also.range.as_ref(), &charging).await {
                Err(SharedCommitError::Commit(error)) => return Err(error),
                Err(SharedCommitError::Storage(error)) => Err(error),
                Ok(revision) => Ok(revision),
            }
        };
        let revision = match committed {
            Ok(revision) => revision,
            Err(Error::Conflict { key, .. }) if key == own_key => return Err(CommitError::Conflict),
            Err(Error::Conflict { current, .. }) => {
                // A conflict over an address or port: the index must know it before the next is chosen.
                if let Some(current) = current {
                    self.caches.wait_until(current.mod_revision).await;
                }
                return Err(CommitError::Taken);
            }
            Err(other) => return Err(CommitError::Failed(error::write(other))),
        };
        // Not answered before the cache holds the change: plugins read the cluster from it, and must see what their client was told of.
        self.caches.wait_until(revision).await;
        Ok(revision)
    }
}

/// An object as it is stored under a key of the store.
pub(crate) fn encode(cacher: &Cacher, store_key: &str, object: &Value) -> Result<Encoded, Status> {
    cacher.codec().encode(store_key, object).map_err(Status::internal)
}

/// The kind as refusals name it.
pub(crate) fn group_kind(request: &Request) -> apimachinery::GroupKind {
    let gvk = &request.requested.gvk;
    let group = strategy(&request.requested).group_in_refusals().map_or_else(|| gvk.group.clone(), Into::into);
    apimachinery::GroupKind { group, kind: gvk.kind.clone() }
}
