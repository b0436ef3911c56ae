//! What a warm call costs. Prints; asserts nothing about time: `cargo test --release -- --ignored --nocapture cost`.

use std::sync::Arc;
use std::time::Instant;

use admission::EmptyChain;
use apimachinery::GroupResource;
use async_trait::async_trait;
use auth::{Authenticator, Authorizer, Credentials, Decision, UserInfo};
use bytes::Bytes;
use serde_json::json;
use wasmgate_plugin_host::*;

use crate::bench::*;

/// 1,000 role bindings in ten namespaces, each for one user, to one of ten roles.
struct Bindings;

const RBAC: &str = "rbac.authorization.k8s.io";

fn objects(resource: &GroupResource) -> Vec<Bytes> {
    match &*resource.resource {
        "clusterroles" => (0..10)
            .map(|i| {
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": format!("role-{i}")},
                "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
                          {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["*"]}]})
                .to_string()
                .into()
            })
            .collect(),
        "rolebindings" => (0..1000)
            .map(|i| {
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("binding-{i}"), "namespace": format!("ns-{}", i % 10)},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": format!("role-{}", i % 10)},
                "subjects": [{"apiGroup": RBAC, "kind": "User", "name": format!("user-{i}")}]})
                .to_string()
                .into()
            })
            .collect(),
        _ => Vec::new(),
    }
}

struct Still(Vec<GroupResource>);

impl Feed for Still {
    fn cursor(&self) -> u64 {
        1
    }
    fn snapshot(&self) -> FeedSnapshot {
        let change = |resource: &GroupResource, object: Bytes| {
            let value: serde_json::Value = serde_json::from_slice(&object).expect("an object");
            let text = |field: &str| value["metadata"][field].as_str().unwrap_or_default().into();
            Change { resource: resource.clone(), namespace: text("namespace"), name: text("name"), revision: 1, object: Some(object) }
        };
        let of = |resource: &GroupResource| objects(resource).into_iter().map(|object| change(resource, object)).collect();
        FeedSnapshot { cursor: 1, objects: self.0.iter().map(|resource| (resource.clone(), of(resource))).collect() }
    }
    fn changes_since(&self, cursor: u64) -> Changes {
        Changes::Since { cursor, list: Vec::new() }
    }
}

#[async_trait]
impl ClusterView for Bindings {
    fn get(&self, resource: &GroupResource, _: &str, name: &str) -> Option<Bytes> {
        let object = json!({"metadata": {"name": name}, "status": {"phase": "Active"}});
        ["namespaces", "serviceaccounts"].contains(&&*resource.resource).then(|| object.to_string().into())
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
        Arc::new(Still(resources.to_vec()))
    }
}

async fn chain_of(plugin: &str) -> Arc<Chain> {
    let mut loader = loader(&Arc::default());
    loader.services.cluster = Arc::new(Bindings);
    let code = loader.engine.precompile(&component("plugins", plugin)).expect("compiles");
    let path = format!("{}/../../plugins/{plugin}/plugin.yaml", env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(path).expect("a manifest");
    let started = Instant::now();
    let set = PluginSet::new(
        loader,
        vec![Standard { manifest: manifest.into(), code: code.into(), digest: "".into(), order: None, config: None }],
    )
    .await
    .expect(plugin);
    println!("{plugin:<24} ready in {:?}", started.elapsed());
    set.chain()
}

/// `prepare` is not measured.
async fn measure<T, F: Future>(name: &str, mut prepare: impl FnMut() -> T, mut call: impl FnMut(T) -> F) {
    for _ in 0..2_000 {
        call(prepare()).await;
    }
    let mut times = Vec::with_capacity(20_000);
    for _ in 0..20_000 {
        let prepared = prepare();
        let started = Instant::now();
        call(prepared).await;
        times.push(started.elapsed());
    }
    times.sort();
    println!("{name:<36} median {:?}  p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
}

#[tokio::test]
#[ignore = "prints figures"]
async fn cost_of_a_warm_call() {
    let (started, before) = (Instant::now(), resident());
    let engine = PluginEngine::new().expect("an engine");
    println!("{:<24} ready in {:?}, {} kB more resident", "engine", started.elapsed(), resident() - before);
    drop(engine);
    let rbac = chain_of("rbac").await;
    let attributes = auth::Attributes {
        user: Arc::new(UserInfo { name: "user-777".into(), groups: vec!["system:authenticated".into()], ..Default::default() }),
        verb: "list".into(),
        namespace: "ns-7".into(),
        api_group: "apps".into(),
        api_version: "v1".into(),
        resource: "deployments".into(),
        resource_request: true,
        path: "/apis/apps/v1/namespaces/ns-7/deployments".into(),
        ..Default::default()
    };
    assert_eq!(rbac.authorize(&attributes).await.decision, Decision::Allow);
    measure("RBAC, 1000 bindings", || (), |()| rbac.authorize(&attributes)).await;
    let other = auth::Attributes { verb: "delete".into(), ..attributes.clone() };
    assert_eq!(rbac.authorize(&other).await.decision, Decision::NoOpinion);
    measure("RBAC, not allowed", || (), |()| rbac.authorize(&other)).await;
    let allow = chain_of("always-allow").await;
    measure("AlwaysAllow", || (), |()| allow.authorize(&attributes)).await;
    let anonymous = chain_of("anonymous").await;
    let credentials = Credentials::default();
    measure("anonymous", || (), |()| anonymous.authenticate(&credentials)).await;
    let request = create(Arc::new(EmptyChain));
    let pod = new_pod();
    for plugin in
        ["namespace-lifecycle", "limit-ranger", "service-account-admission", "priority", "default-toleration-seconds", "pod-security"]
    {
        let chain = chain_of(plugin).await;
        let mut admitted = pod.clone();
        admission::Admission::mutate(&*chain, &request, &Untyped::PODS, Some(&mut admitted), None).await.expect("admitted");
        // With what the chain does around the call: the patch is read and applied.
        measure(
            &format!("{plugin}, mutate"),
            || pod.clone(),
            |mut pod| {
                let (chain, request) = (&chain, &request);
                async move { admission::Admission::mutate(&**chain, request, &Untyped::PODS, Some(&mut pod), None).await.expect("admitted") }
            },
        )
        .await;
        admitted["spec"]["serviceAccountName"] = "default".into();
        let objects = admission::Objects { object: Some(&admitted), old: None };
        measure(
            &format!("{plugin}, validate"),
            || (),
            |()| {
                let (chain, request) = (&chain, &request);
                async move { admission::Admission::validate(&**chain, request, &Untyped::PODS, objects).await.expect("admitted") }
            },
        )
        .await;
    }
    println!("{} kB resident", resident());
}

/// 100,000 pods of 2.4 kB on 1,000 nodes.
struct Pods(Vec<Change>);

impl Pods {
    fn new() -> Self {
        let pod = |number: usize| {
            let mut pod = new_pod();
            pod["metadata"]["name"] = format!("pod-{number:06}").into();
            pod["spec"]["nodeName"] = format!("node-{:04}", number % 1_000).into();
            let name = format!("pod-{number:06}").into();
            let object = Some(pod.to_string().into());
            Change { resource: GroupResource::of("", "pods"), namespace: "default".into(), name, revision: 1, object }
        };
        Self((0..100_000).map(pod).collect())
    }
}

impl Feed for Pods {
    fn cursor(&self) -> u64 {
        1
    }
    fn snapshot(&self) -> FeedSnapshot {
        FeedSnapshot { cursor: 1, objects: vec![(GroupResource::of("", "pods"), self.0.clone())] }
    }
    fn changes_since(&self, cursor: u64) -> Changes {
        Changes::Since { cursor, list: Vec::new() }
    }
}

struct ManyPods(Arc<Pods>);

#[async_trait]
impl ClusterView for ManyPods {
    fn get(&self, _: &GroupResource, _: &str, _: &str) -> Option<Bytes> {
        None
    }
    async fn get_live(&self, _: &GroupResource, _: &str, _: &str) -> Result<Option<Bytes>, String> {
        Ok(None)
    }
    fn list(&self, _: &GroupResource, _: &str) -> Vec<Bytes> {
        Vec::new()
    }
    fn serves(&self, _: &GroupResource) -> bool {
        true
    }
    fn subscribe(&self, _: &[GroupResource]) -> Arc<dyn Feed> {
        self.0.clone()
    }
}

/// An index that the host holds, beside one that each instance would hold by `watches`.
#[tokio::test]
#[ignore = "prints figures"]
async fn cost_of_an_index_of_100_000_pods() {
    let pods = Arc::new(Pods::new());
    let index = json!([{"name": "pods", "resource": "pods", "key": [["spec/nodeName"]]}]);
    let watches = json!([{"resource": "pods", "fields": ["spec/nodeName"]}]);
    for (name, change) in [("indexes", json!({"indexes": index})), ("watches", json!({"watches": watches}))] {
        let (started, before) = (Instant::now(), resident());
        let bench = Bench::with(|loader| loader.services.cluster = Arc::new(ManyPods(pods.clone()))).await;
        let script = if name == "indexes" { "index-any" } else { "nothing" };
        let mut spec = json!({"roles": ["authorizer"], "credentials": [], "config": {"do": script}});
        change.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
        bench.load(&[manifest("a", spec)]).await;
        println!("{name}: ready in {:?}, {} kB more resident with one instance", started.elapsed(), resident() - before);
        let user = UserInfo { name: "node-0777".into(), ..Default::default() };
        let asked = auth::Attributes { user: Arc::new(user), ..Default::default() };
        let chain = bench.set.chain();
        let found = chain.authorize(&asked).await.reason;
        assert_eq!(found, if name == "indexes" { "true" } else { "" });
        measure(&format!("{name}, a call"), || (), |()| chain.authorize(&asked)).await;
    }
}

/// 2.4 kB, most of it an environment.
fn new_pod() -> serde_json::Value {
    let environment: Vec<_> =
        (0..24).map(|i| json!({"name": format!("VARIABLE_{i}"), "value": "a value of some length, as they are in life"})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "main", "image": "registry.example.com/team/application:1.2.3", "env": environment,
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/application"}]}],
            "volumes": [{"name": "config", "configMap": {"name": "application"}}]},
    })
}

/// Kilobytes of this process in memory; 0 where there is no /proc.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
