//! Clients that write: one request, or what they do in one go, drawn from a seed.

use serde_json::{Value, json};
use wasmgate_testing::seeds::Random;
use wasmgate_testing::{Answer, TestServer};

use crate::selectors::{Kind, Selector};

/// What may come of a request among faults: done, gone, in conflict or there already, not valid any more, or not known.
const CODES: [u16; 6] = [200, 201, 404, 409, 422, 503];

pub struct Client<'a> {
    server: &'a TestServer,
    random: Random,
}

impl<'a> Client<'a> {
    pub fn new(server: &'a TestServer, random: Random) -> Self {
        Self { server, random }
    }

    /// Does something. The revision that it was answered with.
    pub async fn act(mut self) -> Option<u64> {
        let kind = *self.random.pick(&[Kind::ConfigMap, Kind::ConfigMap, Kind::Pod]);
        let collection = format!("/api/v1/namespaces/{}/{}", self.random.pick(&["a", "b"]), kind.plural());
        let object = format!("{collection}/{}", self.name());
        let answer = match self.random.below(12) {
            0..=3 => self.create(kind, &collection).await,
            4 => self.update(&object).await,
            5 | 6 => {
                let patch = json!({ "metadata": { "labels": { "x": self.label() } } });
                self.server.call("PATCH", &object, patch).await
            }
            7 if kind == Kind::Pod => self.bind(&object).await,
            7 | 8 if kind == Kind::Pod => {
                let phase = *self.random.pick(&["Pending", "Running", "Succeeded"]);
                self.server.call("PATCH", &format!("{object}/status"), json!({ "status": { "phase": phase } })).await
            }
            7 => self.server.call("PATCH", &object, json!({ "metadata": { "finalizers": null } })).await,
            8 | 9 => self.server.call("DELETE", &format!("{object}?gracePeriodSeconds=0"), Value::Null).await,
            10 => {
                let target = Selector::any(&mut self.random).target().replace("limit=0", "gracePeriodSeconds=0");
                // Of all namespaces none can be deleted at once.
                let target = target
                    .replace("/api/v1/configmaps", "/api/v1/namespaces/a/configmaps")
                    .replace("/api/v1/pods", "/api/v1/namespaces/b/pods");
                self.server.call("DELETE", &target, Value::Null).await
            }
            _ => self.server.get(&collection).await,
        };
        assert!(CODES.contains(&answer.code), "{} {}", answer.code, answer.json());
        (answer.code < 300).then(|| answer.json()["metadata"]["resourceVersion"].as_str()?.parse().ok()).flatten()
    }

    fn name(&mut self) -> String {
        format!("n{}", self.random.below(5))
    }

    /// A value of the label `x`; null: it has none.
    fn label(&mut self) -> Value {
        self.random.pick(&[json!("1"), json!("2"), json!("3"), Value::Null]).clone()
    }

    async fn create(&mut self, kind: Kind, collection: &str) -> Answer {
        let mut metadata = json!({ "name": self.name(), "labels": { "x": self.label() } });
        if metadata["labels"]["x"].is_null() {
            metadata["labels"] = json!({});
        }
        if self.random.percent(20) {
            metadata["finalizers"] = json!(["e.com/f"]);
        }
        if self.random.percent(10) {
            metadata = json!({ "generateName": "n" });
        }
        let object = match kind {
            Kind::ConfigMap => {
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "k": self.random.number().to_string() } })
            }
            Kind::Pod => {
                let mut spec = json!({ "containers": [{ "name": "c", "image": "i" }] });
                if self.random.percent(40) {
                    spec["nodeName"] = (*self.random.pick(&["node1", "node2"])).into();
                }
                json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
            }
        };
        self.server.call("POST", collection, object).await
    }

    /// Reads, changes and writes; half of the clients insist on what they read.
    async fn update(&mut self, path: &str) -> Answer {
        let found = self.server.get(path).await;
        if found.code != 200 {
            return found;
        }
        let mut object = found.json();
        object["metadata"]["annotations"]["changed"] = self.random.number().to_string().into();
        if self.random.percent(50) {
            object["metadata"]["resourceVersion"] = Value::Null;
        }
        self.server.call("PUT", path, object).await
    }

    async fn bind(&mut self, pod: &str) -> Answer {
        let name = pod.rsplit('/').next().unwrap_or_default();
        let node = *self.random.pick(&["node1", "node2"]);
        let binding =
            json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name }, "target": { "kind": "Node", "name": node } });
        self.server.call("POST", &format!("{pod}/binding"), binding).await
    }
}
