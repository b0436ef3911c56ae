//! Kinds that come and go while the server serves others: lists, watches, discovery and OpenAPI follow, and nothing else notices.

#![allow(missing_docs, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use admission::{EmptyChain, FixedChain, RequestContext};
use api::convert::{Conversion, ConversionError, Converter};
use api::{Catalogue, Resource, ResourceScope};
use apimachinery::schema::{Field, FieldType, Schema, SchemaRef};
use apimachinery::{GroupVersionKind, GroupVersionResource};
use async_trait::async_trait;
use auth::{Attributes, Authentication, Authenticator, Authorization, Authorizer, Credentials, Decision, Fault, Rules, UserInfo};
use cacher::{Caches, Freshness};
use flowcontrol::FlowControl;
use objectstore::ObjectStore;
use registry::{NoHooks, Registry, Request};
use serde_json::{Value, json};
use server::body::RequestBody;
use server::connection::Connection;
use server::endpoints::{Endpoints, Parts};
use server::health::Health;
use server::metrics::Metrics;
use server::openid::OpenId;
use server::road::{Road, RoadConfig};
use server::shutdown::Shutdown;

const WIDGETS: &str = "/apis/example.com/v1/namespaces/n/widgets";
const MAPS: &str = "/api/v1/namespaces/n/configmaps";
/// How often the kind comes and goes under load.
const ROUNDS: usize = 20;
/// Requests at a time that speak of other kinds.
const WRITERS: usize = 4;
const OBJECTS_BEFORE: usize = 300;

struct Everybody;

#[async_trait]
impl Authenticator for Everybody {
    async fn authenticate(&self, _: &Credentials) -> Result<Authentication, Fault> {
        Ok(Authentication::User(UserInfo { name: "alice".into(), ..UserInfo::default() }))
    }
}

#[async_trait]
impl Authorizer for Everybody {
    async fn authorize(&self, _: &Attributes) -> Authorization {
        Authorization { decision: Decision::Allow, reason: String::new(), evaluation_error: None }
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules::default()
    }
}

struct World {
    road: Arc<Road>,
    registry: Arc<Registry>,
    caches: Arc<Caches>,
    connection: Arc<Connection>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage_embedded::Embedded::open(dir.path(), storage_embedded::Options::default()).unwrap();
        let caches = Caches::start(ObjectStore::new(storage, "/registry/"), Freshness::InWritePath, Catalogue::built_in()).await.unwrap();
        let metrics = Arc::new(Metrics::new());
        let registry = Arc::new(Registry::new(caches.clone(), Arc::new(NoHooks)));
        let endpoints = Endpoints::new(Parts {
            registry: registry.clone(),
            token_signer: None,
            health: Health::new(),
            metrics: metrics.clone(),
            openid: OpenId::new("https://issuer", "https://issuer/jwks", &[]),
            server_address: "127.0.0.1:6443".into(),
            clock: clock::Clock::system(),
            watch_duration_min: Duration::from_secs(600),
        });
        let road = Road::new(RoadConfig {
            chains: Arc::new(FixedChain {
                authenticator: Arc::new(Everybody),
                authorizer: Arc::new(Everybody),
                admission: Arc::new(EmptyChain),
            }),
            catalogues: caches.catalogues(),
            clock: clock::Clock::system(),
            handler: Arc::new(endpoints),
            flow_control: FlowControl::new(flowcontrol::Limits::default()),
            metrics,
            shutdown: Shutdown::new(),
            request_duration_max: Duration::from_secs(60),
        });
        Arc::new(Self { road, registry, caches, connection: Connection::internal(), _dir: dir })
    }

    /// The answer's code and body, which for a watch comes when the watch is over.
    async fn send(&self, method: &str, target: &str, body: Value) -> (u16, String) {
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let accept = "application/vnd.kubernetes.protobuf;q=0.9,application/json";
        let request = http::Request::builder().method(method).uri(target).header("content-type", content_type).header("accept", accept);
        let (parts, body) = self.road.serve(request.body(RequestBody::from_bytes(body)).unwrap(), &self.connection).await.into_parts();
        (parts.status.as_u16(), String::from_utf8_lossy(&body.collect().await.unwrap_or_default()).into_owned())
    }

    async fn ok(&self, method: &str, target: &str, body: Value) -> Value {
        let (code, text) = self.send(method, target, body).await;
        assert!((200..300).contains(&code), "{method} {target}: {code} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// As a client that asks again where it is told to.
    async fn patient(&self, method: &str, target: &str, body: Value) -> Value {
        loop {
            let (code, text) = self.send(method, target, body.clone()).await;
            if code != 503 {
                assert!((200..300).contains(&code), "{method} {target}: {code} {text}");
                return serde_json::from_str(&text).unwrap();
            }
            assert!(text.contains("please try again"), "{text}");
        }
    }

    async fn serve_widgets(&self, rows: &[Arc<Resource>]) {
        self.caches.serve(|catalogue| catalogue.with(rows.iter().cloned())).await.unwrap();
    }

    async fn drop_widgets(&self, rows: &[Arc<Resource>]) {
        self.caches.serve(|catalogue| rows.iter().fold(catalogue.with([]), |left, row| left.without(&row.gvr))).await.unwrap();
    }
}

/// `widgets.example.com` in a version. `size` is a field of its own; everything else in `spec` is kept.
fn widgets(version: &'static str, stored: &'static str) -> Arc<Resource> {
    let metadata = api::tables::schema_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap();
    let schema = |name: &'static str, fields: Vec<Field>| {
        Arc::new(Schema {
            name: name.into(),
            fields: fields.into(),
            atomic: false,
            preserve_unknown: name.ends_with("Spec"),
            message: None,
        })
    };
    let spec = schema("WidgetSpec", vec![Field::of("size", FieldType::Int64)]);
    let widget = schema(
        "Widget",
        vec![
            Field::of("apiVersion", FieldType::String),
            Field::of("kind", FieldType::String),
            Field::of("metadata", FieldType::Object(metadata)),
            Field::of("spec", FieldType::Object(SchemaRef::Shared(spec))),
        ],
    );
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    Arc::new(Resource {
        gvr: GroupVersionResource { group: "example.com".into(), version: version.into(), resource: "widgets".into() },
        gvk: GroupVersionKind::of("example.com", version, "Widget"),
        singular: "widget".into(),
        short_names: vec!["wd".into()].into(),
        categories: vec![].into(),
        scope: ResourceScope::Namespaced,
        verbs: verbs.map(Into::into).to_vec().into(),
        subresources: vec![].into(),
        schema: SchemaRef::Shared(widget),
        storage_gvk: GroupVersionKind::of("example.com", stored, "Widget"),
        storage_prefix: "example.com/widgets".into(),
        selectable_fields: vec!["spec.size".into()].into(),
        storage_version_hash: "".into(),
        deprecation: "".into(),
        conversion: Conversion::default(),
    })
}

fn widget(name: &str, size: u64) -> Value {
    json!({ "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": name }, "spec": { "size": size, "other": [1] } })
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_served_from_now_on_and_then_no_more() {
    let world = World::new().await;
    let rows = [widgets("v1", "v1")];
    assert_eq!(world.send("GET", WIDGETS, Value::Null).await, (404, "404 page not found\n".to_owned()));
    world.serve_widgets(&rows).await;

    let made = world.ok("POST", WIDGETS, widget("a", 1)).await;
    assert_eq!((&made["spec"], &made["metadata"]["namespace"]), (&json!({ "size": 1, "other": [1] }), &json!("n")));
    world.ok("POST", WIDGETS, widget("b", 2)).await;
    world.ok("PATCH", &format!("{WIDGETS}/b"), json!({ "spec": { "size": 3 } })).await;
    assert_eq!(names(&world.ok("GET", WIDGETS, Value::Null).await), ["a", "b"]);
    assert_eq!(names(&world.ok("GET", &format!("{WIDGETS}?fieldSelector=spec.size=3"), Value::Null).await), ["b"]);
    let (code, text) = world.send("POST", WIDGETS, json!({ "metadata": { "name": "c" }, "spec": { "size": "x" } })).await;
    assert_eq!(code, 400, "{text}");

    // Discovery and OpenAPI tell of it.
    let groups = world.ok("GET", "/apis", Value::Null).await.to_string();
    assert!(groups.contains("example.com/v1"), "{groups}");
    let resources = world.ok("GET", "/apis/example.com/v1", Value::Null).await;
    assert_eq!((&resources["resources"][0]["name"], &resources["resources"][0]["shortNames"]), (&json!("widgets"), &json!(["wd"])));
    let index = world.ok("GET", "/openapi/v3", Value::Null).await;
    let address = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().expect("it has a document");
    let document = world.ok("GET", address, Value::Null).await;
    let schema = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["properties"]["spec"]["properties"]["size"], json!({ "type": "integer", "format": "int64" }));
    let created = &document["paths"][&WIDGETS.replace("namespaces/n", "namespaces/{namespace}")]["post"]["responses"]["201"]["content"];
    assert_eq!(created.as_object().unwrap().keys().collect::<Vec<_>>(), ["application/json", "application/yaml"]);
    let mut references: Vec<String> = Vec::new();
    collect_references(&document, &mut references);
    let unknown: Vec<_> = references.iter().filter(|name| document["components"]["schemas"].get(name.as_str()).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");

    // A watch ends with the kind, and the objects are there when it comes again.
    let watching = tokio::spawn({
        let world = world.clone();
        async move { world.send("GET", &format!("{WIDGETS}?watch=true"), Value::Null).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.drop_widgets(&rows).await;
    let (code, events) = tokio::time::timeout(Duration::from_secs(30), watching).await.expect("the watch ends").unwrap();
    assert_eq!((code, events.lines().count()), (200, 2), "{events}");
    assert_eq!(world.send("GET", WIDGETS, Value::Null).await.0, 404);
    assert_eq!(world.send("GET", "/apis/example.com/v1", Value::Null).await.0, 404);
    assert!(!world.ok("GET", "/apis", Value::Null).await.to_string().contains("example.com"));
    world.serve_widgets(&rows).await;
    assert_eq!(names(&world.ok("GET", WIDGETS, Value::Null).await), ["a", "b"]);
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/components/schemas/"));
            found.extend(name.map(str::to_owned));
            map.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

/// The stored version changes while objects are written and read: every answer is of the version that was asked for, or says that the
/// client is to try again.
#[tokio::test(flavor = "multi_thread")]
async fn another_stored_version_takes_over_under_load() {
    let world = World::new().await;
    let rows = |stored| ["v1", "v2"].map(|version| widgets(version, stored));
    world.serve_widgets(&rows("v1")).await;
    world.ok("POST", WIDGETS, widget("a", 1)).await;
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (world, over) = (world.clone(), over.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !over.load(Ordering::Relaxed) {
                    let name = format!("w-{writer}-{written}");
                    let made = world.patient("POST", WIDGETS, widget(&name, 7)).await;
                    assert_eq!((&made["apiVersion"], &made["spec"]["size"]), (&json!("example.com/v1"), &json!(7)));
                    let found = world.patient("GET", &format!("{}/{name}", WIDGETS.replace("/v1/", "/v2/")), Value::Null).await;
                    assert_eq!((&found["apiVersion"], &found["spec"]["size"]), (&json!("example.com/v2"), &json!(7)));
                    written += 1;
                }
                written
            })
        })
        .collect();
    for round in 0..10 * ROUNDS {
        tokio::time::sleep(Duration::from_millis(1)).await;
        world.serve_widgets(&rows(if round % 2 == 0 { "v2" } else { "v1" })).await;
        assert_eq!(world.ok("GET", &format!("{WIDGETS}/a"), Value::Null).await["spec"]["size"], 1);
    }
    over.store(true, Ordering::Relaxed);
    let mut written = 1;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(written > ROUNDS, "there was a load");
    assert_eq!(names(&world.ok("GET", WIDGETS, Value::Null).await).len(), written);
}

/// What a request takes the cache to hold is what the cache holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_began_with_another_stored_version_is_to_be_made_again() {
    let world = World::new().await;
    world.serve_widgets(&[widgets("v1", "v1"), widgets("v2", "v1")]).await;
    world.ok("POST", WIDGETS, widget("a", 1)).await;
    let before = world.caches.catalogue();
    let resource = before.find("example.com", "v1", "widgets").unwrap().clone();
    let context = RequestContext::new(Arc::new(EmptyChain), Arc::default(), SystemTime::now());
    let request = |verb: &str, name: &str| Request {
        requested: resource.clone(),
        resource: resource.clone(),
        subresource: String::new(),
        namespace: "n".into(),
        name: name.into(),
        verb: verb.into(),
        dry_run: false,
        options: None,
        context: Arc::new(RequestContext { catalogue: before.clone(), ..context.clone() }),
    };
    world.registry.get(&request("get", "a"), None).await.expect("nothing has changed");
    world.serve_widgets(&[widgets("v1", "v2"), widgets("v2", "v2")]).await;
    let read = world.registry.get(&request("get", "a"), None).await.map(drop);
    let written = world.registry.create(&request("create", ""), widget("b", 2)).await.map(drop);
    for refused in [read, written] {
        let status = refused.expect_err("the cache holds the other version");
        assert_eq!((status.code, status.details.and_then(|details| details.retry_after_seconds)), (503, Some(1)));
    }
    assert_eq!(names(&world.ok("GET", WIDGETS, Value::Null).await), ["a"]);
}

/// `v1` has a size, and `v2` the same as a length. It waits, counts what it converts, and does not know the size 13.
#[derive(Debug, Default)]
struct SizeAndLength(AtomicUsize);

#[async_trait]
impl Converter for SizeAndLength {
    async fn convert(&self, mut objects: Vec<Value>, to: &GroupVersionKind) -> Result<Vec<Value>, ConversionError> {
        tokio::task::yield_now().await;
        self.0.fetch_add(objects.len(), Ordering::Relaxed);
        let (from, into) = if to.version == "v2" { ("size", "length") } else { ("length", "size") };
        for object in &mut objects {
            let spec = object["spec"].as_object_mut().unwrap();
            let Some(value) = spec.remove(from) else { continue };
            if value == 13 {
                return Err(ConversionError::Failed("there is no such size".into()));
            }
            spec.insert(into.into(), value);
            object["apiVersion"] = to.api_version().into();
        }
        Ok(objects)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_converter_makes_is_served_and_its_failure_is_an_error() {
    let world = World::new().await;
    let converter = Arc::new(SizeAndLength::default());
    let rows = ["v1", "v2"].map(|version| {
        let row = Arc::into_inner(widgets(version, "v1")).unwrap();
        Arc::new(Resource { conversion: Conversion::Asked(converter.clone()), ..row })
    });
    world.serve_widgets(&rows).await;
    let second = WIDGETS.replace("/v1/", "/v2/");
    let length = |name: &str, length: u64| json!({ "apiVersion": "example.com/v2", "kind": "Widget", "metadata": { "name": name }, "spec": { "length": length } });
    assert_eq!(world.ok("POST", &second, length("a", 3)).await["spec"], json!({ "length": 3 }));
    assert_eq!(world.ok("GET", &format!("{WIDGETS}/a"), Value::Null).await["spec"], json!({ "size": 3 }));
    let patched = world.ok("PATCH", &format!("{second}/a"), json!({ "spec": { "length": 4 } })).await;
    assert_eq!((&patched["apiVersion"], &patched["spec"]), (&json!("example.com/v2"), &json!({ "length": 4 })));
    world.ok("POST", WIDGETS, json!({ "metadata": { "name": "b" }, "spec": { "size": 5 } })).await;
    let list = world.ok("GET", &second, Value::Null).await;
    let specs: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|item| &item["spec"]).collect();
    assert_eq!((&list["apiVersion"], specs), (&json!("example.com/v2"), vec![&json!({ "length": 4 }), &json!({ "length": 5 })]));

    // What was converted for one client is what the next one gets.
    let asked = converter.0.load(Ordering::Relaxed);
    world.ok("GET", &second, Value::Null).await;
    world.ok("GET", &format!("{second}/b"), Value::Null).await;
    assert_eq!(converter.0.load(Ordering::Relaxed), asked);

    // A failure is an error to who needs the conversion, and to nobody else.
    world.ok("POST", WIDGETS, widget("c", 13)).await;
    for target in [format!("{second}/c"), second.clone()] {
        let (code, text) = world.send("GET", &target, Value::Null).await;
        assert!(code == 500 && text.contains("there is no such size"), "{target}: {code} {text}");
    }
    let (code, events) = world.send("GET", &format!("{second}?watch=true&timeoutSeconds=5"), Value::Null).await;
    assert!(code == 200 && events.contains("ERROR") && !events.contains("\"size\""), "{events}");
    assert_eq!(names(&world.ok("GET", WIDGETS, Value::Null).await), ["a", "b", "c"]);

    // What lies in the store in the other version is not taken for one of the stored version.
    let raw = length("raw", 9);
    let operation = storage::Operation::create("/registry/example.com/widgets/n/raw", raw.to_string().into());
    let revision = world.caches.storage().commit(vec![operation]).await.unwrap();
    assert!(world.caches.wait_until(revision).await);
    assert_eq!(names(&world.ok("GET", WIDGETS, Value::Null).await), ["a", "b", "c"]);
    assert_eq!(world.send("GET", &format!("{WIDGETS}/raw"), Value::Null).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_notices_that_kinds_come_and_go() {
    let world = World::new().await;
    let rows = [widgets("v1", "v1")];
    world.serve_widgets(&rows).await;
    for i in 0..OBJECTS_BEFORE {
        world.ok("POST", WIDGETS, widget(&format!("w{i:04}"), i as u64)).await;
    }
    world.drop_widgets(&rows).await;

    let start = world.ok("GET", MAPS, Value::Null).await["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let watching = tokio::spawn({
        let world = world.clone();
        let target = format!("{MAPS}?watch=true&resourceVersion={start}&timeoutSeconds=6");
        async move { world.send("GET", &target, Value::Null).await }
    });
    let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (world, over, written) = (world.clone(), over.clone(), written.clone());
            tokio::spawn(async move {
                let mut i = 0;
                while !over.load(Ordering::Relaxed) {
                    let map = json!({ "metadata": { "name": format!("m-{writer}-{i}") } });
                    world.ok("POST", MAPS, map).await;
                    let name = format!("m-{writer}-{i}");
                    let found = world.ok("GET", &format!("{MAPS}/{name}"), Value::Null).await;
                    assert_eq!(found["metadata"]["name"], name);
                    written.fetch_add(1, Ordering::Relaxed);
                    i += 1;
                }
            })
        })
        .collect();
    for round in 0..ROUNDS {
        world.serve_widgets(&rows).await;
        // What is written from here on is in the cache that was filled meanwhile.
        world.ok("POST", WIDGETS, widget(&format!("x{round:04}"), 0)).await;
        let list = world.ok("GET", WIDGETS, Value::Null).await;
        assert_eq!(names(&list).len(), OBJECTS_BEFORE + round + 1);
        world.ok("GET", "/apis/example.com/v1", Value::Null).await;
        world.drop_widgets(&rows).await;
        assert_eq!(world.send("GET", WIDGETS, Value::Null).await.0, 404);
    }
    over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let (code, events) = watching.await.unwrap();
    assert_eq!(code, 200);
    let seen: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let revision = |event: &Value| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(seen.iter().all(|event| event["type"] == "ADDED") && seen.is_sorted_by_key(revision), "every change once, in order");
    assert!(written.load(Ordering::Relaxed) > ROUNDS, "there was a load");
    let there = names(&world.ok("GET", MAPS, Value::Null).await).len();
    assert_eq!((there, seen.len()), (written.load(Ordering::Relaxed), written.load(Ordering::Relaxed)));
}
