//! What the clock decides: everything goes by the one that is handed in.

use std::time::Duration;

use serde_json::{Value, json};
use wasmgate_testing::TestServer;

use crate::{MAPS, map, pod};

#[tokio::test]
async fn objects_carry_the_clocks_time() {
    let server = TestServer::new().await;
    let made = server.call("POST", MAPS, map("a")).await.ok();
    assert_eq!(made["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    let pods = "/api/v1/namespaces/n/pods";
    server.call("POST", pods, pod("a")).await.ok();
    server.clock.advance(Duration::from_secs(3600));
    let marked = server.call("DELETE", &format!("{pods}/a?gracePeriodSeconds=25"), Value::Null).await.ok();
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T01:00:25Z");
}

#[tokio::test]
async fn an_event_is_gone_after_an_hour() {
    let server = TestServer::new().await;
    let events = "/api/v1/namespaces/n/events";
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" },
        "involvedObject": { "kind": "Pod", "namespace": "n", "name": "p" }, "reason": "Started", "type": "Normal",
    });
    server.call("POST", events, event).await.ok();
    let mut watch = server.watch(&format!("{events}?watch=1&resourceVersion=2&timeoutSeconds=100000")).await;
    server.clock.advance(Duration::from_secs(3599));
    assert_eq!(server.get(&format!("{events}/e")).await.code, 200);
    server.clock.advance(Duration::from_secs(1));
    let gone = watch.next().await.expect("the watch goes on");
    assert_eq!((&*gone.kind, gone.revision()), ("DELETED", 3));
    assert_eq!(server.get(&format!("{events}/e")).await.code, 404);
}

#[tokio::test]
async fn a_quiet_watch_is_sent_bookmarks_and_ends() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    let path = "/api/v1/namespaces/other/configmaps?watch=1&resourceVersion=2&allowWatchBookmarks=true&timeoutSeconds=150";
    let mut watch = server.watch(path).await;
    let mut silent = server.watch(&path.replace("&allowWatchBookmarks=true", "")).await;
    assert!(watch.ready().is_empty() && silent.ready().is_empty());
    server.clock.advance(Duration::from_secs(60));
    let bookmark = watch.next().await.expect("a bookmark");
    assert_eq!((&*bookmark.kind, bookmark.revision()), ("BOOKMARK", 2));
    server.call("POST", MAPS, map("b")).await.ok();
    assert!(watch.ready().is_empty(), "another namespace's change is none of its business");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(watch.next().await.expect("a bookmark").revision(), 3, "and moves it on all the same");
    server.clock.advance(Duration::from_secs(31));
    assert_eq!((watch.next().await, silent.next().await), (None, None), "150 seconds are over");
}

#[tokio::test]
async fn a_review_carries_the_clocks_time() {
    let server = TestServer::new().await;
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    server.clock.advance(Duration::from_secs(86_400));
    let answer = server.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await.ok();
    assert_eq!(answer["metadata"]["creationTimestamp"], "2026-01-02T00:00:00Z");
    assert_eq!(answer["status"]["userInfo"]["username"], "tester");
}
