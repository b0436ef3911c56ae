//! One connection: TLS, HTTP/1.1 or HTTP/2 by ALPN, and its end: idle, unread, or with the server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::body::{RequestBody, Upgrade};
use crate::limits;
use crate::listener::Limits;
use crate::response::{self, Response};
use crate::road::Road;
use crate::socket::{Socket, SocketState};
use crate::strangers::Stranger;
use crate::tls::{Peer, Tls};

/// How often a connection looks whether it is idle or stalled.
const LOOK_INTERVAL: Duration = Duration::from_millis(2500);
/// How long a connection that was asked to end may take to say goodbye.
const GOODBYE_DURATION_MAX: Duration = Duration::from_secs(10);

/// What requests of one connection share.
#[derive(Debug)]
pub struct Connection {
    /// The client's address.
    pub remote: SocketAddr,
    pub(crate) peer: Option<Peer>,
    pub(crate) http2: bool,
    /// Notified where the connection is to take no further requests: after the answer to an anonymous one over HTTP/2, upstream's defence
    /// against rapid reset (CVE-2023-44487, `pkg/endpoints/filters/authentication.go`).
    pub(crate) close: Notify,
    socket: Arc<SocketState>,
    /// Whether anybody has been authenticated on the connection; none on [`Connection::internal`].
    stranger: Option<Arc<Stranger>>,
    /// Bounds the requests that are worked on at once before anybody was authenticated on the connection.
    stranger_places: Semaphore,
    under_way: Mutex<UnderWay>,
    next_id: AtomicU64,
    /// What an HTTP/1.1 connection is used for once its last request is answered: a WebSocket.
    upgrade: Mutex<Option<(OnUpgrade, Upgrade)>>,
}

#[derive(Debug)]
struct UnderWay {
    /// By [`Ticket::id`]; none while the answer is being made.
    requests: BTreeMap<u64, Option<Sending>>,
    idle_since: Instant,
    /// The sum over all requests.
    unsent_bytes: u64,
}

/// An answer on its way.
#[derive(Debug)]
struct Sending {
    since: Instant,
    /// Since when the client has not taken what it was sent; none: it has taken everything that there was to send.
    offered_at: Option<Instant>,
    /// Bytes of the answer that are in memory for this client alone, and that it has not taken.
    unsent_bytes: u64,
    /// A watch has no end by which it would have to be sent.
    is_watch: bool,
}

/// A request under way on its connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    connection: Arc<Connection>,
    id: u64,
}

impl Connection {
    fn new(remote: SocketAddr, peer: Option<Peer>, http2: bool, socket: Arc<SocketState>, stranger: Option<Arc<Stranger>>) -> Arc<Self> {
        let under_way = UnderWay { requests: BTreeMap::new(), idle_since: Instant::now(), unsent_bytes: 0 };
        let (close, next_id, under_way) = (Notify::new(), AtomicU64::new(0), Mutex::new(under_way));
        let stranger_places = Semaphore::new(limits::REQUESTS_PER_STRANGER_MAX);
        let upgrade = Mutex::default();
        Arc::new(Self { remote, peer, http2, close, socket, stranger, stranger_places, under_way, next_id, upgrade })
    }

    /// Stands for a connection in requests that the server makes to itself and in tests.
    pub fn internal() -> Arc<Self> {
        Self::new(SocketAddr::from(([127, 0, 0, 1], 0)), None, false, Arc::default(), None)
    }

    /// Waits until the request may be worked on: before anybody was authenticated on the connection, few are at once
    /// ([`limits::REQUESTS_PER_STRANGER_MAX`]). Hold what is returned for as long as that takes.
    pub(crate) async fn stranger_place(&self) -> Option<SemaphorePermit<'_>> {
        let stranger = self.stranger.as_ref().is_some_and(|stranger| !stranger.is_known());
        // The semaphore is never closed, so that acquiring cannot fail.
        if stranger { self.stranger_places.acquire().await.ok() } else { None }
    }

    /// A request on this connection was authenticated, and not as anonymous.
    pub(crate) fn introduce(&self) {
        if let Some(stranger) = &self.stranger {
            stranger.introduce();
        }
    }

    /// A request has come; it is under way until the ticket is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Ticket {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.under_way.lock().requests.insert(id, None);
        Ticket { connection: self.clone(), id }
    }

    /// Whether more than [`limits::UNSENT_BYTES_PER_CONNECTION_MAX`] of answers wait for the client to read them: it is given no more then.
    pub(crate) fn is_overfull(&self) -> bool {
        self.under_way.lock().unsent_bytes > limits::UNSENT_BYTES_PER_CONNECTION_MAX
    }

    fn activity(&self, now: Instant, limits: &Limits) -> Activity {
        let stalled = |since: Instant| now.duration_since(since) > limits.send_stall_duration_max;
        let given_up = |sending: &Sending| {
            sending.offered_at.is_some_and(stalled) || (!sending.is_watch && now.duration_since(sending.since) > limits::SEND_DURATION_MAX)
        };
        let under_way = self.under_way.lock();
        if self.socket.blocked_since().is_some_and(stalled) || under_way.requests.values().flatten().any(given_up) {
            Activity::Stalled
        } else if under_way.requests.is_empty() && now.duration_since(under_way.idle_since) > limits.idle_duration_max {
            Activity::Idle
        } else {
            Activity::Busy
        }
    }
}

impl Ticket {
    /// The answer is ready; `unsent_bytes` of it are held for it alone.
    pub(crate) fn answered(&self, unsent_bytes: u64, is_watch: bool) {
        let now = Instant::now();
        let mut under_way = self.connection.under_way.lock();
        under_way.unsent_bytes += unsent_bytes;
        if let Some(request) = under_way.requests.get_mut(&self.id) {
            *request = Some(Sending { since: now, offered_at: Some(now), unsent_bytes, is_watch });
        }
    }

    /// `bytes` more of the answer were handed to hyper, which asks for the next when the client has room for it.
    pub(crate) fn offered(&self, bytes: usize) {
        let mut under_way = self.connection.under_way.lock();
        let Some(Some(sending)) = under_way.requests.get_mut(&self.id) else { return };
        sending.offered_at = Some(Instant::now());
        let taken = sending.unsent_bytes.min(bytes as u64);
        sending.unsent_bytes -= taken;
        under_way.unsent_bytes -= taken;
    }

    /// hyper asks for more of a stream than there is yet: the client has taken everything so far.
    pub(crate) fn source_pending(&self) {
        if let Some(Some(sending)) = self.connection.under_way.lock().requests.get_mut(&self.id) {
            sending.offered_at = None;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut under_way = self.connection.under_way.lock();
        if let Some(Some(sending)) = under_way.requests.remove(&self.id) {
            under_way.unsent_bytes -= sending.unsent_bytes;
        }
        if under_way.requests.is_empty() {
            under_way.idle_since = Instant::now();
        }
    }
}

/// What a connection is found at when it is looked after.
#[derive(Debug, PartialEq, Eq)]
enum Activity {
    /// A request is under way, and its client takes what it is sent.
    Busy,
    /// No request has been under way for as long as a connection may be kept for the next.
    Idle,
    /// A client has not taken what it was sent for too long.
    Stalled,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(stream: TcpStream, remote: SocketAddr, tls: Tls, road: Arc<Road>, limits: Limits, stranger: Arc<Stranger>) {
    let (socket, state) = Socket::new(stream);
    let handshake = tls.acceptor().accept(socket);
    let stream = match tokio::time::timeout(limits.handshake_duration_max, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            road.metrics().handshake_failed();
            tracing::debug!(%remote, %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            road.metrics().handshake_failed();
            tracing::debug!(%remote, "TLS handshake took too long");
            return;
        }
    };
    let (_, session) = stream.get_ref();
    let http2 = session.alpn_protocol() == Some(b"h2");
    let connection = Connection::new(remote, tls.peer(session.peer_certificates()), http2, state.clone(), Some(stranger));

    let service = {
        let (road, connection) = (road.clone(), connection.clone());
        service_fn(move |request| {
            let (road, connection) = (road.clone(), connection.clone());
            async move { Ok::<_, Infallible>(answer(&road, request, &connection).await) }
        })
    };
    let io = TokioIo::new(stream);
    let result = if http2 {
        let hyper = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_per_connection_max)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(limits::STREAM_SEND_BUFFER_BYTES_MAX)
            .max_header_list_size(limits::HEADER_BYTES_MAX)
            .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
            .serve_connection(io, service);
        drive(hyper, &connection, &road, &limits).await
    } else {
        let hyper = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_duration_max)
            .max_headers(limits::HEADER_COUNT_MAX)
            .max_header_size(limits::HEADER_BYTES_MAX as usize)
            .max_buf_size(limits::HTTP1_BUFFER_BYTES_MAX)
            .serve_connection(io, service)
            .with_upgrades();
        drive(hyper, &connection, &road, &limits).await
    };
    if let Err(error) = result {
        tracing::debug!(%remote, %error, "connection ended");
        if error.is_parse() {
            state.linger().await;
        }
        return;
    }
    let upgrade = connection.upgrade.lock().take();
    if let Some((io, upgrade)) = upgrade
        && let Ok(io) = io.await
    {
        // It counts as a connection for as long as it lives, and is cut with the others.
        tokio::select! {
            () = upgrade.run(io, road.shutdown().clone()) => {}
            () = road.shutdown().over() => {}
        }
    }
}

/// Both of hyper's connections, as far as their end is concerned.
trait Ending: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Ending for hyper::server::conn::http1::UpgradeableConnection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = crate::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Ending for hyper::server::conn::http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = crate::body::Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    TokioExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, crate::body::Body>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive(hyper: impl Ending, connection: &Connection, road: &Road, limits: &Limits) -> hyper::Result<()> {
    let mut hyper = pin!(hyper);
    let mut look = tokio::time::interval(LOOK_INTERVAL.min(limits.idle_duration_max).min(limits.send_stall_duration_max));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut draining = pin!(road.shutdown().draining());
    let mut over = pin!(road.shutdown().over());
    let mut close = pin!(connection.close.notified());
    // Whether it was asked to end, and since when nothing has been under way.
    let (mut ending, mut goodbye_since): (bool, Option<Instant>) = (false, None);
    loop {
        tokio::select! {
            biased;
            result = &mut hyper => return result,
            () = &mut draining, if !ending => {
                ending = true;
                hyper.as_mut().end();
            }
            () = &mut close, if !ending => {
                ending = true;
                hyper.as_mut().end();
            }
            // Dropping it cuts the connection and all that is under way on it.
            () = &mut over => return Ok(()),
            _ = look.tick() => match connection.activity(Instant::now(), limits) {
                Activity::Stalled => {
                    road.metrics().stalled();
                    tracing::info!(remote = %connection.remote, "client does not read what it is sent, connection cut");
                    return Ok(());
                }
                Activity::Busy => goodbye_since = None,
                Activity::Idle if !ending => {
                    ending = true;
                    hyper.as_mut().end();
                }
                Activity::Idle if goodbye_since.get_or_insert_with(Instant::now).elapsed() > GOODBYE_DURATION_MAX => return Ok(()),
                Activity::Idle => {}
            },
        }
    }
}

/// Go's server takes one `Transfer-Encoding: chunked` and one expectation, and refuses all others: what is in front of it may read them in
/// another way, and see the next request begin elsewhere.
fn framing_refused(headers: &http::HeaderMap) -> Option<Response> {
    let mut encodings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    let chunked = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    let fine = encodings.next().is_none_or(chunked) && encodings.next().is_none();
    let continues = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let mut response = if !fine {
        response::text(501, "Unsupported transfer encoding")
    } else if !headers.get(http::header::EXPECT).is_none_or(continues) {
        response::text(417, "")
    } else {
        return None;
    };
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    Some(response)
}

async fn answer(road: &Arc<Road>, mut request: http::Request<Incoming>, connection: &Arc<Connection>) -> Response {
    // HTTP/2 bounds the bytes of a head only.
    if request.headers().len() > limits::HEADER_COUNT_MAX {
        return response::text(431, "431 Request Header Fields Too Large");
    }
    // RFC 9112, 3.2: without it a request is malformed, and with two of them somebody is being fooled.
    let hosts = request.headers().get_all(http::header::HOST).iter().count();
    if request.version() == http::Version::HTTP_11 && (hosts > 1 || (hosts == 0 && request.uri().host().is_none())) {
        let why = if hosts > 1 { "too many Host headers" } else { "missing required Host header" };
        let mut response = response::text(400, format!("400 Bad Request: {why}"));
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        return response;
    }
    if request.version() < http::Version::HTTP_2
        && let Some(refusal) = framing_refused(request.headers())
    {
        return refusal;
    }
    if request.uri().scheme().is_some() {
        // HTTP/2 and proxies name the whole address; behind here it is the path and the query.
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        *request.uri_mut() = http::Uri::from(path);
    }
    let io = hyper::upgrade::on(&mut request);
    let mut response = road.serve(request.map(RequestBody::from_connection), connection).await;
    if let Some(upgrade) = response.body_mut().take_upgrade() {
        *connection.upgrade.lock() = Some((io, upgrade));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_something_now_and_then_is_not_given_up() {
        let limits = Limits::default();
        let stall = limits.send_stall_duration_max;
        let connection = Connection::internal();
        let activity = |after: Duration| connection.activity(Instant::now() + after, &limits);
        let ticket = connection.begin();
        assert_eq!(activity(10 * stall), Activity::Busy, "a handler works as long as its request may");
        ticket.answered(1000, false);
        assert_eq!(activity(stall / 2), Activity::Busy);
        assert_eq!(activity(stall + Duration::from_secs(1)), Activity::Stalled);
        // Taken just now: the time begins anew.
        ticket.offered(100);
        assert_eq!(activity(stall / 2), Activity::Busy);
        ticket.source_pending();
        assert_eq!(activity(10 * stall), Activity::Busy, "nothing is there to be taken");
        assert_eq!(activity(limits::SEND_DURATION_MAX + stall), Activity::Stalled, "but an answer has an end");
        drop(ticket);
        assert_eq!(activity(stall), Activity::Busy);
        assert_eq!(activity(limits.idle_duration_max + stall), Activity::Idle);

        let watch = connection.begin();
        watch.answered(0, true);
        watch.source_pending();
        assert_eq!(activity(10 * limits::SEND_DURATION_MAX), Activity::Busy, "a watch has none");
        watch.offered(10);
        assert_eq!(activity(stall + Duration::from_secs(1)), Activity::Stalled);
    }

    #[tokio::test]
    async fn a_stranger_s_requests_wait_for_each_other() {
        use futures::FutureExt as _;
        let stranger = Arc::new(Arc::new(crate::strangers::Strangers::default()).arrive());
        let connection = Connection::new(SocketAddr::from(([127, 0, 0, 1], 0)), None, true, Arc::default(), Some(stranger));
        let mut places = Vec::new();
        for _ in 0..limits::REQUESTS_PER_STRANGER_MAX {
            places.push(connection.stranger_place().await.expect("a place"));
        }
        assert!(connection.stranger_place().now_or_never().is_none(), "one more than may be");
        drop(places.pop());
        assert!(connection.stranger_place().now_or_never().is_some_and(|place| place.is_some()));
        connection.introduce();
        let free = (0..100).all(|_| connection.stranger_place().now_or_never().is_some_and(|place| place.is_none()));
        assert!(free, "who is known needs none");
    }

    #[test]
    fn unread_answers_are_bounded() {
        let connection = Connection::internal();
        let tickets: Vec<Ticket> = (0..3).map(|_| connection.begin()).collect();
        tickets[0].answered(limits::UNSENT_BYTES_PER_CONNECTION_MAX, false);
        assert!(!connection.is_overfull());
        tickets[1].answered(100, false);
        assert!(connection.is_overfull());
        tickets[1].offered(99);
        assert!(connection.is_overfull());
        tickets[0].offered(1);
        tickets[2].answered(0, true);
        tickets[2].offered(1000);
        assert!(!connection.is_overfull());
        drop(tickets);
        assert_eq!(connection.under_way.lock().unsent_bytes, 0);
    }
}
