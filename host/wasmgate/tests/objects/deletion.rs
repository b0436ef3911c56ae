//! A deletion that the store fails: it is finished by the next one, whatever had been done of it.

use apimachinery::Status;
use apimachinery::options::{DeleteOptions, Preconditions};
use serde_json::{Value, json};

use crate::world::{Fault, World, resource};

/// How often a client tries again.
const TRIES: usize = 4;

fn pod(node: &str, metadata: Value) -> Value {
    let mut pod = json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": metadata,
        "spec": { "containers": [{ "name": "c", "image": "i" }], "terminationGracePeriodSeconds": 30 },
    });
    if !node.is_empty() {
        pod["spec"]["nodeName"] = node.into();
    }
    pod
}

fn service(finalizers: Value) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1", "metadata": { "name": "a", "finalizers": finalizers },
        "spec": { "type": "NodePort", "clusterIP": "10.0.0.9", "ports": [{ "port": 80, "nodePort": 30007 }] },
    })
}

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace_period_seconds: Some(seconds), ..DeleteOptions::default() }
}

/// How an object goes, in commits.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A pod on a node is deleted at once: mark, removal.
    PodAtOnce,
    /// A pod without a node: mark, removal.
    PodWithoutNode,
    /// An evicted pod: the same, admission having been asked before.
    PodEvicted,
    /// An object without a grace period: removal.
    ConfigMap,
    /// A Service that nothing holds: removal, with its address and port.
    Service,
    /// The last finalizer of a Service is taken: removal, with its address and port.
    ServiceFinalizer,
    /// The finalizer of a namespace is taken: removal.
    NamespaceFinalizer,
}

const WAYS: [(Way, &[&str]); 7] = [
    (Way::PodAtOnce, &["mark", "removal"]),
    (Way::PodWithoutNode, &["mark", "removal"]),
    (Way::PodEvicted, &["mark", "removal"]),
    (Way::ConfigMap, &["removal"]),
    (Way::Service, &["removal"]),
    (Way::ServiceFinalizer, &["removal"]),
    (Way::NamespaceFinalizer, &["removal"]),
];

impl Way {
    fn resource(self) -> api::ResourceRef {
        match self {
            Self::PodAtOnce | Self::PodWithoutNode | Self::PodEvicted => resource("", "v1", "pods"),
            Self::ConfigMap => resource("", "v1", "configmaps"),
            Self::Service | Self::ServiceFinalizer => resource("", "v1", "services"),
            Self::NamespaceFinalizer => resource("", "v1", "namespaces"),
        }
    }

    fn namespace(self) -> &'static str {
        if matches!(self, Self::NamespaceFinalizer) { "" } else { "n" }
    }

    async fn make(self, world: &World) {
        let object = match self {
            Self::PodAtOnce | Self::PodEvicted => pod("node", json!({ "name": "a" })),
            Self::PodWithoutNode => pod("", json!({ "name": "a" })),
            Self::ConfigMap => json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } }),
            Self::Service => service(json!([])),
            Self::ServiceFinalizer => service(json!(["e.com/f"])),
            Self::NamespaceFinalizer => json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "a" } }),
        };
        world.create(&self.resource(), self.namespace(), object).await.expect("it can be made");
        if matches!(self, Self::ServiceFinalizer | Self::NamespaceFinalizer) {
            world.delete(&self.resource(), self.namespace(), "a", &DeleteOptions::default()).await.expect("it is marked");
        }
    }

    /// The request after which the object is gone.
    async fn go(self, world: &World, preconditions: Option<Preconditions>) -> Result<(), Status> {
        let (resource, namespace) = (self.resource(), self.namespace());
        let options = |grace: Option<i64>| DeleteOptions { grace_period_seconds: grace, preconditions, ..DeleteOptions::default() };
        match self {
            Self::PodAtOnce => world.delete(&resource, namespace, "a", &options(Some(0))).await.map(drop),
            Self::PodWithoutNode | Self::ConfigMap | Self::Service => {
                world.delete(&resource, namespace, "a", &options(None)).await.map(drop)
            }
            Self::PodEvicted => {
                let request = crate::world::request(&resource, "delete", namespace, "a");
                world.registry.delete_admitted(&request, &options(Some(0))).await.map(drop)
            }
            Self::ServiceFinalizer => {
                let take = |object: &mut Value| drop(object["metadata"].as_object_mut().unwrap().remove("finalizers"));
                let unconditional = |object: &mut Value| {
                    take(object);
                    object["metadata"]["resourceVersion"] = "".into();
                };
                world.update(&resource, ("", namespace, "a"), unconditional).await.map(drop)
            }
            Self::NamespaceFinalizer => {
                let take = |object: &mut Value| {
                    object["spec"] = json!({});
                    object["metadata"]["resourceVersion"] = "".into();
                };
                world.update(&resource, ("finalize", namespace, "a"), take).await.map(drop)
            }
        }
    }
}

/// Every way, and every commit of it, with every fault: the client tries again, in the same process or after a restart.
#[tokio::test]
async fn a_deletion_that_fails_is_finished_by_the_next() {
    for (way, commits) in WAYS {
        for (failing, commit) in commits.iter().enumerate() {
            for fault in [Fault::Conflict, Fault::Refused, Fault::AnswerLost] {
                for restart in [false, true] {
                    let case = format!("{way:?}: {fault:?} at the {commit}, restart {restart}");
                    let mut world = World::new().await;
                    way.make(&world).await;
                    world.store.plan((0..=failing).map(|commit| if commit == failing { fault } else { Fault::None }));
                    let first = way.go(&world, None).await;
                    assert!(world.store.is_plan_over(), "{case}: a commit did not happen: {first:?}");
                    assert_eq!(first.is_ok(), fault == Fault::Conflict, "{case}: {first:?}");
                    if restart {
                        world.restart().await;
                    }
                    finish(&world, way, &case).await;
                    given_back(&world, way, &case).await;
                }
            }
        }
    }
}

/// A success means that the object is gone; so does 404.
async fn finish(world: &World, way: Way, case: &str) {
    for _ in 0..TRIES {
        world.settle().await;
        match way.go(world, None).await {
            Err(status) if status.code == 404 => break,
            Err(status) => panic!("{case}: {status:?}"),
            Ok(()) => {
                let left = world.get(&way.resource(), way.namespace(), "a").await;
                assert!(left.is_none(), "{case}: success, and there is {left:?}");
            }
        }
    }
    assert_eq!(world.get(&way.resource(), way.namespace(), "a").await, None, "{case}");
}

/// What the object held is free again, and belongs to nobody twice: another one gets it, and keeps it when the first is deleted again.
async fn given_back(world: &World, way: Way, case: &str) {
    if !matches!(way, Way::Service | Way::ServiceFinalizer) {
        return;
    }
    let mut other = service(json!([]));
    other["metadata"]["name"] = "b".into();
    world.create(&way.resource(), "n", other).await.unwrap_or_else(|status| panic!("{case}: {status:?}"));
    let again = world.delete(&way.resource(), "n", "a", &DeleteOptions::default()).await;
    assert_eq!(again.err().map(|status| status.code), Some(404), "{case}");
    assert!(world.get(&resource("networking.k8s.io", "v1", "ipaddresses"), "", "10.0.0.9").await.is_some(), "{case}");
    let mut third = service(json!([]));
    third["metadata"]["name"] = "c".into();
    let refused = world.create(&way.resource(), "n", third).await.expect_err("the address is b's");
    assert!(refused.message.contains("10.0.0.9") || refused.message.contains("30007"), "{case}: {refused:?}");
}

#[tokio::test]
async fn preconditions_hold_over_both_commits() {
    let pods = resource("", "v1", "pods");
    for insist in [false, true] {
        for (plan, want) in [
            (vec![Fault::None, Fault::None], Ok(())),
            // Somebody changes the pod before it is marked: it is not as the client saw it.
            (vec![Fault::Conflict], if insist { Err(409) } else { Ok(()) }),
            // Or between the mark and the removal.
            (vec![Fault::None, Fault::Conflict], if insist { Err(409) } else { Ok(()) }),
        ] {
            let world = World::new().await;
            let made = world.create(&pods, "n", pod("node", json!({ "name": "a" }))).await.expect("it can be made");
            let text = |field: &str| made["metadata"][field].as_str().unwrap().to_owned();
            let preconditions = Preconditions { uid: Some(text("uid")), resource_version: insist.then(|| text("resourceVersion")) };
            world.store.plan(plan.clone());
            let got = Way::PodAtOnce.go(&world, Some(preconditions)).await;
            assert_eq!(got.map_err(|status| status.code), want, "{plan:?} {insist}");
            let left = world.get(&pods, "n", "a").await;
            assert_eq!(left.is_some(), want.is_err(), "{plan:?} {insist}");
        }
    }
    let world = World::new().await;
    world.create(&pods, "n", pod("node", json!({ "name": "a" }))).await.expect("it can be made");
    let other = Preconditions { uid: Some("other".into()), resource_version: None };
    let refused = Way::PodAtOnce.go(&world, Some(other)).await.expect_err("it is another one");
    assert!(refused.code == 409 && refused.message.contains("the UID in the precondition (other) does not match"), "{refused:?}");
}

#[tokio::test]
async fn preconditions_are_refused_in_upstreams_words() {
    let world = World::new().await;
    let uid = |uid: &str| Preconditions { uid: Some(uid.into()), resource_version: None };
    let version = |version: &str| Preconditions { uid: None, resource_version: Some(version.into()) };
    for way in [Way::ConfigMap, Way::NamespaceFinalizer] {
        way.make(&world).await;
        let made = world.get(&way.resource(), way.namespace(), "a").await.expect("it is there");
        let (is_uid, is_version) = (made["metadata"]["uid"].as_str().unwrap(), made["metadata"]["resourceVersion"].as_str().unwrap());
        let map = "Operation cannot be fulfilled on ConfigMap \"a\": the ";
        let rows = match way {
            Way::ConfigMap => [
                (
                    uid("x"),
                    format!(
                        "{map}UID in the precondition (x) does not match the UID in record ({is_uid}). The object might have been deleted and then recreated"
                    ),
                ),
                (
                    uid(""),
                    format!(
                        "{map}UID in the precondition () does not match the UID in record ({is_uid}). The object might have been deleted and then recreated"
                    ),
                ),
                (
                    version("1"),
                    format!(
                        "{map}ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({is_version}). The object might have been modified"
                    ),
                ),
            ],
            _ => {
                let namespace = "Operation cannot be fulfilled on namespaces \"a\": Precondition failed: ";
                [
                    (uid("x"), format!("{namespace}UID in precondition: x, UID in object meta: {is_uid}")),
                    (uid(""), format!("{namespace}UID in precondition: , UID in object meta: {is_uid}")),
                    (version("1"), format!("{namespace}ResourceVersion in precondition: 1, ResourceVersion in object meta: {is_version}")),
                ]
            }
        };
        for (preconditions, words) in rows {
            let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
            let refused = world.delete(&way.resource(), way.namespace(), "a", &options).await.expect_err("it is another one");
            assert_eq!((refused.code, refused.message), (409, words));
        }
    }
}

/// As a kubelet does it: the mark, the status, the end.
#[tokio::test]
async fn a_kubelet_ends_a_pod() {
    let world = World::new().await;
    let pods = resource("", "v1", "pods");
    let made = world.create(&pods, "n", pod("node", json!({ "name": "a", "finalizers": ["e.com/f"] }))).await.expect("it can be made");
    let marked = world.delete(&pods, "n", "a", &DeleteOptions::default()).await.expect("it is marked");
    assert!(!marked.gone);
    let succeed = |pod: &mut Value| pod["status"]["phase"] = "Succeeded".into();
    let written = world.update(&pods, ("status", "n", "a"), succeed).await.expect("a status may be written");
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        assert!(!written["metadata"][field].is_null(), "{field} stays");
    }
    let uid = Some(made["metadata"]["uid"].as_str().unwrap().to_owned());
    let end = DeleteOptions { preconditions: Some(Preconditions { uid, resource_version: None }), ..grace(0) };
    assert!(!world.delete(&pods, "n", "a", &end).await.expect("it is over").gone, "its finalizer holds it");
    let take = |pod: &mut Value| drop(pod["metadata"].as_object_mut().unwrap().remove("finalizers"));
    // A status may take the last finalizer, too.
    world.update(&pods, ("status", "n", "a"), take).await.expect("a finalizer may go");
    assert_eq!(world.get(&pods, "n", "a").await, None);
}

/// Half of a collection is gone when the store fails; the next deletion takes the other half.
#[tokio::test]
async fn a_collection_that_fails_half_way_is_finished_by_the_next() {
    let world = World::new().await;
    let pods = resource("", "v1", "pods");
    for name in ["a", "b", "c"] {
        world.create(&pods, "n", pod("node", json!({ "name": name }))).await.expect("it can be made");
    }
    let predicate = cacher::Predicate { namespace: Some("n".into()), ..Default::default() };
    let list = registry::ListRequest::all(predicate, registry::ListRevision::MostRecent);
    let request = crate::world::request(&pods, "deletecollection", "n", "");
    world.store.plan([Fault::None, Fault::None, Fault::None, Fault::Refused]);
    let failed = world.registry.delete_collection(&request, &list, &grace(0)).await.expect_err("the store refuses");
    assert_eq!(failed.code, 503);
    assert!(world.get(&pods, "n", "a").await.is_none() && world.get(&pods, "n", "c").await.is_some());
    let rest = world.registry.delete_collection(&request, &list, &grace(0)).await.expect("the store is well");
    assert_eq!(rest.objects.len(), 2);
    for name in ["a", "b", "c"] {
        assert_eq!(world.get(&pods, "n", name).await, None, "{name}");
    }
}

/// An update that changes nothing ends a deletion that stopped between its mark and its end.
#[tokio::test]
async fn an_update_without_a_change_ends_what_was_marked() {
    let world = World::new().await;
    let pods = resource("", "v1", "pods");
    world.create(&pods, "n", pod("node", json!({ "name": "a" }))).await.expect("it can be made");
    world.store.plan([Fault::None, Fault::Refused]);
    Way::PodAtOnce.go(&world, None).await.expect_err("the store refuses");
    assert!(world.get(&pods, "n", "a").await.is_some());
    world.update(&pods, ("status", "n", "a"), |_| ()).await.expect("nothing is wrong with it");
    assert_eq!(world.get(&pods, "n", "a").await, None);
}
