//! Namespace deletion: empties a namespace that is marked as deleted, then takes its finalizer away.

use std::collections::HashSet;
use std::sync::Arc;

use apimachinery::options::DeleteOptions;
use apimachinery::{Status, object};
use registry::Registry;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{self, Changes, Client, RETRY_PAUSE_MIN, longer};

/// Namespaces that are emptied at a time; the others wait.
const DRAINS_MAX: usize = 8;
const FINALIZER: &str = "kubernetes";

pub(crate) async fn run(registry: Arc<Registry>) {
    let client = Client::new(registry, "namespace-controller");
    let mut changes = Changes::of(client.cacher(client::resource("", "v1", "namespaces")));
    let (mut running, mut drains) = (HashSet::new(), JoinSet::new());
    let permits = Arc::new(tokio::sync::Semaphore::new(DRAINS_MAX));
    loop {
        tokio::select! {
            updates = changes.next() => {
                for (_, namespace) in updates.into_iter().filter_map(client::event) {
                    let name = namespace.name().to_owned();
                    if is_terminating(&client, &name) && running.insert(name.clone()) {
                        let (client, permits) = (client.clone(), permits.clone());
                        drains.spawn(async move {
                            let _permit = permits.acquire().await;
                            drain(&client, &name).await;
                            name
                        });
                    }
                }
            }
            Some(done) = drains.join_next(), if !drains.is_empty() => {
                if let Ok(name) = done {
                    running.remove(&name);
                }
            }
        }
    }
}

fn is_terminating(client: &Client, name: &str) -> bool {
    let namespace = client.cacher(client::resource("", "v1", "namespaces")).get(name);
    let namespace = namespace.and_then(|found| serde_json::from_slice::<Value>(&found.json()).ok());
    namespace.is_some_and(|namespace| {
        let finalizers = namespace.pointer("/spec/finalizers").and_then(Value::as_array);
        object::is_being_deleted(&namespace) && finalizers.is_some_and(|list| list.iter().any(|f| f == FINALIZER))
    })
}

/// Deletes content until none is left; what holds a finalizer is waited for.
async fn drain(client: &Client, namespace: &str) {
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        match delete_content(client, namespace).await {
            Ok(0) => match finalize(client, namespace).await {
                Ok(()) => return,
                Err(status) => tracing::warn!(namespace, %status, "a namespace could not be finalized; trying again"),
            },
            Ok(left) => tracing::debug!(namespace, left, "a namespace is being emptied"),
            Err(status) => tracing::warn!(namespace, %status, "a namespace could not be emptied; trying again"),
        }
        if !is_terminating(client, namespace) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = longer(pause);
    }
}

/// One pass over all resources; how many objects are still there after it.
async fn delete_content(client: &Client, namespace: &str) -> Result<usize, Status> {
    let prefix = format!("{namespace}/");
    let mut left = 0;
    for cacher in client.registry.caches().all().filter(|cacher| cacher.resource().namespaced()) {
        let predicate = cacher::Predicate { namespace: Some(namespace.into()), ..Default::default() };
        let snapshot = cacher.snapshot();
        for object in predicate.select(&snapshot) {
            let options = DeleteOptions { propagation_policy: Some("Background".into()), ..Default::default() };
            client.delete(cacher.resource().clone(), namespace, object.name(), &options).await?;
            left += usize::from(cacher.get(&format!("{prefix}{}", object.name())).is_some());
        }
    }
    Ok(left)
}

async fn finalize(client: &Client, namespace: &str) -> Result<(), Status> {
    let without = |object: &mut Value| {
        if let Some(finalizers) = object.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
    };
    client.modify(client::resource("", "v1", "namespaces").into(), "finalize", "", namespace, without).await
}
