//! Writers of answers: bytes that are JSON already, values, plain text, errors; each as the client negotiated it.
//!
//! Stored objects are JSON bytes and are sent as they are. Only YAML parses them again, for people, and protobuf once an object.

use std::collections::VecDeque;
use std::io::Write as _;

use apimachinery::codec::protobuf::EncodeError;
use apimachinery::{Status, StatusReason};
use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::body::{Body, BodyError};
use crate::limits::GZIP_BYTES_MIN;
use crate::negotiate::{self, Accepted, Endpoint, MediaType};
use crate::pretty::Indenter;

/// What every handler gives.
pub type Response = http::Response<Body>;

/// How an answer is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As negotiated.
    pub accepted: Accepted,
    /// Indented, for a person.
    pub pretty: bool,
    /// Compressed, where it is large.
    pub gzip: bool,
}

impl Output {
    /// JSON, neither pretty nor compressed.
    pub const JSON: Self = Self { accepted: Accepted::JSON, pretty: false, gzip: false };

    /// Negotiates for a request with these headers and this query.
    ///
    /// # Errors
    /// 406 where nothing fits, as [`negotiate::accept`].
    pub fn negotiate(headers: &HeaderMap, raw_query: &str, endpoint: Endpoint) -> Result<Self, Status> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let accepted = negotiate::accept(text(http::header::ACCEPT), endpoint)?;
        let pretty = accepted.pretty || negotiate::is_pretty(raw_query, text(http::header::USER_AGENT).unwrap_or_default());
        let gzip = negotiate::accepts_gzip(text(http::header::ACCEPT_ENCODING));
        Ok(Self { accepted, pretty, gzip })
    }

    /// Whether stored JSON can be sent as it is.
    pub fn is_verbatim(&self) -> bool {
        self.accepted.media_type == MediaType::Json && !self.pretty
    }
}

/// An answer whose body is JSON already.
pub fn json_bytes(output: &Output, code: u16, json: impl Into<Bytes>) -> Response {
    json_chunks(output, code, VecDeque::from([json.into()]))
}

/// An answer whose body is JSON already, in pieces: a list. Nothing is joined or parsed where it is sent as JSON.
pub fn json_chunks(output: &Output, code: u16, chunks: VecDeque<Bytes>) -> Response {
    if output.accepted.media_type != MediaType::Json {
        let mut joined = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
        chunks.iter().for_each(|chunk| joined.extend_from_slice(chunk));
        return match serde_json::from_slice::<Value>(&joined) {
            Ok(value) => self::json(output, code, &value),
            // Our own bytes: sent as they are rather than not at all.
            Err(_) => finish(output, code, "application/json", VecDeque::from([joined.freeze()])),
        };
    }
    if !output.pretty {
        return finish(output, code, "application/json", chunks);
    }
    let mut indenter = Indenter::default();
    if chunks.iter().map(Bytes::len).sum::<usize>() <= GZIP_BYTES_MIN {
        return finish(output, code, "application/json", chunks.iter().map(|chunk| indenter.indent(chunk)).collect());
    }
    // A large list, and a person who looks at it: indented as the connection takes it.
    let pieces = chunks.into_iter().map(move |chunk| indenter.indent(&chunk));
    if output.gzip {
        return compressed(with_type(code, "application/json", gzipped(pieces)));
    }
    with_type(code, "application/json", Body::stream(futures::stream::iter(pieces.map(Ok))))
}

/// An answer from a value.
pub fn json(output: &Output, code: u16, value: &Value) -> Response {
    match output.accepted.media_type {
        MediaType::Yaml => finish(output, code, "application/yaml", VecDeque::from([crate::yaml::to_yaml(value).into()])),
        MediaType::Protobuf => match crate::protobuf::body(value) {
            Ok(bytes) => finish(output, code, MediaType::Protobuf.name(), VecDeque::from([bytes])),
            Err(error) => unwritable(&error),
        },
        MediaType::Json => {
            let written = if output.pretty { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
            let mut bytes = written.expect("a JSON value has string keys");
            // Upstream's serializer ends a document with a newline, and its pretty one does not.
            if !output.pretty {
                bytes.push(b'\n');
            }
            finish(output, code, "application/json", VecDeque::from([bytes.into()]))
        }
    }
}

/// An answer that is protobuf already, in pieces.
pub(crate) fn protobuf_chunks(output: &Output, code: u16, written: Result<VecDeque<Bytes>, EncodeError>) -> Response {
    match written {
        Ok(chunks) => finish(output, code, MediaType::Protobuf.name(), chunks),
        Err(error) => unwritable(&error),
    }
}

/// What an answer becomes that the client cannot be given in the form it takes.
fn unwritable(error: &EncodeError) -> Response {
    let status = match error {
        EncodeError::NotMarshalable(_) => Status::failure(406, StatusReason::NotAcceptable, error.to_string()),
        EncodeError::Unfit(_) => Status::internal(error.to_string()),
    };
    json(&Output::JSON, status.code, &status.to_json())
}

/// An object outside the API machinery (`/version`, `/`): always JSON, always indented, without a newline.
pub fn raw_json(code: u16, value: &Value) -> Response {
    let bytes = serde_json::to_vec_pretty(value).expect("a JSON value has string keys");
    with_type(code, "application/json", Body::full(bytes))
}

/// Plain text.
pub fn text(code: u16, text: impl Into<Bytes>) -> Response {
    with_type(code, "text/plain; charset=utf-8", Body::full(text))
}

/// What Go's `http.Error` writes: the text, a newline, and no sniffing.
pub fn text_error(code: u16, message: &str) -> Response {
    let mut response = text(code, format!("{message}\n"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A path that nothing at all serves: Go's plain answer, no `Status`.
pub fn page_not_found() -> Response {
    text_error(404, "404 page not found")
}

/// A stream of events, one JSON document a line, or one message after another; never compressed, never held back.
pub fn events(output: &Output, body: Body) -> Response {
    match output.accepted.media_type {
        MediaType::Protobuf => with_type(200, crate::protobuf::STREAM_TYPE, body),
        MediaType::Json | MediaType::Yaml => with_type(200, "application/json", body),
    }
}

/// Any type and body.
pub fn with_type(code: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An error, as the client negotiated it: where nothing fits it is JSON all the same, because the error is what matters.
pub fn status(headers: &HeaderMap, raw_query: &str, status: &Status) -> Response {
    let code = if status.code == 0 { 500 } else { status.code };
    let mut response = match Output::negotiate(headers, raw_query, Endpoint::Plain) {
        Ok(output) => json(&output, code, &status.to_json()),
        Err(_) => raw_json(code, &status.to_json()),
    };
    if let Some(seconds) = status.details.as_ref().and_then(|d| d.retry_after_seconds).filter(|s| *s > 0) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn finish(output: &Output, code: u16, content_type: &'static str, chunks: VecDeque<Bytes>) -> Response {
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    if !output.gzip || bytes <= GZIP_BYTES_MIN {
        let body = match chunks.len() {
            1 => Body::full(chunks.into_iter().next().unwrap_or_default()),
            _ => Body::chunks(chunks),
        };
        return with_type(code, content_type, body);
    }
    compressed(with_type(code, content_type, gzipped(chunks.into_iter())))
}

fn compressed(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Compresses as the connection takes the bytes, so that a large list is never there twice.
fn gzipped(mut pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    /// A chunk of the compressed stream is sent once it is this large.
    const CHUNK_BYTES_MIN: usize = 32 * 1024;
    /// Input taken at a time, so that one huge piece does not hold a thread.
    const INPUT_BYTES_MAX: usize = 256 * 1024;

    let mut encoder = Some(GzEncoder::new(BytesMut::new().writer(), Compression::new(1)));
    let mut piece = Bytes::new();
    let mut next = move || -> std::io::Result<Option<Bytes>> {
        let Some(writer) = encoder.as_mut() else { return Ok(None) };
        loop {
            while piece.is_empty() {
                let Some(more) = pieces.next() else {
                    let last = encoder.take().map(GzEncoder::finish).transpose()?;
                    return Ok(last.map(|writer| writer.into_inner().freeze()));
                };
                piece = more;
            }
            writer.write_all(&piece.split_to(piece.len().min(INPUT_BYTES_MAX)))?;
            if writer.get_ref().get_ref().len() >= CHUNK_BYTES_MIN {
                return Ok(Some(writer.get_mut().get_mut().split().freeze()));
            }
        }
    };
    let poll = move |_: &mut std::task::Context<'_>| std::task::Poll::Ready(next().map_err(|e| BodyError(e.to_string())).transpose());
    Body::stream(futures::stream::poll_fn(poll))
}
