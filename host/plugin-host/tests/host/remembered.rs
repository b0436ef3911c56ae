//! Plugins are not called where they cannot answer, or where a pure one has answered before.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::GroupResource;
use async_trait::async_trait;
use auth::{Authentication, Authenticator, Authorizer, Credentials, Decision, UserInfo};
use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use wasmgate_plugin_host::*;

use crate::bench::*;

/// A set whose metrics can be read.
struct Measured {
    bench: Bench,
    registry: Registry,
}

impl Measured {
    async fn with(role: &str, change: Value) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry);
        let measured = Self { bench: Bench::with(|loader| loader.metrics = metrics).await, registry };
        measured.load(role, change).await;
        measured
    }

    async fn load(&self, role: &str, change: Value) {
        let mut spec = json!({"roles": [role], "credentials": []});
        change.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
        self.bench.load(&[manifest("a", spec)]).await;
    }

    /// Calls that were made, and those that were spared.
    fn calls(&self) -> (u64, u64) {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).expect("text");
        let sum = |metric: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.rsplit(' ').next()?.parse::<u64>().ok());
            lines.sum()
        };
        (sum("wasmgate_plugin_call_duration_seconds_count{"), sum("wasmgate_plugin_answers_remembered_total{"))
    }

    async fn answer(&self, verb: &str) -> String {
        let user = Arc::new(UserInfo { name: "jane".into(), ..UserInfo::default() });
        let asked = auth::Attributes { user, verb: verb.into(), ..auth::Attributes::default() };
        self.bench.set.chain().authorize(&asked).await.reason
    }
}

#[tokio::test]
async fn a_pure_authorizer_is_asked_once_and_again_when_what_it_watches_changes() {
    let watches = json!([{"resource": "pods"}]);
    let pure = Measured::with("authorizer", json!({"pure": true, "watches": watches, "config": {"do": "count"}})).await;
    for _ in 0..3 {
        assert_eq!(pure.answer("get").await, "1");
    }
    assert_eq!(pure.calls(), (1, 2));
    // Another question is another.
    assert_eq!((pure.answer("list").await, pure.answer("get").await, pure.answer("list").await), ("2".into(), "1".into(), "2".into()));
    // Whatever changes, all answers are gone: the very next is new.
    for (change, want) in [("one", "3"), ("two", "4")] {
        pure.bench.cluster.add(change);
        assert_eq!((pure.answer("get").await.as_str(), pure.answer("get").await.as_str()), (want, want));
    }
    pure.bench.cluster.remove("one");
    assert_eq!(pure.answer("get").await, "5");
    // Another version has answered nothing yet.
    pure.load("authorizer", json!({"pure": true, "watches": watches, "config": {"do": "count", "version": "2"}})).await;
    assert_eq!((pure.answer("get").await.as_str(), pure.answer("get").await.as_str()), ("1", "1"));
}

#[tokio::test]
async fn who_does_not_say_that_it_is_pure_is_asked_each_time() {
    let other = Measured::with("authorizer", json!({"config": {"do": "count"}})).await;
    assert_eq!((other.answer("get").await.as_str(), other.answer("get").await.as_str()), ("1", "2"));
    assert_eq!(other.calls(), (2, 0));
}

#[tokio::test]
async fn what_looked_elsewhere_or_said_more_or_failed_is_not_remembered_whatever_the_manifest_says() {
    for script in ["clock", "read", "note", "beside", "trap", "random-error"] {
        let spec = json!({"pure": true, "reads": [{"resource": "pods"}], "config": {"do": script}});
        let plugin = Measured::with("authorizer", spec).await;
        plugin.answer("get").await;
        plugin.answer("get").await;
        assert_eq!(plugin.calls(), (2, 0), "{script}");
    }
}

#[tokio::test]
async fn an_authenticator_is_asked_only_where_its_credential_is_shown() {
    let plugin = Measured::with("authenticator", json!({"credentials": ["bearer-token"], "config": {"do": "show"}})).await;
    let chain = plugin.bench.set.chain();
    let none = chain.authenticate(&Credentials::default()).await.expect("no fault");
    assert_eq!((none, plugin.calls()), (Authentication::NoOpinion, (0, 0)));
    let token = Credentials { bearer_token: Some("t".into()), ..Credentials::default() };
    assert!(matches!(chain.authenticate(&token).await, Ok(Authentication::User(_))));
    assert_eq!(plugin.calls(), (1, 0));
}

#[tokio::test]
async fn a_pure_authenticator_is_asked_once_for_a_credential() {
    let spec = json!({"pure": true, "credentials": ["bearer-token"], "config": {"do": "count"}});
    let plugin = Measured::with("authenticator", spec).await;
    for (token, want) in [("a", "1"), ("a", "1"), ("b", "2"), ("a", "1"), ("b", "2")] {
        let credentials = Credentials { bearer_token: Some(token.into()), ..Credentials::default() };
        match plugin.bench.set.chain().authenticate(&credentials).await {
            Ok(Authentication::User(user)) => assert_eq!(user.name, want, "{token}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(plugin.calls(), (2, 3));
}

#[tokio::test]
async fn a_rule_that_wants_an_object_to_exist_spares_the_call_where_there_is_none() {
    let rules = json!([{"resources": ["pods"], "exists": {"resource": "pods"}}]);
    let spec = json!({"match": rules, "watches": [{"resource": "pods"}], "config": {"do": "deny"}});
    let plugin = Measured::with("validating-admission", spec).await;
    plugin.bench.create().await.0.expect("admitted");
    assert_eq!(plugin.calls(), (0, 0));
    plugin.bench.cluster.add("one");
    assert_eq!(plugin.bench.create().await.0.expect_err("refused").code, 403);
    plugin.bench.cluster.remove("one");
    plugin.bench.create().await.0.expect("admitted");
}

#[tokio::test]
async fn a_rule_that_wants_something_of_a_look_up_spares_the_call_where_it_is_otherwise() {
    let look_up = json!([{"name": "itself", "resource": "pods", "namespaceFrom": "/namespace", "nameFrom": ["/object/metadata/name"]}]);
    let rules =
        json!([{"resources": ["pods"], "lookup": {"name": "itself", "field": "/metadata/name", "operator": "In", "values": ["web"]}}]);
    let spec = json!({"match": rules, "reads": [{"resource": "pods"}], "lookups": look_up,
        "config": {"do": "deny"}});
    let plugin = Measured::with("validating-admission", spec).await;
    plugin.bench.create().await.0.expect("admitted");
    assert_eq!(plugin.calls(), (0, 0));
    plugin.bench.cluster.add("web");
    assert_eq!(plugin.bench.create().await.0.expect_err("refused").code, 403);
    plugin.bench.cluster.remove("web");
    plugin.bench.create().await.0.expect("admitted");
}

/// The objects of RBAC, that come and go.
#[derive(Default)]
struct Roles(Mutex<(BTreeMap<(GroupResource, String), Value>, Vec<Change>)>);

impl Roles {
    fn set(&self, resource: &str, name: &str, object: Option<Value>) {
        let mut state = self.0.lock();
        let resource = GroupResource::new("rbac.authorization.k8s.io".to_owned(), resource.to_owned());
        let revision = state.1.len() as u64 + 1;
        let bytes = object.as_ref().map(|object| Bytes::from(object.to_string()));
        state.1.push(Change { resource: resource.clone(), namespace: "ns".into(), name: name.into(), revision, object: bytes });
        match object {
            Some(object) => drop(state.0.insert((resource, name.to_owned()), object)),
            None => drop(state.0.remove(&(resource, name.to_owned()))),
        }
    }
}

struct RolesFeed(Arc<Roles>, Vec<GroupResource>);

impl Feed for RolesFeed {
    fn cursor(&self) -> u64 {
        self.0.0.lock().1.len() as u64
    }
    fn snapshot(&self) -> FeedSnapshot {
        FeedSnapshot { cursor: 0, objects: self.1.iter().map(|resource| (resource.clone(), Vec::new())).collect() }
    }
    fn changes_since(&self, cursor: u64) -> Changes {
        let state = self.0.0.lock();
        Changes::Since { cursor: state.1.len() as u64, list: state.1[cursor as usize..].to_vec() }
    }
}

struct RolesView(Arc<Roles>);

#[async_trait]
impl ClusterView for RolesView {
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
    fn subscribe(&self, resources: &[GroupResource]) -> Arc<dyn Feed> {
        Arc::new(RolesFeed(self.0.clone(), resources.to_vec()))
    }
}

#[tokio::test]
async fn rbac_is_not_asked_twice_and_a_bindings_deletion_counts_in_the_very_next_request() {
    let roles = Arc::new(Roles::default());
    let registry = Registry::new();
    let mut loader = loader(&Arc::default());
    loader.services.cluster = Arc::new(RolesView(roles.clone()));
    loader.metrics = Metrics::new(&registry);
    let code = loader.engine.precompile(&component("plugins", "rbac")).expect("compiles");
    let path = format!("{}/../../plugins/rbac/plugin.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a manifest");
    let standard = Standard { manifest: text.into(), code: code.into(), digest: "".into(), order: None, config: None };
    let set = PluginSet::new(loader, vec![standard]).await.expect("RBAC");
    let measured = Measured { bench: Bench { set, cluster: Arc::default() }, registry };

    roles.set(
        "roles",
        "r",
        Some(json!({"metadata": {"namespace": "ns", "name": "r"}, "rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]})),
    );
    let binding = json!({"metadata": {"namespace": "ns", "name": "b"}, "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}]});
    let asked = auth::Attributes {
        user: Arc::new(UserInfo { name: "jane".into(), ..UserInfo::default() }),
        verb: "get".into(),
        namespace: "ns".into(),
        resource: "pods".into(),
        name: "web".into(),
        resource_request: true,
        ..auth::Attributes::default()
    };
    let chain = measured.bench.set.chain();
    let decides = async || chain.authorize(&asked).await.decision;
    for round in 0..3 {
        assert_eq!(decides().await, Decision::NoOpinion, "{round}");
        roles.set("rolebindings", "b", Some(binding.clone()));
        assert_eq!(decides().await, Decision::Allow, "{round}");
        let before = measured.calls();
        for _ in 0..10 {
            assert_eq!(decides().await, Decision::Allow, "{round}");
        }
        assert_eq!(measured.calls(), (before.0, before.1 + 10), "{round}");
        roles.set("rolebindings", "b", None);
    }
    assert_eq!(decides().await, Decision::NoOpinion);
}

#[tokio::test]
async fn a_shadow_is_asked_and_counted_and_nothing_else_and_who_warns_only_warns() {
    for (mode, warnings) in [("Shadow", 0), ("Warn", 2)] {
        let plugin = Measured::with("validating-admission", json!({"mode": mode, "config": {"do": "deny"}})).await;
        let (admitted, recorder) = plugin.bench.create().await;
        admitted.expect("admitted");
        assert_eq!((recorder.warnings.texts().len(), plugin.calls().0), (warnings, 1), "{mode}");
        assert_eq!(recorder.annotations.list().len(), usize::from(mode == "Warn"), "{mode}");
        let text = TextEncoder::new().encode_to_string(&plugin.registry.gather()).expect("text");
        assert!(text.contains("wasmgate_plugin_disagreements_total{plugin=\"a\"} 1"), "{mode} {text}");
        // Nobody waits for it, and its faults are nobody's.
        let plugin = Measured::with("validating-admission", json!({"mode": mode, "config": {"do": "trap"}})).await;
        assert!(!plugin.bench.set.states()[0].required, "{mode}");
        plugin.bench.create().await.0.expect("admitted");
    }
}
