//! Serves one connection to its end: TLS, HTTP/1.1 or HTTP/2 by ALPN, the requests, and what ends it: it is idle, its client does not
//! read, or the server ends.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::body::RequestBody;
use crate::connection::{Activity, Connection};
use crate::limits::{self, ConnectionLimits};
use crate::response::{self, Response};
use crate::road::Road;
use crate::socket::Socket;
use crate::strangers::Stranger;
use crate::tls::Tls;

/// How often a connection is looked at, whether it is idle or its client does not read.
const LOOK_INTERVAL: Duration = Duration::from_millis(2500);
/// How long a connection that was asked to end may take to say goodbye.
const GOODBYE_DURATION_MAX: Duration = Duration::from_secs(10);

/// Serves a connection until it ends.
pub(crate) async fn serve(
    stream: TcpStream,
    remote: SocketAddr,
    tls: Tls,
    road: Arc<Road>,
    limits: ConnectionLimits,
    stranger: Arc<Stranger>,
) {
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

async fn drive(hyper: impl Ending, connection: &Connection, road: &Road, limits: &ConnectionLimits) -> hyper::Result<()> {
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
