//! What the garbage collector takes, what it leaves, and what it says.

use api::ResourceRef;
use apimachinery::options::DeleteOptions;
use controllers::Controller;
use serde_json::{Value, json};

use crate::world::{Fault, World, resource};

fn maps() -> ResourceRef {
    resource("", "v1", "configmaps")
}

fn uid(of: &str) -> String {
    format!("uid-{of}")
}

/// An object as it may be stored; `owners` as they stand in it.
fn object(of: &ResourceRef, (namespace, name): (&str, &str), owners: &[Value]) -> Value {
    let gvk = &of.gvk;
    let version = if gvk.group.is_empty() { gvk.version.to_string() } else { format!("{}/{}", gvk.group, gvk.version) };
    let mut object = json!({
        "kind": *gvk.kind, "apiVersion": version,
        "metadata": { "name": name, "uid": uid(name), "creationTimestamp": "2025-12-31T23:00:00Z" },
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    if !owners.is_empty() {
        object["metadata"]["ownerReferences"] = owners.into();
    }
    object
}

fn owner(version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({ "apiVersion": version, "kind": kind, "name": name, "uid": uid })
}

/// A reference to a config map, which it blocks.
fn blocks(name: &str) -> Value {
    let mut owner = owner("v1", "ConfigMap", name, &uid(name));
    owner["blockOwnerDeletion"] = true.into();
    owner
}

fn policy(policy: &str) -> DeleteOptions {
    DeleteOptions { propagation_policy: Some(policy.into()), ..DeleteOptions::default() }
}

fn owners_of(object: &Value) -> Vec<&str> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().filter_map(|owner| owner["uid"].as_str()).collect()
}

/// Two objects of the kind that must go, one after the other: when they have gone, what was there before has been looked at.
async fn be_looked_at(world: &World, of: &ResourceRef) {
    let namespace = if of.namespaced() { "n" } else { "" };
    for index in 0..2 {
        let name = format!("{}-{}-{index}", of.gvr.resource, world.registry.caches().applied());
        let name = name.as_str();
        let gone = owner("v1", "Node", "nobody", "uid-nobody");
        world.seed(of, &object(of, (namespace, name), &[gone])).await;
        let taken = |now: Option<&Value>| now.is_none_or(|now| !now["metadata"]["deletionTimestamp"].is_null());
        world.until(of, (namespace, name), "the collector works", taken).await;
    }
}

async fn events(world: &World) -> Vec<Value> {
    world.all(&resource("", "v1", "events")).await
}

/// A world with a config map `owner` in the namespace `n`, and the node `node`.
async fn with_owners() -> World {
    let world = World::new().await;
    world.seed(&maps(), &object(&maps(), ("n", "owner"), &[])).await;
    let nodes = resource("", "v1", "nodes");
    world.seed(&nodes, &object(&nodes, ("", "node"), &[])).await;
    world
}

#[tokio::test]
async fn what_is_in_a_namespace_owns_nothing_outside() {
    for (group, version, plural) in [
        ("rbac.authorization.k8s.io", "v1", "clusterroles"),
        ("storage.k8s.io", "v1", "storageclasses"),
        ("", "v1", "namespaces"),
        ("", "v1", "nodes"),
        ("", "v1", "persistentvolumes"),
        ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ] {
        let world = with_owners().await;
        let kind = resource(group, version, plural);
        let namespaced = || owner("v1", "ConfigMap", "owner", &uid("owner"));
        let valid = || owner("v1", "Node", "node", &uid("node"));
        let gone = || owner("v1", "Node", "node", "uid-other");
        let cases = [
            ("alone", vec![namespaced()]),
            ("first", vec![namespaced(), valid()]),
            ("last", vec![valid(), namespaced()]),
            ("beside-gone", vec![gone(), namespaced()]),
            ("gone-itself", vec![owner("v1", "ConfigMap", "nobody", "uid-nobody")]),
        ];
        // Before the collector knows the owner, and after.
        world.seed(&kind, &object(&kind, ("", "before"), &[namespaced()])).await;
        let _running = world.control(&[Controller::GarbageCollector]);
        for (name, owners) in &cases {
            world.seed(&kind, &object(&kind, ("", name), owners)).await;
        }
        be_looked_at(&world, &kind).await;
        for (name, owners) in cases.iter().chain([&("before", vec![namespaced()])]) {
            let now = world.get(&kind, "", name).await.unwrap_or_else(|| panic!("{plural} {name} was taken"));
            assert_eq!(now["metadata"]["ownerReferences"], json!(owners), "{plural} {name}");
        }
        let said = events(&world).await;
        let about = |name: &str| said.iter().filter(|event| event["involvedObject"]["name"] == name).collect::<Vec<_>>();
        for name in ["before", "alone", "first", "last", "beside-gone"] {
            let [event] = about(name)[..] else { panic!("{plural} {name}: {said:#?}") };
            assert_eq!(event["reason"], "OwnerRefInvalidNamespace");
            assert_eq!(event["type"], "Warning");
            assert_eq!(event["metadata"]["namespace"], "default");
            assert_eq!(event["source"]["component"], "garbage-collector-controller");
            let words = r#"ownerRef [v1/ConfigMap, namespace: , name: owner, uid: uid-owner] does not exist in namespace """#;
            assert_eq!(event["message"], words);
        }
        assert!(about("gone-itself").is_empty(), "nobody knows of that owner");
        // The owner's end is not theirs.
        world.delete(&maps(), "n", "owner", &policy("Background")).await.expect("it can be deleted");
        be_looked_at(&world, &maps()).await;
        for (name, _) in &cases {
            assert!(world.get(&kind, "", name).await.is_some(), "{plural} {name}");
        }
    }
}

#[tokio::test]
async fn an_owner_in_another_namespace_is_none() {
    for owner_first in [true, false] {
        let world = World::new().await;
        let there = object(&maps(), ("n", "owner"), &[]);
        let here = object(&maps(), ("m", "dependent"), &[owner("v1", "ConfigMap", "owner", &uid("owner"))]);
        let running = owner_first.then(|| world.control(&[Controller::GarbageCollector]));
        world.seed(&maps(), if owner_first { &there } else { &here }).await;
        world.seed(&maps(), if owner_first { &here } else { &there }).await;
        let _running = running.unwrap_or_else(|| world.control(&[Controller::GarbageCollector]));
        world.until_gone(&maps(), ("m", "dependent"), "it has no owner in its namespace").await;
        be_looked_at(&world, &maps()).await;
        let said = events(&world).await;
        let [event] = &said[..] else { panic!("{said:#?}") };
        assert_eq!(event["metadata"]["namespace"], "m");
        let words = r#"ownerRef [v1/ConfigMap, namespace: m, name: owner, uid: uid-owner] does not exist in namespace "m""#;
        assert_eq!(event["message"], words);
        assert!(world.get(&maps(), "n", "owner").await.is_some());
    }
}

#[tokio::test]
async fn owners_decide_together() {
    let world = with_owners().await;
    let scalers = resource("autoscaling", "v2", "horizontalpodautoscalers");
    world.seed(&scalers, &object(&scalers, ("n", "scaler"), &[])).await;
    let deployments = resource("apps", "v1", "deployments");
    world.seed(&deployments, &object(&deployments, ("n", "deployment"), &[])).await;
    let there = || owner("v1", "ConfigMap", "owner", &uid("owner"));
    let node = || owner("v1", "Node", "node", &uid("node"));
    let gone = || owner("v1", "ConfigMap", "owner", "uid-other");
    let unserved = || owner("example.com/v1", "Widget", "w", "uid-w");
    let rows = [
        ("there", vec![there()], Some(vec!["uid-owner"])),
        ("of-the-cluster", vec![node()], Some(vec!["uid-node"])),
        ("other-uid", vec![gone()], None),
        ("other-name", vec![owner("v1", "ConfigMap", "nobody", &uid("owner"))], None),
        ("other-kind", vec![owner("v1", "Secret", "owner", &uid("owner"))], None),
        ("both", vec![gone(), there()], Some(vec!["uid-owner"])),
        ("both-gone", vec![gone(), owner("v1", "Node", "nobody", "uid-nobody")], None),
        // Nobody serves the kind; somebody may again.
        ("unserved", vec![unserved()], Some(vec!["uid-w"])),
        ("unserved-beside-gone", vec![gone(), unserved()], Some(vec!["uid-other", "uid-w"])),
        ("no-version", vec![owner("a/b/c", "ConfigMap", "owner", "uid-x")], Some(vec!["uid-x"])),
        ("a-review", vec![owner("authorization.k8s.io/v1", "SubjectAccessReview", "r", "uid-r")], Some(vec!["uid-r"])),
        // Another version of the owner than the stored one, and one that is not served any more.
        ("other-version", vec![owner("autoscaling/v1", "HorizontalPodAutoscaler", "scaler", &uid("scaler"))], Some(vec!["uid-scaler"])),
        ("old-version", vec![owner("apps/v1beta1", "Deployment", "deployment", &uid("deployment"))], Some(vec!["uid-deployment"])),
        ("old-version-in-doubt", vec![owner("apps/v1beta1", "Deployment", "deployment", "uid-other")], Some(vec!["uid-other"])),
        ("other-version-gone", vec![owner("autoscaling/v1", "HorizontalPodAutoscaler", "scaler", "uid-other")], None),
    ];
    let _running = world.control(&[Controller::GarbageCollector]);
    for (name, owners, _) in &rows {
        world.seed(&maps(), &object(&maps(), ("n", name), owners)).await;
    }
    be_looked_at(&world, &maps()).await;
    for (name, _, want) in rows {
        let now = world.get(&maps(), "n", name).await;
        assert_eq!(now.as_ref().map(owners_of), want, "{name}");
    }
}

/// The owner is deleted; what becomes of its dependents, and of it.
#[tokio::test]
async fn policies() {
    for restart in [false, true] {
        for (how, dependent_stays) in [("Background", false), ("Orphan", true), ("Foreground", false)] {
            let world = with_owners().await;
            world.seed(&maps(), &object(&maps(), ("n", "dependent"), &[blocks("owner")])).await;
            world.seed(&maps(), &object(&maps(), ("n", "shared"), &[blocks("owner"), owner("v1", "Node", "node", &uid("node"))])).await;
            // What was begun without a collector is done by the next.
            let running = (!restart).then(|| world.control(&[Controller::GarbageCollector]));
            world.delete(&maps(), "n", "owner", &policy(how)).await.expect("it can be deleted");
            let _running = running.unwrap_or_else(|| world.control(&[Controller::GarbageCollector]));
            let case = format!("{how}, restart {restart}");
            world.until_gone(&maps(), ("n", "owner"), &case).await;
            let released = |now: Option<&Value>| now.is_some_and(|now| !owners_of(now).contains(&"uid-owner"));
            if dependent_stays {
                world.until(&maps(), ("n", "dependent"), &case, released).await;
            } else {
                world.until_gone(&maps(), ("n", "dependent"), &case).await;
            }
            let shared = world.until(&maps(), ("n", "shared"), &case, released).await.expect("another owner is left");
            assert_eq!(owners_of(&shared), ["uid-node"], "{case}");
        }
    }
}

#[tokio::test]
async fn an_owner_waits_for_what_blocks_it() {
    let world = with_owners().await;
    let mut held = object(&maps(), ("n", "held"), &[blocks("owner")]);
    held["metadata"]["finalizers"] = json!(["e.com/f"]);
    let mut grandchild = object(&maps(), ("n", "grandchild"), &[blocks("held")]);
    grandchild["metadata"]["finalizers"] = json!(["e.com/f"]);
    world.seed(&maps(), &held).await;
    world.seed(&maps(), &grandchild).await;
    world.seed(&maps(), &object(&maps(), ("n", "free"), &[owner("v1", "ConfigMap", "owner", &uid("owner"))])).await;
    let _running = world.control(&[Controller::GarbageCollector]);
    world.delete(&maps(), "n", "owner", &policy("Foreground")).await.expect("it can be deleted");
    let marked = |now: Option<&Value>| now.is_some_and(|now| !now["metadata"]["deletionTimestamp"].is_null());
    world.until(&maps(), ("n", "grandchild"), "all are marked, down to the last", marked).await;
    world.until_gone(&maps(), ("n", "free"), "what does not block goes too").await;
    be_looked_at(&world, &maps()).await;
    assert!(world.get(&maps(), "n", "owner").await.is_some() && world.get(&maps(), "n", "held").await.is_some());
    let take = |map: &mut Value| map["metadata"]["finalizers"].as_array_mut().unwrap().retain(|held| held != "e.com/f");
    world.update(&maps(), ("", "n", "held"), take).await.expect("a finalizer may go");
    be_looked_at(&world, &maps()).await;
    assert!(world.get(&maps(), "n", "owner").await.is_some(), "the grandchild is still there");
    world.update(&maps(), ("", "n", "grandchild"), take).await.expect("a finalizer may go");
    for name in ["grandchild", "held", "owner"] {
        world.until_gone(&maps(), ("n", name), name).await;
    }
}

/// Owners in a circle, each of which would wait for the next.
#[tokio::test]
async fn a_circle_ends() {
    for count in 1..=4 {
        for all in [false, true] {
            let world = World::new().await;
            let name = |index: usize| format!("o{}", index % count);
            for index in 0..count {
                world.seed(&maps(), &object(&maps(), ("n", &name(index)), &[blocks(&name(index + 1))])).await;
            }
            let _running = world.control(&[Controller::GarbageCollector]);
            for index in 0..if all { count } else { 1 } {
                // The first deletion may have taken it by now.
                let deleted = world.delete(&maps(), "n", &name(index), &policy("Foreground")).await;
                assert!(deleted.as_ref().map_or_else(|status| status.code == 404, |_| true), "{deleted:?}");
            }
            for index in 0..count {
                world.until_gone(&maps(), ("n", &name(index)), &format!("{count}, all {all}")).await;
            }
        }
    }
}

/// The store is asked again before anything is deleted, and what changed meanwhile does not save garbage for ever.
#[tokio::test]
async fn a_conflict_is_tried_again() {
    let world = World::new().await;
    let mut garbage = object(&maps(), ("n", "garbage"), &[owner("v1", "Node", "nobody", "uid-nobody")]);
    garbage["metadata"]["annotations"] = json!({});
    world.seed(&maps(), &garbage).await;
    world.store.plan([Fault::Conflict, Fault::Refused, Fault::Conflict]);
    let _running = world.control(&[Controller::GarbageCollector]);
    world.until_gone(&maps(), ("n", "garbage"), "it is garbage all the same").await;
    assert!(world.store.is_plan_over());
}

/// A dependent that holds a finalizer of the collector's goes in that way.
#[tokio::test]
async fn a_dependents_own_finalizer_is_honoured() {
    let world = with_owners().await;
    let mut dependent = object(&maps(), ("n", "dependent"), &[owner("v1", "ConfigMap", "owner", &uid("owner"))]);
    dependent["metadata"]["finalizers"] = json!(["orphan"]);
    world.seed(&maps(), &dependent).await;
    world.seed(&maps(), &object(&maps(), ("n", "grandchild"), &[blocks("dependent")])).await;
    let _running = world.control(&[Controller::GarbageCollector]);
    world.delete(&maps(), "n", "owner", &policy("Background")).await.expect("it can be deleted");
    world.until_gone(&maps(), ("n", "dependent"), "its owner is gone").await;
    let now = world.until(&maps(), ("n", "grandchild"), "it is let go", |now| now.is_some_and(|now| owners_of(now).is_empty())).await;
    assert!(now.is_some());
}
