//! **The road of a request: every stage, in the order in which a request meets them.** [`Road::serve`] is what happens to every request,
//! [`Road::stages`] what a request must pass to reach a handler.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::{ChainSource, Recorder, RequestContext};
use api::Catalogue;
use apimachinery::Status;
use apimachinery::field::go_quote;
use apimachinery::request_info::{RequestInfo, RequestInfoError};
use auth::Decision;
use clock::Clock;
use flowcontrol::{FlowControl, RequestKind};
use futures::{FutureExt as _, StreamExt as _};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Uri};
use tokio::sync::watch;

use crate::body::{Body, OnBodySent, RequestBody};
use crate::connection::{Connection, Ticket};
use crate::filters::impersonation::Impersonation;
use crate::filters::{audit, authentication, authorization, deadline, impersonation, warning};
use crate::metrics::{Measured, Metrics};
use crate::request::{Authorized, AuthorizedParts, Handler};
use crate::response::{self, Response};
use crate::shutdown::Shutdown;

const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");
const PANICKED: &str = "This request caused apiserver to panic. Look in the logs for details.";

/// What the stages of the road call.
pub struct RoadConfig {
    /// Gives each request one version of the authenticator, the authorizer and the admission chain.
    pub chains: Arc<dyn ChainSource>,
    /// Says when requests come, and when their time is up.
    pub clock: Clock,
    /// Gives each request the kinds that are served to it.
    pub catalogues: watch::Receiver<Arc<Catalogue>>,
    /// Serves what has passed.
    pub handler: Arc<dyn Handler>,
    /// Bounds the requests that are worked on at once.
    pub flow_control: FlowControl,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Told by the signals, and asked by whatever has to end with the server.
    pub shutdown: Shutdown,
    /// `--request-timeout`.
    pub request_duration_max: Duration,
}

/// The road. Shared by all connections.
pub struct Road {
    config: RoadConfig,
    impersonation: Impersonation,
}

impl std::fmt::Debug for Road {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Road").finish_non_exhaustive()
    }
}

/// Why a request did not reach its end, and how the client is told. Most are a `Status`; a few of upstream's filters answer in plain text.
enum Refusal {
    Status(Status),
    Text { code: u16, message: String, retry_after_seconds: Option<u32> },
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// What a stage leaves behind for the answer, whatever becomes of the request: dropped when the answer is sent.
#[derive(Default)]
struct RequestCleanup {
    measured: Option<Measured>,
    ticket: Option<Ticket>,
    /// Whether the answer may be a stream without an end.
    long_running: bool,
}

impl OnBodySent for RequestCleanup {
    fn taken(&mut self, bytes: usize) {
        if let Some(measured) = &mut self.measured {
            measured.sent(bytes);
        }
        if let Some(ticket) = &self.ticket {
            ticket.offered(bytes);
        }
    }

    fn source_pending(&mut self) {
        if let Some(ticket) = &self.ticket {
            ticket.source_pending();
        }
    }
}

impl Road {
    /// Builds the road.
    pub fn new(config: RoadConfig) -> Arc<Self> {
        config.metrics.watch_flow_control(&config.flow_control);
        Arc::new(Self { config, impersonation: Impersonation::default() })
    }

    /// The server's life.
    pub fn shutdown(&self) -> &Shutdown {
        &self.config.shutdown
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.config.metrics
    }

    /// Answers a request: the outermost wrap, and the one place where an error becomes a response.
    pub async fn serve(&self, request: http::Request<RequestBody>, connection: &Arc<Connection>) -> Response {
        // The chain, the kinds and the time are taken here, once: whatever is replaced meanwhile, they stay the request's own.
        let mut context = RequestContext::new(self.config.chains.in_force(), Arc::default(), self.config.clock.now());
        context.received = self.config.clock.instant();
        context.catalogue = self.config.catalogues.borrow().clone();
        // Outermost, so that whatever happens can be found again in the log.
        let audit_id = audit::id_of(request.headers());
        context.id = audit_id.as_str().into();
        let responder = ErrorResponder::of(&request);
        let recorder = context.recorder.clone();
        let mut cleanup = RequestCleanup::default();

        // A handler's bug is one request's 500, not everybody's end. Boxed, because an idle connection keeps room for its next request.
        let stages = self.stages(request, connection, context, &audit_id, &mut cleanup).boxed();
        let answer = AssertUnwindSafe(stages).catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(audit_id, uri = %responder.uri, panic = panic_message(&*panic), "a handler panicked");
            Err(Refusal::Text { code: 500, message: PANICKED.into(), retry_after_seconds: None })
        });
        let response = answer.unwrap_or_else(|refusal| responder.refuse(refusal));
        self.finish(response, &responder, audit_id, &recorder, cleanup)
    }

    /// What a request passes on its way to a handler, and why in this order.
    async fn stages(
        &self,
        request: http::Request<RequestBody>,
        connection: &Arc<Connection>,
        mut context: RequestContext,
        audit_id: &str,
        cleanup: &mut RequestCleanup,
    ) -> Result<Response, Refusal> {
        let (http::request::Parts { method, uri, mut headers, .. }, body) = request.into_parts();
        let config = &self.config;

        // What it is about, from its line alone: all that follows speaks of it.
        let info = RequestInfo::parse(method.as_str(), uri.path(), uri.query()).map_err(|error| malformed(&error, &uri))?;
        cleanup.long_running = info.is_long_running();

        // Measured from here on, so that refusals count as well; ends when the answer is sent.
        cleanup.measured =
            Some(config.metrics.begin(&method, &info, uri.query().unwrap_or_default(), is_apply(&headers), context.received));

        // The time that it has, before the first stage that may wait for somebody else.
        let time = deadline::of(&info, uri.query().unwrap_or_default(), config.request_duration_max)?;
        let deadline = time.map(|time| context.received + time);
        context.deadline = deadline;
        cleanup.ticket = Some(connection.begin());

        let stages = async {
            // On a connection on which nobody was authenticated yet only a few requests at once get as far as the plugins.
            let _place = connection.stranger_place().await;

            // Who sent the request. The credentials are taken out of its headers, so that no later stage sees them.
            let certificate = connection.peer.as_ref().map(|peer| peer.certificate());
            let credentials = authentication::credentials(&headers, certificate, context.asking());
            let asked = Instant::now();
            let user = authentication::authenticate(&*context.chain, &credentials).await;
            config.metrics.authenticated(user.is_ok(), asked.elapsed());
            if connection.http2 && user.as_ref().map_or(true, |user| authentication::is_anonymous(user)) {
                // Anonymous HTTP/2 clients get GOAWAY after each request: upstream's defence against rapid reset (CVE-2023-44487,
                // `pkg/endpoints/filters/authentication.go`).
                connection.close.notify_one();
            }
            context.user = user?;
            if !authentication::is_anonymous(&context.user) {
                connection.introduce();
            }
            authentication::clear_headers(&mut headers);

            // Impersonation, itself authorized as the user who sent the request. All later stages see only the impersonated user.
            if let Some(wanted) = impersonation::wanted(&mut headers)? {
                let asked = authorization::attributes(&info, &context);
                let speaks_for = Arc::new(self.impersonation.impersonate(&*context.chain, &wanted, &asked).await?);
                context.original_user = Some(std::mem::replace(&mut context.user, speaks_for));
            }

            // A seat, before the stages that cost: authorization is a component's work, the handler's is storage's. It is given back when
            // the answer is ready. Streams without an end would hold theirs for ever, and need none; probes must be answered at any load.
            let seat = match cleanup.long_running || is_probe(&info) {
                true => None,
                false if connection.is_overfull() => return Err(in_plain_text(flowcontrol::too_many_requests())),
                false => Some(config.flow_control.admit(RequestKind::of_verb(&info.verb), &context.user.groups).map_err(in_plain_text)?),
            };

            let mut body = body;
            if let Some(seat) = &seat {
                body.leaves(seat.leave());
            }

            // Authorization: the last stage before the handler, which takes nothing but an `Authorized`.
            let attributes = authorization::attributes(&info, &context);
            let asked = Instant::now();
            let answer = context.chain.authorize(&attributes).await;
            let result = match (answer.decision, &answer.evaluation_error) {
                (Decision::Allow, _) => "allowed",
                (_, Some(_)) => "error",
                (Decision::Deny, None) => "denied",
                (Decision::NoOpinion, None) => "no-opinion",
            };
            config.metrics.authorized(result, asked.elapsed());
            match (answer.decision, answer.evaluation_error) {
                (Decision::Allow, _) => {}
                (Decision::Deny | Decision::NoOpinion, None) => return Err(auth::forbidden(&attributes, &answer.reason).into()),
                (Decision::Deny | Decision::NoOpinion, Some(error)) => return Err(internal(&uri, &error)),
            }
            if let Some(measured) = &mut cleanup.measured {
                measured.authorized(&info, config.handler.served(&context.catalogue, &info, &method));
            }
            let authorized = Authorized::new(AuthorizedParts {
                info,
                method,
                uri,
                headers,
                body,
                audit_id: audit_id.to_owned(),
                shutdown: config.shutdown.clone(),
                context: Arc::new(context),
            });
            Ok(config.handler.handle(authorized).await?)
        };
        match deadline {
            // Dropping the stages is how a request is cancelled: nothing behind here holds a lock over a wait.
            Some(deadline) => tokio::select! {
                biased;
                answer = stages => answer,
                () = config.clock.sleep_until(deadline) => Err(deadline::exceeded().into()),
            },
            None => stages.await,
        }
    }

    fn finish(
        &self,
        response: Response,
        responder: &ErrorResponder,
        audit_id: String,
        recorder: &Recorder,
        mut cleanup: RequestCleanup,
    ) -> Response {
        let (mut parts, mut body) = response.into_parts();
        if cleanup.measured.is_some() {
            // Every answer is for one user only. Not on answers to what could not even be read, as upstream.
            parts.headers.entry(header::CACHE_CONTROL).or_insert(NO_CACHE);
        }
        if let Ok(value) = HeaderValue::from_str(&audit_id) {
            parts.headers.entry(audit::AUDIT_ID).or_insert(value);
        }
        for value in recorder.warnings.texts().iter().filter_map(|text| warning::header(text)) {
            parts.headers.append(header::WARNING, value);
        }
        if cleanup.long_running {
            let shutdown = self.config.shutdown.clone();
            // Watches would outlive the drain; clients start them again elsewhere.
            body = body.map_stream(|stream| Box::pin(stream.take_until(Box::pin(async move { shutdown.draining().await }))));
        }
        if responder.method == Method::HEAD {
            if let Some(length) = body.len() {
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            body = Body::empty();
        }
        if let Some(measured) = &mut cleanup.measured {
            measured.answered(parts.status.as_u16());
            let took_us = u64::try_from(measured.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(method = %responder.method, uri = %responder.uri, code = parts.status.as_u16(), took_us, audit_id, annotations = ?recorder.annotations.list(), "request");
        }
        if let Some(ticket) = &cleanup.ticket {
            ticket.answered(body.own_bytes(), cleanup.long_running);
        }
        Response::from_parts(parts, body.with_on_sent(Box::new(cleanup)))
    }
}

/// Turns errors into responses. Keeps the parts of the request that this takes, as the request itself is handed on.
struct ErrorResponder {
    method: Method,
    uri: Uri,
    /// Those that say how to write an error.
    accept: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl ErrorResponder {
    fn of(request: &http::Request<RequestBody>) -> Self {
        let header = |name: header::HeaderName| request.headers().get(name).cloned();
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            accept: header(header::ACCEPT),
            user_agent: header(header::USER_AGENT),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        match refusal {
            Refusal::Status(status) => {
                let mut headers = HeaderMap::new();
                let known = [(header::ACCEPT, &self.accept), (header::USER_AGENT, &self.user_agent)];
                headers.extend(known.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
                let mut response = response::status(&headers, self.uri.query().unwrap_or_default(), &status);
                if status.code == 403 {
                    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                }
                response
            }
            Refusal::Text { code, message, retry_after_seconds } => {
                let mut response = response::text_error(code, &message);
                if let Some(seconds) = retry_after_seconds {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
        }
    }
}

/// Upstream's flow schema `probes` is exempt from seats for everybody, and so are these.
fn is_probe(info: &RequestInfo) -> bool {
    matches!(&*info.verb, "get" | "head") && matches!(info.path.as_str(), "/livez" | "/readyz" | "/healthz")
}

fn is_apply(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/apply-patch"))
}

/// A path that cannot be read: Go's server refuses bad escapes before upstream sees them.
fn malformed(error: &RequestInfoError, uri: &Uri) -> Refusal {
    match error {
        RequestInfoError::BadEscape => Refusal::Text { code: 400, message: "400 Bad Request".into(), retry_after_seconds: None },
        RequestInfoError::NoKind(_) => internal(uri, &error.to_string()),
    }
}

/// Upstream's answer to what is nobody's fault but the server's.
fn internal(uri: &Uri, why: &str) -> Refusal {
    let message = format!("Internal Server Error: {}: {why}", go_quote(&uri.to_string()));
    Refusal::Text { code: 500, message: auth::sanitized(&message), retry_after_seconds: None }
}

/// Upstream's filter for the seats is one of those that know no `Status`.
fn in_plain_text(status: Status) -> Refusal {
    let retry_after_seconds = status.details.as_ref().and_then(|details| details.retry_after_seconds);
    Refusal::Text { code: status.code, message: status.message, retry_after_seconds }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
