//! Every bound of the request road, in one place. What is not bounded here is bounded by what it calls.

use std::time::Duration;

/// Connections that are open at once; further ones wait in the kernel's backlog.
pub const CONNECTIONS_COUNT_MAX: usize = 20_000;
/// Requests that are worked on at once of one connection on which nobody has said yet who they are; further ones wait.
pub const REQUESTS_PER_STRANGER_MAX: usize = 8;
/// A TLS handshake that takes longer is given up.
pub const HANDSHAKE_DURATION_MAX: Duration = Duration::from_secs(10);
/// An HTTP/1 request's head, and a keep-alive connection's next one, must be there by then (upstream's `ReadHeaderTimeout`).
pub const HEADER_READ_DURATION_MAX: Duration = Duration::from_secs(32);
/// An idle connection without any request under way is closed (upstream's `IdleTimeout` is 90 s, for HTTP/1 and HTTP/2).
pub const IDLE_DURATION_MAX: Duration = Duration::from_secs(90);
/// Bytes of a request's head. Upstream leaves Go's default of 1 MiB; no client that we know sends a tenth of it.
pub const HEADER_BYTES_MAX: u32 = 256 * 1024;
/// Header fields in a request.
pub const HEADER_COUNT_MAX: usize = 256;
/// Bytes of a request's body (upstream's `MaxRequestBodyBytes`).
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Bytes of all bodies together that are arriving at a time: the seats do not bound them.
pub const ARRIVING_BYTES_MAX: usize = 512 * 1024 * 1024;
/// A request that works on so many bytes of objects leaves the async workers. Some ten milliseconds of work; few bodies are so large.
pub const HEAVY_BYTES_MIN: usize = 64 * 1024;
/// Such requests at once: each may take some hundred times its body in memory while it is checked.
pub const HEAVY_REQUESTS_MAX: usize = 4;
/// Bytes of a refused body that are still taken in, so that the client gets to read the answer.
pub const REFUSED_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a body that nobody wanted and that are taken in all the same, so that its HTTP/1 connection lives on (Go's bound).
pub const UNREAD_BODY_BYTES_MAX: usize = 256 * 1024;
/// Time for them to arrive.
pub const UNREAD_BODY_DURATION_MAX: Duration = Duration::from_secs(5);
/// Time for a body to arrive, whatever the request's own deadline.
pub const BODY_READ_DURATION_MAX: Duration = Duration::from_secs(60);
/// Requests in flight on one HTTP/2 connection. Upstream's default is 100, against clients that open and reset streams; hyper counts resets
/// by itself, and a watch holds a stream for as long as it lives, so that an informer-heavy client needs fewer connections here.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 250;
/// What a client may send on one stream before it is read: a body fits without a round trip per 64 KiB.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same over all streams of a connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Response bytes that one HTTP/2 stream may hold in the connection's buffer.
pub const STREAM_SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// HTTP/1 read and write buffers; a head must fit.
pub const HTTP1_BUFFER_BYTES_MAX: usize = 512 * 1024;
/// HTTP/2 pings on an idle connection, so that a dead peer's watches end (upstream's `ReadIdleTimeout`).
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long a ping may stay unanswered.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Responses smaller than this are not compressed (upstream's `defaultGzipThresholdBytes`).
pub const GZIP_BYTES_MIN: usize = 128 * 1024;
/// A message that a client sends over a WebSocket, where only its pings and its close mean something.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long a WebSocket's client may leave what it is sent unread.
pub const WEBSOCKET_SEND_DURATION_MAX: Duration = Duration::from_secs(10);
/// An answer, or a watch, of which the client takes nothing for so long is given up, and its connection with it. A client that reads, however
/// slowly, takes some: what the kernel and its own buffers hold of it comes and goes by about 64 KiB.
pub const SEND_STALL_DURATION_MAX: Duration = Duration::from_secs(20);
/// An answer that is still on its way after this is given up, although its client reads; watches are not.
pub const SEND_DURATION_MAX: Duration = Duration::from_secs(30 * 60);
/// Bytes of answers that are ready, were made for this one connection and are not yet taken by it. With more, it gets no further ones.
pub const UNSENT_BYTES_PER_CONNECTION_MAX: u64 = 64 * 1024 * 1024;
/// Bytes that the kernel may hold of a connection besides those that are on the wire.
pub const SOCKET_UNSENT_BYTES_MAX: u32 = 128 * 1024;
/// What a client still sends after its request was refused unread is taken in for so long, so that it gets to read the answer.
pub const LINGER_DURATION_MAX: Duration = Duration::from_secs(1);
/// And so many bytes of it.
pub const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a client's audit id that are written down and sent back (upstream's `maxAuditIDLength`).
pub const AUDIT_ID_BYTES_MAX: usize = 64;

const _: () = {
    assert!(STREAM_WINDOW_BYTES <= CONNECTION_WINDOW_BYTES);
    assert!(HEADER_BYTES_MAX as usize <= HTTP1_BUFFER_BYTES_MAX);
    assert!(LAST_FRAME_BYTES_MAX < FRAME_BYTES_MAX);
};
/// Pieces of a response are joined, and cut, into frames of up to this size: some TLS records, and little enough to stay in the cache.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;
/// An answer that is larger keeps its last bytes back until those before them were taken, so that a stream whose client does not read is
/// still seen. A smaller one may stay in the connection's buffers.
pub const LAST_FRAME_BYTES_MAX: usize = 16 * 1024;

/// Bounds of connections that an operator or a test may want otherwise.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// See [`CONNECTIONS_COUNT_MAX`].
    pub connections_count_max: usize,
    /// See [`HANDSHAKE_DURATION_MAX`].
    pub handshake_duration_max: Duration,
    /// See [`HEADER_READ_DURATION_MAX`].
    pub header_read_duration_max: Duration,
    /// See [`IDLE_DURATION_MAX`].
    pub idle_duration_max: Duration,
    /// See [`SEND_STALL_DURATION_MAX`].
    pub send_stall_duration_max: Duration,
    /// `--http2-max-streams-per-connection`; see [`STREAMS_PER_CONNECTION_MAX`].
    pub streams_per_connection_max: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_count_max: CONNECTIONS_COUNT_MAX,
            handshake_duration_max: HANDSHAKE_DURATION_MAX,
            header_read_duration_max: HEADER_READ_DURATION_MAX,
            idle_duration_max: IDLE_DURATION_MAX,
            send_stall_duration_max: SEND_STALL_DURATION_MAX,
            streams_per_connection_max: STREAMS_PER_CONNECTION_MAX,
        }
    }
}
