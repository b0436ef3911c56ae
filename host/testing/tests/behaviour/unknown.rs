//! The store did it, and its answer is lost: the client is told of a failure, never of a success that is none, and may try again.

use serde_json::{Value, json};
use wasmgate_testing::{Fault, TestServer};

use crate::{MAP, MAPS, map};

/// What a client is told that cannot be told more.
fn is_told_nothing_certain(answer: &wasmgate_testing::Answer) {
    assert_eq!(answer.code, 503, "{answer:?}");
    let message = answer.refusal();
    assert!(message.contains("the store is unavailable: the answer is lost"), "{message}");
}

#[tokio::test]
async fn a_create_may_have_happened_and_is_there_once() {
    let server = TestServer::new().await;
    server.storage.plan([Fault::AnswerLost]);
    is_told_nothing_certain(&server.call("POST", MAPS, map("a")).await);
    server.settle().await;
    let there = server.get(MAP).await.ok();
    let again = server.call("POST", MAPS, map("a")).await;
    assert_eq!((again.code, &*again.refusal()), (409, "configmaps \"a\" already exists"));
    assert_eq!(server.get(MAP).await.ok(), there);
}

#[tokio::test]
async fn an_update_may_have_happened_and_is_not_made_twice() {
    let server = TestServer::new().await;
    let mut object = server.call("POST", MAPS, map("a")).await.ok();
    object["data"] = json!({ "count": "1" });
    server.storage.plan([Fault::AnswerLost]);
    is_told_nothing_certain(&server.call("PUT", MAP, object.clone()).await);
    server.settle().await;
    // The version that the client knows has passed: it looks, and finds its change made.
    assert_eq!(server.call("PUT", MAP, object).await.code, 409);
    assert_eq!(server.get(MAP).await.ok()["data"]["count"], "1");
}

#[tokio::test]
async fn a_deletion_may_have_happened_and_the_next_says_404() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    let mut watch = server.watch(&format!("{MAPS}?watch=1&resourceVersion=2")).await;
    server.storage.plan([Fault::AnswerLost]);
    is_told_nothing_certain(&server.call("DELETE", MAP, Value::Null).await);
    // Watchers see it, whatever the client was told.
    assert_eq!(watch.next().await.unwrap().kind, "DELETED");
    assert_eq!(server.call("DELETE", MAP, Value::Null).await.code, 404);
}

/// A change that was refused is not there, and one that was made is, also after the server's end.
#[tokio::test]
async fn what_is_acknowledged_is_there_among_failures() {
    let server = TestServer::new().await;
    let faults = [Fault::None, Fault::Refused, Fault::AnswerLost, Fault::Delayed, Fault::Refused, Fault::None];
    server.storage.plan(faults);
    let mut answers = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        answers.push((number, fault, server.call("POST", MAPS, map(&format!("m{number}"))).await.code));
    }
    server.settle().await;
    for (number, fault, code) in answers {
        let found = server.get(&format!("{MAPS}/m{number}")).await.code;
        let want = match fault {
            Fault::Refused => (503, 404),
            Fault::AnswerLost => (503, 200),
            _ => (201, 200),
        };
        assert_eq!((code, found), want, "{fault:?}");
    }
}
