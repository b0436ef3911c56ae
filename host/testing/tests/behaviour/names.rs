//! A name that is somebody else's.

use serde_json::{Value, json};
use wasmgate_testing::{Fault, TestServer};

use crate::{MAPS, map};

fn generated() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "g-" } })
}

#[tokio::test]
async fn a_taken_name_is_409() {
    let server = TestServer::new().await;
    // Somebody is faster between the request and its commit.
    server.storage.plan([Fault::Conflict]);
    let refused = server.call("POST", MAPS, map("a")).await;
    assert_eq!((refused.code, &*refused.refusal()), (409, "configmaps \"a\" already exists"));
    assert_eq!(refused.json()["reason"], "AlreadyExists");
}

#[tokio::test]
async fn a_generated_name_is_drawn_again_seven_times() {
    for taken in 0..8 {
        let server = TestServer::new().await;
        server.storage.plan((0..taken).map(|_| Fault::Conflict));
        let made = server.call("POST", MAPS, generated()).await.ok();
        assert!(server.storage.is_plan_over());
        assert!(made["metadata"]["name"].as_str().unwrap().starts_with("g-"));
        let all = server.get(MAPS).await.ok();
        assert_eq!(all["items"].as_array().unwrap().len(), taken + 1, "each name is drawn anew");
    }
}

#[tokio::test]
async fn the_eighth_taken_name_is_409() {
    let server = TestServer::new().await;
    server.storage.plan([Fault::Conflict; 8]);
    let refused = server.call("POST", MAPS, generated()).await;
    assert!(server.storage.is_plan_over());
    assert_eq!(refused.code, 409);
    let message = refused.refusal();
    assert!(message.ends_with("already exists, the server was not able to generate a unique name for the object"), "{message}");
}

/// A create of the name of an object that is being deleted says why it has to wait.
#[tokio::test]
async fn a_name_whose_object_is_being_deleted_is_said_to_be() {
    let server = TestServer::new().await;
    let mut held = map("a");
    held["metadata"]["finalizers"] = json!(["e.com/f"]);
    server.call("POST", MAPS, held).await.ok();
    server.call("DELETE", crate::MAP, Value::Null).await.ok();
    let refused = server.call("POST", MAPS, map("a")).await;
    assert_eq!((refused.code, &*refused.refusal()), (409, "object is being deleted: configmaps \"a\" already exists"));
}
