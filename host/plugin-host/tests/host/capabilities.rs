//! What a guest may call.

use serde_json::json;

use crate::bench::*;

#[tokio::test]
async fn the_cluster_can_be_read_where_the_manifest_says_so_and_nowhere_else() {
    let bench = Bench::new().await;
    bench.cluster.add("web");
    let spec = json!({"roles": ["authorizer"], "credentials": [], "reads": [{"resource": "pods"}], "config": {"do": "read"}});
    bench.load(&[manifest("a", spec)]).await;
    let pod = r#"Ok(Some("{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"}}")) Ok(true) Ok(1)"#;
    let refused = r#"Err("secrets is not in the manifest's spec.reads")"#;
    assert_eq!(bench.authorize().await.reason, format!("{pod} / {refused} {refused} {refused}"));
}

#[tokio::test]
async fn the_clock_is_the_servers() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "clock"}}))]).await;
    assert_eq!(bench.authorize().await.reason, "1234");
}
