//! The examples, as an operator installs them. `cargo xtask examples` builds them.

use std::path::Path;
use std::sync::Arc;

use admission::{ChainSource, Objects};
use apimachinery::{GroupResource, Status};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use wasmgate_plugin_host::*;

use crate::bench::*;

/// Every namespace belongs to team red.
struct RedTeam;

#[async_trait]
impl ClusterView for RedTeam {
    fn get(&self, resource: &GroupResource, _: &str, name: &str) -> Option<Bytes> {
        let namespace = json!({"metadata": {"name": name, "labels": {"team": "red"}}});
        (resource.resource == "namespaces").then(|| namespace.to_string().into())
    }
    async fn get_live(&self, resource: &GroupResource, namespace: &str, name: &str) -> Result<Option<Bytes>, String> {
        Ok(self.get(resource, namespace, name))
    }
    fn list(&self, _: &GroupResource, _: &str) -> Vec<Bytes> {
        Vec::new()
    }
    fn serves(&self, _: &GroupResource) -> bool {
        true
    }
    fn subscribe(&self, resources: &[GroupResource]) -> Arc<dyn Feed> {
        EmptyCluster.subscribe(resources)
    }
}

/// An example, its instances used again.
async fn installed(language: &str, name: &str) -> Bench {
    let bench = Bench::with(|loader| {
        loader.services.cluster = Arc::new(RedTeam);
        // Compiling Python takes half a minute; the next run finds it here.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        loader.cache = Some(CodeCache::open(target.join("test-cache"), &target.join("test-cache.key")).expect("a cache"));
    })
    .await;
    let folder = format!("examples/{language}");
    let path = format!("{}/../../target/{folder}/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; run cargo xtask examples first"));
    let manifest = manifest.replace("  instances: Reused\n", "").replace("\nspec:\n", "\nspec:\n  instances: Reused\n");
    bench.load_components(vec![(manifest, component(&folder, name).into())]).await;
    let states = bench.set.states();
    assert_eq!(states[0].status, PluginStatus::Ready, "{language}/{name}: {:?}", states[0]);
    bench
}

async fn admit(bench: &Bench, mut pod: Value) -> Result<Value, Status> {
    let attributes = create(bench.set.in_force());
    let chain = &attributes.context.chain;
    chain.mutate(&attributes, &Untyped::PODS, Some(&mut pod), None).await?;
    chain.validate(&attributes, &Untyped::PODS, Objects { object: Some(&pod), old: None }).await?;
    Ok(pod)
}

fn pod(metadata: Value, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "c", "image": image}]}})
}

/// What the language keeps from call to call (a heap, a garbage collector, handles) is in order after many of them. The other cases, and
/// Python, are in the end-to-end tests.
#[tokio::test]
async fn no_latest_tag_in_an_instance_that_is_used_again() {
    for language in ["rust", "go", "typescript", "c"] {
        let bench = installed(language, "no-latest-tag").await;
        for call in 0..1_000 {
            let metadata = json!({"name": "web", "namespace": "default", "labels": {"large": "x".repeat(call)}});
            let admitted = admit(&bench, pod(metadata.clone(), "nginx:1.27")).await;
            admitted.unwrap_or_else(|status| panic!("{language}, call {call}: {status}"));
            let status = admit(&bench, pod(metadata, "nginx")).await.expect_err("refused");
            let message = "pods \"web\" is forbidden: image \"nginx\" of container \"c\" needs a tag other than latest";
            assert_eq!(status.message, message, "{language}, call {call}");
        }
    }
}

#[tokio::test]
async fn team_label_in_python() {
    let bench = installed("python", "team-label").await;
    let cases = [json!({"name": "web"}), json!({"name": "web", "labels": {"a": "b"}}), json!({"name": "web", "labels": {"team": "blue"}})];
    // The interpreter lives from call to call.
    for metadata in cases.iter().cycle().take(300) {
        let pod = admit(&bench, pod(metadata.clone(), "nginx")).await.unwrap_or_else(|status| panic!("{metadata}: {status}"));
        assert_eq!(pod["metadata"]["labels"]["team"], "red", "{metadata}");
    }
}
