//! Requests that a guest sends. The client itself is tested in `outbound`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::{AskedFor, Authorizer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::*;

/// Answers each request on a connection of its own with the request, or never.
async fn server(answers: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or_default();
                if !answers {
                    return std::future::pending().await;
                }
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let body = format!("{} {}", request.lines().next().unwrap_or_default(), request.contains("x-asked: please"));
                let answer =
                    format!("HTTP/1.1 201 Created\r\nX-Answered: yes\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    origin
}

fn fetching(origin: &str, change: Value) -> String {
    let config = json!({"do": "fetch", "url": format!("{origin}/a"), "body": "hello"});
    let mut spec = json!({"roles": ["authorizer"], "credentials": [], "http": {"origins": [origin]}, "config": config});
    change.as_object().into_iter().flatten().for_each(|(key, value)| spec[key] = value.clone());
    manifest("a", spec)
}

const ANSWER: &str = r#"201 Some("yes") POST /a HTTP/1.1 true"#;

#[tokio::test]
async fn a_guest_reaches_what_its_manifest_names_and_nothing_else() {
    let origin = server(true).await;
    let bench = Bench::new().await;
    bench.load(&[fetching(&origin, json!({}))]).await;
    assert_eq!(bench.authorize().await.reason, ANSWER);
    bench
        .load(&[fetching(&origin, json!({"http": {"origins": ["https://idp.example.com"], "ca": include_str!("keys/rsa.crt.pem")}}))])
        .await;
    assert_eq!(bench.authorize().await.reason, format!("HttpFailure::NotGranted {origin} is not granted"));
    bench.load(&[fetching(&origin, json!({"http": {"origins": [origin], "requestBytes": 4}}))]).await;
    assert_eq!(bench.authorize().await.reason, "HttpFailure::TooLong the body's bytes are 5, more than 4");
    bench.load(&[fetching(&origin, json!({"http": {"origins": [origin], "responseBytes": 4}}))]).await;
    assert_eq!(bench.authorize().await.reason, "HttpFailure::TooLarge the answer has more than 4 bytes");
}

#[tokio::test]
async fn a_guest_that_waits_in_vain_can_still_answer_and_its_instance_stays() {
    let origin = server(false).await;
    let bench = Bench::new().await;
    for change in [
        json!({"limits": {"timeoutMilliseconds": 400}}),
        json!({"http": {"origins": [origin], "timeoutMilliseconds": 20}, "limits": {"timeoutMilliseconds": 20_000}}),
    ] {
        bench.load(&[fetching(&origin, change)]).await;
        for _ in 0..2 {
            let reason = bench.authorize().await.reason;
            assert!(reason.starts_with("HttpFailure::Timeout there was no answer within "), "{reason}");
        }
    }
    // No request of a guest outlives the request that it is asked for.
    bench.load(&[fetching(&origin, json!({"limits": {"timeoutMilliseconds": 20_000}}))]).await;
    let asked_for = AskedFor { deadline: Some(Instant::now() + Duration::from_millis(50)), ..AskedFor::default() };
    let answer = bench.set.chain().authorize(&auth::Attributes { asked_for, ..auth::Attributes::default() }).await;
    assert!(answer.reason.starts_with("HttpFailure::Timeout there was no answer within "), "{answer:?}");
}

#[tokio::test]
async fn requests_are_sent_in_configure_and_not_while_an_instance_is_told_of_changes() {
    let origin = server(true).await;
    let bench = Bench::new().await;
    let config = json!({"configure": "fetch", "url": format!("{origin}/a")});
    bench.load(&[fetching(&origin, json!({"config": config}))]).await;
    assert_eq!(bench.failure(), format!("it refuses its configuration: {ANSWER}"));
    let bench = Bench::new().await;
    let config = json!({"changes": "fetch", "do": "known", "url": format!("{origin}/a")});
    bench.cluster.add("web");
    bench.load(&[fetching(&origin, json!({"config": config, "watches": [{"resource": "pods"}]}))]).await;
    assert_eq!(bench.authorize().await.reason, "HttpFailure::NotNow pods/default/web");
}

#[tokio::test]
async fn many_guests_wait_at_once() {
    let origin = server(true).await;
    let bench = Arc::new(Bench::new().await);
    bench.load(&[fetching(&origin, json!({"limits": {"instances": 16}}))]).await;
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.authorize().await.reason })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.expect("an answer"), ANSWER);
    }
}
