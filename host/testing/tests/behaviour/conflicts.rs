//! Somebody else is faster: who insists on a version is told, everybody else is served in the end, as by upstream's `GuaranteedUpdate`.

use std::time::Duration;

use futures::FutureExt as _;
use serde_json::{Value, json};
use wasmgate_testing::{Fault, Setup, TestServer};

use crate::{MAP, MAPS, map, pod};

/// More often than any bound that one might think of: upstream has none but the request's time.
const OFTEN: usize = 200;

#[tokio::test]
async fn a_patch_is_applied_however_often_others_are_faster() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    server.storage.plan([Fault::Conflict; OFTEN]);
    let patched = server.call("PATCH", MAP, json!({ "data": { "k": "v" } })).await.ok();
    assert!(server.storage.is_plan_over());
    assert_eq!(patched["data"]["k"], "v");
    // The last of the others is not undone.
    let last = patched["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() - 2;
    assert_eq!(patched["metadata"]["annotations"]["touched"], last.to_string());
}

#[tokio::test]
async fn an_update_that_insists_on_a_version_is_refused_at_once() {
    let server = TestServer::new().await;
    let mut changed = server.call("POST", MAPS, map("a")).await.ok();
    changed["data"] = json!({ "k": "v" });
    server.storage.plan([Fault::Conflict, Fault::None]);
    let refused = server.call("PUT", MAP, changed).await;
    assert_eq!(refused.code, 409);
    assert_eq!(
        refused.refusal(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version \
         and try again"
    );
    assert!(!server.storage.is_plan_over(), "it is not tried again");
}

#[tokio::test]
async fn an_update_without_a_version_is_applied_however_often_others_are_faster() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    server.storage.plan([Fault::Conflict; OFTEN]);
    let mut changed = map("a");
    changed["data"] = json!({ "k": "v" });
    assert_eq!(server.call("PUT", MAP, changed).await.ok()["data"]["k"], "v");
    assert!(server.storage.is_plan_over());
}

#[tokio::test]
async fn a_patch_that_names_a_version_is_refused_where_it_has_passed() {
    let server = TestServer::new().await;
    let made = server.call("POST", MAPS, map("a")).await.ok();
    server.storage.plan([Fault::Conflict]);
    let patch = json!({ "metadata": { "resourceVersion": made["metadata"]["resourceVersion"] }, "data": { "k": "v" } });
    assert_eq!(server.call("PATCH", MAP, patch).await.code, 409);
    server.settle().await;
    assert_eq!(server.get(MAP).await.ok()["data"], Value::Null);
}

#[tokio::test]
async fn a_deletion_happens_however_often_others_are_faster() {
    let server = TestServer::new().await;
    server.call("POST", MAPS, map("a")).await.ok();
    server.storage.plan([Fault::Conflict; OFTEN]);
    server.call("DELETE", MAP, Value::Null).await.ok();
    assert!(server.storage.is_plan_over());
    assert_eq!(server.get(MAP).await.code, 404);
}

/// The only bound is the request's time, and it is the clock's.
#[tokio::test]
async fn a_request_that_others_never_let_through_ends_with_its_time() {
    let server = TestServer::start(Setup { request_duration_max: Duration::from_secs(30), ..Setup::default() }).await;
    server.call("POST", MAPS, map("a")).await.ok();
    server
        .storage
        .by_chance(Some((wasmgate_testing::seeds::Random::new(1), wasmgate_testing::Odds { conflict: 100, ..Default::default() })));
    let mut patch = Box::pin(server.call("PATCH", MAP, json!({ "data": { "k": "v" } })));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(patch.as_mut().now_or_never().is_none(), "it goes on");
    }
    server.clock.advance(Duration::from_secs(31));
    let late = patch.await;
    assert_eq!((late.code, &*late.refusal()), (504, "Timeout: request did not complete within the allotted timeout"));
}

/// An update that insists on a version is told what it would be told a moment later: the object is gone.
#[tokio::test]
async fn an_update_of_what_goes_meanwhile_is_404() {
    let server = TestServer::new().await;
    let made = server.call("POST", MAPS, map("a")).await.ok();
    server.storage.plan([Fault::Delayed]);
    let (updated, deleted) = futures::join!(
        async {
            let mut changed = made.clone();
            changed["data"] = json!({ "k": "v" });
            server.call("PUT", MAP, changed).await
        },
        server.call("DELETE", MAP, Value::Null)
    );
    assert_eq!((updated.code, deleted.code), (404, 200));
}

/// A PUT of what is not there creates; where it is there by the time of the commit, it updates.
#[tokio::test]
async fn a_put_of_what_appears_meanwhile_updates() {
    let server = TestServer::new().await;
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "r", "labels": { "x": "1" } } });
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r";
    server.storage.plan([Fault::Conflict]);
    let put = server.call("PUT", path, role).await;
    assert!(server.storage.is_plan_over());
    assert_eq!(put.code, 200, "{put:?}");
    assert_eq!(server.get(path).await.ok()["metadata"]["labels"]["x"], "1");
    // A kind that takes no update without a version says so then.
    let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "l" } });
    server.storage.plan([Fault::Conflict]);
    let refused = server.call("PUT", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", lease).await;
    assert_eq!(refused.code, 422);
    assert!(refused.refusal().contains("metadata.resourceVersion: Invalid value: 0: must be specified for an update"), "{refused:?}");
}

/// The two commits of a deletion, each lost to somebody else, over and over.
#[tokio::test]
async fn a_pod_is_deleted_at_once_whoever_writes_to_it() {
    let server = TestServer::new().await;
    let path = "/api/v1/namespaces/n/pods";
    server.call("POST", path, pod("a")).await.ok();
    server.storage.plan([Fault::Conflict, Fault::None, Fault::Conflict, Fault::None, Fault::None]);
    server.call("DELETE", &format!("{path}/a?gracePeriodSeconds=0"), Value::Null).await.ok();
    assert_eq!(server.get(&format!("{path}/a")).await.code, 404);
}
