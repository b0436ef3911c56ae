//! Update and patch: one road, over what is stored now, again when somebody else was faster.

use admission::{Objects, Operation};
use api::kinds::strategy;
use apimachinery::options::parse_uint;
use apimachinery::{Status, field, object};
use auth::{Attributes, Decision};
use serde_json::Value;

use crate::create::{CommitError, group_kind};
use crate::deletion::{is_emptied_namespace, is_namespace};
use crate::meta;
use crate::{Registry, Request, Written, error};

/// How often a change that names no resource version is tried again; upstream's `retry` of patches is 5.
const UPDATE_TRIES_MAX: usize = 32;

/// Makes the new object from the one that is stored (none: there is none). May run several times.
///
/// The object is decoded and defaulted, in the version that is stored.
pub type Change<'a> = &'a (dyn Fn(Option<&Value>) -> Result<Value, Status> + Send + Sync);

/// A kind that stands for a part of the stored one, as `Scale` for `spec.replicas`: what clients and admission are shown of it.
pub trait Facet: Send + Sync {
    /// What is shown of an object.
    fn of(&self, object: &Value) -> Result<Value, Status>;
    /// Puts what was shown, changed, back into the object.
    fn put(&self, facet: &Value, object: &mut Value);
}

impl Registry {
    /// Changes an object, or creates it where the kind allows that and `change` makes one from nothing.
    pub async fn update(&self, request: &Request, change: Change<'_>, create_allowed: bool) -> Result<Written, Status> {
        self.update_as(request, change, create_allowed, None).await
    }

    /// Changes an object through a facet: admission is shown the facet, the strategy the whole object.
    pub async fn update_facet(&self, request: &Request, change: Change<'_>, facet: &dyn Facet) -> Result<Written, Status> {
        self.update_as(request, change, false, Some(facet)).await
    }

    async fn update_as(
        &self,
        request: &Request,
        change: Change<'_>,
        create_allowed: bool,
        facet: Option<&dyn Facet>,
    ) -> Result<Written, Status> {
        let cacher = self.cacher(request)?;
        let key = request.key();
        let mut stored = self.get_fresh(cacher, request, &key).await?;
        for _ in 0..UPDATE_TRIES_MAX {
            let Some(current) = &stored else {
                return self.create_by_update(request, change, create_allowed).await;
            };
            let old: Value = serde_json::from_slice(&current.json()).map_err(error::corrupt)?;
            match self.try_update(request, &key, &old, current.revision(), (change, facet)).await? {
                Ok(json) => return Ok(Written { json, created: false }),
                Err(insisted) if insisted => return Err(self.modified(request)),
                Err(_) => {
                    let (kv, _) = self.caches.storage().get(&self.caches.store_key(&request.resource, &key)).await.map_err(error::read)?;
                    stored = kv.map(|kv| cacher.decode(key.as_str().into(), &kv)).transpose().map_err(error::corrupt)?;
                }
            }
        }
        Err(self.modified(request))
    }

    /// One try; the inner error says whether the request insisted on a resource version.
    async fn try_update(
        &self,
        request: &Request,
        key: &str,
        old: &Value,
        revision: u64,
        (change, facet): (Change<'_>, Option<&dyn Facet>),
    ) -> Result<Result<bytes::Bytes, bool>, Status> {
        let resource = &*request.resource;
        let strategy = strategy(resource);
        let mut object = change(Some(old))?;
        let insisted = self.check_preconditions(request, &object, old, revision)?;
        let attributes = request.attributes(Operation::Update);
        // What a patch repeats is looked at after admission only.
        if request.verb != "patch" {
            request.warn(meta::drop_repeated_owners(&mut object, ""));
        }
        match facet {
            None => request.context.chain.mutate(&attributes, request, Some(&mut object), Some(old)).await?,
            Some(facet) => {
                let mut shown = facet.of(&object)?;
                request.context.chain.mutate(&attributes, request, Some(&mut shown), Some(&facet.of(old)?)).await?;
                facet.put(&shown, &mut object);
            }
        }
        request.warn(meta::drop_repeated_owners(&mut object, meta::AFTER_MUTATION));
        meta::fill_for_update(&mut object, old);
        let whole = request.subresource.is_empty() || facet.is_some();
        if whole {
            strategy.prepare_for_update(resource, &mut object, old);
        } else {
            strategy.prepare_for_subresource_update(resource, &request.subresource, &mut object, old);
        }
        request.stamp(strategy, &mut object, Some(old));
        meta::keep_identity(&mut object, old);
        // Before validation: upstream's words about an address come before those about the rest.
        let also = self.hooks.before_write(self, request, &mut object, Some(old)).await?;
        let errors = if whole {
            strategy.validate_update(&request.requested, &object, old)
        } else {
            strategy.validate_subresource_update(&request.requested, &request.subresource, &object, old)
        };
        if !errors.is_empty() {
            return Err(Status::invalid(&group_kind(request), &request.name, &errors));
        }
        let subresource = if whole { "" } else { request.subresource.as_str() };
        request.warn(strategy.warnings(subresource, &object, Some(old)));
        match facet {
            None => request.context.chain.validate(&attributes, request, Objects { object: Some(&object), old: Some(old) }).await?,
            Some(facet) => {
                let (shown, before) = (facet.of(&object)?, facet.of(old)?);
                request.context.chain.validate(&attributes, request, Objects { object: Some(&shown), old: Some(&before) }).await?;
            }
        }
        object::set_meta_str(&mut object, "resourceVersion", object::resource_version(old));
        // Before the look at what changed: nothing has to, where a deletion stopped between its mark and its end.
        if is_gone_after(request, &object, old) {
            return self.remove_after_update(request, key, revision, &object, old).await.map(|json| json.ok_or(insisted));
        }
        if object == *old {
            // Nothing changed: nothing is written, and no watcher hears of it.
            return Ok(Ok(served(request, &object)));
        }
        if request.dry_run {
            return Ok(Ok(served(request, &object)));
        }
        match self.commit(request, key, revision, &object, also).await {
            Ok(json) => Ok(Ok(json)),
            Err(CommitError::Conflict) => Ok(Err(insisted)),
            Err(CommitError::Taken) => Ok(Err(false)),
            Err(CommitError::Failed(status)) => Err(status),
        }
    }

    /// Changes an object that is there, whatever its kind asks of an update: neither strategy nor admission is called. For what the
    /// server does itself once something else was admitted (a binding, an eviction). Returns the object's bytes as served.
    pub async fn modify(&self, request: &Request, change: Change<'_>) -> Result<bytes::Bytes, Status> {
        let cacher = self.cacher(request)?;
        let key = request.key();
        let mut stored = self.get_fresh(cacher, request, &key).await?;
        for _ in 0..UPDATE_TRIES_MAX {
            let current = stored.ok_or_else(|| request.not_found())?;
            let old: Value = serde_json::from_slice(&current.json()).map_err(error::corrupt)?;
            let object = change(Some(&old))?;
            if request.dry_run || object == old {
                return Ok(served(request, &object));
            }
            match self.commit(request, &key, current.revision(), &object, Vec::new()).await {
                Ok(json) => return Ok(json),
                Err(CommitError::Failed(status)) => return Err(status),
                Err(CommitError::Conflict | CommitError::Taken) => {
                    let (kv, _) = self.caches.storage().get(&self.caches.store_key(&request.resource, &key)).await.map_err(error::read)?;
                    stored = kv.map(|kv| cacher.decode(key.as_str().into(), &kv)).transpose().map_err(error::corrupt)?;
                }
            }
        }
        Err(self.modified(request))
    }

    /// Whether the request insists on a resource version; an error if that is not the stored one's.
    fn check_preconditions(&self, request: &Request, object: &Value, old: &Value, revision: u64) -> Result<bool, Status> {
        let uid = object::uid(object);
        // A patch that changes the uid is refused by validation.
        if request.verb != "patch" && !uid.is_empty() && uid != object::uid(old) {
            return Err(self.other_uid(request, uid, object::uid(old)));
        }
        match version_of(object)? {
            0 if strategy(&request.resource).allow_unconditional_update() => Ok(false),
            0 => {
                let path = field::Path::new("metadata").child("resourceVersion");
                let missing = field::Error::invalid(&path, 0, "must be specified for an update");
                // Upstream names the resource here and not the kind.
                let resource = request.group_resource();
                let kind = apimachinery::GroupKind { group: resource.group, kind: resource.resource };
                Err(Status::invalid(&kind, &request.name, &[missing]))
            }
            // A patch carries the version that it was applied to; a version of its own has been compared by now.
            version if version == revision => Ok(request.verb != "patch"),
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
    async fn create_by_update(&self, request: &Request, change: Change<'_>, create_allowed: bool) -> Result<Written, Status> {
        if !create_allowed || !request.subresource.is_empty() {
            return Err(request.not_found());
        }
        let mut object = change(None)?;
        if !object::uid(&object).is_empty() {
            return Err(self.other_uid(request, object::uid(&object), ""));
        }
        version_of(&object)?;
        object::set_meta_str(&mut object, "resourceVersion", "");
        self.authorize_create(request).await?;
        let create = Request { verb: "create".into(), ..request.clone() };
        self.create(&create, object).await
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

    async fn remove_after_update(
        &self,
        request: &Request,
        key: &str,
        revision: u64,
        object: &Value,
        old: &Value,
    ) -> Result<Option<bytes::Bytes>, Status> {
        if !request.dry_run {
            // What the stored object holds is given back; what the last change asked for is not taken any more.
            let also = self.hooks.before_remove(self, request, old).await?;
            match self.commit_bytes(request, key, revision, None, also).await {
                Ok(_) => {}
                Err(CommitError::Conflict | CommitError::Taken) => return Ok(None),
                Err(CommitError::Failed(status)) => return Err(status),
            }
        }
        Ok(Some(served(request, object)))
    }
}

/// An object marked as deleted whose last finalizer has gone is removed by the update that took it. A namespace has finalizers of its own.
fn is_gone_after(request: &Request, object: &Value, old: &Value) -> bool {
    object::is_being_deleted(old)
        && object::finalizers(object).is_empty()
        && object::deletion_grace_period_seconds(old).unwrap_or(0) == 0
        && (!is_namespace(request) || is_emptied_namespace(object))
}

/// The resource version that a changed object carries; 0 where it carries none.
fn version_of(object: &Value) -> Result<u64, Status> {
    match object::resource_version(object) {
        "" => Ok(0),
        given => parse_uint(given).map_err(|why| error::unclassified(&why)),
    }
}

/// An object's bytes as they are served, with the resource version that it carries.
pub(crate) fn served(request: &Request, object: &Value) -> bytes::Bytes {
    let gvk = &request.resource.gvk;
    let stored = cacher::wire::encode(object, gvk);
    let Ok(revision) = object::resource_version(object).parse() else { return stored.into() };
    let mut served = Vec::with_capacity(stored.len() + 32);
    cacher::wire::splice(&mut served, &stored, &cacher::wire::head(gvk), revision);
    served.into()
}
