//! What a watcher is told, and when.

use serde_json::{Value, json};
use wasmgate_testing::TestServer;

use crate::{MAP, MAPS, map};

/// Changes that a watcher reads at once, and some more.
const MANY: usize = 300;

/// A watch begins far back, and the one change that it is for lies behind many that it is not for: nobody has to change anything for it to
/// be told.
#[tokio::test]
async fn what_lies_behind_much_that_does_not_matter_is_told_at_once() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    for number in 0..MANY {
        server.call("PATCH", MAP, json!({ "data": { "k": number.to_string() } })).await.ok();
    }
    let mut wanted = map("b");
    wanted["metadata"]["labels"] = json!({ "x": "1" });
    server.call("POST", MAPS, wanted).await.ok();
    let mut watch = server.watch(&format!("{MAPS}?watch=1&resourceVersion=1&labelSelector=x%3D1")).await;
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), watch.next()).await.expect("it is told without being woken");
    assert_eq!(told.expect("the watch goes on").object["metadata"]["name"], "b");
}

/// The bookmark of a watcher that nothing concerned says how far the server is when it is sent, and not how far it was before.
#[tokio::test]
async fn a_bookmark_is_of_now() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    let mut watch = server.watch("/api/v1/namespaces/other/configmaps?watch=1&resourceVersion=2&allowWatchBookmarks=true").await;
    assert!(watch.ready().is_empty());
    server.call("DELETE", MAP, Value::Null).await.ok();
    server.clock.advance(std::time::Duration::from_secs(60));
    let bookmark = watch.next().await.expect("a bookmark");
    assert_eq!((&*bookmark.kind, bookmark.revision()), ("BOOKMARK", 3));
}
