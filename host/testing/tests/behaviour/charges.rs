//! What a write takes of a quota is committed with its object, or not at all: whoever is at it, whatever gets in the way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use admission::chain::Denial;
use admission::{Amounts, Attributes, ChargedObject, Charges, Objects};
use apimachinery::GroupResource;
use apimachinery::quantity::Quantity;
use cacher::Freshness;
use serde_json::{Value, json};
use storage::Storage;
use wasmgate_testing::plugins::ScriptedPlugin;
use wasmgate_testing::seeds::{self, Random};
use wasmgate_testing::{Fault, ManualClock, MemoryStorage, Odds, Setup, TestServer};

use crate::{MAP, MAPS, map};

const QUOTAS: &str = "/api/v1/namespaces/n/resourcequotas";
const QUOTA: &str = "/api/v1/namespaces/n/resourcequotas/q";
/// What a quota limits.
const COUNT: &str = "count/configmaps";
const SIZE: &str = "e.com/size";

fn charges(quota: &str, amounts: &[(&str, i64)]) -> Charges {
    let resource = GroupResource::of("", "resourcequotas");
    let charged = ChargedObject { resource, namespace: "n".into(), name: quota.to_owned() };
    let amount = |(name, number): &(&str, i64)| ((*name).to_owned(), Quantity::parse(&number.to_string()).expect("a number"));
    let mut charges = Charges::default();
    charges.add(charged, amounts.iter().map(amount).collect::<Amounts>());
    charges
}

fn size(object: Option<&Value>) -> i64 {
    object.and_then(|object| object["data"]["size"].as_str()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Counts ConfigMaps, and what they say is their size.
fn counting(_: &Attributes, objects: Objects<'_>) -> Charges {
    let number = i64::from(objects.old.is_none());
    let increase = size(objects.object) - size(objects.old);
    charges("q", &[(COUNT, number), (SIZE, increase.max(0))])
}

fn setup(store: Arc<dyn Storage>, clock: ManualClock, freshness: Freshness) -> Setup {
    let counter = Arc::new(ScriptedPlugin::new("counter", "configmaps").charging(counting));
    Setup { admission: (Vec::new(), vec![counter.link()]), freshness, ..Setup::over(store, clock) }
}

async fn server() -> TestServer {
    let clock = ManualClock::default();
    TestServer::start(setup(Arc::new(MemoryStorage::new(clock.handle())), clock, Freshness::InWritePath)).await
}

/// A quota that somebody has counted.
async fn limit(server: &TestServer, hard: Value, used: Value) {
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" }, "spec": { "hard": hard } });
    let mut made = server.call("POST", QUOTAS, quota).await.ok();
    made["status"] = json!({ "hard": hard, "used": used });
    server.call("PUT", &format!("{QUOTA}/status"), made).await.ok();
}

async fn used(server: &TestServer) -> Value {
    server.settle().await;
    server.get(QUOTA).await.ok()["status"]["used"].clone()
}

async fn maps(server: &TestServer) -> HashMap<String, Value> {
    server.settle().await;
    let list = server.get(MAPS).await.ok();
    let named = |item: &Value| (item["metadata"]["name"].as_str().unwrap().to_owned(), item.clone());
    list["items"].as_array().unwrap().iter().map(named).collect()
}

fn sized(name: &str, size: i64) -> Value {
    let mut object = map(name);
    object["data"] = json!({ "size": size.to_string() });
    object
}

/// However many create at once, on one server or on two of one store.
#[tokio::test]
async fn as_many_get_in_as_there_is_room_for() {
    for freshness in [Freshness::InWritePath, Freshness::AskStore] {
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStorage::new(clock.handle()));
        let mut servers = vec![TestServer::start(setup(store.clone(), clock.clone(), freshness)).await];
        if freshness == Freshness::AskStore {
            servers.push(TestServer::start(setup(store, clock, freshness)).await);
        }
        limit(&servers[0], json!({ COUNT: "10" }), json!({ COUNT: "0" })).await;
        for server in &servers {
            server.settle().await;
        }
        let creators = (0..64).map(|i| {
            let server = &servers[i % servers.len()];
            async move { server.call("POST", MAPS, map(&format!("m{i}"))).await }
        });
        let answers = futures::future::join_all(creators).await;
        let made = answers.iter().filter(|answer| answer.code == 201).count();
        assert_eq!(made, 10, "{freshness:?}");
        for (i, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.code != 201) {
            let why = "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=10, limited: count/configmaps=10";
            assert_eq!((answer.code, answer.refusal()), (403, format!("configmaps \"m{i}\" is forbidden: {why}")));
        }
        assert_eq!((maps(&servers[0]).await.len(), used(&servers[0]).await), (10, json!({ COUNT: "10" })), "{freshness:?}");
    }
}

/// An update takes what it adds, and a decrease gives nothing back: that is for whoever counts.
#[tokio::test]
async fn an_update_takes_what_it_adds() {
    let server = server().await;
    limit(&server, json!({ SIZE: "10" }), json!({ SIZE: "2" })).await;
    server.call("POST", MAPS, sized("a", 3)).await.ok();
    assert_eq!(used(&server).await, json!({ SIZE: "5" }));
    let resize = |size: i64| json!({ "data": { "size": size.to_string() } });
    server.call("PATCH", MAP, resize(8)).await.ok();
    assert_eq!(used(&server).await, json!({ SIZE: "10" }));
    let refused = server.call("PATCH", MAP, resize(9)).await;
    let why = "configmaps \"a\" is forbidden: exceeded quota: q, requested: e.com/size=1, used: e.com/size=10, limited: e.com/size=10";
    assert_eq!((refused.code, &*refused.refusal()), (403, why));
    server.call("PATCH", MAP, resize(1)).await.ok();
    server.call("PATCH", MAP, json!({ "metadata": { "labels": { "x": "y" } } })).await.ok();
    assert_eq!((used(&server).await, size(Some(&server.get(MAP).await.ok()))), (json!({ SIZE: "10" }), 1));
}

/// A dry run is told what would be, and takes nothing.
#[tokio::test]
async fn a_dry_run_is_checked_and_takes_nothing() {
    let server = server().await;
    limit(&server, json!({ COUNT: "1", SIZE: "3" }), json!({ COUNT: "0", SIZE: "0" })).await;
    let dry = format!("{MAPS}?dryRun=All");
    server.call("POST", &dry, sized("a", 3)).await.ok();
    let refused = server.call("POST", &dry, sized("a", 4)).await;
    assert_eq!(
        (refused.code, &*refused.refusal()),
        (403, "configmaps \"a\" is forbidden: exceeded quota: q, requested: e.com/size=4, used: e.com/size=0, limited: e.com/size=3")
    );
    assert_eq!(used(&server).await, json!({ COUNT: "0", SIZE: "0" }));
    server.call("POST", MAPS, sized("a", 1)).await.ok();
    let patch = json!({ "data": { "size": "5" } });
    assert_eq!(server.call("PATCH", &format!("{MAP}?dryRun=All"), patch).await.code, 403);
    server.call("PATCH", &format!("{MAP}?dryRun=All"), json!({ "data": { "size": "3" } })).await.ok();
    assert_eq!(used(&server).await, json!({ COUNT: "1", SIZE: "1" }));
}

/// Upstream counts before it knows whether the name is taken, and has its controller repair that.
#[tokio::test]
async fn what_is_not_stored_takes_nothing() {
    let clock = ManualClock::default();
    let mut setup = setup(Arc::new(MemoryStorage::new(clock.handle())), clock, Freshness::InWritePath);
    let judge = ScriptedPlugin::new("judge", "configmaps")
        .validating(|_, objects| Ok((size(objects.object) == 7).then(|| Denial::Forbidden("seven".into()))));
    setup.admission.1.push(Arc::new(judge).link());
    let server = TestServer::start(setup).await;
    limit(&server, json!({ COUNT: "9", SIZE: "99" }), json!({ COUNT: "0", SIZE: "0" })).await;
    server.call("POST", MAPS, sized("a", 1)).await.ok();
    assert_eq!(server.call("POST", MAPS, sized("a", 1)).await.code, 409);
    assert_eq!(server.call("POST", MAPS, sized("b", 7)).await.refusal(), "configmaps \"b\" is forbidden: seven");
    let bad = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "NO" } });
    assert_eq!(server.call("POST", MAPS, bad).await.code, 422);
    assert_eq!(used(&server).await, json!({ COUNT: "1", SIZE: "1" }));
}

#[tokio::test]
async fn what_is_tried_again_is_taken_once() {
    let server = server().await;
    limit(&server, json!({ COUNT: "9", SIZE: "99" }), json!({ COUNT: "0", SIZE: "0" })).await;
    // Somebody else changes the quota: the sums are made again.
    server.storage.plan([Fault::ConflictBeside; 20]);
    server.call("POST", MAPS, sized("a", 1)).await.ok();
    assert!(server.storage.is_plan_over());
    assert_eq!(used(&server).await, json!({ COUNT: "1", SIZE: "1" }));
    // Somebody else changes the object: all is done again.
    server.storage.plan([Fault::Conflict, Fault::ConflictBeside, Fault::Conflict]);
    server.call("PATCH", MAP, json!({ "data": { "size": "5" } })).await.ok();
    assert_eq!(used(&server).await, json!({ COUNT: "1", SIZE: "5" }));
    // Drawn names are taken by somebody else.
    server.storage.plan([Fault::Conflict, Fault::Conflict]);
    server.call("POST", MAPS, json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "g-" } })).await.ok();
    assert_eq!(used(&server).await, json!({ COUNT: "2", SIZE: "5" }));
}

/// What was stored meanwhile counts, and not what was known before.
#[tokio::test]
async fn the_quota_is_judged_as_it_is_stored() {
    let server = server().await;
    // There is none.
    server.call("POST", MAPS, map("none")).await.ok();
    // Nobody has said what it limits.
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" }, "spec": { "hard": { COUNT: "1" } } });
    let mut made = server.call("POST", QUOTAS, quota).await.ok();
    server.call("POST", MAPS, map("unlimited")).await.ok();
    // Nobody has counted.
    made["status"] = json!({ "hard": { COUNT: "1" } });
    let mut made = server.call("PUT", &format!("{QUOTA}/status"), made).await.ok();
    let why = "configmaps \"uncounted\" is forbidden: status unknown for quota: q, resources: count/configmaps";
    assert_eq!(server.call("POST", MAPS, map("uncounted")).await.refusal(), why);
    made["status"]["used"] = json!({ COUNT: "0" });
    server.call("PUT", &format!("{QUOTA}/status"), made).await.ok();
    server.call("POST", MAPS, map("one")).await.ok();
    assert_eq!(server.call("POST", MAPS, map("two")).await.code, 403);
    server.call("DELETE", QUOTA, Value::Null).await.ok();
    server.call("POST", MAPS, map("two")).await.ok();
}

/// One commit may hold a Service, its address, its ports of nodes and what it takes of a quota.
#[tokio::test]
async fn a_service_takes_addresses_ports_and_quota_at_once() {
    let clock = ManualClock::default();
    let mut setup = setup(Arc::new(MemoryStorage::new(clock.handle())), clock, Freshness::InWritePath);
    let ports = ScriptedPlugin::new("ports", "services").charging(|_, _| charges("q", &[("services.nodeports", 1)]));
    setup.admission.1.push(Arc::new(ports).link());
    let server = TestServer::start(setup).await;
    limit(&server, json!({ "services.nodeports": "8" }), json!({ "services.nodeports": "0" })).await;
    let service = |i: usize| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": format!("s{i}") },
            "spec": { "type": "NodePort", "ports": [{ "port": 80 }] },
        })
    };
    let path = "/api/v1/namespaces/n/services";
    let creators = (0..16).map(|i| server.call("POST", path, service(i)));
    let codes: Vec<u16> = futures::future::join_all(creators).await.iter().map(|answer| answer.code).collect();
    assert_eq!((codes.iter().filter(|code| **code == 201).count(), codes.iter().filter(|code| **code == 403).count()), (8, 8));
    assert_eq!(used(&server).await, json!({ "services.nodeports": "8" }));
    let addresses = server.get("/apis/networking.k8s.io/v1/ipaddresses").await.ok();
    assert_eq!(addresses["items"].as_array().unwrap().len(), 8);
}

/// The object that is written may be charged for nothing: it cannot be written twice at once.
#[tokio::test]
async fn an_object_is_not_charged_for_a_change_of_itself() {
    let clock = ManualClock::default();
    let mut setup = setup(Arc::new(MemoryStorage::new(clock.handle())), clock, Freshness::InWritePath);
    let itself =
        |_: &Attributes, objects: Objects<'_>| if objects.old.is_some() { charges("q", &[(COUNT, 1)]) } else { Charges::default() };
    setup.admission.1.push(Arc::new(ScriptedPlugin::new("itself", "resourcequotas").charging(itself)).link());
    let server = TestServer::start(setup).await;
    limit(&server, json!({ COUNT: "1" }), json!({ COUNT: "0" })).await;
    let refused = server.call("PATCH", QUOTA, json!({ "metadata": { "labels": { "x": "y" } } })).await;
    let why = "Internal error occurred: resourcequotas \"q\" cannot be charged for a change of itself";
    assert_eq!((refused.code, &*refused.refusal()), (500, why));
}

/// The store, the answers and other writers fail as they like: a quota is never exceeded, and what is taken of it is what is there.
#[test]
fn what_is_taken_is_what_is_there_among_failures() {
    seeds::each(40, |seed| async move {
        let mut random = Random::new(seed);
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStorage::new(clock.handle()));
        let freshness = *random.pick(&[Freshness::InWritePath, Freshness::AskStore]);
        let first = TestServer::start(setup(store.clone(), clock.clone(), freshness)).await;
        let second = match freshness {
            Freshness::AskStore => Some(TestServer::start(setup(store, clock, freshness)).await),
            Freshness::InWritePath => None,
        };
        let hard = 1 + random.below(20);
        limit(&first, json!({ COUNT: hard.to_string(), SIZE: "50" }), json!({ COUNT: "0", SIZE: "0" })).await;
        let servers: Vec<&TestServer> = std::iter::once(&first).chain(&second).collect();
        for server in &servers {
            server.settle().await;
            let odds = Odds { conflict: 5, conflict_beside: 15, refused: 5, answer_lost: 10, delayed: 20, read_refused: 3, watch_ends: 2 };
            server.storage.by_chance(Some((Random::new(random.number()), odds)));
        }
        let mut watch = first.watch(&format!("{QUOTAS}?watch=1&resourceVersion=0")).await;
        let requests = (0..40).map(|i| {
            let (server, size) = (*random.pick(&servers), random.below(4) as i64);
            async move { (i, server.call("POST", MAPS, sized(&format!("m{i}"), size)).await.code) }
        });
        let answers = futures::future::join_all(requests.collect::<Vec<_>>()).await;
        servers.iter().for_each(|server| server.storage.by_chance(None));
        let there = maps(&first).await;
        for (i, code) in &answers {
            let is_there = there.contains_key(&format!("m{i}"));
            match code {
                201 => assert!(is_there, "m{i} was made"),
                403 => assert!(!is_there, "m{i} was refused"),
                // Others may have made it: the fault is that somebody else is faster.
                409 => assert!(is_there, "m{i} was made by somebody else"),
                503 | 500 => {}
                code => panic!("m{i}: {code}"),
            }
        }
        // What somebody else made in the store's own way took nothing.
        let by_others: HashSet<String> = answers.iter().filter(|(_, code)| *code == 409).map(|(i, _)| format!("m{i}")).collect();
        let counted: Vec<&Value> = there.iter().filter(|(name, _)| !by_others.contains(*name)).map(|(_, object)| object).collect();
        let sizes: i64 = counted.iter().map(|object| size(Some(object))).sum();
        let used = used(&first).await;
        assert_eq!(used, json!({ COUNT: counted.len().to_string(), SIZE: sizes.to_string() }));
        for event in watch.ready() {
            let used = &event.object["status"]["used"][COUNT];
            assert!(used.as_str().is_some_and(|used| used.parse::<u64>().unwrap() <= hard), "{used} of {hard}");
        }
    });
}
