//! The client against a real server on loopback, with TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wasmgate_outbound::{Client, Error, Failure, Grant, Method, Request, Response, Roots};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = versions.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("a certificate");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server, and how many connections it has had.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => drop(serve(tls.accept(stream).await.ok()).await),
                        None => drop(serve(Some(stream)).await),
                    }
                });
            }
        });
        Self { port, connections }
    }
}

async fn serve(stream: Option<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>) -> Option<()> {
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream?), service_fn(answer)).await.ok()
}

async fn answer(request: http::Request<hyper::body::Incoming>) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let answer = http::Response::builder();
    Ok(match head.uri.path() {
        "/never" => std::future::pending().await,
        "/away" => answer.status(302).header("location", "https://elsewhere.example.com/").body(Full::default()),
        "/large" => answer.body(Full::from(vec![b'x'; 4096])),
        "/many" => (0..100).fold(answer, |answer, at| answer.header(format!("x-{at}"), "y")).body(Full::default()),
        _ => {
            let header = head.headers.get("x-asked").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let text = format!("{} {} {header:?} {}", head.method, head.uri, String::from_utf8_lossy(&body));
            answer.header("x-answered", "yes").body(Full::from(text))
        }
    }
    .expect("an answer"))
}

fn grant(origin: String, roots: &[CertificateDer<'static>]) -> Grant {
    Grant {
        origins: vec![origin.parse().expect("an origin")],
        roots: Roots::Given(roots.to_vec()),
        timeout: Duration::from_secs(20),
        request_bytes_max: 1024,
        response_bytes_max: 2048,
    }
}

const LONG: Duration = Duration::from_secs(20);

fn get(url: String) -> Request {
    Request { method: Method::Get, url, headers: Vec::new(), body: Bytes::new() }
}

fn failure(result: Result<Response, Error>) -> Failure {
    result.expect_err("no answer").failure
}

#[tokio::test]
async fn a_request_reaches_what_is_granted_over_one_verified_connection() {
    let authority = Authority::new();
    let server = Server::start(Some(authority.acceptor("127.0.0.1"))).await;
    let origin = format!("https://127.0.0.1:{}", server.port);
    let client = Client::new(grant(origin.clone(), &[authority.root()])).expect("a client");
    for _ in 0..3 {
        let request = Request {
            method: Method::Post,
            url: format!("{origin}/a?b=c"),
            headers: vec![("X-Asked".into(), "please".into())],
            body: "hello".into(),
        };
        let answer = client.send(request, LONG).await.expect("an answer");
        assert_eq!((answer.status, &*answer.body), (200, br#"POST /a?b=c Some("please") hello"# as &[u8]));
        assert!(answer.headers.contains(&("x-answered".into(), "yes".into())));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_not_granted_is_not_connected_to() {
    let authority = Authority::new();
    let (granted, other) = (Server::start(Some(authority.acceptor("127.0.0.1"))).await, Server::start(None).await);
    let origin = format!("https://127.0.0.1:{}", granted.port);
    let client = Client::new(grant(origin, &[authority.root()])).expect("a client");
    for url in [
        format!("http://127.0.0.1:{}/", granted.port),
        format!("https://localhost:{}/", granted.port),
        format!("http://127.0.0.1:{}/", other.port),
        "https://127.0.0.1/".to_owned(),
    ] {
        assert_eq!(failure(client.send(get(url.clone()), LONG).await), Failure::NotGranted, "{url}");
    }
    assert_eq!((granted.connections.load(Ordering::SeqCst), other.connections.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn a_strangers_certificate_is_no_answer() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    // Another authority's, and one of the right authority for another name.
    for acceptor in [stranger.acceptor("127.0.0.1"), authority.acceptor("127.0.0.2")] {
        let server = Server::start(Some(acceptor)).await;
        let origin = format!("https://127.0.0.1:{}", server.port);
        let client = Client::new(grant(origin.clone(), &[authority.root()])).expect("a client");
        assert_eq!(failure(client.send(get(origin), LONG).await), Failure::Untrusted);
    }
    let server = Server::start(Some(stranger.acceptor("127.0.0.1"))).await;
    let origin = format!("https://127.0.0.1:{}", server.port);
    let nobody = Client::new(grant(origin.clone(), &[])).expect("a client");
    assert_eq!(failure(nobody.send(get(origin), LONG).await), Failure::Untrusted);
}

#[tokio::test]
async fn an_answer_has_its_time_and_its_size() {
    let server = Server::start(None).await;
    let origin = format!("http://127.0.0.1:{}", server.port);
    let client = Client::new(grant(origin.clone(), &[])).expect("a client");
    assert_eq!(failure(client.send(get(format!("{origin}/never")), Duration::from_millis(20)).await), Failure::Timeout);
    let hasty = Client::new(Grant { timeout: Duration::from_millis(20), ..grant(origin.clone(), &[]) }).expect("a client");
    assert_eq!(failure(hasty.send(get(format!("{origin}/never")), LONG).await), Failure::Timeout);
    assert_eq!(failure(client.send(get(format!("{origin}/large")), LONG).await), Failure::TooLarge);
    assert_eq!(failure(client.send(get(format!("{origin}/many")), LONG).await), Failure::Broken);
    assert_eq!(client.send(get(origin), LONG).await.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let server = Server::start(None).await;
    let origin = format!("http://127.0.0.1:{}", server.port);
    let client = Client::new(grant(origin.clone(), &[])).expect("a client");
    let answer = client.send(get(format!("{origin}/away")), LONG).await.expect("an answer");
    assert_eq!(answer.status, 302);
    assert!(answer.headers.contains(&("location".into(), "https://elsewhere.example.com/".into())));
}

#[tokio::test]
async fn a_request_has_its_size_and_its_form() {
    let origin = "http://127.0.0.1:1";
    let client = Client::new(grant(origin.to_owned(), &[])).expect("a client");
    let header = |name: &str, value: &str| Request { headers: vec![(name.into(), value.into())], ..get(origin.into()) };
    let rows = [
        (get(format!("{origin}/{}", "x".repeat(10_000))), Failure::TooLong),
        (Request { body: vec![0; 1025].into(), ..get(origin.into()) }, Failure::TooLong),
        (header("x", &"y".repeat(40_000)), Failure::TooLong),
        (Request { headers: vec![("x".into(), "y".into()); 65], ..get(origin.into()) }, Failure::TooLong),
        (header("a b", "x"), Failure::Malformed),
        (header("a", "x\r\nb: c"), Failure::Malformed),
        (header("Host", "x"), Failure::Malformed),
        (header("content-length", "1"), Failure::Malformed),
        (header("Transfer-Encoding", "chunked"), Failure::Malformed),
        (get("/path".into()), Failure::Malformed),
        (get("http://user@127.0.0.1:1/".into()), Failure::Malformed),
        (get("file:///etc/passwd".into()), Failure::Malformed),
        (get("nonsense \u{7f}".into()), Failure::Malformed),
        // Nobody listens there.
        (get(origin.into()), Failure::Unreachable),
    ];
    for (request, want) in rows {
        let url = request.url.clone();
        assert_eq!(failure(client.send(request, LONG).await), want, "{url}");
    }
}

#[tokio::test]
async fn a_name_does_not_grant_the_machine_itself() {
    // Both names stand in the hosts file of any system that a test runs on, or are resolved so by it.
    let server = Server::start(None).await;
    let named = format!("http://localhost:{}", server.port);
    let client = Client::new(grant(named.clone(), &[])).expect("a client");
    assert_eq!(client.send(get(named), LONG).await.expect("an answer").status, 200);
    let any = format!("http://0.0.0.0:{}", server.port);
    let client = Client::new(grant(format!("http://a.localhost:{}", server.port), &[])).expect("a client");
    let refused = failure(client.send(get(format!("http://a.localhost:{}", server.port)), LONG).await);
    assert!(matches!(refused, Failure::NotGranted | Failure::Unreachable), "{refused:?}");
    assert_eq!(failure(client.send(get(any), LONG).await), Failure::NotGranted);
}
