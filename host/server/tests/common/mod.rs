//! A server on a loopback port with made-up users, rules and handlers, and clients for it.

#![allow(dead_code, missing_docs, reason = "each test file uses its part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use admission::{ChainSource, DecidingChain, EmptyChain, FixedChain};
use apimachinery::{GroupResource, Status};
use async_trait::async_trait;
use auth::{Attributes, Authentication, Authenticator, Authorization, Authorizer, Credentials, Decision, Fault, Rules, UserInfo};
use bytes::Bytes;
use flowcontrol::FlowControl;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use wasmgate_server::body::{Body, BodyError};
use wasmgate_server::limits::ConnectionLimits;
use wasmgate_server::listener::{Drained, Server};
use wasmgate_server::metrics::{Metrics, Served};
use wasmgate_server::negotiate::Endpoint;
use wasmgate_server::request::{Authorized, Handler};
use wasmgate_server::response::{self, Output, Response};
use wasmgate_server::road::{Road, RoadConfig};
use wasmgate_server::shutdown::Shutdown;
use wasmgate_server::tls::Tls;

/// `alice`'s certificate or token names her; `broken` makes the plugin fail; nobody at all is anonymous.
struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Authentication, Fault> {
        let user = |name: &str, groups: &[&str]| {
            Authentication::User(UserInfo {
                name: name.into(),
                groups: groups.iter().map(|g| (*g).into()).collect(),
                ..UserInfo::default()
            })
        };
        if let Some(certificate) = &credentials.certificate {
            match &certificate.chain_error {
                // Tests read it through the log's stand-in: the user's name.
                Some(error) if credentials.bearer_token.is_none() => {
                    return Ok(user(&format!("error: {error}"), &["system:authenticated"]));
                }
                Some(_) => {}
                None if certificate.common_name.is_empty() => {}
                None => {
                    let groups: Vec<&str> = certificate.organizations.iter().map(String::as_str).collect();
                    return Ok(user(&certificate.common_name, &groups));
                }
            }
        }
        match credentials.bearer_token.as_deref() {
            Some("broken") => Err(Fault { plugin: "test".into(), reason: "trap".into() }),
            Some("bad") => Ok(Authentication::Rejected("unknown token".into())),
            Some("nobody") => Ok(Authentication::NoOpinion),
            Some(name) => Ok(user(name, &["system:authenticated"])),
            None => Ok(user("system:anonymous", &["system:unauthenticated"])),
        }
    }
}

/// Everything is allowed but to `mallory`, and to `eve` whatever impersonates.
struct Policy;

#[async_trait]
impl Authorizer for Policy {
    async fn authorize(&self, attributes: &Attributes) -> Authorization {
        let answer = |decision, reason: &str| Authorization { decision, reason: reason.into(), evaluation_error: None };
        match attributes.user.name.as_str() {
            "mallory" => answer(Decision::NoOpinion, ""),
            "trudy" => answer(Decision::Deny, "not today"),
            "eve" if attributes.verb.starts_with("impersonate") => answer(Decision::NoOpinion, ""),
            "legacy" if attributes.verb.starts_with("impersonate:") || attributes.verb.starts_with("impersonate-on:") => {
                answer(Decision::NoOpinion, "")
            }
            "faulty" => Authorization { evaluation_error: Some("plugin test: trap".into()), ..answer(Decision::NoOpinion, "") },
            _ => answer(Decision::Allow, ""),
        }
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules::default()
    }
}

/// Puts another chain into force whenever it is asked for one.
#[derive(Default)]
pub struct Replaced(AtomicU64);

impl ChainSource for Replaced {
    fn in_force(&self) -> Arc<dyn DecidingChain> {
        let number = Arc::new(Numbered(self.0.fetch_add(1, Ordering::Relaxed).to_string()));
        Arc::new(FixedChain { authenticator: number.clone(), authorizer: number, admission: Arc::new(EmptyChain) })
    }
}

/// Everybody is this number, and this number may do everything.
struct Numbered(String);

#[async_trait]
impl Authenticator for Numbered {
    async fn authenticate(&self, _: &Credentials) -> Result<Authentication, Fault> {
        Ok(Authentication::User(UserInfo { name: self.0.clone(), ..UserInfo::default() }))
    }
}

#[async_trait]
impl Authorizer for Numbered {
    async fn authorize(&self, attributes: &Attributes) -> Authorization {
        let decision = if attributes.user.name == self.0 { Decision::Allow } else { Decision::Deny };
        Authorization { decision, reason: "another chain".into(), evaluation_error: None }
    }

    async fn rules_for(&self, _: &UserInfo, _: &str) -> Rules {
        Rules::default()
    }
}

/// Answers by the last part of the path.
pub struct Endpoints {
    /// Told each time that a handler is reached.
    pub reached: tokio::sync::Notify,
    /// What `wait` waits for.
    pub go_on: tokio::sync::Notify,
    /// Lets one say when a handler's future was dropped before its end.
    pub cancelled: tokio::sync::Notify,
}

struct OnDrop<'a>(&'a tokio::sync::Notify, bool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.notify_one();
        }
    }
}

/// The one resource that metrics know.
static LISTS: apimachinery::GroupVersionResource = apimachinery::GroupVersionResource::of("", "v1", "list");

#[async_trait]
impl Handler for Endpoints {
    fn served<'a>(&self, _: &'a api::Catalogue, info: &apimachinery::request_info::RequestInfo, _: &http::Method) -> Option<Served<'a>> {
        (info.resource == "list").then_some(Served { resource: &LISTS, subresource: "" })
    }

    async fn handle(&self, mut request: Authorized) -> Result<Response, Status> {
        self.reached.notify_one();
        let path = request.uri.path().to_owned();
        match path.rsplit('/').next().unwrap_or_default() {
            "whoami" => {
                let user = serde_json::json!({"name": request.context().user.name, "groups": request.context().user.groups, "uid": request.context().user.uid, "extra": request.context().user.extra,
                    "headers": request.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>()});
                Ok(response::json(&request.output(Endpoint::Resource)?, 200, &user))
            }
            // What the handler asks is answered as it was on the road.
            "again" => {
                let answer = request.context().chain.authorize(&request.attributes()).await;
                Ok(response::text(200, format!("{:?}", answer.decision)))
            }
            "echo" => Ok(response::text(200, request.body.read().await?)),
            "length" => Ok(response::text(200, request.body.read().await?.len().to_string())),
            "panic" => panic!("a bug"),
            "slow" => {
                let mut guard = OnDrop(&self.cancelled, true);
                self.go_on.notified().await;
                guard.1 = false;
                Ok(response::text(200, "done"))
            }
            "large" => Ok(response::json_bytes(&request.output(Endpoint::Resource)?, 200, large_json())),
            "list" => {
                let chunks = (0..1000).map(|_| Bytes::from_static(&[b'x'; 1000])).collect();
                Ok(response::json_chunks(&Output { pretty: false, ..request.output(Endpoint::Resource)? }, 200, chunks))
            }
            "huge" => {
                let chunks = (0..HUGE_BYTES / 1_000_000).map(|_| Bytes::from(vec![b'x'; 1_000_000])).collect();
                Ok(response::json_chunks(&Output::JSON, 200, chunks))
            }
            // More than any socket holds, without an end.
            "flood" => {
                let chunk = Bytes::from_static(&[b'x'; 65_536]);
                let chunks = futures::stream::repeat_with(move || Ok(chunk.clone()));
                Ok(response::events(&Output::JSON, Body::stream(chunks)))
            }
            "broken" => {
                let parts = vec![Ok(Bytes::from_static(b"half")), Err(BodyError("disk".into()))];
                Ok(response::with_type(200, "text/plain", Body::stream(futures::stream::iter(parts))))
            }
            "events" => {
                let events = futures::stream::unfold(0, |n| async move {
                    if n > 0 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Some((Ok(Bytes::from(format!("{{\"n\":{n}}}\n"))), n + 1))
                });
                Ok(response::events(&Output::JSON, Body::stream(events)))
            }
            "warn" => {
                request.warn("first");
                request.warn("second \"quoted\"");
                Ok(response::text(200, "warned"))
            }
            "missing" => Err(Status::not_found(&GroupResource::of("", "pods"), "x")),
            "busy" => Err(Status::too_many_requests("come again", 7)),
            _ => Ok(response::text(200, "ok")),
        }
    }
}

/// More than any socket holds.
pub const HUGE_BYTES: usize = 50_000_000;

/// 200 kB of JSON.
pub fn large_json() -> Bytes {
    Bytes::from(serde_json::to_vec(&serde_json::json!({ "data": "0123456789".repeat(20_000) })).unwrap())
}

/// A CA with its issuer's key.
pub struct Ca {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, in PEM.
    pub fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::default();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A client's certificate.
    pub fn client(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        self.issue(|params| {
            if !name.is_empty() {
                params.distinguished_name.push(DnType::CommonName, name);
            }
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            change(params);
        })
    }
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub serving_ca: Ca,
    pub client_ca: Ca,
    pub shutdown: Shutdown,
    pub endpoints: Arc<Endpoints>,
    pub metrics: Arc<Metrics>,
    pub tls: Tls,
    pub task: JoinHandle<Drained>,
    /// Connections that were cut when it was last looked at.
    cut: AtomicU64,
}

/// What a test wants otherwise.
pub struct Wants {
    pub limits: ConnectionLimits,
    pub seats: flowcontrol::Limits,
    pub request_duration_max: Duration,
    pub drain_duration_max: Duration,
    pub chains: Arc<dyn ChainSource>,
}

impl Default for Wants {
    fn default() -> Self {
        Self {
            limits: ConnectionLimits::default(),
            seats: flowcontrol::Limits::default(),
            request_duration_max: Duration::from_secs(60),
            drain_duration_max: Duration::from_secs(20),
            chains: Arc::new(FixedChain { authenticator: Arc::new(Users), authorizer: Arc::new(Policy), admission: Arc::new(EmptyChain) }),
        }
    }
}

pub async fn start(wants: Wants) -> Running {
    let (serving_ca, client_ca) = (Ca::new("serving-ca"), Ca::new("client-ca"));
    let (certificate, key) = serving_ca.issue(|params| {
        params.subject_alt_names =
            vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into()), rcgen::SanType::DnsName("localhost".try_into().unwrap())];
    });
    let tls = Tls::from_pem(certificate.as_bytes(), key.as_bytes(), Some(client_ca.pem.as_bytes())).unwrap();
    let shutdown = Shutdown::new();
    let endpoints = Arc::new(Endpoints { reached: Default::default(), go_on: Default::default(), cancelled: Default::default() });
    let metrics = Arc::new(Metrics::new());
    let road = Road::new(RoadConfig {
        chains: wants.chains,
        clock: clock::Clock::system(),
        catalogues: tokio::sync::watch::channel(api::Catalogue::built_in()).1,
        handler: endpoints.clone(),
        flow_control: FlowControl::new(wants.seats),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
        request_duration_max: wants.request_duration_max,
    });
    let server = Server::bind(([127, 0, 0, 1], 0).into(), tls.clone(), wants.limits).unwrap();
    let address = server.local_addr();
    let task = tokio::spawn(server.serve(road, wants.drain_duration_max));
    Running { address, serving_ca, client_ca, shutdown, endpoints, metrics, tls, task, cut: AtomicU64::new(0) }
}

impl Running {
    fn client_config(&self, identity: Option<&(String, String)>, alpn: &[&str]) -> rustls::ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.serving_ca.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A TLS stream to write on by hand.
    pub async fn raw(&self, identity: Option<&(String, String)>, alpn: &[&str]) -> TlsStream<TcpStream> {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(self.client_config(identity, alpn)));
        let stream = TcpStream::connect(self.address).await.unwrap();
        connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap()
    }

    /// A client over HTTP/2 that grants no byte of any answer.
    pub async fn closed_window(&self) -> Client {
        let stream = TokioIo::new(self.raw(None, &["h2"]).await);
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.initial_stream_window_size(0).handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Client::Http2(sender)
    }

    /// A client of its own connection.
    pub async fn client(&self, http2: bool, identity: Option<&(String, String)>) -> Client {
        let stream = TokioIo::new(self.raw(identity, if http2 { &["h2"] } else { &["http/1.1"] }).await);
        if http2 {
            let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            Client::Http2(sender)
        } else {
            let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            Client::Http1(sender)
        }
    }

    /// Waits until the server has cut one more connection because its client read nothing: the test's own time limit is the bound.
    pub async fn cut(&self) {
        loop {
            let text = self.metrics.answer().into_body().collect().await.unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            let count = text.lines().find_map(|line| line.strip_prefix("wasmgate_stalled_connections_total ")).unwrap().parse().unwrap();
            if self.cut.swap(count, Ordering::AcqRel) < count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes bytes and reads until the server closes or says nothing for a while.
    pub async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.raw(None, &["http/1.1"]).await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read) = tokio::time::timeout(Duration::from_millis(1500), stream.read(&mut buffer)).await {
            // Cut without a goodbye is closed as well.
            let count = read.unwrap_or_default();
            if count == 0 {
                answer.extend_from_slice(b"<closed>");
                break;
            }
            answer.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub enum Client {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<http::Response<hyper::body::Incoming>, hyper::Error> {
        let authority = if matches!(self, Self::Http2(_)) { "https://localhost" } else { "" };
        let mut request = http::Request::builder().method(method).uri(format!("{authority}{path}"));
        if matches!(self, Self::Http1(_)) {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    pub async fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let response = self.send(method, path, headers, body).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", path, headers, "").await
    }
}
