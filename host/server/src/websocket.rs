//! WebSocket (RFC 6455) for streams of events: the handshake of an HTTP/1.1 request, the subprotocol that carries a bearer token, and
//! the frames. Messages of the client mean nothing here; its pings and its close are answered.

use std::ops::ControlFlow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{StatusCode, Uri};
use hyper_util::rt::TokioIo;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};

use crate::body::{Body, UpgradedTask};
use crate::limits::{WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_SEND_DURATION_MAX};
use crate::response::{self, Response};
use crate::shutdown::Shutdown;

/// What a subprotocol begins with that is no protocol but a bearer token, for browsers, which can set no other header.
const BEARER_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Whether a request asks for a WebSocket.
pub(crate) fn is_requested(headers: &HeaderMap) -> bool {
    let is_websocket = headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    is_websocket && headers.get_all(CONNECTION).iter().any(|value| text(value).contains("upgrade"))
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

/// The bearer token among the subprotocols of a WebSocket's request. What upstream refuses (two tokens, one that cannot be decoded, one
/// that comes without another protocol, which the answer could name) is given as it stands: nobody knows such a token.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<String> {
    if !is_requested(headers) {
        return None;
    }
    let mut tokens = protocols(headers).filter_map(|protocol| protocol.strip_prefix(BEARER_PREFIX));
    let encoded = tokens.next()?;
    let decoded = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let alone = protocols(headers).all(|protocol| protocol.starts_with(BEARER_PREFIX));
    match decoded {
        Some(token) if token.is_empty() => None,
        Some(token) if tokens.next().is_none() && !alone => Some(token),
        _ => Some(format!("{BEARER_PREFIX}{encoded}")),
    }
}

/// Takes the token out of the subprotocols, so that no answer and no handler sees it.
pub(crate) fn clear_bearer_token(headers: &mut HeaderMap) {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return;
    }
    let left: Vec<&str> = protocols(headers).filter(|protocol| !protocol.starts_with(BEARER_PREFIX)).collect();
    match HeaderValue::from_str(&left.join(",")) {
        Ok(value) if !left.is_empty() => drop(headers.insert(SEC_WEBSOCKET_PROTOCOL, value)),
        _ => drop(headers.remove(SEC_WEBSOCKET_PROTOCOL)),
    }
}

/// Where a WebSocket's events come from.
pub(crate) trait Source: Send + 'static {
    /// The next messages to send; none: the stream is over. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Vec<Bytes>>> + Send;
}

/// Answers the handshake: 101, and the source's messages behind it, each in one frame; or why not, in upstream's codes.
pub(crate) fn accept(headers: &HeaderMap, as_text: bool, source: impl Source) -> Response {
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY).filter(|key| !key.is_empty()) else {
        return refused(StatusCode::BAD_REQUEST, "mismatch challenge/response");
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut response = refused(StatusCode::BAD_REQUEST, "missing or bad WebSocket Version");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    if headers.get(ORIGIN).is_some_and(|origin| !is_origin(origin)) {
        return refused(StatusCode::FORBIDDEN, "");
    }
    let mut offered = protocols(headers).filter(|protocol| !protocol.is_empty());
    let chosen = offered.next().map(HeaderValue::from_str);
    if offered.next().is_some() {
        // Upstream knows no protocol by name, and takes the one that is offered.
        return refused(StatusCode::BAD_REQUEST, "");
    }
    let run: UpgradedTask = Box::new(move |io, shutdown| {
        Box::pin(async move { Session::of(TokioIo::new(io), as_text, WEBSOCKET_SEND_DURATION_MAX).await.run(shutdown, source).await })
    });
    let mut response = Response::new(Body::upgrade(run));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let set: [(HeaderName, HeaderValue); 2] =
        [(UPGRADE, HeaderValue::from_static("websocket")), (CONNECTION, HeaderValue::from_static("Upgrade"))];
    response.headers_mut().extend(set);
    if let Ok(proof) = HeaderValue::from_str(&proof(key)) {
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, proof);
    }
    if let Some(Ok(protocol)) = chosen {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// What shows the client that its key was read (RFC 6455, 4.2.2). SHA-1 protects nothing here.
fn proof(key: &HeaderValue) -> String {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finish())
}

/// Go's `url.ParseRequestURI`, roughly: an address, or a path. Upstream also refuses a request without an origin, which protects nobody:
/// any will do.
fn is_origin(origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|text| text.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some() || text.starts_with('/')))
}

fn refused(code: StatusCode, why: &'static str) -> Response {
    let mut response = response::text(code.as_u16(), why);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether a session goes on, or why it ends: none where the client cannot be told any more.
type Step = ControlFlow<Option<CloseCode>>;

/// A WebSocket under way.
struct Session<Io> {
    socket: WebSocketStream<Io>,
    as_text: bool,
    /// How long the client may leave what it is sent unread.
    send_duration_max: Duration,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Session<Io> {
    async fn of(io: Io, as_text: bool, send_duration_max: Duration) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(WEBSOCKET_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(WEBSOCKET_MESSAGE_BYTES_MAX));
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Self { socket, as_text, send_duration_max }
    }

    /// Runs until the source, the client or the server ends. A client that does not read what it is sent is cut.
    async fn run(mut self, shutdown: Shutdown, mut source: impl Source) {
        let mut draining = std::pin::pin!(shutdown.draining());
        let last_word = loop {
            let step = tokio::select! {
                biased;
                () = &mut draining => Step::Break(Some(CloseCode::Away)),
                received = self.socket.next() => match received {
                    // The answer goes out with the next thing that is sent, or now.
                    Some(Ok(Message::Ping(_))) => self.send(Vec::new()).await,
                    Some(Ok(Message::Close(_))) => {
                        let _ = self.send(Vec::new()).await;
                        Step::Break(None)
                    }
                    Some(Ok(_)) => Step::Continue(()),
                    Some(Err(_)) | None => Step::Break(Some(CloseCode::Normal)),
                },
                messages = source.next() => match messages {
                    Some(messages) => self.send(messages).await,
                    None => Step::Break(Some(CloseCode::Normal)),
                },
            };
            if let Step::Break(last_word) = step {
                break last_word;
            }
        };
        if let Some(code) = last_word {
            let close = self.socket.close(Some(CloseFrame { code, reason: Utf8Bytes::default() }));
            let _ = tokio::time::timeout(self.send_duration_max, close).await;
        }
    }

    /// Sends messages, and what else waits. What cannot be sent in time ends the session, perhaps in the middle of a message.
    async fn send(&mut self, messages: Vec<Bytes>) -> Step {
        let sending = async {
            for message in messages {
                let message = if self.as_text { Message::Text(Utf8Bytes::try_from(message)?) } else { Message::Binary(message) };
                self.socket.feed(message).await?;
            }
            self.socket.flush().await
        };
        match tokio::time::timeout(self.send_duration_max, sending).await {
            Ok(Ok::<(), Error>(())) => Step::Continue(()),
            Ok(Err(_)) | Err(_) => Step::Break(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    fn asking(protocols: &[&str]) -> HeaderMap {
        let mut asking = headers(&[(UPGRADE, "WebSocket"), (CONNECTION, "keep-alive, Upgrade")]);
        for protocol in protocols {
            asking.append(SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
        }
        asking
    }

    #[test]
    fn a_request_for_a_websocket_names_it_twice() {
        assert!(is_requested(&asking(&[])));
        assert!(!is_requested(&headers(&[(UPGRADE, "websocket")])));
        assert!(!is_requested(&headers(&[(CONNECTION, "upgrade")])));
        assert!(!is_requested(&headers(&[(CONNECTION, "upgrade"), (UPGRADE, "h2c")])));
    }

    #[test]
    fn the_token_is_a_subprotocol_beside_another() {
        // YWJj is abc.
        let token = "base64url.bearer.authorization.k8s.io.YWJj";
        let rows: [(&[&str], Option<&str>, Option<&str>); 8] = [
            (&[], None, None),
            (&["base64.binary.k8s.io"], None, Some("base64.binary.k8s.io")),
            (&[&format!("{token}, v4")], Some("abc"), Some("v4")),
            (&["v4", token], Some("abc"), Some("v4")),
            (&[token], Some(token), None),
            (&[&format!("{token},{token},v4")], Some(token), Some("v4")),
            (&["base64url.bearer.authorization.k8s.io., v4"], None, Some("v4")),
            (&["base64url.bearer.authorization.k8s.io.YWJ=, v4"], Some("base64url.bearer.authorization.k8s.io.YWJ="), Some("v4")),
        ];
        for (given, want, left) in rows {
            let mut headers = asking(given);
            assert_eq!(bearer_token(&headers).as_deref(), want, "{given:?}");
            clear_bearer_token(&mut headers);
            assert_eq!(headers.get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap()), left, "{given:?}");
        }
        assert_eq!(bearer_token(&headers(&[(SEC_WEBSOCKET_PROTOCOL, &format!("{token},v4"))])), None, "no WebSocket");
    }

    struct Silent;

    impl Source for Silent {
        async fn next(&mut self) -> Option<Vec<Bytes>> {
            None
        }
    }

    #[test]
    fn the_handshake_is_answered_as_the_rfc_has_it() {
        // The key and its proof of RFC 6455, 1.3.
        let good = [(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="), (SEC_WEBSOCKET_VERSION, "13"), (ORIGIN, "http://localhost")];
        let response = accept(&headers(&good), true, Silent);
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (change, value, code) in [
            (SEC_WEBSOCKET_KEY, "", 400),
            (SEC_WEBSOCKET_VERSION, "8", 400),
            (ORIGIN, "not an address", 403),
            (SEC_WEBSOCKET_PROTOCOL, "a", 101),
            (SEC_WEBSOCKET_PROTOCOL, "a, b", 400),
        ] {
            let mut given = headers(&good);
            given.insert(change.clone(), value.parse().unwrap());
            let response = accept(&given, true, Silent);
            assert_eq!(response.status(), code, "{change}: {value}");
            if code == 101 {
                assert_eq!(response.headers().get(SEC_WEBSOCKET_PROTOCOL), Some(&HeaderValue::from_static("a")));
            }
        }
    }

    /// Gives the same event for ever.
    struct Endless;

    impl Source for Endless {
        async fn next(&mut self) -> Option<Vec<Bytes>> {
            Some(vec![Bytes::from_static(b"event")])
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut() {
        let (client, server) = tokio::io::duplex(1024);
        Session::of(server, true, Duration::from_millis(20)).await.run(Shutdown::new(), Endless).await;
        drop(client);
    }

    #[tokio::test]
    async fn the_servers_end_is_said() {
        let (client, server) = tokio::io::duplex(1024);
        let shutdown = Shutdown::new();
        shutdown.advance(crate::shutdown::Phase::Draining);
        let session = Session::of(server, true, Duration::from_secs(60)).await;
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let (received, ()) = tokio::join!(client.next(), session.run(shutdown, Endless));
        let Some(Ok(Message::Close(Some(frame)))) = received else { panic!("{received:?}") };
        assert_eq!(frame.code, CloseCode::Away);
    }
}
