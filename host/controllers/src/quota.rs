//! The status of ResourceQuotas: what they limit is taken up from `spec.hard`, what there is is counted, and what goes is given back.
//!
//! What is made is counted as it is made, by the plugin `ResourceQuota` and in the transaction of the object; this controller counts by the
//! very code of that plugin, and what it writes holds only for the version of the quota that it has counted for. Upstream's is
//! `pkg/controller/resourcequota`.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use api::ResourceRef;
use apimachinery::quantity::Quantity;
use apimachinery::{GroupResource, Status, object};
use cacher::{Cacher, EventType, Object, Update};
use plugin_resource_quota::amounts::{self, ResourceList};
use plugin_resource_quota::quota::Quota;
use plugin_resource_quota::subject::{Kind, Subject};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Server;
use crate::client::{self, Changes, Client, RETRY_PAUSE_MIN, event, longer};

/// How often everything is counted anew, whatever was heard; upstream's `ResourceQuotaSyncPeriod`.
const RESYNC: Duration = Duration::from_secs(300);
/// What was heard and is not worked on yet; the monitors wait when it is full.
const HEARD_MAX: usize = 1024;

/// Whose quotas are to be counted again.
enum Freed {
    /// Something went, or became another thing, in this namespace.
    In(Arc<str>),
    /// A monitor began: what went before is not known.
    Anywhere,
}

/// Tells of what goes, for each resource that a quota speaks of.
struct Monitors {
    client: Client,
    freed: mpsc::Sender<Freed>,
    running: HashSet<GroupResource>,
    tasks: JoinSet<()>,
}

pub(crate) async fn run(server: Server) {
    let client = Client::new(&server, "resourcequota-controller");
    let resource = client::resource("", "v1", "resourcequotas");
    let quotas = client.cacher(&resource);
    let mut changes = Changes::of(&quotas);
    let (sender, mut freed) = mpsc::channel(HEARD_MAX);
    let mut monitors = Monitors { client: client.clone(), freed: sender, running: HashSet::new(), tasks: JoinSet::new() };
    let (mut due, mut failed) = (BTreeSet::new(), BTreeSet::new());
    let (mut pause, mut retry, mut resync) = (RETRY_PAUSE_MIN, Instant::now(), Instant::now() + RESYNC);
    loop {
        tokio::select! {
            updates = changes.next() => {
                for quota in updates.into_iter().filter_map(event).filter(|(kind, _)| *kind != EventType::Deleted).map(|(_, quota)| quota) {
                    let Some(value) = parsed(&quota) else { continue };
                    monitors.follow(&value);
                    if !is_taken_up(&value) {
                        due.insert(quota.key().to_string());
                    }
                }
            }
            Some(what) = freed.recv() => due.extend(concerned(&quotas, &what)),
            () = sleep_until(resync) => {
                due.extend(concerned(&quotas, &Freed::Anywhere));
                resync = Instant::now() + RESYNC;
            }
            // Not sooner: whoever charges a quota all the time would have it counted all the time.
            () = sleep_until(retry), if !failed.is_empty() => {
                due.append(&mut failed);
                pause = longer(pause);
            }
        }
        while let Ok(what) = freed.try_recv() {
            due.extend(concerned(&quotas, &what));
        }
        for key in std::mem::take(&mut due).difference(&failed.clone()) {
            if !sync(&client, &resource, &quotas, key).await {
                failed.insert(key.clone());
                retry = Instant::now() + pause;
            }
        }
        if failed.is_empty() {
            pause = RETRY_PAUSE_MIN;
        }
    }
}

fn parsed(object: &Object) -> Option<Value> {
    serde_json::from_slice(&object.json()).ok()
}

/// The keys of the quotas that are to be counted.
fn concerned(quotas: &Cacher, freed: &Freed) -> Vec<String> {
    let objects = quotas.snapshot().objects;
    let is = |quota: &&Arc<Object>| match freed {
        Freed::In(namespace) => quota.namespace() == &**namespace,
        Freed::Anywhere => true,
    };
    objects.values().filter(is).map(|quota| quota.key().to_string()).collect()
}

/// What the quota is to limit, by name.
fn hard(quota: &Value) -> impl Iterator<Item = &str> {
    quota.pointer("/spec/hard").and_then(Value::as_object).into_iter().flat_map(|hard| hard.keys().map(String::as_str))
}

fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let amounts = |list: Option<&Value>| -> Vec<(String, Option<Quantity>)> {
        let list = list.and_then(Value::as_object).into_iter().flatten();
        list.map(|(name, amount)| (name.clone(), Quantity::of_json(amount))).collect()
    };
    amounts(a) == amounts(b)
}

/// Whether its limits hold as they are said, and are counted.
fn is_taken_up(quota: &Value) -> bool {
    let status = |list: &str| quota.get("status").and_then(|status| status.get(list));
    is_same(quota.pointer("/spec/hard"), status("hard"))
        && hard(quota).all(|name| status("used").is_some_and(|used| used.get(name).is_some()))
}

/// Whose objects are counted under a name: `count/deployments.apps` speaks of one resource, `pods` and `requests.cpu` of pods.
fn resources(name: &str) -> Vec<GroupResource> {
    if let Some((resource, group)) = name.strip_prefix("count/").map(|counted| counted.split_once('.').unwrap_or((counted, ""))) {
        return vec![GroupResource::new(group.to_owned(), resource.to_owned())];
    }
    let measured = [("", "pods"), ("", "services"), ("", "persistentvolumeclaims"), ("resource.k8s.io", "resourceclaims"), ("", name)];
    let limits = |(group, resource): &(&str, &str)| Kind::of(group, resource).is_some_and(|kind| kind.limits(name));
    measured.into_iter().filter(limits).map(|(group, resource)| GroupResource::new(group.to_owned(), resource.to_owned())).collect()
}

/// Brings a quota's status up to date. False: it is to be tried again.
async fn sync(client: &Client, resource: &ResourceRef, quotas: &Cacher, key: &str) -> bool {
    let Some(found) = quotas.get(key) else { return true };
    let Some(quota) = parsed(&found) else { return true };
    // What this version of the quota was charged for is in the caches then. What is charged later makes another version of it.
    client.registry.caches().wait_until(found.revision()).await;
    let used = match counted(client, found.namespace(), &quota) {
        Ok(used) => json!(used),
        Err(why) => {
            tracing::warn!(quota = key, why, "a ResourceQuota could not be counted");
            return true;
        }
    };
    let hard = quota.pointer("/spec/hard").cloned().unwrap_or_else(|| json!({}));
    if is_taken_up(&quota) && is_same(quota.pointer("/status/used"), Some(&used)) {
        return true;
    }
    let set = |quota: &mut Value| {
        object::set_meta_str(quota, "resourceVersion", &found.revision().to_string());
        quota["status"] = json!({ "hard": hard, "used": used });
    };
    match client.modify(resource.clone(), "status", found.namespace(), found.name(), set).await {
        Ok(()) => true,
        // Something was charged meanwhile.
        Err(Status { code: 409, .. }) => false,
        Err(status) => {
            tracing::warn!(quota = key, %status, "the status of a ResourceQuota could not be written; trying again");
            false
        }
    }
}

/// How much there is of what a quota limits.
fn counted(client: &Client, namespace: &str, quota: &Value) -> Result<Map<String, Value>, String> {
    let mut used: ResourceList = hard(quota).map(|name| (name.to_owned(), Default::default())).collect();
    let scopes = serde_json::from_value::<Quota>(quota.clone()).map_err(|error| error.to_string())?.scopes();
    let spoken_of: BTreeSet<GroupResource> = hard(quota).flat_map(resources).collect();
    let now_milliseconds = u64::try_from(client.clock.now_seconds()).unwrap_or_default() * 1000;
    for resource in spoken_of {
        let Some(kind) = Kind::of(&resource.group, &resource.resource) else { continue };
        let Some(cacher) = client.registry.caches().cacher_of(&resource) else { continue };
        let prefix = format!("{namespace}/");
        let objects = cacher.snapshot().objects;
        let own =
            objects.range::<_, str>((Bound::Included(prefix.as_str()), Bound::Unbounded)).take_while(|(key, _)| key.starts_with(&prefix));
        for (_, object) in own {
            let object = parsed(object).ok_or("an object of it cannot be read")?;
            let subject: Subject = kind.read(&wasmgate_sdk::admission::Object::of(&object))?;
            if scopes.iter().all(|scope| subject.is_in(scope)) {
                let usage = kind.usage(&subject, now_milliseconds);
                let limited: ResourceList = usage.into_iter().filter(|(name, _)| used.contains_key(name)).collect();
                amounts::add(&mut used, &limited);
            }
        }
    }
    Ok(used.into_iter().map(|(name, amount)| (name, Value::from(amount.to_string()))).collect())
}

impl Monitors {
    /// Listens to what the quota speaks of.
    fn follow(&mut self, quota: &Value) {
        for resource in hard(quota).flat_map(resources) {
            if self.running.contains(&resource) {
                continue;
            }
            // What is not served yet is asked for again when the quota changes, and at the latest when everything is counted anew.
            let Some(cacher) = self.client.registry.caches().cacher_of(&resource) else { continue };
            self.running.insert(resource.clone());
            self.tasks.spawn(monitor(cacher, Kind::of(&resource.group, &resource.resource), self.freed.clone()));
        }
    }
}

/// Tells of every object that goes, and of every change of one that is measured by more than its number.
async fn monitor(cacher: Arc<Cacher>, kind: Option<Kind>, freed: mpsc::Sender<Freed>) {
    let is_measured = !matches!(kind, None | Some(Kind::Counted(_)));
    let mut changes = Changes::of(&cacher);
    loop {
        let mut namespaces = BTreeSet::new();
        for update in changes.next().await {
            match update {
                Update::InitialEventsEnd(_) if freed.send(Freed::Anywhere).await.is_err() => return,
                Update::InitialEventsEnd(_) => {}
                Update::Event(kind, object) if kind == EventType::Deleted || (is_measured && kind == EventType::Modified) => {
                    namespaces.insert(Arc::from(object.namespace()));
                }
                Update::Event(..) => {}
            }
        }
        for namespace in namespaces {
            if freed.send(Freed::In(namespace)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_speak_of_resources() {
        for (name, want) in [
            ("pods", vec!["pods"]),
            ("requests.cpu", vec!["pods"]),
            ("requests.nvidia.com/gpu", vec!["pods"]),
            ("services.nodeports", vec!["services"]),
            ("requests.storage", vec!["persistentvolumeclaims"]),
            ("gold.storageclass.storage.k8s.io/requests.storage", vec!["persistentvolumeclaims"]),
            ("gpu.deviceclass.resource.k8s.io/devices", vec!["resourceclaims.resource.k8s.io"]),
            ("configmaps", vec!["configmaps"]),
            ("count/pods", vec!["pods"]),
            ("count/deployments.apps", vec!["deployments.apps"]),
            ("count/widgets.stable.example.com", vec!["widgets.stable.example.com"]),
            ("unheard", vec![]),
        ] {
            let found: BTreeSet<String> = resources(name).iter().map(ToString::to_string).collect();
            assert_eq!(found, want.into_iter().map(str::to_owned).collect(), "{name}");
        }
    }

    #[test]
    fn a_quota_is_taken_up_when_its_status_says_the_same() {
        let quota = |spec: Value, status: Value| json!({ "spec": { "hard": spec }, "status": status });
        for (quota, want) in [
            (quota(json!({ "cpu": "1" }), json!({})), false),
            (quota(json!({ "cpu": "1" }), json!({ "hard": { "cpu": "1000m" }, "used": { "cpu": "0" } })), true),
            (quota(json!({ "cpu": "1" }), json!({ "hard": { "cpu": "1" } })), false),
            (quota(json!({ "cpu": "1" }), json!({ "hard": { "cpu": "2" }, "used": { "cpu": "0" } })), false),
            (quota(json!({}), json!({})), true),
            (json!({}), true),
        ] {
            assert_eq!(is_taken_up(&quota), want, "{quota}");
        }
    }
}
