//! Who owns whom, as the watches tell it: upstream's graph builder. Pure; what is to be looked at comes out as tasks.
//!
//! An owner that is referred to and was never seen has no node: whoever refers to it is looked at, and the look-up says whether it
//! exists. The graph decides nothing that cannot be taken back; before anything is deleted the store is asked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api::{Catalogue, ResourceRef};
use apimachinery::GroupVersion;
use serde::Deserialize;

pub(super) const FINALIZER_ORPHAN: &str = "orphan";
pub(super) const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

pub(super) type Uid = Arc<str>;

/// `metadata`, as far as ownership goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) uid: String,
    pub(super) resource_version: String,
    deletion_timestamp: Option<String>,
    finalizers: Vec<String>,
    pub(super) owner_references: Vec<OwnerReference>,
}

impl Meta {
    /// Of an object as it is served.
    pub(super) fn of(json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            metadata: Meta,
        }
        serde_json::from_slice(json).map(|Envelope { metadata }| metadata)
    }

    pub(super) fn is_being_deleted(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    pub(super) fn holds(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|held| held == finalizer)
    }

    /// Whether it refers to the same owners, blocking them or not.
    pub(super) fn has_owners_of(&self, other: &Self) -> bool {
        let uids = |meta: &Self| meta.owner_references.iter().map(|owner| owner.uid.clone()).collect::<Vec<_>>();
        uids(self) == uids(other)
    }

    /// It waits for its dependents to go first.
    pub(super) fn is_deleting_dependents(&self) -> bool {
        self.is_being_deleted() && self.holds(FINALIZER_FOREGROUND)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OwnerReference {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    block_owner_deletion: Option<bool>,
}

impl OwnerReference {
    pub(super) fn blocks(&self) -> bool {
        self.block_owner_deletion == Some(true)
    }

    /// The owner's resource as it is stored. None: nobody serves the kind in that version, or there are no objects of it, as of reviews.
    pub(super) fn resource(&self, catalogue: &Catalogue) -> Option<ResourceRef> {
        let gvk = GroupVersion::parse(&self.api_version)?.with_kind(self.kind.clone());
        let resource = catalogue.stored(catalogue.find_kind(&gvk)?);
        (!resource.storage_prefix.is_empty()).then(|| resource.clone())
    }

    /// Whether it says of that object what the object is, but for its namespace.
    fn is_about(&self, address: &Address) -> bool {
        let gvk = &address.resource.gvk;
        let is_of_group = GroupVersion::parse(&self.api_version).is_some_and(|version| version.group == gvk.group);
        self.name == address.name() && is_of_group && *self.kind == *gvk.kind
    }
}

/// Where an object is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) resource: ResourceRef,
    /// `namespace/name`, or `name`.
    pub(super) key: Arc<str>,
}

impl Address {
    /// Empty for cluster-scoped objects.
    pub(super) fn namespace(&self) -> &str {
        self.key.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    pub(super) fn name(&self) -> &str {
        self.key.rsplit_once('/').map_or(&self.key, |(_, name)| name)
    }
}

/// An object that was seen.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: Address,
    pub(super) owners: Box<[OwnerReference]>,
    pub(super) is_being_deleted: bool,
    pub(super) is_deleting_dependents: bool,
    is_orphaning: bool,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Task {
    /// Whether the object of this uid still has an owner; where it waits for its dependents, whether there are any.
    Check(Uid),
    /// An owner that lets its dependents go.
    Orphan(Uid),
    /// The dependent (first) names an owner (second) that is there, and in a namespace where it cannot own it.
    Report(Uid, Uid),
}

/// All objects that were seen, and who refers to them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    /// By the owner's uid, seen or not.
    dependents: HashMap<Uid, HashSet<Uid>>,
    tasks: HashSet<Task>,
}

impl Graph {
    pub(super) fn node(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Those that were seen and refer to an object.
    pub(super) fn dependents(&self, uid: &str) -> impl Iterator<Item = (&Uid, &Node)> {
        self.dependents.get(uid).into_iter().flatten().filter_map(|uid| self.nodes.get_key_value(uid))
    }

    /// Those that must go before a given owner may, but for the owner itself.
    pub(super) fn blocking_dependents(&self, owner: &str) -> impl Iterator<Item = (&Uid, &Node)> {
        self.dependents(owner).filter(move |(uid, node)| ***uid != *owner && blocks(node, owner))
    }

    /// Whether a dependent that waits for its own dependents waits, through them, for the owner that it blocks.
    pub(super) fn is_in_circle(&self, dependent: &str, owner: &str) -> bool {
        let (mut seen, mut next) = (HashSet::new(), vec![dependent]);
        while let Some(uid) = next.pop() {
            for (uid, node) in self.blocking_dependents(uid) {
                if **uid == *owner {
                    return true;
                }
                if node.is_deleting_dependents && seen.insert(&**uid) {
                    next.push(uid);
                }
            }
        }
        false
    }

    /// What there is to look at since the last call.
    pub(super) fn take_tasks(&mut self) -> HashSet<Task> {
        std::mem::take(&mut self.tasks)
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The objects of a kind.
    pub(super) fn uids_of(&self, resource: &ResourceRef) -> impl Iterator<Item = (&Uid, &Address)> {
        let prefix = &resource.storage_prefix;
        self.nodes.iter().filter(move |(_, node)| node.address.resource.storage_prefix == *prefix).map(|(uid, node)| (uid, &node.address))
    }

    /// An object is there, or has changed.
    pub(super) fn see(&mut self, address: Address, meta: Meta) {
        let uid: Uid = meta.uid.as_str().into();
        let node = Node {
            is_being_deleted: meta.is_being_deleted(),
            is_deleting_dependents: meta.is_deleting_dependents(),
            is_orphaning: meta.is_being_deleted() && meta.holds(FINALIZER_ORPHAN),
            owners: meta.owner_references.into(),
            address,
        };
        let old = self.nodes.remove(&uid);
        if old.is_none() {
            self.meet(&uid, &node.address);
        }
        let before = old.as_ref().map_or(&[][..], |old| &old.owners);
        let (had, has) = (by_uid(before), by_uid(&node.owners));
        for (owner, was) in &had {
            if was.blocks() && !has.get(owner).is_some_and(|reference| reference.blocks()) {
                self.check_if_waiting(owner);
            }
        }
        for gone in had.keys().filter(|owner| !has.contains_key(**owner)) {
            self.part(gone, &uid);
        }
        for (_, added) in has.iter().filter(|(owner, _)| !had.contains_key(**owner)) {
            self.join(added, &uid, &node.address);
        }
        if node.is_orphaning {
            if !old.as_ref().is_some_and(|old| old.is_orphaning) {
                self.tasks.insert(Task::Orphan(uid.clone()));
            }
        } else if node.is_deleting_dependents && !old.as_ref().is_some_and(|old| old.is_deleting_dependents) {
            self.check_dependents_of(&uid);
            self.tasks.insert(Task::Check(uid.clone()));
        }
        self.nodes.insert(uid, node);
    }

    /// An object is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        let Some((uid, node)) = self.nodes.remove_entry(uid) else { return };
        self.check_dependents_of(&uid);
        for owner in &node.owners {
            self.part(&owner.uid, &uid);
            self.check_if_waiting(&owner.uid);
        }
    }

    /// An object is seen for the first time: those who said otherwise of it are looked at.
    fn meet(&mut self, uid: &Uid, address: &Address) {
        let mut wrong = Vec::new();
        for (dependent, node) in self.dependents(uid) {
            let is_elsewhere = is_out_of_reach(address, &node.address);
            if is_elsewhere || node.owners.iter().any(|owner| *owner.uid == **uid && !owner.is_about(address)) {
                wrong.push((dependent.clone(), is_elsewhere));
            }
        }
        for (dependent, is_elsewhere) in wrong {
            if is_elsewhere {
                self.tasks.insert(Task::Report(dependent.clone(), uid.clone()));
            }
            self.tasks.insert(Task::Check(dependent));
        }
    }

    /// A new reference. It is looked at unless its owner is known, and as the reference says.
    fn join(&mut self, reference: &OwnerReference, dependent: &Uid, address: &Address) {
        let known = self.nodes.get_key_value(reference.uid.as_str()).map(|(uid, node)| (uid.clone(), node));
        let (owner, task) = match known {
            None => (reference.uid.as_str().into(), Some(Task::Check(dependent.clone()))),
            Some((uid, node)) if is_out_of_reach(&node.address, address) => {
                self.tasks.insert(Task::Report(dependent.clone(), uid.clone()));
                (uid, Some(Task::Check(dependent.clone())))
            }
            Some((uid, node)) => {
                let doubtful = !reference.is_about(&node.address) || node.is_deleting_dependents;
                (uid, doubtful.then(|| Task::Check(dependent.clone())))
            }
        };
        self.tasks.extend(task);
        self.dependents.entry(owner).or_default().insert(dependent.clone());
    }

    fn part(&mut self, owner: &str, dependent: &str) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    fn check_if_waiting(&mut self, owner: &str) {
        if let Some((uid, _)) = self.nodes.get_key_value(owner).filter(|(_, node)| node.is_deleting_dependents) {
            self.tasks.insert(Task::Check(uid.clone()));
        }
    }

    fn check_dependents_of(&mut self, owner: &Uid) {
        self.tasks.extend(self.dependents.get(owner).into_iter().flatten().cloned().map(Task::Check));
    }
}

fn by_uid(references: &[OwnerReference]) -> HashMap<&str, &OwnerReference> {
    references.iter().map(|reference| (reference.uid.as_str(), reference)).collect()
}

fn blocks(dependent: &Node, owner: &str) -> bool {
    dependent.owners.iter().any(|reference| reference.uid == owner && reference.blocks())
}

/// An object in a namespace owns only what is in the same one.
fn is_out_of_reach(owner: &Address, dependent: &Address) -> bool {
    !owner.namespace().is_empty() && owner.namespace() != dependent.namespace()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn see(graph: &mut Graph, key: &str, metadata: Value) -> Vec<String> {
        let plural = if key.contains('/') { ("", "v1", "configmaps") } else { ("", "v1", "nodes") };
        let resource = Catalogue::built_in().find(plural.0, plural.1, plural.2).expect("built in").clone();
        let meta = Meta::of(json!({ "metadata": metadata }).to_string().as_bytes()).expect("it is metadata");
        graph.see(Address { resource, key: key.into() }, meta);
        tasks(graph)
    }

    fn tasks(graph: &mut Graph) -> Vec<String> {
        let mut tasks: Vec<String> = graph.take_tasks().into_iter().map(|task| format!("{task:?}").replace('"', "")).collect();
        tasks.sort_unstable();
        tasks
    }

    fn owner(uid: &str, blocks: bool) -> Value {
        let (name, kind) = (uid.strip_prefix("uid-").expect("a uid"), if uid == "uid-node" { "Node" } else { "ConfigMap" });
        json!({ "apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": blocks })
    }

    fn nothing() -> Vec<String> {
        Vec::new()
    }

    #[test]
    fn only_what_is_in_doubt_is_looked_at() {
        let mut graph = Graph::default();
        assert_eq!(see(&mut graph, "n/a", json!({ "uid": "uid-a" })), nothing());
        assert_eq!(see(&mut graph, "node", json!({ "uid": "uid-node" })), nothing());
        // Owners that are known, and as the references say.
        let owners = json!([owner("uid-a", false), owner("uid-node", false)]);
        assert_eq!(see(&mut graph, "n/known", json!({ "uid": "uid-known", "ownerReferences": owners })), nothing());
        // The same again, with something else changed.
        assert_eq!(see(&mut graph, "n/known", json!({ "uid": "uid-known", "ownerReferences": owners, "labels": {} })), nothing());
        let unknown = json!({ "uid": "uid-b", "ownerReferences": [owner("uid-late", false)] });
        assert_eq!(see(&mut graph, "n/b", unknown), ["Check(uid-b)"]);
        assert_eq!(see(&mut graph, "n/late", json!({ "uid": "uid-late" })), nothing(), "it is as it was referred to");
        let mut misnamed = owner("uid-a", false);
        misnamed["name"] = "other".into();
        assert_eq!(see(&mut graph, "n/c", json!({ "uid": "uid-c", "ownerReferences": [misnamed] })), ["Check(uid-c)"]);
        let abroad = json!({ "uid": "uid-d", "ownerReferences": [owner("uid-a", false)] });
        assert_eq!(see(&mut graph, "m/d", abroad), ["Check(uid-d)", "Report(uid-d, uid-a)"]);
        let early = json!({ "uid": "uid-e", "ownerReferences": [owner("uid-f", false)] });
        assert_eq!(see(&mut graph, "m/e", early), ["Check(uid-e)"]);
        assert_eq!(see(&mut graph, "n/f", json!({ "uid": "uid-f" })), ["Check(uid-e)", "Report(uid-e, uid-f)"]);
    }

    #[test]
    fn the_end_of_an_owner_is_looked_at_by_its_dependents() {
        let mut graph = Graph::default();
        see(&mut graph, "n/a", json!({ "uid": "uid-a" }));
        see(&mut graph, "n/b", json!({ "uid": "uid-b", "ownerReferences": [owner("uid-a", true)] }));
        let marked = |finalizer: &str| json!({ "uid": "uid-a", "deletionTimestamp": "t", "finalizers": [finalizer] });
        assert_eq!(see(&mut graph, "n/a", marked(FINALIZER_FOREGROUND)), ["Check(uid-a)", "Check(uid-b)"]);
        assert_eq!(see(&mut graph, "n/a", marked(FINALIZER_FOREGROUND)), nothing(), "it waits already");
        // Who comes late to an owner that waits, and who blocks it no longer.
        let late = json!({ "uid": "uid-c", "ownerReferences": [owner("uid-a", true)] });
        assert_eq!(see(&mut graph, "n/c", late), ["Check(uid-c)"]);
        assert_eq!(graph.blocking_dependents("uid-a").count(), 2);
        let unblocked = json!({ "uid": "uid-c", "ownerReferences": [owner("uid-a", false)] });
        assert_eq!(see(&mut graph, "n/c", unblocked), ["Check(uid-a)"]);
        assert_eq!(see(&mut graph, "n/b", json!({ "uid": "uid-b" })), ["Check(uid-a)"]);
        assert_eq!(graph.blocking_dependents("uid-a").count(), 0);
        graph.forget("uid-a");
        assert_eq!(tasks(&mut graph), ["Check(uid-c)"]);
        graph.forget("uid-a");
        assert_eq!(tasks(&mut graph), nothing());
        see(&mut graph, "n/g", json!({ "uid": "uid-g" }));
        let orphaning = json!({ "uid": "uid-g", "deletionTimestamp": "t", "finalizers": [FINALIZER_ORPHAN] });
        assert_eq!(see(&mut graph, "n/g", orphaning), ["Orphan(uid-g)"]);
    }
}
