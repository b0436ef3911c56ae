//! Deletion: preconditions, grace periods, finalizers, and collections.

use admission::{Objects, Operation};
use api::kinds::strategy;
use apimachinery::options::{DeleteOptions, Preconditions};
use apimachinery::status::StatusDetails;
use apimachinery::{Status, object};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::create::{CommitError, encode};
use crate::deletion::{Step, step};
use crate::guaranteed::{Attempt, Attempted, Stored};
use crate::update::served;
use crate::{Also, ListRequest, ListResult, Registry, Request};

/// What a deletion answers.
#[derive(Debug)]
pub struct Deleted {
    /// The object as it is now, or as it was when it went. None: a `Status` is answered.
    pub json: Option<Bytes>,
    /// The answer where there is no object.
    pub status: Status,
    /// It is gone, and not only marked.
    pub gone: bool,
}

impl Registry {
    /// Deletes one object, or marks it as deleted.
    ///
    /// # Errors
    /// 404 where the object is not there, 409 where a precondition does not hold, 403 where the kind refuses it, and what admission and the
    /// store answer.
    pub async fn delete(&self, request: &Request, options: &DeleteOptions) -> Result<Deleted, Status> {
        warn_of_orphans(request, options);
        if let Some(why) = strategy(&request.resource).refuses_deletion(&request.name) {
            return Err(Status::forbidden(&request.group_resource(), &request.name, why));
        }
        self.delete_as(request, options, true).await
    }

    /// The same without asking admission, which has been asked about what leads to it (an eviction).
    ///
    /// # Errors
    /// As [`Self::delete`], but for admission.
    pub async fn delete_admitted(&self, request: &Request, options: &DeleteOptions) -> Result<Deleted, Status> {
        self.delete_as(request, options, false).await
    }

    async fn delete_as(&self, request: &Request, options: &DeleteOptions, ask: bool) -> Result<Deleted, Status> {
        self.guaranteed_update(request, Deletion { registry: self, request, options: options.clone(), ask, marked: None }).await
    }

    /// Deletes what a list selects, one by one; an object that has gone in between is no error.
    ///
    /// Not atomic, as upstream's is not: the first failure is the answer, and what went before it is gone.
    ///
    /// # Errors
    /// As [`Self::list`] and [`Self::delete`], of the first object that could not be deleted.
    pub async fn delete_collection(&self, request: &Request, list: &ListRequest, options: &DeleteOptions) -> Result<ListResult, Status> {
        warn_of_orphans(request, options);
        let found = self.list(request, list).await?;
        for object in &found.objects {
            let one = Request { namespace: object.namespace().to_owned(), name: object.name().to_owned(), ..request.clone() };
            // As upstream, `Strategy::refuses_deletion` is asked only of an object that is deleted by its name.
            match self.delete_as(&one, options, true).await {
                Err(status) if status.code != 404 => return Err(status),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// A deletion of one object.
struct Deletion<'a> {
    registry: &'a Registry,
    request: &'a Request,
    options: DeleteOptions,
    /// Whether admission is asked.
    ask: bool,
    /// The object as this deletion has marked it, where the removal then met a conflict.
    marked: Option<Value>,
}

#[async_trait]
impl Attempt for Deletion<'_> {
    type Output = Deleted;

    async fn attempt(&mut self, key: &str, stored: Option<Stored>) -> Result<Attempted<Deleted>, Status> {
        let request = self.request;
        let Stored { object: old, revision, .. } = match (stored, &self.marked) {
            (Some(found), Some(mark)) if object::uid(&found.object) != object::uid(mark) => {
                return Ok(Attempted::Done(gone(request, mark)));
            }
            (Some(found), _) => found,
            // This deletion marked it, and another one removed it.
            (None, Some(mark)) => return Ok(Attempted::Done(gone(request, mark))),
            (None, None) => return Err(request.not_found()),
        };
        check_preconditions(request, &old, self.options.preconditions.as_ref())?;
        let step = step(request, &old, &self.options);
        if step == Step::Pending {
            return Ok(Attempted::Done(stays(request, &old)));
        }
        if self.ask {
            let attributes = request.attributes(Operation::Delete);
            request.context.chain.mutate(&attributes, request, None, Some(&old)).await?;
            request.context.chain.validate(&attributes, request, Objects { object: None, old: Some(&old) }).await?;
        }
        match self.take(step, key, (&old, revision)).await {
            Ok((object, true)) => Ok(Attempted::Done(gone(request, &object))),
            Ok((object, false)) => Ok(Attempted::Done(stays(request, &object))),
            Err(CommitError::Conflict) => Ok(Attempted::Conflict),
            Err(CommitError::Taken) => Ok(Attempted::Taken),
            Err(CommitError::Failed(status)) => Err(status),
        }
    }
}

impl Deletion<'_> {
    /// Takes the step. Returns the object as it is then, and whether it is gone. Where a mark was stored before the removal it is kept in
    /// [`Self::marked`] for the next attempt, and a resource version that the client insists on becomes the mark's.
    async fn take(&mut self, step: Step, key: &str, (old, mut revision): (&Value, u64)) -> Result<(Value, bool), CommitError> {
        let (registry, request) = (self.registry, self.request);
        let mark = match step {
            Step::Pending => return Ok((old.clone(), false)),
            Step::Mark(object) if request.dry_run || object == *old => return Ok((object, false)),
            Step::Mark(object) => return Ok((self.write(key, revision, object).await?.0, false)),
            Step::Remove { mark } if request.dry_run => return Ok((mark.unwrap_or_else(|| old.clone()), true)),
            Step::Remove { mark } => mark,
        };
        let mut last = old.clone();
        if let Some(mark) = mark {
            (last, revision) = self.write(key, revision, mark).await?;
            if let Some(version) = self.options.preconditions.as_mut().and_then(|preconditions| preconditions.resource_version.as_mut()) {
                object::resource_version(&last).clone_into(version);
            }
            self.marked = Some(last.clone());
        }
        let also = registry.hooks.before_remove(registry, request, &last).await.map_err(CommitError::Failed)?;
        let revision = registry.commit_bytes(request, key, revision, None, also).await?;
        object::set_meta_str(&mut last, "resourceVersion", &revision.to_string());
        Ok((last, true))
    }

    /// Stores the object; returns it with the revision that it got.
    async fn write(&self, key: &str, expected: u64, mut object: Value) -> Result<(Value, u64), CommitError> {
        let (registry, request) = (self.registry, self.request);
        let cacher = registry.cacher(request).map_err(CommitError::Failed)?;
        let encoded = encode(&cacher, &registry.caches.store_key(&request.resource, key), &object).map_err(CommitError::Failed)?;
        let revision = registry.commit_bytes(request, key, expected, Some(encoded.value), Also::default()).await?;
        object::set_meta_str(&mut object, "resourceVersion", &revision.to_string());
        Ok((object, revision))
    }
}

/// Some kinds tell who does not say what becomes of dependents.
fn warn_of_orphans(request: &Request, options: &DeleteOptions) {
    let silent = options.propagation_policy.is_none() && options.orphan_dependents.is_none();
    request.warn(strategy(&request.resource).orphaning_warning().filter(|_| silent).map(str::to_owned));
}

/// The answer about an object that is there no more; `last` is what it was.
fn gone(request: &Request, last: &Value) -> Deleted {
    let json = strategy(&request.resource).returns_deleted_object().then(|| served(request, last));
    Deleted { json, status: success(request, last), gone: true }
}

/// The answer about an object that is marked.
fn stays(request: &Request, object: &Value) -> Deleted {
    Deleted { json: Some(served(request, object)), status: success(request, object), gone: false }
}

fn success(request: &Request, object: &Value) -> Status {
    Status::success(StatusDetails {
        name: request.name.clone(),
        group: request.requested.gvr.group.to_string(),
        kind: request.requested.gvr.resource.to_string(),
        uid: object::uid(object).to_owned(),
        ..StatusDetails::default()
    })
}

fn check_preconditions(request: &Request, old: &Value, preconditions: Option<&Preconditions>) -> Result<(), Status> {
    let Some(Preconditions { uid, resource_version }) = preconditions else { return Ok(()) };
    let checks = [
        ("UID", uid, object::uid(old), "deleted and then recreated"),
        ("ResourceVersion", resource_version, object::resource_version(old), "modified"),
    ];
    for (what, asked, found, perhaps) in checks {
        let Some(asked) = asked.as_deref().filter(|asked| *asked != found) else { continue };
        let name = object::name(old);
        // The deletion of namespaces is a road of its own upstream, with words of its own.
        if strategy(&request.resource).own_finalizers().is_some() {
            let why = format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {found}");
            return Err(Status::conflict(&request.group_resource(), name, &why));
        }
        let why = format!(
            "the {what} in the precondition ({asked}) does not match the {what} in record ({found}). The object might have been {perhaps}"
        );
        // Upstream names the kind here and not the resource, but in an eviction.
        let kind = apimachinery::GroupResource { group: request.resource.gvk.group.clone(), resource: request.requested.gvk.kind.clone() };
        let about = if matches!(&*request.verb, "delete" | "deletecollection") { kind } else { request.group_resource() };
        return Err(Status::conflict(&about, name, &why));
    }
    Ok(())
}
