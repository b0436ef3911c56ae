//! A request as handlers see it: it was authenticated and authorized, and its type says so.

use std::sync::Arc;

use admission::RequestContext;
use api::Catalogue;
use apimachinery::Status;
use apimachinery::request_info::RequestInfo;
use async_trait::async_trait;
use auth::Attributes;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use crate::body::RequestBody;
use crate::load::Load;
use crate::metrics::Served;
use crate::negotiate::{self, Endpoint};
use crate::response::{Output, Response};
use crate::shutdown::Shutdown;

/// A request that was authenticated and authorized. Only the road makes one, so that no handler can be reached unchecked.
pub struct Authorized {
    /// What it is about.
    pub info: RequestInfo,
    /// HTTP's method.
    pub method: Method,
    /// Path and query as they were sent.
    pub uri: Uri,
    /// Header fields, without those of authentication and impersonation.
    pub headers: HeaderMap,
    /// The body, of which nothing has been read.
    pub body: RequestBody,
    /// As in the answer's `Audit-Id`.
    pub audit_id: String,
    /// Tells when the server ends. Long-running answers are ended by the road, so that handlers need not look.
    pub shutdown: Shutdown,
    /// Takes account of how many bytes of objects the request works on ([`crate::load`]).
    pub load: Load,
    context: Arc<RequestContext>,
}

/// What an [`Authorized`] is made of; only the authorization filter does.
pub(crate) struct AuthorizedParts {
    pub(crate) info: RequestInfo,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    pub(crate) audit_id: String,
    pub(crate) shutdown: Shutdown,
    pub(crate) context: Arc<RequestContext>,
}

impl Authorized {
    pub(crate) fn new(parts: AuthorizedParts) -> Self {
        let AuthorizedParts { info, method, uri, headers, body, audit_id, shutdown, context } = parts;
        let load = Load::default();
        Self { info, method, uri, headers, body, audit_id, shutdown, load, context }
    }

    /// Reads the body, once, and counts it as work.
    ///
    /// # Errors
    /// As [`RequestBody::read`].
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

    /// How its answer is to be written.
    ///
    /// # Errors
    /// 406 where nothing of what the client takes fits.
    pub fn output(&self, endpoint: Endpoint) -> Result<Output, Status> {
        Output::negotiate(&self.headers, self.query(), endpoint)
    }

    /// The same for a stream of events.
    ///
    /// # Errors
    /// As [`Self::output`].
    pub fn stream_output(&self, endpoint: Endpoint) -> Result<Output, Status> {
        let accepted = negotiate::accept_stream(self.header("accept"), endpoint)?;
        Ok(Output { accepted, pretty: false, gzip: false })
    }

    /// Who sent it, when, and what decides about it.
    pub fn context(&self) -> &Arc<RequestContext> {
        &self.context
    }

    /// What was authorized.
    pub fn attributes(&self) -> Attributes {
        crate::filters::authorization::attributes(&self.info, &self.context)
    }

    /// Warns the client.
    pub fn warn(&self, text: &str) {
        self.context.recorder.warnings.add(text);
    }
}

/// What serves an authorized request: the router of the endpoints.
#[async_trait]
pub trait Handler: Send + Sync {
    /// What of the table of kinds a request line is about; none where nothing is served there. Metrics name the request by this alone.
    fn served<'a>(&self, catalogue: &'a Catalogue, info: &RequestInfo, method: &Method) -> Option<Served<'a>>;

    /// Answers. An `Err` becomes a response in `road.rs`, in the form that the client negotiated.
    async fn handle(&self, request: Authorized) -> Result<Response, Status>;
}
