//! What is done about an object whose owners are gone, and about an owner that waits for its dependents or lets them go.

use std::collections::HashSet;
use std::time::UNIX_EPOCH;

use api::ResourceRef;
use apimachinery::Status;
use apimachinery::options::{DeleteOptions, Preconditions};
use serde_json::{Value, json};

use super::graph::{Address, FINALIZER_FOREGROUND, FINALIZER_ORPHAN, Graph, Meta, Node, OwnerReference, Task, Uid};
use crate::client::{self, Client};

/// The source that upstream's controller names in its Events.
const COMPONENT: &str = "garbage-collector-controller";

/// Owners of one object that are looked up before others get their turn: there may be tens of thousands.
const OWNERS_BETWEEN_YIELDS: usize = 256;

pub(super) struct Collector {
    client: Client,
}

/// What became of a task.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    /// The object is gone; whatever the watch will say, it may be forgotten.
    Absent(Uid),
    /// To be tried again.
    Failed(Status),
}

/// An object's owners, by what is known of them now.
#[derive(Default)]
struct Owners<'a> {
    /// They are there.
    solid: Vec<&'a OwnerReference>,
    /// They are not.
    dangling: Vec<&'a OwnerReference>,
    /// They are there until their dependents are gone.
    waiting: Vec<&'a OwnerReference>,
}

impl Collector {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Of the objects of a kind that the graph knows, those that are not in the cache.
    pub(super) fn missed(&self, graph: &Graph, resource: &ResourceRef) -> Vec<Uid> {
        let Some(cacher) = self.client.registry.caches().cacher(&resource.storage_prefix) else { return Vec::new() };
        let is_there = |uid: &Uid, address: &Address| {
            let found = cacher.get(&address.key).and_then(|object| Meta::of(&object.json()).ok());
            found.is_some_and(|meta| *meta.uid == **uid)
        };
        graph.uids_of(resource).filter(|(uid, address)| !is_there(uid, address)).map(|(uid, _)| uid.clone()).collect()
    }

    pub(super) async fn perform(&self, graph: &Graph, task: &Task) -> Outcome {
        let result = match task {
            Task::Check(uid) => self.check(graph, uid).await,
            Task::Orphan(uid) => self.orphan(graph, uid).await.map(|()| Outcome::Done),
            Task::Report(dependent, owner) => {
                self.report(graph, dependent, owner).await;
                Ok(Outcome::Done)
            }
        };
        result.unwrap_or_else(Outcome::Failed)
    }

    /// Deletes an object none of whose owners is there; takes out references to owners that are gone where another is left.
    async fn check(&self, graph: &Graph, uid: &Uid) -> Result<Outcome, Status> {
        let Some(node) = graph.node(uid) else { return Ok(Outcome::Done) };
        // It is being deleted already, which nothing takes back. Its dependents are looked at when it is gone.
        if node.is_being_deleted && !node.is_deleting_dependents {
            return Ok(Outcome::Done);
        }
        let Some(mut latest) = self.look_up(&node.address, uid).await? else { return Ok(Outcome::Absent(uid.clone())) };
        if node.is_deleting_dependents {
            return self.wait_for_dependents(graph, uid, node).await.map(|()| Outcome::Done);
        }
        if latest.owner_references.is_empty() {
            return Ok(Outcome::Done);
        }
        let Some(owners) = self.owners(&node.address, &latest).await? else { return Ok(Outcome::Done) };
        let Owners { solid, dangling, waiting } = &owners;
        if !solid.is_empty() {
            // Owners that wait for their dependents are taken out, too: this object stays, and they would wait for it for ever.
            let others: HashSet<&str> = dangling.iter().chain(waiting).map(|owner| owner.uid.as_str()).collect();
            if !others.is_empty() {
                self.release(&node.address, uid, &others).await?;
            }
            return Ok(Outcome::Done);
        }
        let policy = if !waiting.is_empty() && graph.dependents(uid).next().is_some() {
            if graph.dependents(uid).any(|(_, dependent)| dependent.is_deleting_dependents) {
                // The owners may form a circle, in which each waits for the other. This object no longer blocks any of them.
                self.unblock(&node.address, uid, None).await?;
                let Some(now) = self.look_up(&node.address, uid).await? else { return Ok(Outcome::Absent(uid.clone())) };
                if !now.has_owners_of(&latest) {
                    return Err(owners_changed());
                }
                latest = now;
            }
            "Foreground"
        } else if latest.holds(FINALIZER_ORPHAN) {
            "Orphan"
        } else if latest.holds(FINALIZER_FOREGROUND) {
            "Foreground"
        } else {
            "Background"
        };
        self.delete(&node.address, &latest, policy).await
    }

    /// What is known of an object's owners. None: one of them can neither be there nor be gone, and nothing is to be done about the
    /// object: its kind is not served (it may be again), or it lives in a namespace and the object does not.
    async fn owners<'a>(&self, address: &Address, object: &'a Meta) -> Result<Option<Owners<'a>>, Status> {
        let mut owners = Owners::default();
        for (index, owner) in object.owner_references.iter().enumerate() {
            if index % OWNERS_BETWEEN_YIELDS == OWNERS_BETWEEN_YIELDS - 1 {
                tokio::task::yield_now().await;
            }
            let Some(resource) = owner.resource(&self.client.registry.caches().catalogue()) else { return Ok(None) };
            if resource.namespaced() && address.namespace().is_empty() {
                return Ok(None);
            }
            let namespace = if resource.namespaced() { address.namespace() } else { "" };
            match self.metadata(resource, namespace, &owner.name).await? {
                Some(found) if found.uid != owner.uid => owners.dangling.push(owner),
                Some(found) if found.is_deleting_dependents() => owners.waiting.push(owner),
                Some(_) => owners.solid.push(owner),
                None => owners.dangling.push(owner),
            }
        }
        Ok(Some(owners))
    }

    /// Lets an owner go that nothing blocks; looks at what does.
    async fn wait_for_dependents(&self, graph: &Graph, uid: &Uid, node: &Node) -> Result<(), Status> {
        if graph.blocking_dependents(uid).next().is_none() {
            return self.take_finalizer(&node.address, uid, FINALIZER_FOREGROUND).await;
        }
        for (dependent, held) in graph.blocking_dependents(uid) {
            if !held.is_deleting_dependents {
                self.check_dependent(graph, dependent).await?;
            } else if graph.is_in_circle(dependent, uid) {
                self.unblock(&held.address, dependent, Some(uid)).await?;
            }
        }
        Ok(())
    }

    /// As [`Self::check`] of one that is not waiting itself; that it is gone is told by the watch.
    async fn check_dependent(&self, graph: &Graph, dependent: &Uid) -> Result<(), Status> {
        match Box::pin(self.check(graph, dependent)).await? {
            Outcome::Failed(status) => Err(status),
            Outcome::Done | Outcome::Absent(_) => Ok(()),
        }
    }

    /// Takes the owner out of its dependents' references, then lets it go.
    async fn orphan(&self, graph: &Graph, uid: &Uid) -> Result<(), Status> {
        let Some(owner) = graph.node(uid) else { return Ok(()) };
        for (dependent, node) in graph.dependents(uid) {
            self.release(&node.address, dependent, &HashSet::from([&**uid])).await?;
        }
        self.take_finalizer(&owner.address, uid, FINALIZER_ORPHAN).await
    }

    /// Says that a reference leads out of its namespace. Nobody waits for it, and it is not tried again.
    async fn report(&self, graph: &Graph, dependent: &Uid, owner: &Uid) {
        let Some(node) = graph.node(dependent) else { return };
        let Some(reference) = node.owners.iter().find(|reference| *reference.uid == **owner) else { return };
        let now = self.client.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = invalid_namespace(&node.address, dependent, reference, now);
        let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        if let Err(status) = self.client.create(client::resource("", "v1", "events"), &namespace, event).await {
            tracing::debug!(%status, "an event was not taken");
        }
    }

    /// An object as it is in the store; none where it is gone, or another one has its name.
    async fn look_up(&self, address: &Address, uid: &str) -> Result<Option<Meta>, Status> {
        let found = self.metadata(address.resource.clone(), address.namespace(), address.name()).await?;
        Ok(found.filter(|meta| meta.uid == uid))
    }

    async fn metadata(&self, resource: ResourceRef, namespace: &str, name: &str) -> Result<Option<Meta>, Status> {
        match self.client.get(resource, namespace, name).await {
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status),
            Ok(object) => Meta::of(&object.json()).map(Some).map_err(Status::internal),
        }
    }

    /// Deletes an object as it was when its owners were looked up. One that has changed since is looked at again, unless its owners are
    /// the same: what is written to often would never go.
    async fn delete(&self, address: &Address, latest: &Meta, policy: &str) -> Result<Outcome, Status> {
        let delete = async |version: Option<&str>| {
            let preconditions = Preconditions { uid: Some(latest.uid.clone()), resource_version: version.map(str::to_owned) };
            let options = DeleteOptions {
                preconditions: Some(preconditions),
                propagation_policy: Some(policy.to_owned()),
                ..DeleteOptions::default()
            };
            self.client.delete(address.resource.clone(), address.namespace(), address.name(), &options).await
        };
        match delete(Some(&latest.resource_version)).await {
            Err(status) if status.code == 409 => {}
            result => return result.map(|()| Outcome::Done),
        }
        match self.look_up(address, &latest.uid).await? {
            None => Ok(Outcome::Absent(latest.uid.as_str().into())),
            Some(now) if now.owner_references != latest.owner_references => Err(owners_changed()),
            Some(_) => delete(None).await.map(|()| Outcome::Done),
        }
    }

    /// Takes out owner references by uid.
    async fn release(&self, address: &Address, uid: &str, owners: &HashSet<&str>) -> Result<(), Status> {
        let is_left = |reference: &Value| !reference["uid"].as_str().is_some_and(|uid| owners.contains(uid));
        self.change_list(address, uid, "ownerReferences", |references| references.retain(is_left)).await
    }

    /// Keeps an object from blocking an owner; none: any of them.
    async fn unblock(&self, address: &Address, uid: &str, owner: Option<&str>) -> Result<(), Status> {
        let unblock = |references: &mut Vec<Value>| {
            let blocking = references.iter_mut().filter(|reference| reference["blockOwnerDeletion"] == true);
            for reference in blocking.filter(|reference| owner.is_none_or(|owner| reference["uid"] == owner)) {
                reference["blockOwnerDeletion"] = false.into();
            }
        };
        self.change_list(address, uid, "ownerReferences", unblock).await
    }

    async fn take_finalizer(&self, address: &Address, uid: &str, finalizer: &str) -> Result<(), Status> {
        self.change_list(address, uid, "finalizers", |finalizers| finalizers.retain(|held| held != finalizer)).await
    }

    /// Changes a list of the object's metadata; another object of that name is left alone.
    async fn change_list(
        &self,
        address: &Address,
        uid: &str,
        field: &str,
        change: impl Fn(&mut Vec<Value>) + Send + Sync,
    ) -> Result<(), Status> {
        let change = |object: &mut Value| {
            if apimachinery::object::uid(object) != uid {
                return;
            }
            let metadata = apimachinery::object::metadata_mut(object);
            let Some(list) = metadata.get_mut(field).and_then(Value::as_array_mut) else { return };
            change(list);
            if list.is_empty() {
                metadata.remove(field);
            }
        };
        self.client.modify(address.resource.clone(), "", address.namespace(), address.name(), change).await
    }
}

fn owners_changed() -> Status {
    Status::internal("its owners changed while it was being deleted")
}

/// In upstream's words. An event about a cluster-scoped object is in the namespace `default`.
fn invalid_namespace(dependent: &Address, uid: &str, owner: &OwnerReference, now: std::time::Duration) -> Value {
    let namespace = dependent.namespace();
    let time = registry::timestamp(now.as_secs() as i64);
    let gvk = &dependent.resource.gvk;
    let api_version = if gvk.group.is_empty() { gvk.version.to_string() } else { format!("{}/{}", gvk.group, gvk.version) };
    let mut about = json!({ "kind": *gvk.kind, "apiVersion": api_version, "name": dependent.name(), "uid": uid });
    if !namespace.is_empty() {
        about["namespace"] = namespace.into();
    }
    let OwnerReference { api_version, kind, name, uid, .. } = owner;
    json!({
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {
            "name": format!("{}.{:x}", dependent.name(), now.as_nanos()),
            "namespace": if namespace.is_empty() { "default" } else { namespace },
        },
        "involvedObject": about,
        "reason": "OwnerRefInvalidNamespace",
        "message": format!(
            "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in namespace {}",
            apimachinery::field::go_quote(namespace)
        ),
        "source": { "component": COMPONENT },
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
        "type": "Warning",
        "eventTime": null,
        "reportingComponent": COMPONENT,
        "reportingInstance": "",
    })
}
