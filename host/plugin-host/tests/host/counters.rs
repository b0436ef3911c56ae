//! Counters that all instances of a plugin share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use crate::bench::*;

static NOW_MILLISECONDS: AtomicU64 = AtomicU64::new(1_000_000);

#[tokio::test]
async fn a_rate_is_limited_over_all_instances_and_fills_with_the_servers_time() {
    let bench = Bench::with(|loader| {
        loader.services.now = || UNIX_EPOCH + Duration::from_millis(NOW_MILLISECONDS.load(Ordering::SeqCst));
    })
    .await;
    // Every call has an instance of its own.
    let spec = json!({"roles": ["validating-admission"], "credentials": [], "instances": "Fresh", "config": {"do": "limit-rate"}});
    bench.load(&[manifest("a", spec)]).await;
    for round in 0..2 {
        let accepted = if round == 0 { 2 } else { 1 };
        for _ in 0..accepted {
            bench.create().await.0.expect("admitted");
        }
        let refused = bench.create().await.0.expect_err("refused");
        assert_eq!((refused.code, refused.message.as_str()), (429, "limit reached on type Namespace for key default"));
        NOW_MILLISECONDS.fetch_add(1_000, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_is_too_long_or_no_rate_is_an_error_and_no_fault() {
    let bench = Bench::new().await;
    bench.load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "config": {"do": "counters"}}))]).await;
    let long = "LookupFailure::TooLong a key of a counter has 2000 bytes, more than 1024";
    let no_rate = "LookupFailure::Malformed tokens a second must be a number, and not negative";
    assert_eq!(bench.authorize().await.reason, format!("true | {long} | {no_rate}"));
    // Another version begins anew.
    assert!(bench.authorize().await.reason.starts_with("false | "));
    bench.load(&[manifest("a", json!({"roles": ["authorizer"], "credentials": [], "order": 3, "config": {"do": "counters"}}))]).await;
    assert!(bench.authorize().await.reason.starts_with("true | "));
}
