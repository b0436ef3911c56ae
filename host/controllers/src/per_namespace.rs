//! An object that every namespace has: the service account `default`, and the config map with the root certificates.

use std::collections::BTreeSet;

use api::ResourceRef;
use cacher::EventType;
use serde_json::{Value, json};

use crate::client::{self, Changes, Client, RETRY_PAUSE_MIN, longer};
use crate::server::Server;

/// What every namespace has.
pub(crate) struct Wanted {
    account: &'static str,
    resource: ResourceRef,
    name: &'static str,
    object: Value,
}

/// The service account `default`, as which a pod runs that names no other.
pub(crate) fn default_service_account() -> Wanted {
    Wanted {
        account: "service-account-controller",
        resource: client::resource("", "v1", "serviceaccounts"),
        name: "default",
        object: json!({ "kind": "ServiceAccount", "apiVersion": "v1", "metadata": { "name": "default" } }),
    }
}

/// The config map `kube-root-ca.crt`, which is mounted into every pod beside its token.
pub(crate) fn root_ca(pem: &str) -> Wanted {
    const NAME: &str = "kube-root-ca.crt";
    const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal \
         service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
    Wanted {
        account: "root-ca-cert-publisher",
        resource: client::resource("", "v1", "configmaps"),
        name: NAME,
        object: json!({
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": { "name": NAME, "annotations": { "kubernetes.io/description": DESCRIPTION } },
            "data": { "ca.crt": pem },
        }),
    }
}

/// Keeps the object in every namespace that is not going away.
pub(crate) async fn run(server: Server, wanted: Wanted) {
    let client = Client::new(&server, wanted.account);
    let namespaces = client.cacher(&client::resource("", "v1", "namespaces"));
    let objects = client.cacher(&wanted.resource);
    let (mut namespace_changes, mut object_changes) = (Changes::of(&namespaces), Changes::of(&objects));
    let mut missing: BTreeSet<String> = BTreeSet::new();
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        tokio::select! {
            updates = namespace_changes.next() => {
                missing.extend(updates.into_iter().filter_map(client::event).map(|(_, namespace)| namespace.name().to_owned()));
            }
            updates = object_changes.next() => {
                let gone = updates.into_iter().filter_map(client::event).filter(|(kind, object)| {
                    object.name() == wanted.name && (*kind == EventType::Deleted || wanted.resource.gvk.kind == "ConfigMap")
                });
                missing.extend(gone.map(|(_, object)| object.namespace().to_owned()));
            }
            () = tokio::time::sleep(pause), if !missing.is_empty() => pause = longer(pause),
        }
        let mut failed = BTreeSet::new();
        for namespace in std::mem::take(&mut missing) {
            if !ensure(&client, &wanted, &namespaces, &namespace).await {
                failed.insert(namespace);
            }
        }
        if failed.is_empty() {
            pause = RETRY_PAUSE_MIN;
        }
        missing = failed;
    }
}

/// Whether there is nothing left to do.
async fn ensure(client: &Client, wanted: &Wanted, namespaces: &cacher::Cacher, namespace: &str) -> bool {
    let active = namespaces.get(namespace).and_then(|found| serde_json::from_slice::<Value>(&found.json()).ok());
    if active.is_none_or(|namespace| apimachinery::object::is_being_deleted(&namespace)) {
        return true;
    }
    let result = match client.cacher(&wanted.resource).get(&format!("{namespace}/{}", wanted.name)) {
        None => client.create(wanted.resource.clone(), namespace, wanted.object.clone()).await,
        Some(found) => match serde_json::from_slice::<Value>(&found.json()) {
            Ok(found) if wanted.object.get("data").is_none() || found.get("data") == wanted.object.get("data") => Ok(()),
            _ => {
                let set = |object: &mut Value| object["data"] = wanted.object["data"].clone();
                client.modify(wanted.resource.clone(), "", namespace, wanted.name, set).await
            }
        },
    };
    match result {
        Ok(()) => true,
        // Somebody else has made it meanwhile, or the namespace is being deleted.
        Err(status) if matches!(status.code, 404 | 409) => true,
        Err(status) if status.code == 403 && status.message.contains("being terminated") => true,
        Err(status) => {
            tracing::warn!(namespace, name = wanted.name, %status, "an object that every namespace has could not be made; trying again");
            false
        }
    }
}
