//! Whatever admission makes of an object: it stays where its creator was authorized to create it.

use std::sync::Arc;
use std::time::SystemTime;

use admission::{Admission, Attributes, Charges, ObjectInterfaces, Objects, RequestContext};
use apimachinery::Status;
use async_trait::async_trait;
use registry::Request;
use serde_json::{Value, json};

use crate::world::{World, chain_of, request, resource};

/// Moves what asks for it to another namespace. A chain of plugins would refuse such a patch before the registry does.
struct Mover;

#[async_trait]
impl Admission for Mover {
    async fn mutate(&self, _: &Attributes, _: &dyn ObjectInterfaces, object: Option<&mut Value>, _: Option<&Value>) -> Result<(), Status> {
        if let Some(object) = object {
            object["metadata"]["namespace"] = "victim".into();
        }
        Ok(())
    }

    async fn validate(&self, _: &Attributes, _: &dyn ObjectInterfaces, _: Objects<'_>) -> Result<Charges, Status> {
        Ok(Charges::default())
    }
}

#[tokio::test]
async fn admission_moves_nothing_to_where_it_was_not_authorized() {
    let world = World::new().await;
    let maps = resource("", "v1", "configmaps");
    let create = |namespace: &str| {
        let context = RequestContext::new(Arc::new(chain_of(Arc::new(Mover))), Arc::default(), SystemTime::now());
        Request { context: Arc::new(context), ..request(&maps, "create", namespace, "") }
    };
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "made" } });
    let refused = world.registry.create(&create("ten"), map.clone()).await.map(|_| ()).expect_err("it would be moved");
    assert_eq!(refused.code, 400, "{refused:?}");
    assert!(
        refused.message.contains("the namespace of the provided object does not match the namespace sent on the request"),
        "{refused:?}"
    );
    assert!(world.all(&maps).await.is_empty());
    world.registry.create(&create("victim"), map).await.expect("it is where it was to be");
}
