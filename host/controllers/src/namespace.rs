//! Namespace deletion: empties a namespace that is marked as deleted, says in its conditions how that goes, and takes its finalizer away
//! at the end. Order, words and reasons are those of upstream's `pkg/controller/namespace/deletion`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use api::ResourceRef;
use apimachinery::options::DeleteOptions;
use apimachinery::{Status, object};
use cacher::Object;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::{self, Changes, Client, RETRY_PAUSE_MIN, longer};
use crate::server::Server;

/// Namespaces that are emptied at a time; the others wait.
const DRAINS_MAX: usize = 8;
const FINALIZER: &str = "kubernetes";

pub(crate) async fn run(server: Server) {
    let client = Client::new(&server, "namespace-controller");
    let mut changes = Changes::of(&client.cacher(&client::resource("", "v1", "namespaces")));
    let mut drains =
        Drains { client: client.clone(), permits: Arc::new(Semaphore::new(DRAINS_MAX)), running: HashSet::new(), set: JoinSet::new() };
    loop {
        tokio::select! {
            updates = changes.next() => {
                updates.into_iter().filter_map(client::event).for_each(|(_, namespace)| drains.begin(namespace.name()));
            }
            Some(done) = drains.set.join_next(), if !drains.set.is_empty() => {
                if let Ok(name) = done {
                    drains.running.remove(&name);
                    // A namespace of the same name may have been created and marked as deleted meanwhile.
                    drains.begin(&name);
                }
            }
        }
    }
}

/// The namespaces that are being emptied, each by a task of its own.
struct Drains {
    client: Client,
    permits: Arc<Semaphore>,
    running: HashSet<String>,
    set: JoinSet<String>,
}

impl Drains {
    fn begin(&mut self, name: &str) {
        if terminating(&self.client, name).is_none() || !self.running.insert(name.to_owned()) {
            return;
        }
        let (client, permits, name) = (self.client.clone(), self.permits.clone(), name.to_owned());
        self.set.spawn(async move {
            drain(&client, &permits, &name).await;
            name
        });
    }
}

/// The namespace, where it is marked as deleted and waits for this controller.
fn terminating(client: &Client, name: &str) -> Option<Value> {
    let namespace = client.cacher(&client::resource("", "v1", "namespaces")).get(name)?;
    let namespace: Value = serde_json::from_slice(&namespace.json()).ok()?;
    let waits = namespace.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| list.iter().any(|f| f == FINALIZER));
    (object::is_being_deleted(&namespace) && waits).then_some(namespace)
}

/// Deletes the namespace's objects until none is left. Those that have a finalizer, or a grace period to end, are waited for.
async fn drain(client: &Client, permits: &Semaphore, name: &str) {
    let mut pause = RETRY_PAUSE_MIN;
    while let Some(namespace) = terminating(client, name) {
        let left = {
            let _permit = permits.acquire().await;
            empty(client, &namespace).await
        };
        match left {
            Ok(false) => return,
            Ok(true) => tracing::debug!(namespace = name, "a namespace is being emptied"),
            Err(status) => tracing::warn!(namespace = name, %status, "a namespace could not be emptied; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = longer(pause);
    }
}

/// One pass over a namespace; whether something is left in it.
async fn empty(client: &Client, namespace: &Value) -> Result<bool, Status> {
    let now = client.clock.now_seconds();
    let name = object::name(namespace);
    let pods = client::resource("", "v1", "pods");
    let mut content = Content::default();
    let grace_is_over = deletion_age_seconds(namespace, now) >= longest_grace_seconds(client, &pods, name).await?;
    content.delete(client, &pods, name, grace_is_over).await;
    let pods_are_gone = content.remaining.is_empty();
    if pods_are_gone {
        // Pods are gone: nothing that they rely on (network policies, secrets) went before them (CVE-2024-7598).
        for cacher in client.registry.caches().all().iter().filter(|cacher| cacher.resource().namespaced()) {
            if cacher.resource().storage_prefix != pods.storage_prefix {
                content.delete(client, cacher.resource(), name, true).await;
            }
        }
    }
    // While pods remain, upstream counts nothing.
    let conditions = content.conditions(pods_are_gone);
    let uid = object::uid(namespace);
    let say = |namespace: &mut Value| {
        if object::uid(namespace) == uid {
            set_conditions(namespace, &conditions, &registry::timestamp(now));
        }
    };
    let namespaces = client::resource("", "v1", "namespaces");
    client.modify(namespaces.clone(), "status", "", name, say).await?;
    if !content.remaining.is_empty() || !content.errors.is_empty() {
        return Ok(true);
    }
    let finalize = |namespace: &mut Value| {
        if object::uid(namespace) == uid {
            take_finalizer(namespace);
        }
    };
    client.modify(namespaces, "finalize", "", name, finalize).await.map(|()| false)
}

fn take_finalizer(namespace: &mut Value) {
    let Some(spec) = namespace.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let Some(finalizers) = spec.get_mut("finalizers").and_then(Value::as_array_mut) else { return };
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if finalizers.is_empty() {
        spec.remove("finalizers");
    }
}

fn deletion_age_seconds(namespace: &Value, now: i64) -> i64 {
    let at = object::meta_str(namespace, "deletionTimestamp").parse::<jiff::Timestamp>();
    at.map_or(i64::MAX, |at| now - at.as_second())
}

/// How long the pods may take to end.
async fn longest_grace_seconds(client: &Client, pods: &ResourceRef, namespace: &str) -> Result<i64, Status> {
    let grace = |pod: Arc<Object>| {
        let pod: Value = serde_json::from_slice(&pod.json()).ok()?;
        let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        pod["spec"]["terminationGracePeriodSeconds"].as_i64().filter(|_| !is_over)
    };
    let found = client.list(pods.clone(), namespace).await?;
    Ok(found.into_iter().filter_map(grace).max().unwrap_or(0).max(0))
}

/// What a pass found and could not remove.
#[derive(Debug, Default)]
struct Content {
    /// `deployments.apps`, and how many.
    remaining: BTreeMap<String, usize>,
    /// Finalizers, and how many objects each holds.
    finalizers: BTreeMap<String, usize>,
    errors: Vec<String>,
}

impl Content {
    /// Deletes all objects of a kind. Those that stay without a finalizer, though their time is over, are an error.
    async fn delete(&mut self, client: &Client, resource: &ResourceRef, namespace: &str, grace_is_over: bool) {
        // Neither orphaned nor deleted in the foreground: all objects of the namespace are deleted anyway.
        let options = DeleteOptions { propagation_policy: Some("Background".into()), ..DeleteOptions::default() };
        let left = match client.delete_all(resource.clone(), namespace, &options).await {
            Ok(()) => client.list(resource.clone(), namespace).await,
            Err(status) => Err(status),
        };
        match left {
            Err(status) => self.errors.push(status.message),
            Ok(left) if left.is_empty() => {}
            Ok(left) => self.count(resource, namespace, &left, grace_is_over),
        }
    }

    fn count(&mut self, resource: &ResourceRef, namespace: &str, left: &[Arc<Object>], grace_is_over: bool) {
        let gvr = &resource.gvr;
        self.remaining.insert(format!("{}.{}", gvr.resource, gvr.group), left.len());
        let mut held = false;
        for object in left.iter().filter_map(|object| serde_json::from_slice::<Value>(&object.json()).ok()) {
            for finalizer in object::finalizers(&object) {
                held = true;
                *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
            }
        }
        if !held && grace_is_over {
            let (group, version, plural) = (&gvr.group, &gvr.version, &gvr.resource);
            self.errors
                .push(format!("unexpected items still remain in namespace: {namespace} for gvr: {group}/{version}, Resource={plural}"));
        }
    }

    fn conditions(&self, totals: bool) -> [Condition; 5] {
        let failure = (!self.errors.is_empty()).then(|| {
            let mut errors = self.errors.clone();
            errors.sort_unstable();
            format!("Failed to delete all resource types, {} remaining: {}", errors.len(), errors.join(", "))
        });
        let listed = |counts: &BTreeMap<String, usize>, word: &str| {
            let mut listed: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {word} {count} resource instances")).collect();
            listed.sort_unstable();
            listed.join(", ")
        };
        let remaining =
            (totals && !self.remaining.is_empty()).then(|| format!("Some resources are remaining: {}", listed(&self.remaining, "has")));
        let finalizers = (totals && !self.finalizers.is_empty())
            .then(|| format!("Some content in the namespace has finalizers remaining: {}", listed(&self.finalizers, "in")));
        [
            // Upstream's controller asks the server for its kinds, which can fail; here they are known.
            Condition::new("NamespaceDeletionDiscoveryFailure", ("ResourcesDiscovered", "All resources successfully discovered"), None),
            Condition::new(
                "NamespaceDeletionGroupVersionParsingFailure",
                ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
                None,
            ),
            Condition::new(
                "NamespaceDeletionContentFailure",
                ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
                failure.map(|message| ("ContentDeletionFailed", message)),
            ),
            Condition::new(
                "NamespaceContentRemaining",
                ("ContentRemoved", "All content successfully removed"),
                remaining.map(|message| ("SomeResourcesRemain", message)),
            ),
            Condition::new(
                "NamespaceFinalizersRemaining",
                ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
                finalizers.map(|message| ("SomeFinalizersRemain", message)),
            ),
        ]
    }
}

/// A condition of a namespace; it is true where something is wrong.
#[derive(Debug)]
struct Condition {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

impl Condition {
    fn new(kind: &'static str, (reason, message): (&'static str, &str), wrong: Option<(&'static str, String)>) -> Self {
        match wrong {
            None => Self { kind, status: "False", reason, message: message.to_owned() },
            Some((reason, message)) => Self { kind, status: "True", reason, message },
        }
    }
}

/// A condition that says the same as before is left alone; its time is that of the last change of its status.
fn set_conditions(namespace: &mut Value, conditions: &[Condition], now: &str) {
    if !namespace["status"]["conditions"].is_array() {
        namespace["status"]["conditions"] = json!([]);
    }
    namespace["status"]["phase"] = "Terminating".into();
    let Some(list) = namespace["status"]["conditions"].as_array_mut() else { return };
    for Condition { kind, status, reason, message } in conditions {
        let condition = json!({ "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now });
        match list.iter_mut().find(|old| old["type"] == *kind) {
            None => list.push(condition),
            Some(old) => {
                let since = if old["status"] == *status { old["lastTransitionTime"].clone() } else { now.into() };
                *old = condition;
                old["lastTransitionTime"] = since;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_time_of_its_status() {
        let mut namespace = json!({ "status": { "phase": "Terminating" } });
        let mut content = Content::default();
        set_conditions(&mut namespace, &content.conditions(true), "t1");
        let first = namespace.clone();
        set_conditions(&mut namespace, &content.conditions(true), "t2");
        assert_eq!(namespace, first, "nothing is new");
        content.remaining.extend([("secrets.".to_owned(), 2), ("deployments.apps".to_owned(), 1)]);
        content.finalizers.insert("e.com/f".into(), 3);
        content.errors.extend(["z".to_owned(), "a".to_owned()]);
        set_conditions(&mut namespace, &content.conditions(true), "t3");
        let shown: Vec<String> = namespace["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| {
                format!("{} {} {} {}: {}", c["type"], c["status"], c["lastTransitionTime"], c["reason"], c["message"]).replace('"', "")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "NamespaceDeletionDiscoveryFailure False t1 ResourcesDiscovered: All resources successfully discovered",
                "NamespaceDeletionGroupVersionParsingFailure False t1 ParsedGroupVersions: All legacy kube types successfully parsed",
                "NamespaceDeletionContentFailure True t3 ContentDeletionFailed: Failed to delete all resource types, 2 remaining: a, z",
                "NamespaceContentRemaining True t3 SomeResourcesRemain: Some resources are remaining: deployments.apps has 1 resource \
                 instances, secrets. has 2 resource instances",
                "NamespaceFinalizersRemaining True t3 SomeFinalizersRemain: Some content in the namespace has finalizers remaining: e.com/f \
                 in 3 resource instances",
            ]
        );
    }

    #[test]
    fn nothing_is_left_of_the_finalizers() {
        for (finalizers, want) in
            [(json!(["kubernetes"]), json!({})), (json!(["e.com/f", "kubernetes"]), json!({ "finalizers": ["e.com/f"] }))]
        {
            let mut namespace = json!({ "spec": { "finalizers": finalizers } });
            take_finalizer(&mut namespace);
            assert_eq!(namespace["spec"], want);
        }
    }
}
