//! Garbage collection by owner references: dependents of what is gone are deleted (background), an owner waits for its
//! dependents (foreground), or lets them go (orphan).
//!
//! Only objects with owners are remembered, by the uid of each owner; whether an owner that nobody was told about exists is
//! looked up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::{ResourceRef, tables};
use apimachinery::options::{DeleteOptions, Preconditions};
use apimachinery::{GroupVersion, Status};
use cacher::{EventType, Object, Update};
use registry::Registry;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::client::{Changes, Client, RETRY_PAUSE_MIN, longer};

/// Changes that wait for the collector; the watchers wait when it is full.
const QUEUE_CHANGES_MAX: usize = 4096;
const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

#[derive(Debug, Default, Deserialize)]
struct Envelope {
    metadata: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    uid: String,
    deletion_timestamp: Option<String>,
    finalizers: Vec<String>,
    owner_references: Vec<OwnerReference>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnerReference {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
    block_owner_deletion: Option<bool>,
}

/// Where an object is.
#[derive(Clone, Debug)]
struct Address {
    resource: ResourceRef,
    namespace: String,
    name: String,
}

struct Change {
    gone: bool,
    address: Address,
    meta: Meta,
}

struct Dependent {
    address: Address,
    owners: Vec<OwnerReference>,
}

/// Something to do, and to do again if it fails.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    /// Look whether the dependent of this uid still has an owner.
    CheckDependent(String),
    /// An owner that waits for its dependents.
    Foreground(String),
    /// An owner that lets its dependents go.
    Orphan(String),
}

struct Collector {
    client: Client,
    dependents: HashMap<String, Dependent>,
    by_owner: HashMap<String, HashSet<String>>,
    /// Owners that are marked as deleted and hold a finalizer of ours.
    waiting: HashMap<String, Address>,
    tasks: Vec<Task>,
}

pub(crate) async fn run(registry: Arc<Registry>) {
    let client = Client::new(registry, "generic-garbage-collector");
    let (sender, mut receiver) = mpsc::channel(QUEUE_CHANGES_MAX);
    let mut unsynced = 0;
    let mut watches = tokio::task::JoinSet::new();
    for cacher in client.registry.caches().all().filter(|cacher| cacher.resource().storage_prefix != "events") {
        unsynced += 1;
        watches.spawn(forward(Changes::of(cacher), cacher.resource().clone(), sender.clone()));
    }
    drop(sender);
    let mut collector =
        Collector { client, dependents: HashMap::new(), by_owner: HashMap::new(), waiting: HashMap::new(), tasks: Vec::new() };
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        let idle = collector.tasks.is_empty() || unsynced > 0;
        let wait = if idle { Duration::from_secs(3600) } else { pause };
        tokio::select! {
            biased;
            message = receiver.recv() => match message {
                Some(Some(change)) => collector.learn(change),
                Some(None) => unsynced = usize::saturating_sub(unsynced, 1),
                None => return,
            },
            () = tokio::time::sleep(wait) => {}
        }
        // What is there at the start must be known whole before anything is found to have no owner.
        if unsynced > 0 || !receiver.is_empty() {
            continue;
        }
        pause = if collector.work().await { RETRY_PAUSE_MIN } else { longer(pause) };
    }
}

/// Sends what matters of a resource's changes; none when its state has been sent.
async fn forward(mut changes: Changes, resource: ResourceRef, sender: mpsc::Sender<Option<Change>>) {
    loop {
        for update in changes.next().await {
            let message = match update {
                Update::InitialEventsEnd(_) => None,
                Update::Event(kind, object) => match change(&resource, kind, &object) {
                    Some(change) => Some(change),
                    None => continue,
                },
            };
            if sender.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn change(resource: &ResourceRef, kind: EventType, object: &Object) -> Option<Change> {
    let Envelope { metadata: meta } = serde_json::from_slice(&object.json()).ok()?;
    let gone = kind == EventType::Deleted;
    let matters = gone || !meta.owner_references.is_empty() || meta.deletion_timestamp.is_some() || kind == EventType::Modified;
    let address = Address { resource: resource.clone(), namespace: object.namespace().to_owned(), name: object.name().to_owned() };
    matters.then_some(Change { gone, address, meta })
}

impl Collector {
    fn learn(&mut self, Change { gone, address, meta }: Change) {
        self.forget_owners(&meta.uid);
        if gone {
            self.waiting.remove(&meta.uid);
            let dependents = self.by_owner.get(&meta.uid).into_iter().flatten().cloned();
            self.tasks.extend(dependents.map(Task::CheckDependent));
            return;
        }
        if meta.deletion_timestamp.is_some() {
            let holds = |finalizer: &str| meta.finalizers.iter().any(|f| f == finalizer);
            if holds(FINALIZER_ORPHAN) {
                self.tasks.push(Task::Orphan(meta.uid.clone()));
            } else if holds(FINALIZER_FOREGROUND) {
                self.tasks.push(Task::Foreground(meta.uid.clone()));
            }
            if holds(FINALIZER_ORPHAN) || holds(FINALIZER_FOREGROUND) {
                self.waiting.insert(meta.uid.clone(), address.clone());
            }
        }
        if !meta.owner_references.is_empty() {
            for owner in &meta.owner_references {
                self.by_owner.entry(owner.uid.clone()).or_default().insert(meta.uid.clone());
                if self.waiting.contains_key(&owner.uid) {
                    self.tasks.push(Task::Foreground(owner.uid.clone()));
                }
            }
            self.tasks.push(Task::CheckDependent(meta.uid.clone()));
            self.dependents.insert(meta.uid, Dependent { address, owners: meta.owner_references });
        }
    }

    fn forget_owners(&mut self, uid: &str) {
        let Some(dependent) = self.dependents.remove(uid) else { return };
        for owner in dependent.owners {
            if let Some(dependents) = self.by_owner.get_mut(&owner.uid) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.by_owner.remove(&owner.uid);
                }
            }
            if self.waiting.contains_key(&owner.uid) {
                self.tasks.push(Task::Foreground(owner.uid));
            }
        }
    }

    /// Does what there is to do; whether all of it went well.
    async fn work(&mut self) -> bool {
        let mut seen = HashSet::new();
        let tasks: Vec<Task> = std::mem::take(&mut self.tasks).into_iter().filter(|task| seen.insert(task.clone())).collect();
        let mut well = true;
        for task in tasks {
            let result = match &task {
                Task::CheckDependent(uid) => self.check_dependent(uid).await,
                Task::Foreground(uid) => self.foreground(uid).await,
                Task::Orphan(uid) => self.orphan(uid).await,
            };
            if let Err(status) = result {
                tracing::warn!(?task, %status, "garbage collection failed; trying again");
                self.tasks.push(task);
                well = false;
            }
        }
        well
    }

    /// Deletes a dependent none of whose owners is there; takes out references to owners that are gone where another is left.
    async fn check_dependent(&self, uid: &str) -> Result<(), Status> {
        let Some(dependent) = self.dependents.get(uid) else { return Ok(()) };
        let (mut gone, mut solid, mut going) = (Vec::new(), 0, 0);
        for owner in &dependent.owners {
            match self.owner(owner, &dependent.address.namespace).await? {
                Owner::Gone => gone.push(owner.uid.clone()),
                Owner::There => solid += 1,
                Owner::WaitsForDependents => going += 1,
            }
        }
        let address = &dependent.address;
        if solid > 0 {
            return if gone.is_empty() { Ok(()) } else { self.release(address, &gone).await };
        }
        if gone.is_empty() && going == 0 {
            return Ok(());
        }
        let has_dependents = self.by_owner.contains_key(uid);
        let policy = if going > 0 && has_dependents { "Foreground" } else { "Background" };
        self.delete(address, uid, policy).await
    }

    async fn owner(&self, owner: &OwnerReference, namespace: &str) -> Result<Owner, Status> {
        let Some(version) = GroupVersion::parse(&owner.api_version) else { return Ok(Owner::There) };
        // A kind that nobody serves may be served again: nothing is deleted for it.
        let Some(resource) = tables::find_kind(&version.with_kind(owner.kind.clone())) else { return Ok(Owner::There) };
        let stored = tables::stored(resource);
        let namespace = if stored.namespaced() { namespace } else { "" };
        match self.client.get(stored.into(), namespace, &owner.name).await {
            Err(status) if status.code == 404 => Ok(Owner::Gone),
            Err(status) => Err(status),
            Ok(object) => {
                let Envelope { metadata } = serde_json::from_slice(&object.json()).unwrap_or_default();
                Ok(if metadata.uid != owner.uid {
                    Owner::Gone
                } else if metadata.deletion_timestamp.is_some() && metadata.finalizers.iter().any(|f| f == FINALIZER_FOREGROUND) {
                    Owner::WaitsForDependents
                } else {
                    Owner::There
                })
            }
        }
    }

    async fn foreground(&self, uid: &str) -> Result<(), Status> {
        let Some(owner) = self.waiting.get(uid) else { return Ok(()) };
        let mut blocked = false;
        for dependent_uid in self.by_owner.get(uid).into_iter().flatten() {
            let Some(dependent) = self.dependents.get(dependent_uid) else { continue };
            blocked |= dependent.owners.iter().any(|o| o.uid == uid && o.block_owner_deletion == Some(true));
            self.check_dependent(dependent_uid).await?;
        }
        if blocked { Ok(()) } else { self.take_finalizer(owner, FINALIZER_FOREGROUND).await }
    }

    async fn orphan(&self, uid: &str) -> Result<(), Status> {
        let Some(owner) = self.waiting.get(uid) else { return Ok(()) };
        for dependent in self.by_owner.get(uid).into_iter().flatten().filter_map(|uid| self.dependents.get(uid)) {
            self.release(&dependent.address, &[uid.to_owned()]).await?;
        }
        self.take_finalizer(owner, FINALIZER_ORPHAN).await
    }

    async fn delete(&self, address: &Address, uid: &str, policy: &str) -> Result<(), Status> {
        let options = DeleteOptions {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            propagation_policy: Some(policy.to_owned()),
            ..DeleteOptions::default()
        };
        match self.client.delete(address.resource.clone(), &address.namespace, &address.name, &options).await {
            // Another object has that name now.
            Err(status) if status.code == 409 => Ok(()),
            other => other,
        }
    }

    /// Takes out owner references by uid.
    async fn release(&self, address: &Address, owners: &[String]) -> Result<(), Status> {
        let without = |object: &mut Value| {
            if let Some(references) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
                references.retain(|reference| !owners.iter().any(|uid| reference.get("uid").is_some_and(|u| u == uid.as_str())));
            }
            drop_empty(object, "ownerReferences");
        };
        self.client.modify(address.resource.clone(), "", &address.namespace, &address.name, without).await
    }

    async fn take_finalizer(&self, address: &Address, finalizer: &str) -> Result<(), Status> {
        let without = |object: &mut Value| {
            if let Some(finalizers) = object.pointer_mut("/metadata/finalizers").and_then(Value::as_array_mut) {
                finalizers.retain(|held| held != finalizer);
            }
            drop_empty(object, "finalizers");
        };
        self.client.modify(address.resource.clone(), "", &address.namespace, &address.name, without).await
    }
}

enum Owner {
    There,
    WaitsForDependents,
    Gone,
}

fn drop_empty(object: &mut Value, field: &str) {
    let metadata = apimachinery::object::metadata_mut(object);
    if metadata.get(field).and_then(Value::as_array).is_some_and(Vec::is_empty) {
        metadata.remove(field);
    }
}
