//! A namespace goes when nothing is left in it: pods first, and its conditions say what it waits for.

use apimachinery::options::DeleteOptions;
use controllers::Controller;
use serde_json::{Value, json};

use crate::world::{World, context, request, resource};

async fn with_namespace() -> World {
    let world = World::new().await;
    let namespace = json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "n" } });
    world.create(&resource("", "v1", "namespaces"), "", namespace).await.expect("it can be made");
    for (group, version, plural, kind) in [("", "v1", "secrets", "Secret"), ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")]
    {
        let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let object = json!({ "kind": kind, "apiVersion": version, "metadata": { "name": "a" }, "spec": { "podSelector": {} } });
        world.create(&resource(group, "v1", plural), "n", object).await.expect("it can be made");
    }
    world
}

fn pod(node: &str, finalizers: &[&str]) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "a", "finalizers": finalizers },
        "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "i" }], "terminationGracePeriodSeconds": 3600 },
    })
}

fn conditions(namespace: &Value) -> Vec<String> {
    let conditions = namespace["status"]["conditions"].as_array().into_iter().flatten();
    conditions.map(|c| format!("{} {} {}: {}", c["type"], c["status"], c["reason"], c["message"]).replace('"', "")).collect()
}

const WELL: [&str; 5] = [
    "NamespaceDeletionDiscoveryFailure False ResourcesDiscovered: All resources successfully discovered",
    "NamespaceDeletionGroupVersionParsingFailure False ParsedGroupVersions: All legacy kube types successfully parsed",
    "NamespaceDeletionContentFailure False ContentDeleted: All content successfully deleted, may be waiting on finalization",
    "NamespaceContentRemaining False ContentRemoved: All content successfully removed",
    "NamespaceFinalizersRemaining False ContentHasNoFinalizers: All content-preserving finalizers finished",
];

/// Now, as the controller knows it: it looks how long ago the deletion was.
async fn delete(world: &World) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let request =
        registry::Request { context: context(now.as_secs() as i64), ..request(&resource("", "v1", "namespaces"), "delete", "", "n") };
    world.registry.delete(&request, &DeleteOptions::default()).await.expect("it can be deleted");
}

/// Whether the secret and the network policy are there.
async fn others(world: &World) -> [bool; 2] {
    let secret = world.get(&resource("", "v1", "secrets"), "n", "a").await;
    let policy = world.get(&resource("networking.k8s.io", "v1", "networkpolicies"), "n", "a").await;
    [secret.is_some(), policy.is_some()]
}

#[tokio::test]
async fn pods_go_first() {
    // A pod that has time to end, on a node whose kubelet does not answer, and one that a finalizer holds.
    for pod in [pod("node", &[]), pod("", &["e.com/f"])] {
        let world = with_namespace().await;
        let (pods, namespaces) = (resource("", "v1", "pods"), resource("", "v1", "namespaces"));
        world.create(&pods, "n", pod).await.expect("it can be made");
        delete(&world).await;
        let _running = world.control(&[Controller::Namespace]);
        let said = |now: Option<&Value>| now.is_some_and(|now| !conditions(now).is_empty());
        let namespace = world.until(&namespaces, ("", "n"), "it says how far it is", said).await.expect("it is there");
        assert_eq!(conditions(&namespace), WELL, "upstream counts nothing while pods remain");
        let marked = world.get(&pods, "n", "a").await.expect("it has time, or a finalizer");
        assert!(!marked["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(others(&world).await, [true, true], "a pod is there that may need them");
        if marked["metadata"]["finalizers"].is_null() {
            let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
            world.delete(&pods, "n", "a", &now).await.expect("as a kubelet does");
        } else {
            let take = |pod: &mut Value| drop(pod["metadata"].as_object_mut().unwrap().remove("finalizers"));
            world.update(&pods, ("", "n", "a"), take).await.expect("a finalizer may go");
        }
        world.until_gone(&namespaces, ("", "n"), "nothing is left in it").await;
        assert_eq!(others(&world).await, [false, false]);
    }
}

#[tokio::test]
async fn what_remains_is_named() {
    let world = with_namespace().await;
    let (maps, namespaces) = (resource("", "v1", "configmaps"), resource("", "v1", "namespaces"));
    for (name, finalizers) in [("a", vec!["e.com/f"]), ("b", vec!["e.com/f", "e.com/g"])] {
        let map = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": name, "finalizers": finalizers } });
        world.create(&maps, "n", map).await.expect("it can be made");
    }
    delete(&world).await;
    let _running = world.control(&[Controller::Namespace]);
    let said = |now: Option<&Value>| now.is_some_and(|now| !conditions(now).is_empty());
    let namespace = world.until(&namespaces, ("", "n"), "it says what remains", said).await.expect("it is there");
    let mut want = WELL.map(str::to_owned);
    want[3] =
        "NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: configmaps. has 2 resource instances".into();
    want[4] =
        "NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: e.com/f in 2 \
               resource instances, e.com/g in 1 resource instances"
            .into();
    assert_eq!(conditions(&namespace), want);
    assert_eq!(namespace["status"]["phase"], "Terminating");
    assert_eq!(others(&world).await, [false, false], "what can go is gone");
    let take = |map: &mut Value| drop(map["metadata"].as_object_mut().unwrap().remove("finalizers"));
    for name in ["a", "b"] {
        world.update(&maps, ("", "n", name), take).await.expect("a finalizer may go");
    }
    world.until_gone(&namespaces, ("", "n"), "nothing is left in it").await;
}

/// A pod whose time is over and that nothing removes is an error, and nothing else goes.
#[tokio::test]
async fn a_pod_that_does_not_end_is_told() {
    let world = with_namespace().await;
    let (pods, namespaces) = (resource("", "v1", "pods"), resource("", "v1", "namespaces"));
    let mut endless = pod("node", &[]);
    endless["spec"]["terminationGracePeriodSeconds"] = 1.into();
    world.create(&pods, "n", endless).await.expect("it can be made");
    let long_ago = request(&namespaces, "delete", "", "n");
    world.registry.delete(&long_ago, &DeleteOptions::default()).await.expect("it can be deleted");
    let _running = world.control(&[Controller::Namespace]);
    let failed = |now: Option<&Value>| now.is_some_and(|now| conditions(now).iter().any(|c| c.contains("ContentDeletionFailed")));
    let namespace = world.until(&namespaces, ("", "n"), "it says what is wrong", failed).await.expect("it is there");
    let mut want = WELL.map(str::to_owned);
    want[2] =
        "NamespaceDeletionContentFailure True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: unexpected items \
               still remain in namespace: n for gvr: /v1, Resource=pods"
            .into();
    assert_eq!(conditions(&namespace), want);
    assert_eq!(others(&world).await, [true, true]);
}

/// A namespace that something else holds is empty, says so, and has no finalizer in its spec any more.
#[tokio::test]
async fn a_finalized_namespace_has_an_empty_spec() {
    let world = with_namespace().await;
    let namespaces = resource("", "v1", "namespaces");
    let hold = |namespace: &mut Value| namespace["metadata"]["finalizers"] = json!(["e.com/f"]);
    world.update(&namespaces, ("", "", "n"), hold).await.expect("it may be held");
    delete(&world).await;
    let _running = world.control(&[Controller::Namespace]);
    let finalized = |now: Option<&Value>| now.is_some_and(|now| now["spec"] == json!({}));
    let namespace = world.until(&namespaces, ("", "n"), "its content is gone", finalized).await.expect("it is held");
    assert_eq!(conditions(&namespace), WELL);
    let take = |namespace: &mut Value| drop(namespace["metadata"].as_object_mut().unwrap().remove("finalizers"));
    world.update(&namespaces, ("", "", "n"), take).await.expect("a finalizer may go");
    world.until_gone(&namespaces, ("", "n"), "nothing holds it").await;
}
