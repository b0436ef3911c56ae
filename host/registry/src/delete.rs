//! Deletion: preconditions, grace periods, finalizers, and collections.

use std::sync::Arc;

use admission::{Notes, Objects, Operation};
use api::kinds::strategy;
use api::strategy::GarbageCollectionPolicy;
use apimachinery::options::{DeleteOptions, Preconditions};
use apimachinery::status::StatusDetails;
use apimachinery::{Status, object};
use bytes::Bytes;
use cacher::Object;
use serde_json::Value;

use crate::create::CommitError;
use crate::update::served;
use crate::{ListRequest, ListResult, Registry, Request, error, meta};

const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";
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
    /// Warnings of the plugins.
    pub notes: Notes,
}

/// One step of a deletion.
enum Step {
    /// Marked, with this object now stored.
    Marked(Value),
    /// Already marked; nothing to do.
    Pending,
    /// To be removed now; `mark` is written first, as upstream does, where the kind has a grace period.
    Remove { mark: Option<Value> },
}

impl Registry {
    /// Deletes one object, or marks it as deleted.
    pub async fn delete(&self, request: &Request, options: &DeleteOptions) -> Result<Deleted, Status> {
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
        let mut stored = self.get_fresh(cacher, request, &key).await?;
        let mut notes = Notes::default();
        let attributes = request.attributes(Operation::Delete);
        for _ in 0..DELETE_TRIES_MAX {
            let current = stored.ok_or_else(|| request.not_found())?;
            let old: Value = serde_json::from_slice(&current.json()).map_err(error::corrupt)?;
            notes = Notes::default();
            if let Some(preconditions) = &options.preconditions {
                check_preconditions(request, &old, preconditions)?;
            }
            if ask {
                self.admission.mutate(&attributes, None, Some(&old), &mut notes).await?;
                self.admission.validate(&attributes, Objects { object: None, old: Some(&old) }, &mut notes).await?;
            }
            match self.try_delete(request, &key, &old, current.revision(), options).await {
                Ok((json, gone)) => return Ok(self.deleted(request, &old, json, gone, notes)),
                Err(CommitError::Failed(status)) => return Err(status),
                Err(CommitError::Conflict | CommitError::Taken) => {
                    let (kv, _) = self.caches.storage().get(&self.caches.store_key(&request.resource, &key)).await.map_err(error::read)?;
                    stored = kv.map(|kv| cacher.decode(key.as_str().into(), &kv)).transpose().map_err(error::corrupt)?;
                }
            }
        }
        drop(notes);
        Err(Status::conflict(&request.group_resource(), &request.name, "the object is being changed too often to be deleted"))
    }

    async fn try_delete(
        &self,
        request: &Request,
        key: &str,
        old: &Value,
        revision: u64,
        options: &DeleteOptions,
    ) -> Result<(Bytes, bool), CommitError> {
        match step(request, old, options) {
            Step::Pending => Ok((served(request, old), false)),
            Step::Marked(object) if request.dry_run => Ok((served(request, &object), false)),
            Step::Marked(object) => Ok((self.commit(request, key, revision, Some(&object), Vec::new()).await?, false)),
            Step::Remove { mark } => {
                let last = mark.as_ref().unwrap_or(old);
                if request.dry_run {
                    return Ok((served(request, last), true));
                }
                let mut json = served(request, last);
                let mut revision = revision;
                if let Some(mark) = &mark {
                    json = self.commit(request, key, revision, Some(mark), Vec::new()).await?;
                    revision = self.revision_of(&json).unwrap_or(revision);
                }
                let also = self.hooks.before_remove(self, request, old).await.map_err(CommitError::Failed)?;
                self.commit(request, key, revision, None, also).await?;
                Ok((json, true))
            }
        }
    }

    fn revision_of(&self, json: &[u8]) -> Option<u64> {
        let object: Value = serde_json::from_slice(json).ok()?;
        object::resource_version(&object).parse().ok()
    }

    fn deleted(&self, request: &Request, old: &Value, json: Bytes, gone: bool, notes: Notes) -> Deleted {
        let status = Status::success(StatusDetails {
            name: request.name.clone(),
            group: request.requested.gvr.group.to_string(),
            kind: request.requested.gvr.resource.to_string(),
            uid: object::uid(old).to_owned(),
            ..StatusDetails::default()
        });
        let json = (!gone || request.resource.returns_deleted_object()).then_some(json);
        Deleted { json, status, gone, notes }
    }

    /// Deletes what a list selects, one by one; an object that has gone in between is no error.
    pub async fn delete_collection(&self, request: &Request, list: &ListRequest, options: &DeleteOptions) -> Result<ListResult, Status> {
        let found = self.list(request, list).await?;
        let mut gone: Vec<Arc<Object>> = Vec::with_capacity(found.objects.len());
        for object in found.objects {
            let one = Request { namespace: object.namespace().to_owned(), name: object.name().to_owned(), ..request.clone() };
            // A collection goes as a whole: what may not be deleted by its name goes with it, as upstream has it.
            match self.delete_as(&one, options, true).await {
                Ok(_) => gone.push(object),
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(ListResult { objects: gone, ..found })
    }
}

fn check_preconditions(request: &Request, old: &Value, preconditions: &Preconditions) -> Result<(), Status> {
    let kind = apimachinery::GroupResource { group: request.resource.gvk.group.clone(), resource: request.requested.gvk.kind.clone() };
    let about = if request.verb == "deletecollection" || request.verb == "delete" { kind } else { request.group_resource() };
    let name = object::name(old);
    if let Some(uid) = preconditions.uid.as_deref().filter(|uid| *uid != object::uid(old)) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            object::uid(old)
        );
        return Err(Status::conflict(&about, name, &why));
    }
    if let Some(version) = preconditions.resource_version.as_deref().filter(|version| *version != object::resource_version(old)) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            object::resource_version(old)
        );
        return Err(Status::conflict(&about, name, &why));
    }
    Ok(())
}

/// What to do with the object now.
fn step(request: &Request, old: &Value, options: &DeleteOptions) -> Step {
    if &*request.resource.storage_prefix == "namespaces" {
        return namespace_step(request, old, options);
    }
    let mut object = old.clone();
    let grace = match begin_grace(request, &mut object, options) {
        Grace::Pending => return Step::Pending,
        Grace::None => None,
        Grace::Seconds(seconds) => Some(seconds),
    };
    set_finalizers_for_garbage_collection(request, &mut object, options);
    if !object::finalizers(&object).is_empty() {
        if grace.is_none() {
            mark(request, &mut object);
        }
        return if object == *old { Step::Pending } else { Step::Marked(object) };
    }
    match grace {
        None => Step::Remove { mark: None },
        Some(0) => Step::Remove { mark: Some(object) },
        Some(_) => Step::Marked(object),
    }
}

enum Grace {
    /// The kind has none.
    None,
    /// It is being waited for already.
    Pending,
    /// The object was marked with so many.
    Seconds(i64),
}

fn begin_grace(request: &Request, object: &mut Value, options: &DeleteOptions) -> Grace {
    let Some(seconds) = strategy(&request.resource).grace_period_seconds(object, options.grace_period_seconds) else { return Grace::None };
    if object::is_being_deleted(object) {
        let Some(before) = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64) else { return Grace::None };
        // Only a shorter period counts once one is running.
        let Some(asked) = options.grace_period_seconds.map(|_| seconds).filter(|asked| *asked < before) else { return Grace::Pending };
        let at = object::meta_str(object, "deletionTimestamp").parse::<jiff::Timestamp>().map_or(request.now_seconds, |at| at.as_second());
        let metadata = object::metadata_mut(object);
        metadata.insert("deletionTimestamp".into(), meta::timestamp(at - before + asked).into());
        metadata.insert("deletionGracePeriodSeconds".into(), asked.into());
        return Grace::Seconds(asked);
    }
    meta::bump_generation(object);
    let metadata = object::metadata_mut(object);
    metadata.insert("deletionTimestamp".into(), meta::timestamp(request.now_seconds + seconds).into());
    metadata.insert("deletionGracePeriodSeconds".into(), seconds.into());
    Grace::Seconds(seconds)
}

fn mark(request: &Request, object: &mut Value) {
    if object.pointer("/metadata/deletionGracePeriodSeconds").is_none() {
        meta::bump_generation(object);
    }
    let metadata = object::metadata_mut(object);
    metadata.entry("deletionTimestamp").or_insert_with(|| meta::timestamp(request.now_seconds).into());
    metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
}

fn set_finalizers_for_garbage_collection(request: &Request, object: &mut Value, options: &DeleteOptions) {
    if &*request.resource.storage_prefix == "events" {
        return;
    }
    let had: Vec<String> = object::finalizers(object).into_iter().map(str::to_owned).collect();
    let has = |finalizer: &str| had.iter().any(|f| f == finalizer);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
        (None, None) if has(FINALIZER_ORPHAN) => (true, has(FINALIZER_FOREGROUND)),
        (None, None) if has(FINALIZER_FOREGROUND) => (false, true),
        (None, None) => (strategy(&request.resource).default_garbage_collection_policy() == GarbageCollectionPolicy::Orphan, false),
    };
    let mut finalizers: Vec<String> = had.iter().filter(|f| *f != FINALIZER_ORPHAN && *f != FINALIZER_FOREGROUND).cloned().collect();
    if orphan {
        finalizers.push(FINALIZER_ORPHAN.into());
    }
    if foreground {
        finalizers.push(FINALIZER_FOREGROUND.into());
    }
    let same = finalizers.len() == had.len() && finalizers.iter().all(|f| had.contains(f));
    if !same {
        let metadata = object::metadata_mut(object);
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".into(), finalizers.into());
        }
    }
}

/// A namespace is marked first and emptied by its controller; it goes when `spec.finalizers` is empty.
fn namespace_step(request: &Request, old: &Value, options: &DeleteOptions) -> Step {
    let finalized = old.pointer("/spec/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if object::is_being_deleted(old) {
        return match finalized {
            false => Step::Pending,
            true if object::finalizers(old).is_empty() => Step::Remove { mark: None },
            true => Step::Pending,
        };
    }
    let mut object = old.clone();
    set_finalizers_for_garbage_collection(request, &mut object, options);
    object::metadata_mut(&mut object).insert("deletionTimestamp".into(), meta::timestamp(request.now_seconds).into());
    if let Some(fields) = object.as_object_mut() {
        let status = fields.entry("status").or_insert_with(|| serde_json::json!({}));
        if let Some(status) = status.as_object_mut() {
            status.insert("phase".into(), "Terminating".into());
        }
    }
    Step::Marked(object)
}
