//! Finalizers that are taken and added by several clients at once.

use serde_json::{Value, json};
use wasmgate_testing::seeds::{self, Random};
use wasmgate_testing::{Odds, TestServer};

use crate::{MAP, MAPS, map};

fn with_finalizers(finalizers: &[&str]) -> Value {
    let mut object = map("a");
    object["metadata"]["finalizers"] = json!(finalizers);
    object
}

/// Takes a finalizer as controllers do: reads, changes, writes with the version that was read, and again where that has passed. Whether
/// the object was still there.
async fn take(server: &TestServer, finalizer: &str) -> bool {
    loop {
        let found = server.get(MAP).await;
        if found.code == 404 {
            return false;
        }
        let mut object = found.ok();
        let finalizers = object["metadata"]["finalizers"].as_array_mut().expect("it is held by finalizers");
        finalizers.retain(|other| other != finalizer);
        let answer = server.call("PUT", MAP, object).await;
        match answer.code {
            409 => {}
            200 => return true,
            other => panic!("{other}: {answer:?}"),
        }
    }
}

/// Two clients take the last two finalizers: the object goes once, and neither is taken twice.
#[test]
fn the_last_two_are_taken_at_once() {
    seeds::each(100, |seed| async move {
        let server = TestServer::new().await;
        server.call("POST", MAPS, with_finalizers(&["e.com/a", "e.com/b"])).await.ok();
        let marked = server.call("DELETE", MAP, Value::Null).await.ok();
        assert!(marked["metadata"]["deletionTimestamp"].is_string());
        let mut watch =
            server.watch(&format!("{MAPS}?watch=1&resourceVersion={}", marked["metadata"]["resourceVersion"].as_str().unwrap())).await;
        server.storage.by_chance(Some((Random::new(seed), Odds { delayed: 70, ..Odds::default() })));
        let both = futures::join!(take(&server, "e.com/a"), take(&server, "e.com/b"));
        assert_eq!(both, (true, true), "each of them was there to be taken");
        assert_eq!(server.get(MAP).await.code, 404);
        server.settle().await;
        let seen: Vec<_> = watch.ready().into_iter().map(|event| event.kind).collect();
        assert_eq!(seen, ["MODIFIED", "DELETED"]);
    });
}

#[tokio::test]
async fn none_is_added_to_what_is_being_deleted() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, with_finalizers(&["e.com/a"])).await.ok();
    server.call("DELETE", MAP, Value::Null).await.ok();
    let refused = server.call("PATCH", MAP, json!({ "metadata": { "finalizers": ["e.com/a", "e.com/b"] } })).await;
    assert_eq!(refused.code, 422);
    let words = "no new finalizers can be added if the object is being deleted, found new finalizers []string{\"e.com/b\"}";
    assert!(refused.refusal().contains(words), "{refused:?}");
}

/// A finalizer is added while the object is deleted: it counts, or its client is told that it does not.
#[test]
fn one_that_was_acknowledged_holds_the_object() {
    let outcomes = std::sync::Mutex::new(std::collections::BTreeSet::new());
    seeds::each(100, |seed| {
        let outcomes = &outcomes;
        async move {
            let server = TestServer::new().await;
            server.call("POST", MAPS, map("a")).await.ok();
            server.storage.by_chance(Some((Random::new(seed), Odds { delayed: 60, ..Odds::default() })));
            let patch = json!({ "metadata": { "finalizers": ["e.com/f"] } });
            let (added, deleted) = match seed % 2 {
                0 => futures::join!(server.call("PATCH", MAP, patch), server.call("DELETE", MAP, Value::Null)),
                _ => {
                    let (deleted, added) = futures::join!(server.call("DELETE", MAP, Value::Null), server.call("PATCH", MAP, patch));
                    (added, deleted)
                }
            };
            deleted.ok();
            server.storage.by_chance(None);
            let left = server.get(MAP).await;
            match added.code {
                200 => {
                    let left = left.ok();
                    assert!(left["metadata"]["deletionTimestamp"].is_string(), "it is marked, and held: {left}");
                    assert_eq!(left["metadata"]["finalizers"], json!(["e.com/f"]));
                }
                404 => assert_eq!(left.code, 404),
                other => panic!("{other}: {added:?}"),
            }
            outcomes.lock().unwrap().insert(added.code);
        }
    });
    if std::env::var_os("WASMGATE_SEED").is_none() {
        assert_eq!(outcomes.into_inner().unwrap(), [200, 404].into(), "each of them was faster once");
    }
}

/// The finalizer that a client takes is the one that holds the object at the time of the commit.
#[tokio::test]
async fn the_last_one_is_taken_by_a_status_update_too() {
    let server = TestServer::new().await;
    let pods = "/api/v1/namespaces/n/pods";
    let mut held = crate::pod("a");
    held["metadata"]["finalizers"] = json!(["e.com/f"]);
    server.call("POST", pods, held).await.ok();
    server.call("DELETE", &format!("{pods}/a?gracePeriodSeconds=0"), Value::Null).await.ok();
    assert_eq!(server.get(&format!("{pods}/a")).await.code, 200);
    server.call("PATCH", &format!("{pods}/a/status"), json!({ "metadata": { "finalizers": null } })).await.ok();
    assert_eq!(server.get(&format!("{pods}/a")).await.code, 404);
}
