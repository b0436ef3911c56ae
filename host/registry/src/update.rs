//! Update and patch: one road, over what is stored now, again when somebody else was faster.

use admission::{Charges, Objects, Operation};
use api::kinds::strategy;
use apimachinery::options::parse_uint;
use apimachinery::{Status, field, object};
use async_trait::async_trait;
use auth::{Attributes, Decision};
use bytes::Bytes;
use objectstore::layout;
use serde_json::Value;

use crate::change::{Change, Subresource};
use crate::charge::Charging;
use crate::create::{self, CommitError};
use crate::guaranteed::{Attempt, Attempted, Stored};
use crate::meta;
use crate::valid::Valid;
use crate::{Also, Registry, Request, Written, error};

impl Registry {
    /// Changes an object, or creates it where the kind allows that and `change` makes one from nothing.
    ///
    /// # Errors
    /// What `change`, admission, validation or the store answers; 404, and 409 where the object is of another version than asked for.
    pub async fn update(&self, request: &Request, change: &dyn Change, create_allowed: bool) -> Result<Written, Status> {
        self.guaranteed_update(request, Update { registry: self, request, change, subresource: None, create_allowed }).await
    }

    /// Changes an object through a subresource: admission is shown the subresource, the strategy the whole object.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_subresource(
        &self,
        request: &Request,
        change: &dyn Change,
        subresource: &dyn Subresource,
    ) -> Result<Written, Status> {
        self.guaranteed_update(request, Update { registry: self, request, change, subresource: Some(subresource), create_allowed: false })
            .await
    }

    /// Changes an object that is there, whatever its kind asks of an update: neither strategy nor admission is called. For what the
    /// server does itself once something else was admitted (a binding, an eviction). Returns the object's bytes as served.
    ///
    /// # Errors
    /// What `change` or the store answers, and 404.
    pub async fn modify(&self, request: &Request, change: &dyn Change) -> Result<Bytes, Status> {
        self.guaranteed_update(request, Modification { registry: self, request, change }).await
    }
}

/// An update or patch.
struct Update<'a> {
    registry: &'a Registry,
    request: &'a Request,
    change: &'a dyn Change,
    subresource: Option<&'a dyn Subresource>,
    create_allowed: bool,
}

#[async_trait]
impl Attempt for Update<'_> {
    type Output = Written;

    async fn attempt(&mut self, key: &str, stored: Option<Stored>) -> Result<Attempted<Written>, Status> {
        let Some(stored) = stored else {
            return self.registry.create_by_update(self.request, self.change, self.create_allowed).await;
        };
        let old = &stored.object;
        let mut object = self.change.apply(Some(old)).await?;
        self.registry.check_preconditions(self.request, &object, old, stored.revision)?;
        self.mutate(&mut object, old).await?;
        let mut also = self.prepare(&mut object, old).await?;
        let valid;
        (valid, also.charges) = self.validate(object, old).await?;
        match self.store(key, &stored, valid, also).await {
            Ok(stored) => Ok(Attempted::Done(stored.into_written(false))),
            Err(CommitError::Conflict) => Ok(Attempted::Conflict),
            Err(CommitError::Taken) => Ok(Attempted::Taken),
            Err(CommitError::Failed(status)) => Err(status),
        }
    }
}

impl Update<'_> {
    async fn mutate(&self, object: &mut Value, old: &Value) -> Result<(), Status> {
        let request = self.request;
        let attributes = request.attributes(Operation::Update);
        // Upstream's patch handler drops repeated owner references after admission only (`handlers/patch.go`).
        if request.verb != "patch" {
            request.warn(meta::drop_repeated_owners(object, ""));
        }
        match self.subresource {
            None => request.context.chain.mutate(&attributes, request, Some(&mut *object), Some(old)).await?,
            Some(subresource) => {
                let mut shown = subresource.of(object)?;
                request.context.chain.mutate(&attributes, request, Some(&mut shown), Some(&subresource.of(old)?)).await?;
                subresource.put(&shown, object);
            }
        }
        request.warn(meta::drop_repeated_owners(object, meta::AFTER_MUTATION));
        Ok(())
    }

    /// The subresource that the kind judges by itself; empty where it judges the whole object.
    fn judged(&self) -> &str {
        if self.subresource.is_some() { "" } else { &self.request.subresource }
    }

    /// Sets the fields that no client may change back to their stored values, and has the kind prepare the object. Returns the operations
    /// that are to be committed with it.
    async fn prepare(&self, object: &mut Value, old: &Value) -> Result<Also, Status> {
        let request = self.request;
        let (resource, strategy) = (&*request.resource, strategy(&request.resource));
        meta::fill_for_update(object, old);
        match self.judged() {
            "" => strategy.prepare_for_update(resource, object, old),
            subresource => strategy.prepare_for_subresource_update(resource, subresource, object, old),
        }
        request.stamp(strategy, object, Some(old));
        meta::keep_identity(object, old);
        // Before validation, so that an address that cannot be had is what the client is told (upstream: `BeginUpdate`).
        self.registry.hooks.before_write(self.registry, request, object, Some(old)).await
    }

    /// The object, and what it takes of objects that limit it.
    async fn validate(&self, object: Value, old: &Value) -> Result<(Valid, Charges), Status> {
        let request = self.request;
        let mut valid = Valid::updated(request, self.judged(), object, old)?;
        request.warn(strategy(&request.resource).warnings(self.judged(), valid.object(), Some(old)));
        let attributes = request.attributes(Operation::Update);
        let charges = match self.subresource {
            None => {
                let objects = Objects { object: Some(valid.object()), old: Some(old) };
                request.context.chain.validate(&attributes, request, objects).await?
            }
            Some(subresource) => {
                let (shown, before) = (subresource.of(valid.object())?, subresource.of(old)?);
                request.context.chain.validate(&attributes, request, Objects { object: Some(&shown), old: Some(&before) }).await?
            }
        };
        valid.set_resource_version(object::resource_version(old));
        Ok((valid, charges))
    }

    /// Commits the object, where anything changed and something is to be stored.
    async fn store(
        &self,
        key: &str,
        Stored { object: old, revision, is_stale }: &Stored,
        valid: Valid,
        also: Also,
    ) -> Result<create::Stored, CommitError> {
        let (registry, request) = (self.registry, self.request);
        // Also where nothing changed: a deletion that stopped between its mark and its removal is finished by any update.
        if is_gone_after(request, valid.object(), old) {
            if !request.dry_run {
                // The addresses and ports of the stored object are given back; those that this update asked for are not taken.
                let also = registry.hooks.before_remove(registry, request, old).await.map_err(CommitError::Failed)?;
                registry.commit_bytes(request, key, *revision, None, also).await?;
            }
            return Ok(create::Stored { json: served(request, valid.object()), object: None });
        }
        if request.dry_run {
            let charging = Charging { request, name: object::name(valid.object()), charges: &also.charges };
            registry.check_charges(&charging).await.map_err(CommitError::Failed)?;
        }
        // Where nothing changed nothing is written, and no watcher hears of it.
        if request.dry_run || (valid.object() == old && !is_stale) {
            return Ok(create::Stored { json: served(request, valid.object()), object: None });
        }
        registry.commit(request, key, *revision, &valid, also).await
    }
}

/// A change by the server itself.
struct Modification<'a> {
    registry: &'a Registry,
    request: &'a Request,
    change: &'a dyn Change,
}

#[async_trait]
impl Attempt for Modification<'_> {
    type Output = Bytes;

    async fn attempt(&mut self, key: &str, stored: Option<Stored>) -> Result<Attempted<Bytes>, Status> {
        let Stored { object: old, revision, is_stale } = stored.ok_or_else(|| self.request.not_found())?;
        let object = self.change.apply(Some(&old)).await?;
        if self.request.dry_run || (object == old && !is_stale) {
            return Ok(Attempted::Done(served(self.request, &object)));
        }
        match self.registry.commit(self.request, key, revision, &Valid::changed_by_server(object), Also::default()).await {
            Ok(stored) => Ok(Attempted::Done(stored.json)),
            Err(CommitError::Conflict) => Ok(Attempted::Conflict),
            Err(CommitError::Taken) => Ok(Attempted::Taken),
            Err(CommitError::Failed(status)) => Err(status),
        }
    }
}

impl Registry {
    /// The object must be the one, and of the version, that the request means.
    fn check_preconditions(&self, request: &Request, object: &Value, old: &Value, revision: u64) -> Result<(), Status> {
        let uid = object::uid(object);
        // A patch that changes the uid is refused by validation.
        if request.verb != "patch" && !uid.is_empty() && uid != object::uid(old) {
            return Err(self.other_uid(request, uid, object::uid(old)));
        }
        match version_of(object)? {
            0 if strategy(&request.resource).allow_unconditional_update() => Ok(()),
            0 => {
                let path = field::Path::new("metadata").child("resourceVersion");
                let missing = field::Error::invalid(&path, 0, "must be specified for an update");
                // Upstream names the resource here and not the kind.
                let resource = request.group_resource();
                let kind = apimachinery::GroupKind { group: resource.group, kind: resource.resource };
                Err(Status::invalid(&kind, &request.name, &[missing]))
            }
            // A patch that names none carries the version that it was applied to.
            version if version == revision => Ok(()),
            _ => Err(self.modified(request)),
        }
    }

    fn other_uid(&self, request: &Request, asked: &str, found: &str) -> Status {
        let key = self.caches().store_key(&request.resource, &request.key());
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in \
             precondition: {asked}, UID in object meta: {found}"
        );
        Status::conflict(&request.group_resource(), &request.name, &why)
    }

    fn modified(&self, request: &Request) -> Status {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(&request.group_resource(), &request.name, why)
    }

    /// A PUT or patch of what is not there: 404, or a create that is authorized as one.
    /// Where somebody else is faster to create it, there is something to update.
    async fn create_by_update(&self, request: &Request, change: &dyn Change, create_allowed: bool) -> Result<Attempted<Written>, Status> {
        if !create_allowed || !request.subresource.is_empty() {
            return Err(request.not_found());
        }
        let mut object = change.apply(None).await?;
        if !object::uid(&object).is_empty() {
            return Err(self.other_uid(request, object::uid(&object), ""));
        }
        version_of(&object)?;
        object::set_meta_str(&mut object, "resourceVersion", "");
        self.authorize_create(request).await?;
        let create = Request { verb: "create".into(), ..request.clone() };
        match self.create_unless_taken(&create, object).await? {
            Ok(stored) => Ok(Attempted::Done(stored.into_written(true))),
            Err(_) => Ok(Attempted::Conflict),
        }
    }

    async fn authorize_create(&self, request: &Request) -> Result<(), Status> {
        let gvr = &request.requested.gvr;
        let attributes = Attributes {
            user: request.context.user.clone(),
            verb: "create".into(),
            namespace: request.namespace.clone(),
            api_group: gvr.group.to_string(),
            api_version: gvr.version.to_string(),
            resource: gvr.resource.to_string(),
            name: request.name.clone(),
            resource_request: true,
            asked_for: request.context.asking(),
            ..Attributes::default()
        };
        let answer = request.context.chain.authorize(&attributes).await;
        match (answer.decision, answer.evaluation_error) {
            (Decision::Allow, _) => Ok(()),
            // As on the road: what could not be decided is the server's failure, not the user's.
            (Decision::Deny | Decision::NoOpinion, Some(error)) => Err(Status::internal(error)),
            (Decision::Deny | Decision::NoOpinion, None) => Err(auth::forbidden(&attributes, &answer.reason)),
        }
    }
}

/// An object marked as deleted whose last finalizer has gone is removed by the update that took it. Some kinds have finalizers of their own.
fn is_gone_after(request: &Request, object: &Value, old: &Value) -> bool {
    object::is_being_deleted(old)
        && object::finalizers(object).is_empty()
        && object::deletion_grace_period_seconds(old).unwrap_or(0) == 0
        && !strategy(&request.resource).own_finalizers().is_some_and(|own| own.hold(object))
}

/// The resource version that a changed object carries; 0 where it carries none.
fn version_of(object: &Value) -> Result<u64, Status> {
    match object::resource_version(object) {
        "" => Ok(0),
        given => parse_uint(given).map_err(|why| error::unclassified(&why)),
    }
}

/// An object's bytes as they are served, with the resource version that it carries.
pub(crate) fn served(request: &Request, object: &Value) -> Bytes {
    let gvk = &request.resource.gvk;
    let stored = layout::encode(object, gvk);
    let Ok(revision) = object::resource_version(object).parse() else { return stored.into() };
    let mut served = Vec::with_capacity(stored.len() + 32);
    layout::splice(&mut served, &stored, &layout::head(gvk), revision);
    served.into()
}
