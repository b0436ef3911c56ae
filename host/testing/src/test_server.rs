//! The server in the test's process: requests go down the road and come back, with no socket between.

use std::sync::Arc;
use std::time::Duration;

use admission::FixedChain;
use admission::chain::{AdmissionChain, Link};
use auth::{Authentication, Authenticator, Authorizer, Credentials, Decision, Fault, UserInfo};
use bytes::Bytes;
use cacher::{Caches, Freshness};
use flowcontrol::FlowControl;
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use objectstore::ObjectStore;
use registry::{Hooks, Registry};
use serde_json::Value;
use server::body::{Body, RequestBody};
use server::connection::Connection;
use server::endpoints::{Endpoints, Parts};
use server::health::Health;
use server::metrics::Metrics;
use server::openid::OpenId;
use server::road::{Road, RoadConfig};
use server::shutdown::Shutdown;
use services::{ServiceHooks, ServiceRanges};
use storage::Storage;

use crate::plugins::{ScriptedAuthenticator, ScriptedAuthorizer};
use crate::{FaultyStorage, ManualClock, MemoryStorage};

/// What all keys begin with.
pub const ROOT: &str = "/registry/";
/// The addresses and ports that Services are given.
const SERVICE_NETWORK: &str = "10.0.0.0/24";
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=30100;

/// What a server is made of.
pub struct Setup {
    /// Where everything is stored. What a killed server left is handed to the next.
    pub store: Arc<dyn Storage>,
    /// The time.
    pub clock: ManualClock,
    /// How reads get to be fresh.
    pub freshness: Freshness,
    /// Says who sends requests.
    pub authenticator: Arc<dyn Authenticator>,
    /// Says what they may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// The mutating and the validating plugins, in order.
    pub admission: (Vec<Link>, Vec<Link>),
    /// What is taken and given back with objects: addresses and ports of Services.
    pub hooks: Arc<dyn Hooks>,
    /// `--request-timeout`.
    pub request_duration_max: Duration,
    /// `--min-request-timeout`: how long a watch lasts at least that does not say it.
    pub watch_duration_min: Duration,
}

impl Default for Setup {
    /// An empty store in memory; everybody is `tester` and may do everything.
    fn default() -> Self {
        let clock = ManualClock::default();
        Self::over(Arc::new(MemoryStorage::new(clock.handle())), clock)
    }
}

impl Setup {
    /// The same over a store that is there.
    pub fn over(store: Arc<dyn Storage>, clock: ManualClock) -> Self {
        let tester = |_: &Credentials| -> Result<Authentication, Fault> {
            Ok(Authentication::User(UserInfo { name: "tester".into(), ..UserInfo::default() }))
        };
        Self {
            store,
            clock,
            freshness: Freshness::InWritePath,
            authenticator: Arc::new(ScriptedAuthenticator(tester)),
            authorizer: Arc::new(ScriptedAuthorizer(|_: &auth::Attributes| Decision::Allow)),
            admission: (Vec::new(), Vec::new()),
            hooks: Arc::new(ServiceHooks::new(ServiceRanges::new([SERVICE_NETWORK], NODE_PORTS).expect("a network"))),
            request_duration_max: Duration::from_secs(60),
            watch_duration_min: Duration::from_secs(1800),
        }
    }
}

/// A server.
pub struct TestServer {
    /// The store, between the server and what it was set up with.
    pub storage: Arc<FaultyStorage>,
    /// The time.
    pub clock: ManualClock,
    /// The registry below the endpoints.
    pub registry: Arc<Registry>,
    road: Arc<Road>,
    connection: Arc<Connection>,
}

impl TestServer {
    /// Starts one on an empty store; everybody may do everything.
    pub async fn new() -> Self {
        Self::start(Setup::default()).await
    }

    /// Starts one.
    ///
    /// # Panics
    /// Where the store cannot be read.
    pub async fn start(setup: Setup) -> Self {
        let storage = FaultyStorage::new(setup.store);
        let store = ObjectStore::new(storage.clone(), ROOT);
        let caches = Caches::start(store, setup.freshness, api::Catalogue::built_in()).await.expect("the store can be read");
        let catalogues = caches.catalogues();
        let registry = Arc::new(Registry::new(caches, setup.hooks));
        let metrics = Arc::new(Metrics::new());
        let clock = setup.clock.handle();
        let endpoints = Endpoints::new(Parts {
            registry: registry.clone(),
            clock: clock.clone(),
            token_signer: None,
            health: Health::new(),
            metrics: metrics.clone(),
            openid: OpenId::new("https://issuer", "https://issuer/jwks", &[]),
            server_address: "127.0.0.1:6443".into(),
            watch_duration_min: setup.watch_duration_min,
        });
        let (mutating, validating) = setup.admission;
        let road = Road::new(RoadConfig {
            chains: Arc::new(FixedChain {
                authenticator: setup.authenticator,
                authorizer: setup.authorizer,
                admission: Arc::new(AdmissionChain::new(mutating, validating)),
            }),
            clock,
            catalogues,
            handler: Arc::new(endpoints),
            flow_control: FlowControl::new(flowcontrol::Limits::default()),
            metrics,
            shutdown: Shutdown::new(),
            request_duration_max: setup.request_duration_max,
        });
        Self { storage, clock: setup.clock, registry, road, connection: Connection::internal() }
    }

    async fn send(&self, method: &str, target: &str, content_type: &str, body: Bytes) -> (u16, http::HeaderMap, Body) {
        let request = http::Request::builder().method(method).uri(target).header("content-type", content_type);
        let request = request.body(RequestBody::from_bytes(body)).expect("a method and a path");
        let (parts, body) = self.road.serve(request, &self.connection).await.into_parts();
        (parts.status.as_u16(), parts.headers, body)
    }

    /// Sends a request; a body that is `null` is none. A patch is a merge patch.
    ///
    /// # Panics
    /// Where the method or the path is none.
    pub async fn call(&self, method: &str, target: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let (code, headers, body) = self.send(method, target, content_type, bytes).await;
        Answer { code, headers, body: body.collect().await.unwrap_or_default() }
    }

    /// Reads what is at a path.
    pub async fn get(&self, target: &str) -> Answer {
        self.call("GET", target, Value::Null).await
    }

    /// Begins a watch.
    ///
    /// # Panics
    /// Where the server does not answer with a stream.
    pub async fn watch(&self, target: &str) -> WatchStream {
        let (code, _, body) = self.send("GET", target, "application/json", Bytes::new()).await;
        if code != 200 {
            let text = body.collect().await.unwrap_or_default();
            panic!("GET {target}: {code} {}", String::from_utf8_lossy(&text));
        }
        WatchStream { body, read: Vec::new(), is_over: false }
    }

    /// Waits until reads and watches see all that is in the store, acknowledged or not.
    ///
    /// # Panics
    /// Where they do not get there.
    pub async fn settle(&self) {
        let now = self.storage.current_revision().await.expect("the store answers");
        assert!(self.registry.caches().wait_until(now).await, "the caches do not get to revision {now}");
    }
}

/// An answer, whole.
#[derive(Debug)]
#[allow(missing_docs, reason = "its parts")]
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body.
    ///
    /// # Panics
    /// Where it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.code, String::from_utf8_lossy(&self.body)))
    }

    /// The body of a success.
    ///
    /// # Panics
    /// Where it is none.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.code), "{}: {}", self.code, String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The message of a refusal.
    ///
    /// # Panics
    /// Where it is none.
    pub fn refusal(&self) -> String {
        assert!(self.code >= 400, "{}: {}", self.code, String::from_utf8_lossy(&self.body));
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// An event as it came over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: String,
    /// The object, or the `Status` of an error.
    pub object: Value,
}

impl WatchEvent {
    /// The object's resource version; 0 where it has none.
    pub fn revision(&self) -> u64 {
        self.object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// A watch. Dropping it ends it.
pub struct WatchStream {
    body: Body,
    read: Vec<u8>,
    is_over: bool,
}

impl WatchStream {
    /// The next event; none: the server has ended the watch.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.take_line() {
                return Some(event);
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// All events that are there already; waits for none.
    pub fn ready(&mut self) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        loop {
            events.extend(std::iter::from_fn(|| self.take_line()));
            match self.read_more().now_or_never() {
                Some(true) => {}
                Some(false) | None => return events,
            }
        }
    }

    /// Whether the server has ended it.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether there was more to come.
    async fn read_more(&mut self) -> bool {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                self.read.extend_from_slice(&frame.into_data().unwrap_or_default());
                true
            }
            Some(Err(_)) | None => {
                self.is_over = true;
                false
            }
        }
    }

    fn take_line(&mut self) -> Option<WatchEvent> {
        let end = self.read.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.read.drain(..=end).collect();
        let mut event: Value = serde_json::from_slice(&line).expect("a watch event is JSON");
        Some(WatchEvent { kind: event["type"].as_str().unwrap_or_default().to_owned(), object: event["object"].take() })
    }
}
