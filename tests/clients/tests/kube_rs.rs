//! kube-rs against a whole server on the embedded store: typed and dynamic objects, selectors, discovery, watches, a reflector.
//!
//! `WASMGATE_BIN` is the server; by default the one of this profile's build. Where there is none, the tests say so and pass, so that
//! `cargo test --workspace` works before the server is built; `cargo xtask test` builds it first and insists (`WASMGATE_BIN` is set).

#![allow(missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;

#[path = "../../skipped.rs"]
mod skipped;
use skipped::skipped;

/// How long anything is waited for.
const WAIT: Duration = Duration::from_secs(60);

struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("WASMGATE_BIN") {
        assert!(Path::new(&given).is_file(), "WASMGATE_BIN names no file: {}", given.display());
        return Some(given.into());
    }
    // target/<profile>/deps/<test> → target/<profile>/wasmgate
    let built = std::env::current_exe().ok()?.parent()?.parent()?.join("wasmgate");
    built.is_file().then_some(built)
}

impl Server {
    fn start() -> Option<Self> {
        let Some(binary) = binary() else {
            skipped("no server; build it, or set WASMGATE_BIN");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary directory");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log file");
        let child = Command::new(binary)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--secure-port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        Some(Self { child, folder })
    }

    async fn client(&self) -> Client {
        let path = self.folder.path().join("data/admin.kubeconfig");
        let deadline = Instant::now() + WAIT;
        loop {
            if let Ok(kubeconfig) = Kubeconfig::read_from(&path) {
                let config =
                    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a kubeconfig that holds");
                let client = Client::try_from(config).expect("a client");
                if client.apiserver_version().await.is_ok() {
                    return client;
                }
            }
            assert!(
                Instant::now() < deadline,
                "not ready: {}",
                std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn config_map(name: &str, labels: &[(&str, &str)], value: &str) -> ConfigMap {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "data": {"v": value}})).expect("a config map")
}

fn code(error: kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not an API error: {other}"),
    }
}

#[tokio::test]
async fn objects_are_made_changed_and_deleted() {
    let Some(server) = Server::start() else { return };
    let maps: Api<ConfigMap> = Api::namespaced(server.client().await, "default");
    let post = PostParams::default();
    let mut made = maps.create(&post, &config_map("one", &[], "1")).await.expect("created");
    assert!(made.uid().is_some() && made.resource_version().is_some());
    assert_eq!(code(maps.create(&post, &config_map("one", &[], "1")).await.expect_err("it is there")), 409);
    made.data = Some([("v".to_owned(), "2".to_owned())].into());
    maps.replace("one", &post, &made).await.expect("replaced");
    assert_eq!(code(maps.replace("one", &post, &made).await.expect_err("it is old")), 409);
    let merged = maps.patch("one", &PatchParams::default(), &Patch::Merge(json!({"data": {"w": "3"}}))).await.expect("patched");
    assert_eq!(merged.data.expect("data").len(), 2);
    let steps: kube::core::params::Patch<()> =
        Patch::Json(serde_json::from_value(json!([{"op": "replace", "path": "/data/w", "value": "4"}])).expect("a JSON patch"));
    let stepped = maps.patch("one", &PatchParams::default(), &steps).await.expect("patched");
    assert_eq!(stepped.data.expect("data")["w"], "4");
    assert!(maps.get_metadata("one").await.expect("metadata").metadata.uid.is_some());
    maps.delete("one", &DeleteParams::default()).await.expect("deleted");
    assert!(maps.get_opt("one").await.expect("an answer").is_none());
}

#[tokio::test]
async fn selectors_and_pages() {
    let Some(server) = Server::start() else { return };
    let maps: Api<ConfigMap> = Api::namespaced(server.client().await, "default");
    for index in 0..23 {
        let half = if index % 2 == 0 { "even" } else { "odd" };
        let map = config_map(&format!("m-{index:02}"), &[("set", "pages"), ("half", half)], "");
        maps.create(&PostParams::default(), &map).await.expect("created");
    }
    for (labels, fields, count) in [
        ("set=pages", "", 23),
        ("set=pages,half in (even)", "", 12),
        ("set=pages,half notin (even)", "", 11),
        ("set=pages", "metadata.name=m-07", 1),
        ("set=pages", "metadata.name!=m-07", 22),
        ("!set", "metadata.name=m-07", 0),
    ] {
        let found = maps.list(&ListParams::default().labels(labels).fields(fields)).await.expect("a list");
        assert_eq!(found.items.len(), count, "{labels} {fields}");
    }
    let (mut names, mut params) = (BTreeSet::new(), ListParams::default().labels("set=pages").limit(5));
    loop {
        let page = maps.list(&params).await.expect("a page");
        assert!(page.items.len() <= 5);
        names.extend(page.items.iter().map(ResourceExt::name_any));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = params.continue_token(&token),
            _ => break,
        }
    }
    assert_eq!(names.len(), 23);
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("half=odd")).await.expect("deleted");
    assert_eq!(maps.list(&ListParams::default().labels("set=pages")).await.expect("a list").items.len(), 12);
}

#[tokio::test]
async fn watches_tell_every_change() {
    let Some(server) = Server::start() else { return };
    let secrets: Api<Secret> = Api::namespaced(server.client().await, "default");
    let start = secrets.list(&ListParams::default()).await.expect("a list").metadata.resource_version.expect("a revision");
    let mut stream = pin!(secrets.watch(&WatchParams::default().labels("set=w").timeout(60), &start).await.expect("a watch").boxed());
    let secret =
        |name: &str| -> Secret { serde_json::from_value(json!({"metadata": {"name": name, "labels": {"set": "w"}}})).expect("a secret") };
    for name in ["a", "b"] {
        secrets.create(&PostParams::default(), &secret(name)).await.expect("created");
    }
    let moved = Patch::Merge(json!({"metadata": {"labels": {"set": "elsewhere"}}}));
    secrets.patch("a", &PatchParams::default(), &moved).await.expect("patched");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match tokio::time::timeout(WAIT, stream.try_next()).await.expect("an event in time").expect("no error").expect("no end") {
            WatchEvent::Added(secret) => seen.push(format!("added {}", secret.name_any())),
            WatchEvent::Modified(secret) => seen.push(format!("modified {}", secret.name_any())),
            WatchEvent::Deleted(secret) => seen.push(format!("deleted {}", secret.name_any())),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(seen, ["added a", "added b", "deleted a"]);
}

/// A reflector's store is in the end what a list gives, whatever happened in between; in both of the ways in which watchers begin.
#[tokio::test]
async fn a_reflector_keeps_up_with_a_burst() {
    const OBJECTS: usize = 200;
    let Some(server) = Server::start() else { return };
    let client = server.client().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for (round, config) in [watcher::Config::default(), watcher::Config::default().streaming_lists()].into_iter().enumerate() {
        let set = format!("round={round}");
        let (store, writer) = reflector::store();
        let stream = watcher(maps.clone(), config.labels(&set)).default_backoff().reflect(writer).applied_objects();
        let following = tokio::spawn(async move { pin!(stream).for_each(|_| std::future::ready(())).await });
        store.wait_until_ready().await.expect("the reflector lives");
        let name = |index: usize| format!("r{round}-{index}");
        let creates = futures::stream::iter(0..OBJECTS).map(|index| {
            let (maps, name) = (maps.clone(), name(index));
            async move { maps.create(&PostParams::default(), &config_map(&name, &[("round", &round.to_string())], "0")).await.map(|_| ()) }
        });
        creates.buffer_unordered(16).try_collect::<()>().await.expect("created");
        let changes = futures::stream::iter(0..OBJECTS).map(|index| {
            let (maps, name) = (maps.clone(), name(index));
            async move {
                if index % 4 == 0 {
                    maps.delete(&name, &DeleteParams::default()).await.map(|_| ())
                } else {
                    maps.patch(&name, &PatchParams::default(), &Patch::Merge(json!({"data": {"v": "1"}}))).await.map(|_| ())
                }
            }
        });
        changes.buffer_unordered(16).try_collect::<()>().await.expect("changed");
        let wanted: BTreeMap<String, Option<String>> = maps
            .list(&ListParams::default().labels(&set))
            .await
            .expect("a list")
            .into_iter()
            .map(|map| (map.name_any(), map.resource_version()))
            .collect();
        assert_eq!(wanted.len(), OBJECTS * 3 / 4);
        let deadline = Instant::now() + WAIT;
        loop {
            let found: BTreeMap<_, _> = store.state().iter().map(|map| (map.name_any(), map.resource_version())).collect();
            if found == wanted {
                break;
            }
            assert!(Instant::now() < deadline, "round {round}: {} of {} objects", found.len(), wanted.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        following.abort();
    }
}

#[tokio::test]
async fn everything_that_is_discovered_can_be_listed() {
    let Some(server) = Server::start() else { return };
    let client = server.client().await;
    let discovery = Discovery::new(client.clone()).run().await.expect("discovery");
    let mut kinds = 0;
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Cluster => Api::all_with(client.clone(), &resource),
                Scope::Namespaced => Api::namespaced_with(client.clone(), "default", &resource),
            };
            api.list(&ListParams::default()).await.unwrap_or_else(|error| panic!("{}: {error}", resource.kind));
            kinds += 1;
        }
    }
    assert!(kinds > 40, "{kinds} kinds");
}

#[tokio::test]
async fn dynamic_objects() {
    let Some(server) = Server::start() else { return };
    let client = server.client().await;
    let resource = ApiResource::erase::<Deployment>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let labels = json!({"app": "web"});
    let object = DynamicObject::new("web", &resource).data(json!({"spec": {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}}}));
    let made = api.create(&PostParams::default(), &object).await.expect("created");
    assert_eq!(made.data["spec"]["replicas"], 1, "defaults are filled in");
    let strategic = Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [{"name": "log", "image": "busybox"}]}}}}));
    let patched = api.patch("web", &PatchParams::default(), &strategic).await.expect("patched");
    assert_eq!(patched.data["spec"]["template"]["spec"]["containers"].as_array().map(Vec::len), Some(2));
    let typed: Api<Deployment> = Api::namespaced(client.clone(), "default");
    assert_eq!(typed.get("web").await.expect("there").metadata.generation, Some(2));
    let namespaces: Api<Namespace> = Api::all(client);
    assert!(namespaces.list(&ListParams::default()).await.expect("a list").items.len() >= 4);
}
