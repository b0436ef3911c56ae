//! The condition `Established` of CustomResourceDefinitions whose resources this server does not serve. Upstream's is set by its server,
//! and not by a controller manager: this one has no flag, and runs on etcd as well.

use apimachinery::object;
use serde_json::{Value, json};

use crate::client::{self, Changes, Client, RETRY_PAUSE_MIN, event, longer};
use crate::server::Server;

/// Runs until it is dropped.
pub(crate) async fn run(server: Server) {
    let client = Client::new(&server, "apiextensions-controller");
    let resource = client::resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let mut changes = Changes::of(&client.cacher(&resource));
    loop {
        for (_, definition) in changes.next().await.into_iter().filter_map(event) {
            let Ok(definition) = serde_json::from_slice::<Value>(&definition.json()) else { continue };
            if api::unenforced::definition_condition(&definition, "").is_some() {
                say(&client, object::name(&definition)).await;
            }
        }
    }
}

async fn say(client: &Client, name: &str) {
    let resource = client::resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let now = client.now();
    let add = |definition: &mut Value| {
        let Some(condition) = api::unenforced::definition_condition(definition, &now) else { return };
        let conditions = &mut definition["status"]["conditions"];
        match conditions.as_array_mut() {
            Some(conditions) => conditions.push(condition),
            None => *conditions = json!([condition]),
        }
    };
    let mut pause = RETRY_PAUSE_MIN;
    while let Err(status) = client.modify(resource.clone(), "status", "", name, &add).await {
        tracing::warn!(name, %status, "the status of a CustomResourceDefinition could not be written; trying again");
        tokio::time::sleep(pause).await;
        pause = longer(pause);
    }
}
