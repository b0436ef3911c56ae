//! What a connection may do to us, and what it is told: certificates, bodies, heads, smuggling, and the server's end.

mod common;

use std::time::Duration;

use common::{Ca, Wants, start};
use http_body_util::BodyExt as _;
use rcgen::{DnType, ExtendedKeyUsagePurpose};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wasmgate_server::limits::ConnectionLimits;
use wasmgate_server::listener::Drained;
use wasmgate_server::shutdown::Phase;

const ALICE: (&str, &str) = ("authorization", "Bearer alice");

#[tokio::test]
async fn certificates_name_users_or_say_what_is_wrong_with_them() {
    let server = start(Wants::default()).await;
    let (ca, stranger) = (&server.client_ca, Ca::new("stranger"));
    let good = ca.client("carol", |params| params.distinguished_name.push(DnType::OrganizationName, "dev"));
    let expired = ca.client("carol", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = ca.client("carol", |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1));
    let serving = ca.client("carol", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let unknown = stranger.client("carol", |_| {});
    let nameless = ca.client("", |params| {
        params.distinguished_name.remove(DnType::CommonName);
    });
    let rows = [
        (&good, "carol"),
        (&expired, "x509: certificate has expired or is not yet valid: current time "),
        (&expired, " is after 2020-01-01T00:00:00Z"),
        (&early, " is before 2090-01-01T00:00:00Z"),
        (&serving, "x509: certificate specifies an incompatible key usage"),
        (&unknown, "x509: certificate signed by unknown authority"),
        (&nameless, "system:anonymous"),
    ];
    for http2 in [false, true] {
        for (identity, name) in &rows {
            let mut client = server.client(http2, Some(identity)).await;
            let user = client.get("/api/v1/whoami", &[]).await.json();
            assert!(user["name"].as_str().unwrap().contains(name), "{user} lacks {name}");
        }
        // A bad certificate does not stand in the way of a good token.
        let mut client = server.client(http2, Some(&unknown)).await;
        assert_eq!(client.get("/api/v1/whoami", &[ALICE]).await.json()["name"], "alice");
    }

    // The CA is replaced while a connection lives: it is judged anew.
    let mut client = server.client(true, Some(&good)).await;
    assert_eq!(client.get("/api/v1/whoami", &[]).await.json()["name"], "carol");
    server.tls.replace_client_ca(stranger.pem.as_bytes()).unwrap();
    let user = client.get("/api/v1/whoami", &[]).await.json();
    assert!(user["name"].as_str().unwrap().contains("unknown authority"), "{user}");
    assert_eq!(server.client(true, Some(&unknown)).await.get("/api/v1/whoami", &[]).await.json()["name"], "carol");
}

#[tokio::test]
async fn bodies_are_bounded() {
    const BYTES_MAX: usize = 3 * 1024 * 1024;
    let server = start(Wants::default()).await;
    for http2 in [false, true] {
        let mut client = server.client(http2, None).await;
        let fits = client.call("POST", "/api/v1/length", &[ALICE], vec![b'x'; BYTES_MAX]).await;
        assert_eq!((fits.code, fits.text()), (200, BYTES_MAX.to_string()));
        let large = client.call("POST", "/api/v1/length", &[ALICE], vec![b'x'; BYTES_MAX + 1]).await;
        assert_eq!(large.code, 413);
        assert_eq!(large.json()["message"], "Request entity too large: limit is 3145728");
        assert_eq!(large.json().get("details"), None);
    }
    // Without a length that could be judged before.
    let mut stream = server.raw(None, &["http/1.1"]).await;
    stream
        .write_all(b"POST /api/v1/length HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..=(BYTES_MAX / 0x10000) {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 32];
    let count = stream.read(&mut answer).await.unwrap_or_default();
    assert!(String::from_utf8_lossy(&answer[..count]).starts_with("HTTP/1.1 413"), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    let server = start(Wants::default()).await;
    let mut stream = server.raw(None, &["http/1.1"]).await;
    stream
        .write_all(b"POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 100\r\n\r\nhalf")
        .await
        .unwrap();
    server.endpoints.reached.notified().await;
    drop(stream);
    assert_eq!(server.client(false, None).await.get("/api/v1/x", &[ALICE]).await.code, 200, "others are served");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let server = start(Wants::default()).await;
    for http2 in [false, true] {
        let mut client = server.client(http2, None).await;
        {
            let request = client.send("GET", "/api/v1/slow", &[ALICE], "");
            tokio::select! {
                _ = request => panic!("nobody lets it go on"),
                () = server.endpoints.reached.notified() => {}
            }
        }
        drop(client);
        server.endpoints.cancelled.notified().await;
    }
}

#[tokio::test]
async fn smuggled_requests_are_refused() {
    let server = start(Wants::default()).await;
    let head = "Host: x\r\nAuthorization: Bearer alice\r\n";
    let smuggled = "GET /api/v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let rows = [
        ("two lengths", format!("POST /api/v1/echo HTTP/1.1\r\n{head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")),
        ("length is no number", format!("POST /api/v1/echo HTTP/1.1\r\n{head}Content-Length: +4\r\n\r\nabcd")),
        ("length twice in one", format!("POST /api/v1/echo HTTP/1.1\r\n{head}Content-Length: 4, 4\r\n\r\nabcd")),
        ("unknown coding", format!("POST /api/v1/echo HTTP/1.1\r\n{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("chunked not last", format!("POST /api/v1/echo HTTP/1.1\r\n{head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")),
        ("coding in HTTP/1.0", format!("POST /api/v1/echo HTTP/1.0\r\n{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("space before the colon", format!("POST /api/v1/echo HTTP/1.1\r\n{head}Content-Length : 4\r\n\r\nabcd")),
        ("folded line", format!("POST /api/v1/echo HTTP/1.1\r\n{head}X: a\r\n b: c\r\n\r\n")),
        ("bare CR", format!("POST /api/v1/echo HTTP/1.1\r\n{head}X: a\rb\r\n\r\n")),
        ("NUL", format!("POST /api/v1/echo HTTP/1.1\r\n{head}X: a\0b\r\n\r\n")),
        ("no host", "GET /api/v1/x HTTP/1.1\r\n\r\n".into()),
        ("two hosts", "GET /api/v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into()),
    ];
    for (name, bytes) in rows {
        let answer = server.exchange(&[bytes.as_bytes(), smuggled.as_bytes()].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.0 400") || answer == "<closed>", "{name}: {answer}");
        assert!(answer.matches("HTTP/1.").count() <= 1 && answer.ends_with("<closed>"), "{name}: {answer}");
    }
    // Both lengths at once: the coding counts, and nothing that follows is read.
    let both = format!("POST /api/v1/echo HTTP/1.1\r\n{head}Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let answer = server.exchange(both.as_bytes()).await;
    assert!(answer.matches("HTTP/1.1").count() <= 1 && answer.ends_with("<closed>"), "{answer}");
    // A chunk that is none.
    let chunk = format!("POST /api/v1/echo HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n{smuggled}");
    let answer = server.exchange(chunk.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.matches("HTTP/1.1").count() == 1 && answer.ends_with("<closed>"), "{answer}");
}

#[tokio::test]
async fn heads_are_bounded_in_bytes_and_time() {
    let limits = ConnectionLimits {
        header_read_duration_max: Duration::from_millis(200),
        handshake_duration_max: Duration::from_millis(200),
        ..ConnectionLimits::default()
    };
    let server = start(Wants { limits, ..Wants::default() }).await;
    let many: String = (0..300).map(|n| format!("X-{n}: y\r\n")).collect();
    let answer = server.exchange(format!("GET /api/v1/x HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // However much follows, the answer arrives: a socket that is closed with bytes unread would take it away again.
    for (what, bytes) in [("a header", 300_000), ("a header", 6_000_000), ("a path", 300_000), ("a path", 70_000)] {
        let long = "y".repeat(bytes);
        let (path, header) = if what == "a path" { (&*long, "") } else { ("x", &*long) };
        let answer = server.exchange(format!("GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\nX: {header}\r\n\r\n").as_bytes()).await;
        let want = if bytes > 100_000 { "HTTP/1.1 431 Request Header Fields Too Large\r\n" } else { "HTTP/1.1 414 URI Too Long\r\n" };
        assert!(answer.starts_with(want) && answer.ends_with("<closed>"), "{what} of {bytes}: {answer}");
    }

    let answer = server.exchange(b"GET /api/v1/x HTTP/1.1\r\nHost: x\r\nX: never ends").await;
    assert!(answer.ends_with("<closed>"), "slow head: {answer}");

    let mut silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or_default(), 0, "no handshake, no connection");
    let mut client = server.client(true, None).await;
    assert_eq!(client.get("/api/v1/x", &[ALICE]).await.code, 200, "others are served");
    let large = client.send("GET", "/api/v1/x", &[ALICE, ("x", &"y".repeat(300 * 1024))], "").await;
    assert_eq!(large.unwrap().status(), 431, "HTTP/2 has the same bound");
    let many: Vec<(String, &str)> = (0..300).map(|n| (format!("x-{n}"), "y")).collect();
    let many: Vec<(&str, &str)> = std::iter::once(ALICE).chain(many.iter().map(|(name, value)| (name.as_str(), *value))).collect();
    let answer = client.get("/api/v1/x", &many).await;
    assert_eq!((answer.code, answer.text().as_str()), (431, "431 Request Header Fields Too Large"));
    let long = format!("/api/v1/{}", "y".repeat(60_000));
    assert_eq!(client.get(&long, &[ALICE]).await.code, 200);
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let limits = ConnectionLimits { idle_duration_max: Duration::from_millis(200), ..ConnectionLimits::default() };
    let server = start(Wants { limits, ..Wants::default() }).await;
    let mut client = server.client(true, None).await;
    assert_eq!(client.get("/api/v1/x", &[ALICE]).await.code, 200);
    let watch = server.client(true, None).await.send("GET", "/api/v1/events?watch=1", &[ALICE], "").await.unwrap();
    let mut watch = watch.into_body();
    // Until the connection is gone: the test's own time limit is the bound.
    while client.send("GET", "/api/v1/x", &[ALICE], "").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert!(watch.frame().await.unwrap().is_ok(), "a watch is not idle");
}

/// One seat of each kind.
const ONE_SEAT: flowcontrol::Limits = flowcontrol::Limits { read_only_count_max: 1, mutating_count_max: 1 };

#[tokio::test]
async fn an_answer_that_nobody_reads_holds_no_seat() {
    let server = start(Wants { seats: ONE_SEAT, ..Wants::default() }).await;
    let mut other = server.client(false, None).await;
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut stream = server.raw(None, &["http/1.1"]).await;
        stream.write_all(b"GET /api/v1/huge HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n").await.unwrap();
        // Its head is there: what is left is sending.
        stream.read_exact(&mut [0; 16]).await.unwrap();
        stuck.push(stream);
        assert_eq!(other.get("/api/v1/x", &[ALICE]).await.code, 200);
    }
    let mut closed = server.closed_window().await;
    let mut answers = Vec::new();
    for path in ["/api/v1/x", "/api/v1/list", "/api/v1/large", "/api/v1/huge"] {
        answers.push(closed.send("GET", path, &[ALICE], "").await.unwrap());
        assert_eq!(other.get("/api/v1/x", &[ALICE]).await.code, 200);
    }
}

#[tokio::test]
async fn a_body_that_is_waited_for_holds_no_seat() {
    let server = start(Wants { seats: ONE_SEAT, ..Wants::default() }).await;
    let mut stuck = Vec::new();
    let mut other = server.client(false, None).await;
    for _ in 0..3 {
        let mut stream = server.raw(None, &["http/1.1"]).await;
        let head = b"POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 9\r\n\r\nhalf";
        stream.write_all(head).await.unwrap();
        server.endpoints.reached.notified().await;
        stuck.push(stream);
        // Reached, and perhaps not yet waiting.
        while other.call("POST", "/api/v1/echo", &[ALICE], "whole").await.code == 429 {
            tokio::task::yield_now().await;
        }
        server.endpoints.reached.notified().await;
    }
    for mut stream in stuck {
        stream.write_all(b" more").await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    assert_eq!(other.call("POST", "/api/v1/echo", &[ALICE], "whole").await.code, 200);
}

#[tokio::test]
async fn who_reads_nothing_is_cut() {
    let limits = ConnectionLimits { send_stall_duration_max: Duration::from_millis(200), ..ConnectionLimits::default() };
    let server = start(Wants { limits, ..Wants::default() }).await;
    for path in ["/api/v1/huge", "/api/v1/flood?watch=1"] {
        let mut stream = server.raw(None, &["http/1.1"]).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        server.cut().await;
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).await.is_err() || rest.len() < common::HUGE_BYTES, "{path}: cut, not served");
    }
    // Whether the answer fits a frame, is large, or has no end; and the last frame of one that has.
    for path in ["/api/v1/x", "/api/v1/large", "/api/v1/huge", "/api/v1/flood?watch=1"] {
        let mut client = server.closed_window().await;
        let answer = client.send("GET", path, &[ALICE], "").await.unwrap();
        server.cut().await;
        assert!(answer.into_body().collect().await.is_err(), "{path}");
    }
    // A watch that has nothing to say is left in peace, and so is everybody who reads.
    let mut client = server.client(true, None).await;
    let mut watch = client.send("GET", "/api/v1/events?watch=1", &[ALICE], "").await.unwrap().into_body();
    for _ in 0..40 {
        assert!(watch.frame().await.unwrap().is_ok());
    }
    assert_eq!(client.get("/api/v1/huge", &[ALICE]).await.body.len(), common::HUGE_BYTES);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = start(Wants { request_duration_max: Duration::from_millis(200), ..Wants::default() }).await;
    let answer =
        server.exchange(b"POST /api/v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn connections_are_bounded() {
    let server =
        start(Wants { limits: ConnectionLimits { connections_count_max: 1, ..ConnectionLimits::default() }, ..Wants::default() }).await;
    let mut first = server.client(false, None).await;
    assert_eq!(first.get("/api/v1/x", &[ALICE]).await.code, 200);
    let mut second = Box::pin(server.client(false, None));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut second).await.is_err(), "the second waits");
    drop(first);
    assert_eq!(second.await.get("/api/v1/x", &[ALICE]).await.code, 200);
}

#[tokio::test]
async fn strangers_fill_the_server_and_keep_nobody_out() {
    // None of them goes by itself.
    let hour = Duration::from_secs(3600);
    let limits = ConnectionLimits {
        connections_count_max: 3,
        handshake_duration_max: hour,
        header_read_duration_max: hour,
        ..ConnectionLimits::default()
    };
    let server = start(Wants { limits, ..Wants::default() }).await;
    let mut known = server.client(true, None).await;
    assert_eq!(known.get("/api/v1/x", &[ALICE]).await.code, 200);
    // More than there is room for, in every state: nothing sent, a handshake, half a head, a request without a name.
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push((tokio::net::TcpStream::connect(server.address).await.unwrap(), None));
        let mut stream = server.raw(None, &["http/1.1"]).await;
        stream.write_all(b"GET /api/v1/x HT").await.unwrap();
        strangers.push((tokio::net::TcpStream::connect(server.address).await.unwrap(), Some(stream)));
        assert_eq!(server.client(false, None).await.get("/api/v1/x", &[]).await.code, 200);
        assert_eq!(server.client(true, None).await.get("/api/v1/x", &[ALICE]).await.code, 200);
        assert_eq!(known.get("/api/v1/x", &[ALICE]).await.code, 200, "who is known stays");
    }
}

#[tokio::test]
async fn strangers_lose_their_http2_connection() {
    let server = start(Wants::default()).await;
    let mut client = server.client(true, None).await;
    assert_eq!(client.get("/api/v1/x", &[]).await.code, 200);
    // The goodbye may cross the next request on its way.
    let mut refused = false;
    for _ in 0..50 {
        refused = client.send("GET", "/api/v1/x", &[], "").await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused);
    let mut plain = server.client(false, None).await;
    for _ in 0..3 {
        assert_eq!(plain.get("/api/v1/x", &[]).await.code, 200);
    }
}

#[tokio::test]
async fn the_end_is_graceful() {
    for http2 in [false, true] {
        let server = start(Wants::default()).await;
        let mut slow = server.client(http2, None).await;
        let waiting = tokio::spawn(async move { slow.get("/api/v1/slow", &[ALICE]).await });
        server.endpoints.reached.notified().await;
        let mut watcher = server.client(http2, None).await;
        let mut watch = watcher.send("GET", "/api/v1/events?watch=1", &[ALICE], "").await.unwrap().into_body();
        for _ in 0..3 {
            assert!(watch.frame().await.unwrap().is_ok(), "each event is sent at once");
        }

        server.shutdown.advance(Phase::NotReady);
        assert_eq!(server.client(http2, None).await.get("/api/v1/x", &[ALICE]).await.code, 200, "still served");
        server.shutdown.advance(Phase::Draining);
        while let Some(frame) = watch.frame().await {
            frame.expect("a watch ends, and is not cut");
        }
        // The listener is closed by the time that the accept loop has seen it.
        while tokio::net::TcpStream::connect(server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.endpoints.go_on.notify_one();
        assert_eq!(waiting.await.unwrap().text(), "done");
        assert_eq!(server.task.await.unwrap(), Drained::Clean);
    }
}

#[tokio::test]
async fn what_does_not_end_is_cut() {
    let server = start(Wants { drain_duration_max: Duration::from_millis(200), ..Wants::default() }).await;
    let mut client = server.client(true, None).await;
    let waiting = tokio::spawn(async move { client.send("GET", "/api/v1/slow", &[ALICE], "").await.is_err() });
    server.endpoints.reached.notified().await;
    server.shutdown.advance(Phase::Draining);
    assert_eq!(server.task.await.unwrap(), Drained::Cut(1));
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn plain_http_is_not_tls() {
    let server = start(Wants::default()).await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    let text = server.metrics.answer().into_body().collect().await.unwrap();
    assert!(String::from_utf8_lossy(&text).contains("apiserver_tls_handshake_errors_total 1"));
}
