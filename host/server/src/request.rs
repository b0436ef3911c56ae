//! A request as handlers see it: it has passed every filter, and its type says so.

use std::sync::Arc;
use std::time::Instant;

use admission::Recorder;
use apimachinery::Status;
use apimachinery::request_info::RequestInfo;
use async_trait::async_trait;
use auth::{Attributes, Authorization, Authorizer, UserInfo};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use crate::body::RequestBody;
use crate::load::Load;
use crate::metrics::Served;
use crate::response::Response;
use crate::shutdown::Shutdown;

/// A request that was authenticated and authorized. Only the road makes one, so that no handler can be reached unchecked.
pub struct Authorized {
    /// What it is about.
    pub info: RequestInfo,
    /// Who sent it; after impersonation, whom they speak for.
    pub user: Arc<UserInfo>,
    /// HTTP's method.
    pub method: Method,
    /// Path and query as they were sent.
    pub uri: Uri,
    /// Header fields, without those of authentication and impersonation.
    pub headers: HeaderMap,
    /// Unread.
    pub body: RequestBody,
    /// As in the answer's `Audit-Id`.
    pub audit_id: String,
    /// When it arrived.
    pub received: Instant,
    /// When the client stops waiting; `None` for long-running requests.
    pub deadline: Option<Instant>,
    /// Where warnings and audit annotations go, whatever becomes of the request.
    pub recorder: Recorder,
    /// Told when the server ends. The road ends long-running streams by itself.
    pub shutdown: Shutdown,
    /// How much work it is.
    pub load: Load,
    authorizer: Arc<dyn Authorizer>,
}

/// What the authorization filter hands on, and nobody else can make.
pub(crate) struct Passed {
    pub(crate) info: RequestInfo,
    pub(crate) user: Arc<UserInfo>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    pub(crate) audit_id: String,
    pub(crate) received: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) recorder: Recorder,
    pub(crate) shutdown: Shutdown,
    pub(crate) authorizer: Arc<dyn Authorizer>,
}

impl Authorized {
    pub(crate) fn new(passed: Passed) -> Self {
        let Passed { info, user, method, uri, headers, body, audit_id, received, deadline, recorder, shutdown, authorizer } = passed;
        let load = Load::default();
        Self { info, user, method, uri, headers, body, audit_id, received, deadline, recorder, shutdown, load, authorizer }
    }

    /// Reads the body, once, and counts it as work.
    pub async fn read_body(&mut self) -> Result<Bytes, Status> {
        let body = self.body.read().await?;
        self.load.add(body.len()).await;
        Ok(body)
    }

    /// The raw query, without its question mark.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// A header field, where it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `User-Agent`, empty where there is none.
    pub fn user_agent(&self) -> &str {
        self.header("user-agent").unwrap_or_default()
    }

    /// What was authorized.
    pub fn attributes(&self) -> Attributes {
        crate::filters::authorization::attributes(&self.info, &self.user)
    }

    /// Asks again with other attributes, e.g. a PUT that turns into a create, or `bind` and `escalate`.
    pub async fn authorize(&self, attributes: &Attributes) -> Authorization {
        self.authorizer.authorize(attributes).await
    }

    /// The authorizer itself, for reviews.
    pub fn authorizer(&self) -> &Arc<dyn Authorizer> {
        &self.authorizer
    }
}

/// What serves an authorized request: the router of the endpoints.
#[async_trait]
pub trait Handler: Send + Sync {
    /// What of the table of kinds a request line is about; none where nothing is served there. Metrics name the request by this alone.
    fn served(&self, info: &RequestInfo, method: &Method) -> Option<Served<'_>>;

    /// Answers. An `Err` becomes a response at the rim, as the client negotiated it.
    async fn handle(&self, request: Authorized) -> Result<Response, Status>;
}
