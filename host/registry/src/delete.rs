//! Deletion: preconditions, grace periods, finalizers, and collections.

use admission::{Objects, Operation};
use api::kinds::strategy;
use apimachinery::options::{DeleteOptions, Preconditions};
use apimachinery::status::StatusDetails;
use apimachinery::{Status, object};
use bytes::Bytes;
use serde_json::Value;

use crate::create::CommitError;
use crate::deletion::{Step, is_namespace, step};
use crate::update::served;
use crate::{ListRequest, ListResult, Registry, Request, error};

const DELETE_TRIES_MAX: usize = 32;

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
    pub async fn delete(&self, request: &Request, options: &DeleteOptions) -> Result<Deleted, Status> {
        warn_of_orphans(request, options);
        if let Some(why) = strategy(&request.resource).refuses_deletion(&request.name) {
            return Err(Status::forbidden(&request.group_resource(), &request.name, why));
        }
        self.delete_as(request, options, true).await
    }

    /// The same without asking admission, which has been asked about what leads to it (an eviction).
    pub async fn delete_admitted(&self, request: &Request, options: &DeleteOptions) -> Result<Deleted, Status> {
        self.delete_as(request, options, false).await
    }

    async fn delete_as(&self, request: &Request, options: &DeleteOptions, ask: bool) -> Result<Deleted, Status> {
        let cacher = self.cacher(request)?;
        let key = request.key();
        let attributes = request.attributes(Operation::Delete);
        let mut options = options.clone();
        let mut stored = self.get_fresh(cacher, request, &key).await?;
        let mut marked: Option<Value> = None;
        for _ in 0..DELETE_TRIES_MAX {
            let found = stored.map(|found| serde_json::from_slice(&found.json()).map(|old: Value| (old, found.revision())));
            let found = found.transpose().map_err(error::corrupt)?;
            let (old, revision) = match (found, &marked) {
                (Some((old, _)), Some(mark)) if object::uid(&old) != object::uid(mark) => return Ok(gone(request, mark)),
                (Some(found), _) => found,
                // It was marked here, and somebody else was faster to remove it.
                (None, Some(mark)) => return Ok(gone(request, mark)),
                (None, None) => return Err(request.not_found()),
            };
            check_preconditions(request, &old, options.preconditions.as_ref())?;
            let step = step(request, &old, &options);
            if step == Step::Pending {
                return Ok(stays(request, &old));
            }
            if ask {
                request.context.chain.mutate(&attributes, request, None, Some(&old)).await?;
                request.context.chain.validate(&attributes, request, Objects { object: None, old: Some(&old) }).await?;
            }
            match self.take_step(request, &key, (&old, revision), step, (&mut options, &mut marked)).await {
                Ok((object, true)) => return Ok(gone(request, &object)),
                Ok((object, false)) => return Ok(stays(request, &object)),
                Err(CommitError::Failed(status)) => return Err(status),
                Err(CommitError::Conflict | CommitError::Taken) => {
                    let (kv, _) = self.caches.storage().get(&self.caches.store_key(&request.resource, &key)).await.map_err(error::read)?;
                    stored = kv.map(|kv| cacher.decode(key.as_str().into(), &kv)).transpose().map_err(error::corrupt)?;
                }
            }
        }
        Err(Status::conflict(&request.group_resource(), &request.name, "the object is being changed too often to be deleted"))
    }

    /// The object as it is then, and whether it is gone. What was marked on the way to the removal is kept for the next try, and the
    /// version that the client insists on is then the mark's.
    async fn take_step(
        &self,
        request: &Request,
        key: &str,
        (old, mut revision): (&Value, u64),
        step: Step,
        (options, marked): (&mut DeleteOptions, &mut Option<Value>),
    ) -> Result<(Value, bool), CommitError> {
        let mark = match step {
            Step::Pending => return Ok((old.clone(), false)),
            Step::Mark(object) if request.dry_run || object == *old => return Ok((object, false)),
            Step::Mark(object) => return Ok((self.write(request, key, revision, object).await?.0, false)),
            Step::Remove { mark } if request.dry_run => return Ok((mark.unwrap_or_else(|| old.clone()), true)),
            Step::Remove { mark } => mark,
        };
        let mut last = old.clone();
        if let Some(mark) = mark {
            (last, revision) = self.write(request, key, revision, mark).await?;
            if let Some(version) = options.preconditions.as_mut().and_then(|preconditions| preconditions.resource_version.as_mut()) {
                object::resource_version(&last).clone_into(version);
            }
            *marked = Some(last.clone());
        }
        let also = self.hooks.before_remove(self, request, &last).await.map_err(CommitError::Failed)?;
        let revision = self.commit_bytes(request, key, revision, None, also).await?;
        object::set_meta_str(&mut last, "resourceVersion", &revision.to_string());
        Ok((last, true))
    }

    /// Stores the object; returns it with the revision that it got.
    async fn write(&self, request: &Request, key: &str, expected: u64, mut object: Value) -> Result<(Value, u64), CommitError> {
        let stored = cacher::wire::encode(&object, &request.resource.gvk).into();
        let revision = self.commit_bytes(request, key, expected, Some(stored), Vec::new()).await?;
        object::set_meta_str(&mut object, "resourceVersion", &revision.to_string());
        Ok((object, revision))
    }

    /// Deletes what a list selects, one by one; an object that has gone in between is no error.
    ///
    /// Not atomic, as upstream's is not: the first failure is the answer, and what went before it is gone.
    pub async fn delete_collection(&self, request: &Request, list: &ListRequest, options: &DeleteOptions) -> Result<ListResult, Status> {
        warn_of_orphans(request, options);
        let found = self.list(request, list).await?;
        for object in &found.objects {
            let one = Request { namespace: object.namespace().to_owned(), name: object.name().to_owned(), ..request.clone() };
            // A collection goes as a whole: what may not be deleted by its name goes with it, as upstream has it.
            match self.delete_as(&one, options, true).await {
                Err(status) if status.code != 404 => return Err(status),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Some kinds tell who does not say what becomes of dependents.
fn warn_of_orphans(request: &Request, options: &DeleteOptions) {
    let silent = options.propagation_policy.is_none() && options.orphan_dependents.is_none();
    request.warn(strategy(&request.resource).orphaning_warning().filter(|_| silent).map(str::to_owned));
}

/// The answer about an object that is there no more; `last` is what it was.
fn gone(request: &Request, last: &Value) -> Deleted {
    let json = request.resource.returns_deleted_object().then(|| served(request, last));
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
        // A namespace's deletion is a road of its own upstream, with words of its own.
        if is_namespace(request) {
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
