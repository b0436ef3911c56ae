//! What a request meets on the road: who, whether, how many, how long, and how it is told.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Replaced, Wants, start};

const ALICE: (&str, &str) = ("authorization", "Bearer alice");

#[tokio::test]
async fn one_chain_decides_about_a_request_from_its_first_question_to_its_last() {
    let server = start(Wants { chains: Arc::new(Replaced::default()), ..Wants::default() }).await;
    let mut client = server.client(true, None).await;
    for number in 0..3 {
        let answer = client.get("/api/v1/again", &[]).await;
        assert_eq!((answer.code, answer.text().as_ref()), (200, "Allow"), "{number}");
    }
    assert_eq!(client.get("/api/v1/whoami", &[]).await.json()["name"], "3", "each request takes one");
}

#[tokio::test]
async fn both_protocols_serve_the_same() {
    let server = start(Wants::default()).await;
    for http2 in [false, true] {
        let mut client = server.client(http2, None).await;
        let answer = client.get("/api/v1/whoami", &[ALICE, ("x-remote-user", "root"), ("x-remote-extra-a", "b")]).await;
        let user = answer.json();
        assert_eq!((answer.code, user["name"].as_str()), (200, Some("alice")));
        let headers = user["headers"].as_array().unwrap();
        let secret = ["authorization", "x-remote-user", "x-remote-extra-a"];
        assert!(!headers.iter().any(|name| secret.contains(&name.as_str().unwrap())), "{headers:?}");
        assert_eq!(answer.header("cache-control"), "no-cache, private");
        assert_eq!(answer.header("audit-id").len(), 36);
        assert_eq!(answer.header("content-type"), "application/json");

        let answer = client.call("POST", "/api/v1/echo", &[ALICE, ("audit-id", "mine")], "hello").await;
        assert_eq!((answer.text().as_str(), answer.header("audit-id")), ("hello", "mine"));
        let answer = client.get("/api/v1/x", &[ALICE, ("audit-id", &"y".repeat(10_000))]).await;
        assert_eq!(answer.header("audit-id"), "y".repeat(64));

        let list = client.get("/api/v1/list", &[ALICE]).await;
        assert_eq!((list.body.len(), list.header("content-length")), (1_000_000, "1000000"));
    }
}

#[tokio::test]
async fn refusals_are_told_as_upstream_tells_them() {
    let server = start(Wants::default()).await;
    let bearer = |name: &str| format!("Bearer {name}");
    let pods = "/api/v1/namespaces/n/pods";
    let rows: &[(&str, &str, &str, u16, &str)] = &[
        // Who, what, what they accept, and the answer.
        ("bad", pods, "", 401, r#""message":"Unauthorized","metadata":{},"reason":"Unauthorized","status":"Failure""#),
        ("nobody", pods, "", 401, r#""code":401"#),
        ("broken", pods, "", 401, r#""code":401"#),
        (
            "mallory",
            pods,
            "",
            403,
            r#"pods is forbidden: User \"mallory\" cannot list resource \"pods\" in API group \"\" in the namespace \"n\"""#,
        ),
        ("trudy", "/healthz/ping", "", 403, r#"forbidden: User \"trudy\" cannot get path \"/healthz/ping\": not today""#),
        ("mallory", pods, "application/yaml", 403, "apiVersion: v1\ncode: 403\ndetails:\n  kind: pods\n"),
        ("mallory", pods, "text/html", 403, "{\n  \"apiVersion\": \"v1\","),
        ("faulty", pods, "", 500, "Internal Server Error: \"/api/v1/namespaces/n/pods\": plugin test: trap\n"),
        ("alice", "/api/v1/missing", "application/json;as=Table;v=v1;g=meta.k8s.io", 404, r#"pods \"x\" not found"#),
        ("alice", "/api/v1/busy", "", 429, r#""retryAfterSeconds":7"#),
        ("alice", "/api/v1/panic", "", 500, "This request caused apiserver to panic. Look in the logs for details.\n"),
        ("alice", "/api/v1/pods?timeout=x", "", 400, r#"invalid timeout specified in the request URL - time: invalid duration \"x\""#),
        (
            "alice",
            "/api/v1/watch",
            "",
            500,
            "Internal Server Error: \"/api/v1/watch\": failed to create RequestInfo: unable to determine kind and namespace from url, /api/v1/watch\n",
        ),
    ];
    for http2 in [false, true] {
        for (who, path, accept, code, text) in rows {
            // A connection each: strangers lose theirs.
            let mut client = server.client(http2, None).await;
            let answer = client.get(path, &[("authorization", &bearer(who)), ("accept", accept)]).await;
            assert_eq!(answer.code, *code, "{who} {path}: {}", answer.text());
            assert!(answer.text().contains(text), "{who} {path}: {}", answer.text());
            assert!(!answer.header("audit-id").is_empty(), "{path}");
            let retry_after = if *code == 429 { "7" } else { "" };
            assert_eq!(answer.header("retry-after"), retry_after, "{path}");
        }
    }
    let mut client = server.client(true, None).await;
    client.get("/api/v1/panic", &[ALICE]).await;
    assert_eq!(client.get("/api/v1/x", &[ALICE]).await.code, 200, "a panic ends its request only");
}

#[tokio::test]
async fn impersonation_is_authorized() {
    let server = start(Wants::default()).await;
    let mut client = server.client(true, None).await;
    let rows: &[(&str, &[(&str, &str)], u16, &str)] = &[
        (
            "admin",
            &[("impersonate-user", "jane")],
            200,
            r#"{"extra":{},"groups":["system:authenticated"],"headers":[],"name":"jane","uid":""}"#,
        ),
        ("admin", &[("impersonate-user", "jane"), ("impersonate-group", "g1")], 200, r#""groups":["g1","system:authenticated"]"#),
        (
            "admin",
            &[("impersonate-user", "jane"), ("impersonate-group", "system:unauthenticated")],
            200,
            r#""groups":["system:unauthenticated"]"#,
        ),
        ("admin", &[("impersonate-user", "system:anonymous")], 200, r#""groups":["system:unauthenticated"]"#),
        (
            "admin",
            &[("impersonate-user", "system:serviceaccount:n:default")],
            200,
            r#""groups":["system:serviceaccounts","system:serviceaccounts:n","system:authenticated"]"#,
        ),
        (
            "admin",
            &[("impersonate-user", "x"), ("impersonate-group", "system:masters")],
            200,
            r#""groups":["system:masters","system:authenticated"]"#,
        ),
        // Only the old way is open to this one.
        ("legacy", &[("impersonate-user", "system:node:n1")], 200, r#""groups":["system:authenticated"]"#),
        ("other", &[("impersonate-user", "system:node:n1")], 200, r#""groups":["system:nodes","system:authenticated"]"#),
        (
            "admin",
            &[("impersonate-user", "x"), ("impersonate-uid", "u1"), ("impersonate-extra-acme.com%2fproject", "p")],
            200,
            r#"{"extra":{"acme.com/project":["p"]},"groups":["system:authenticated"],"headers":[],"name":"x","uid":"u1"}"#,
        ),
        (
            "admin",
            &[("impersonate-group", "x")],
            400,
            r#"requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"x\"}, Extra:map[string][]string(nil)} without impersonating a user name"#,
        ),
        (
            "eve",
            &[("impersonate-user", "x")],
            403,
            r#"whoami is forbidden: User \"eve\" cannot impersonate-on:user-info:list resource \"whoami\" in API group \"\" at the cluster scope"#,
        ),
    ];
    for (who, headers, code, text) in rows {
        let bearer = format!("Bearer {who}");
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        let answer = client.get("/api/v1/whoami", &headers).await;
        assert_eq!(answer.code, *code, "{headers:?}: {}", answer.text());
        assert!(answer.text().contains(text), "{headers:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn seats_run_out_and_masters_still_sit() {
    let seats = flowcontrol::Limits { read_only_count_max: 1, mutating_count_max: 1 };
    let server = start(Wants { seats, ..Wants::default() }).await;
    let admin =
        server.client_ca.client("admin", |params| params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:masters"));
    let mut first = server.client(true, None).await;
    let waiting = tokio::spawn(async move { first.get("/api/v1/slow", &[ALICE]).await });
    server.endpoints.reached.notified().await;

    let mut client = server.client(true, None).await;
    let refused = client.get("/api/v1/x", &[ALICE]).await;
    assert_eq!(
        (refused.code, refused.text().as_str(), refused.header("retry-after")),
        (429, "Too many requests, please try again later.\n", "1")
    );
    assert_eq!(client.call("POST", "/api/v1/x", &[ALICE], "").await.code, 200, "writes have seats of their own");
    let watch = client.send("GET", "/api/v1/events?watch=1", &[ALICE], "").await.unwrap();
    assert_eq!(watch.status(), 200, "watches need no seat");
    assert_eq!(server.client(true, Some(&admin)).await.get("/api/v1/x", &[]).await.code, 200);
    for probe in ["/livez", "/readyz", "/healthz"] {
        let mut stranger = server.client(false, None).await;
        assert_eq!(stranger.get(probe, &[]).await.code, 200, "probes are answered at any load");
        assert_eq!(stranger.get("/version", &[]).await.code, 429);
    }

    server.endpoints.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().text(), "done");
    assert_eq!(client.get("/api/v1/x", &[ALICE]).await.code, 200);
}

#[tokio::test]
async fn time_runs_out() {
    let server = start(Wants { request_duration_max: Duration::from_millis(300), ..Wants::default() }).await;
    for http2 in [false, true] {
        let mut client = server.client(http2, None).await;
        let answer = client.get("/api/v1/slow", &[ALICE]).await;
        assert_eq!(answer.code, 504);
        assert!(answer.text().contains("Timeout: request did not complete within the allotted timeout"), "{}", answer.text());
        server.endpoints.cancelled.notified().await;
    }
}

#[tokio::test]
async fn answers_are_compressed_indented_and_left_out() {
    let server = start(Wants::default()).await;
    for http2 in [false, true] {
        let mut client = server.client(http2, None).await;
        let gzip = client.get("/api/v1/large", &[ALICE, ("accept-encoding", "gzip")]).await;
        assert_eq!((gzip.header("content-encoding"), gzip.header("vary")), ("gzip", "Accept-Encoding"));
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.body[..]), &mut text).unwrap();
        assert_eq!(text, common::large_json());
        let small = client.get("/api/v1/whoami", &[ALICE, ("accept-encoding", "gzip")]).await;
        assert_eq!(small.header("content-encoding"), "", "small answers are not worth it");

        let pretty = client.get("/api/v1/whoami?pretty=1", &[ALICE]).await;
        assert!(pretty.text().starts_with("{\n  \"extra\""), "{}", pretty.text());
        let curl = client.get("/api/v1/whoami", &[ALICE, ("user-agent", "curl/8.5")]).await;
        assert_eq!(curl.text().lines().nth(1).map(str::trim_start), pretty.text().lines().nth(1).map(str::trim_start));

        let pretty = client.get("/api/v1/large?pretty=1", &[ALICE, ("accept-encoding", "gzip")]).await;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&pretty.body[..]), &mut text).unwrap();
        assert!(text.starts_with("{\n  \"data\": \"0123") && text.ends_with("\"\n}"));

        let head = client.call("HEAD", "/api/v1/large", &[ALICE], "").await;
        assert_eq!((head.code, head.body.len(), head.header("content-length")), (200, 0, "200011"));

        let warned = client.get("/api/v1/warn", &[ALICE]).await;
        let warnings: Vec<_> = warned.headers.get_all("warning").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        assert_eq!(warnings, [r#"299 - "first""#, r#"299 - "second \"quoted\"""#]);
    }
}

#[tokio::test]
async fn requests_are_counted_when_their_answer_is_sent() {
    let server = start(Wants::default()).await;
    let mut client = server.client(true, None).await;
    client.get("/api/v1/namespaces/n/list", &[ALICE]).await;
    let whole = match client.send("GET", "/api/v1/broken", &[ALICE], "").await {
        Ok(broken) => http_body_util::BodyExt::collect(broken.into_body()).await.is_ok(),
        Err(_) => false,
    };
    assert!(!whole, "half an answer is not taken for a whole one");
    // What was not served, or not allowed, is not told by what the client wrote.
    for who in ["alice", "mallory", "nobody"] {
        let bearer = format!("Bearer {who}");
        server.client(true, None).await.get("/apis/madeup.example.com/madeup/madeup?watch=madeup", &[("authorization", &bearer)]).await;
    }
    let text = server.metrics.answer().into_body().collect().await.unwrap();
    assert!(!String::from_utf8_lossy(&text).contains("madeup"));
    let text = String::from_utf8_lossy(&text);
    let line = "apiserver_response_sizes_sum{component=\"apiserver\",group=\"\",resource=\"list\",scope=\"namespace\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1000000";
    assert!(text.contains(line), "{text}");
}
