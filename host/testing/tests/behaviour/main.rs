//! What a server does where the store, other clients and its own end get in its way, each as a named case.

#![allow(missing_docs, reason = "a test")]

mod charges;
mod conflicts;
mod finalizers;
mod kill;
mod names;
mod plugins;
mod time;
mod unknown;
mod watches;

use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/n/configmaps";
const MAP: &str = "/api/v1/namespaces/n/configmaps/a";

fn map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "nodeName": "node", "containers": [{ "name": "c", "image": "i" }] },
    })
}
