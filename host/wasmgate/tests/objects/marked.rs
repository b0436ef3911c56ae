//! An object that is being deleted: what may be written to it, by every kind and subresource.

use api::ResourceRef;
use apimachinery::Status;
use serde_json::{Value, json};

use crate::world::World;

const OWN: [&str; 5] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

fn object(resource: &ResourceRef) -> Value {
    let version = if resource.gvk.group.is_empty() {
        resource.gvk.version.to_string()
    } else {
        format!("{}/{}", resource.gvk.group, resource.gvk.version)
    };
    let mut object = json!({
        "kind": *resource.gvk.kind, "apiVersion": version,
        "metadata": {
            "name": "a", "uid": "4a5c1d9e-9f64-4b55-8e4d-6f0f5f3a2b1c", "creationTimestamp": "2025-12-31T23:00:00Z", "generation": 3,
            "deletionTimestamp": "2025-12-31T23:59:00Z", "deletionGracePeriodSeconds": 30, "finalizers": ["e.com/f", "e.com/g"],
        },
    });
    if resource.namespaced() {
        object["metadata"]["namespace"] = "n".into();
    }
    api::kinds::strategy(resource).default(resource, &mut object);
    object
}

/// What is said of the fields that are the server's.
fn said_of_metadata(result: &Result<Value, Status>) -> Vec<String> {
    let Err(status) = result else { return Vec::new() };
    assert_eq!(status.code, 422, "{status:?}");
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| OWN.iter().any(|own| cause.field == format!("metadata.{own}")) || cause.field == "metadata.finalizers")
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

/// Changes that no client can make, and those that it may not ask for.
fn changes() -> Vec<(&'static str, Value, Option<&'static str>)> {
    vec![
        ("as it is", json!({}), None),
        (
            "left out",
            json!({ "uid": null, "creationTimestamp": null, "deletionTimestamp": null, "deletionGracePeriodSeconds": null, "generation": null }),
            None,
        ),
        (
            "other times",
            json!({ "creationTimestamp": "2020-01-01T00:00:00Z", "deletionTimestamp": "2030-01-01T00:00:00Z", "generation": 1 }),
            None,
        ),
        ("a finalizer less", json!({ "finalizers": ["e.com/f"] }), None),
        (
            "a finalizer more",
            json!({ "finalizers": ["e.com/f", "e.com/new"] }),
            Some("no new finalizers can be added if the object is being deleted, found new finalizers []string{\"e.com/new\"}"),
        ),
        ("another period", json!({ "deletionGracePeriodSeconds": 5 }), Some("field is immutable")),
    ]
}

/// Every kind of the table that can be updated, and each subresource that takes the whole object.
#[tokio::test]
async fn what_is_the_servers_stays() {
    let world = World::new().await;
    let mut tried = 0;
    for row in api::tables::resources().iter().filter(|row| std::ptr::eq(api::tables::stored(row), *row) && row.has_verb("update")) {
        let resource = ResourceRef::from(row);
        let stored = object(&resource);
        world.seed(&resource, &stored).await;
        let whole = row.subresources.iter().filter(|sub| sub.gvk == row.gvk && sub.verbs.iter().any(|verb| verb == "update"));
        for subresource in std::iter::once("").chain(whole.map(|sub| &*sub.name)) {
            for (what, metadata, refused) in changes() {
                let case = format!("{} {subresource}: {what}", row.gvk);
                let change = |object: &mut Value| apimachinery::patch::merge::merge(&mut object["metadata"], metadata.clone());
                let namespace = if row.namespaced() { "n" } else { "" };
                let result = world.update(&resource, (subresource, namespace, "a"), change).await;
                let said = said_of_metadata(&result);
                match refused {
                    // Where the kind takes nothing of what a client says about the object, there is nothing to refuse.
                    Some(_) if said.is_empty() && takes_no_metadata(row, subresource, what) => {}
                    Some(words) => assert!(said.iter().any(|said| said.contains(words)), "{case}: {said:?}"),
                    None => assert!(said.is_empty(), "{case}: {said:?}"),
                }
                let now = world.get(&resource, namespace, "a").await.unwrap_or_else(|| panic!("{case}: it is gone"));
                for own in OWN.iter().filter(|own| **own != "generation") {
                    assert_eq!(now["metadata"][own], stored["metadata"][own], "{case}: {own}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

/// Subresources whose strategy puts finalizers, or all of metadata, back to what they were.
fn takes_no_metadata(resource: &api::Resource, subresource: &str, what: &str) -> bool {
    let all = matches!(&*resource.gvk.kind, "FlowSchema" | "PriorityLevelConfiguration") && subresource == "status";
    let finalizers = matches!(
        (&*resource.gvk.kind, subresource),
        ("Pod", "ephemeralcontainers" | "resize")
            | (
                "ServiceCIDR"
                    | "VolumeAttachment"
                    | "StorageVersionMigration"
                    | "PodCertificateRequest"
                    | "ValidatingAdmissionPolicy"
                    | "ResourceClaim"
                    | "DeviceTaintRule"
                    | "APIService"
                    | "ResourcePoolStatusRequest",
                "status",
            )
            | ("CertificateSigningRequest", "status" | "approval")
    );
    all || what == "a finalizer more" && finalizers
}

/// What is not being deleted cannot be marked by an update.
#[tokio::test]
async fn only_a_deletion_marks() {
    let world = World::new().await;
    let maps = crate::world::resource("", "v1", "configmaps");
    world
        .create(&maps, "n", json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "a" } }))
        .await
        .expect("it can be made");
    for field in [json!({ "deletionTimestamp": "2030-01-01T00:00:00Z" }), json!({ "deletionGracePeriodSeconds": 0 })] {
        let change = |object: &mut Value| apimachinery::patch::merge::merge(&mut object["metadata"], field.clone());
        let refused = world.update(&maps, ("", "n", "a"), change).await.expect_err("only a deletion marks");
        assert!(refused.code == 422 && refused.message.contains("field is immutable"), "{refused:?}");
    }
}

/// How often metadata is looked at: by the registry, and by most kinds once more; clients see each problem as often.
#[tokio::test]
async fn problems_are_told_as_often_as_upstream_tells_them() {
    let world = World::new().await;
    for (group, version, plural, subresource, times) in [
        ("batch", "v1", "cronjobs", "", 2),
        ("batch", "v1", "cronjobs", "status", 1),
        ("batch", "v1", "jobs", "status", 2),
        ("storage.k8s.io", "v1", "volumeattachments", "status", 1),
        ("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "status", 1),
        ("", "v1", "pods", "status", 2),
    ] {
        let resource = crate::world::resource(group, version, plural);
        let namespace = if resource.namespaced() { "n" } else { "" };
        if world.get(&resource, namespace, "a").await.is_none() {
            world.seed(&resource, &object(&resource)).await;
        }
        let change = |object: &mut Value| object["metadata"]["deletionGracePeriodSeconds"] = 5.into();
        let result = world.update(&resource, (subresource, namespace, "a"), change).await;
        assert_eq!(said_of_metadata(&result).len(), times, "{plural} {subresource}: {result:?}");
    }
}
