//! What was authorized against what was touched: every shape of a path over the whole table of kinds, on a whole server.

#![allow(missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth::{Attributes, Decision};
use objectstore::layout;
use parking_lot::Mutex;
use registry::NoHooks;
use serde_json::{Value, json};
use storage::{Operation, Range, Storage};
use testing::plugins::ScriptedAuthorizer;
use testing::{Setup, TestServer};

const ROOT: &str = "/registry/";
const NAMESPACES: [&str; 2] = ["ten", "victim"];
const NAMES: [&str; 3] = ["ten", "victim", "other"];

struct World {
    server: TestServer,
    /// What the authorizer was asked; it allows everything.
    asked: Arc<Mutex<Vec<Attributes>>>,
    /// The store's revision when everything was as it should be.
    settled: AtomicU64,
}

fn stored_rows() -> impl Iterator<Item = &'static api::Resource> {
    api::tables::resources().iter().filter(|row| !row.storage_prefix.is_empty() && std::ptr::eq(api::tables::stored(row), *row))
}

impl World {
    async fn new() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let server = TestServer::start(Setup {
            authorizer: Arc::new(ScriptedAuthorizer(move |attributes: &Attributes| {
                log.lock().push(attributes.clone());
                Decision::Allow
            })),
            // Addresses of Services would be written with them.
            hooks: Arc::new(NoHooks),
            // Watches end at once where they are asked to.
            watch_duration_min: Duration::ZERO,
            ..Setup::default()
        });
        let world = Self { server: server.await, asked, settled: AtomicU64::new(0) };
        world.restore().await;
        world
    }

    /// Every key that should be there, and its value.
    fn all() -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for row in stored_rows() {
            let namespaces: &[&str] = if row.namespaced() { &NAMESPACES } else { &[""] };
            for namespace in namespaces {
                for name in NAMES {
                    // Names and namespaces are told from everything else in an answer.
                    let mut object = json!({ "metadata": { "name": name, "uid": format!("uid-{namespace}-{name}") } });
                    if !namespace.is_empty() {
                        object["metadata"]["namespace"] = (*namespace).into();
                    }
                    if &*row.gvk.kind == "Namespace" {
                        object["spec"] = json!({ "finalizers": ["kubernetes"] });
                    }
                    let key = [ROOT.trim_end_matches('/'), &row.storage_prefix, namespace, name];
                    let key: Vec<&str> = key.into_iter().filter(|part| !part.is_empty()).collect();
                    all.insert(key.join("/"), layout::encode(&object, &row.gvk));
                }
            }
        }
        all
    }

    async fn keys(&self) -> BTreeMap<String, u64> {
        let found = self.server.storage.range(Range::prefix(ROOT)).await.unwrap();
        found.items.iter().map(|kv| (kv.key.to_string(), kv.mod_revision)).collect()
    }

    /// Puts back what is not as it was, and gives the keys as they are then.
    async fn restore(&self) -> BTreeMap<String, u64> {
        let wanted = Self::all();
        let found = self.server.storage.range(Range::prefix(ROOT)).await.unwrap();
        let mut operations = Vec::new();
        let there: BTreeMap<&str, &storage::KeyValue> = found.items.iter().map(|kv| (&*kv.key, kv)).collect();
        for (key, value) in &wanted {
            match there.get(key.as_str()) {
                Some(kv) if kv.value == *value => {}
                Some(kv) => operations.push(Operation::update(key, kv.mod_revision, value.clone().into())),
                None => operations.push(Operation::create(key, value.clone().into())),
            }
        }
        operations
            .extend(there.values().filter(|kv| !wanted.contains_key(&*kv.key)).map(|kv| Operation::delete(&*kv.key, kv.mod_revision)));
        // As many as a transaction of etcd's may have.
        for operations in operations.chunks(128) {
            let revision = self.server.storage.commit(operations.to_vec()).await.unwrap();
            self.server.registry.caches().wait_until(revision).await;
        }
        self.settled.store(self.server.storage.current_revision().await.unwrap(), Ordering::Relaxed);
        self.keys().await
    }

    async fn send(&self, method: &str, target: &str, body: Value) -> (u16, String, Vec<Attributes>) {
        self.asked.lock().clear();
        let answer = self.server.call(method, target, body).await;
        (answer.code, String::from_utf8_lossy(&answer.body).into_owned(), self.asked.lock().clone())
    }
}

/// Every object in an answer: its namespace and name.
fn objects_in(text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>().map_while(Result::ok) {
        let whole = document.get("object").unwrap_or(&document);
        let items = whole.get("items").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![whole.clone()]);
        for metadata in items.iter().filter_map(|item| item.get("metadata")).filter(|metadata| metadata.get("uid").is_some()) {
            let field = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            found.insert((field("namespace"), field("name")));
        }
    }
    found
}

/// Whether what was authorized covers an object of the row.
fn covers(asked: &Attributes, row: &api::Resource, namespace: &str, name: &str) -> bool {
    let gvr = &row.gvr;
    let same = asked.resource_request && asked.api_group == gvr.group && asked.resource == gvr.resource;
    let namespace_fits = match row.namespaced() {
        true => asked.namespace.is_empty() || asked.namespace == namespace,
        // A namespace is judged in itself.
        false => asked.namespace.is_empty() || (&*gvr.resource == "namespaces" && asked.namespace == name),
    };
    same && namespace_fits && (asked.name.is_empty() || asked.name == name)
}

/// The row and the object that a key is of.
fn owner_of(key: &str) -> (&'static api::Resource, String, String) {
    let path = key.strip_prefix(ROOT).unwrap();
    let row = stored_rows().find(|row| path.strip_prefix(&*row.storage_prefix).is_some_and(|rest| rest.starts_with('/'))).unwrap();
    let rest: Vec<&str> = path[row.storage_prefix.len() + 1..].split('/').collect();
    match rest.as_slice() {
        [name] => (row, String::new(), (*name).to_owned()),
        [namespace, name] => (row, (*namespace).to_owned(), (*name).to_owned()),
        _ => panic!("{key}"),
    }
}

fn check_answer(what: &str, row: &api::Resource, text: &str, asked: &[Attributes]) {
    for (namespace, name) in objects_in(text) {
        assert!(asked.iter().any(|asked| covers(asked, row, &namespace, &name)), "{what} shows {namespace}/{name}; authorized: {asked:?}");
    }
}

/// `events` are one store under two groups, and so are the versions of a kind: any of the rows that lie at the key.
fn rows_at(prefix: &str) -> impl Iterator<Item = &'static api::Resource> {
    api::tables::resources().iter().filter(move |row| row.storage_prefix == prefix)
}

async fn check_keys(world: &World, what: &str, before: &BTreeMap<String, u64>, asked: &[Attributes]) -> bool {
    if world.server.storage.current_revision().await.unwrap() == world.settled.load(Ordering::Relaxed) {
        return false;
    }
    let after = world.keys().await;
    let changed: BTreeSet<&String> = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key)).collect();
    for key in &changed {
        let (row, namespace, name) = owner_of(key);
        let covered = |asked: &Attributes| rows_at(&row.storage_prefix).any(|row| covers(asked, row, &namespace, &name));
        assert!(asked.iter().any(covered), "{what} touches {key}; authorized: {asked:?}");
    }
    !changed.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_touched_but_what_was_authorized() {
    let world = World::new().await;
    let mut before = world.keys().await;
    let (mut answered, mut shown, mut changed, started) = (0, 0, 0, Instant::now());
    for row in api::tables::resources() {
        let gvr = &row.gvr;
        let root = if gvr.group.is_empty() { format!("/api/{}", gvr.version) } else { format!("/apis/{}/{}", gvr.group, gvr.version) };
        let mut below: Vec<String> = ["", "/victim", "/victim/", "/..", "//victim", "/victim/nothing"].map(str::to_owned).into();
        for subresource in row.subresources.iter() {
            below.extend([
                format!("/victim/{}", subresource.name),
                format!("//{}", subresource.name),
                format!("/victim/{}/more", subresource.name),
            ]);
        }
        for front in ["", "watch/"] {
            for namespace in ["", "namespaces/ten/", "namespaces//", "namespaces/ten/namespaces/victim/"] {
                for below in &below {
                    let target = format!("{root}/{front}{namespace}{}{below}", gvr.resource);
                    for query in [
                        "",
                        "?watch=1&timeoutSeconds=-1",
                        "?fieldSelector=metadata.name%3Dvictim",
                        "?fieldSelector=metadata.namespace%3Dvictim",
                    ] {
                        let target = format!("{target}{query}");
                        let (code, text, asked) = world.send("GET", &target, Value::Null).await;
                        assert!(code != 500 || !text.contains("panic"), "GET {target}: {code} {text}");
                        check_answer(&format!("GET {target}"), row, &text, &asked);
                        answered += 1;
                        shown += usize::from(code == 200);
                    }
                    // The verb in the path leaves one of all bodies to be tried.
                    let bodies: &[(&str, &str)] = &[("ten", "victim"), ("", "victim"), ("victim", "victim"), ("ten", "other")];
                    let bodies = if front.is_empty() { bodies } else { &bodies[..1] };
                    let uid = |namespace: &str| format!("uid-{namespace}-victim");
                    for &(namespace_of_body, name_of_body) in bodies {
                        let api_version = row.gvk.api_version();
                        let body = json!({ "apiVersion": api_version, "kind": row.gvk.kind, "metadata":
                            { "name": name_of_body, "namespace": namespace_of_body, "generateName": "made-", "labels": { "changed": "yes" } } });
                        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                            let body = match method {
                                "DELETE" if namespace_of_body == "victim" => json!({ "preconditions": { "uid": uid("ten") } }),
                                "DELETE" => Value::Null,
                                _ => body.clone(),
                            };
                            let what = format!("{method} {target} {body}");
                            let (code, text, asked) = world.send(method, &target, body).await;
                            assert!(code != 500 || !text.contains("panic"), "{what}: {code} {text}");
                            answered += 1;
                            if check_keys(&world, &what, &before, &asked).await {
                                changed += 1;
                                before = world.restore().await;
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{answered} requests, {shown} with something to show, {changed} that changed something, {:?}", started.elapsed());
    assert!(shown > 500 && changed > 100, "{shown} {changed}");
}
