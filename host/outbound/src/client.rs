//! One request and its answer, within a grant.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connect::{ConnectError, Connector};
use crate::grant::{Grant, Origin};
use crate::limits;

/// What to do with what a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "HTTP's words")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Absolute; its origin is one of the grant's.
    pub url: String,
    /// Names and values. What belongs to the connection (`Host`, `Content-Length`, `Connection`, …) is the client's own to say.
    pub headers: Vec<(String, String)>,
    /// What is sent along.
    pub body: Bytes,
}

/// What came back, whatever its status: redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// `200`.
    pub status: u16,
    /// Names in lower case, and values; what is no UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
    /// What came along.
    pub body: Bytes,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The grant does not have this origin.
    NotGranted,
    /// The URL or a header is none.
    Malformed,
    /// The request is larger than the grant says.
    TooLong,
    /// The answer is.
    TooLarge,
    /// There was no answer in time.
    Timeout,
    /// The name has no address, or nobody answers there.
    Unreachable,
    /// The certificate is not that of somebody who is trusted there.
    Untrusted,
    /// What answers does not speak HTTP, or went away.
    Broken,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Of which kind.
    pub failure: Failure,
    /// For people.
    pub message: String,
}

impl Error {
    /// Of this kind, in these words.
    pub fn new(failure: Failure, message: impl Into<String>) -> Self {
        Self { failure, message: message.into() }
    }
}

/// Sends requests within one grant, over connections that it keeps.
pub struct Client {
    grant: Grant,
    http: hyper_util::client::legacy::Client<Connector, Full<Bytes>>,
}

/// What a connection says of itself, and what would make two requests of one.
const NOT_THE_CALLERS: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

impl Client {
    /// Within this grant. An error where nobody's certificates can be trusted.
    pub fn new(grant: Grant) -> Result<Self, String> {
        let connector = Connector::new(&grant)?;
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::IDLE_TIMEOUT)
            .pool_max_idle_per_host(limits::IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(limits::ANSWER_HEAD_BYTES_MAX)
            .http1_max_headers(limits::HEADERS_COUNT_MAX)
            .build(connector);
        Ok(Self { grant, http })
    }

    /// Sends a request, and waits for all of its answer: no longer than the grant says, and no longer than `within`.
    pub async fn send(&self, request: Request, within: Duration) -> Result<Response, Error> {
        let request = self.checked(request)?;
        let within = within.min(self.grant.timeout);
        let answer = tokio::time::timeout(within, self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(Error::new(Failure::Timeout, format!("there was no answer within {} ms", within.as_millis()))))
    }

    fn checked(&self, request: Request) -> Result<http::Request<Full<Bytes>>, Error> {
        let too_long = |what: &str, is: usize, max: usize| Err(Error::new(Failure::TooLong, format!("{what} {is}, more than {max}")));
        if request.url.len() > limits::URL_BYTES_MAX {
            return too_long("the URL's bytes are", request.url.len(), limits::URL_BYTES_MAX);
        }
        if request.body.len() > self.grant.request_bytes_max {
            return too_long("the body's bytes are", request.body.len(), self.grant.request_bytes_max);
        }
        if request.headers.len() > limits::HEADERS_COUNT_MAX {
            return too_long("the headers are", request.headers.len(), limits::HEADERS_COUNT_MAX);
        }
        let bytes: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > limits::HEADERS_BYTES_MAX {
            return too_long("the headers' bytes are", bytes, limits::HEADERS_BYTES_MAX);
        }
        let malformed = |what: &str| Error::new(Failure::Malformed, what.to_owned());
        let uri: Uri = request.url.parse().map_err(|_| malformed("the URL is none"))?;
        let origin = Origin::of(&uri).ok_or_else(|| malformed("the URL must be absolute, of http or https, and without a user"))?;
        if !self.grant.origins.contains(&origin) {
            return Err(Error::new(Failure::NotGranted, format!("{origin} is not granted")));
        }
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| malformed("a header's name is none"))?;
            if NOT_THE_CALLERS.contains(&name) {
                return Err(malformed(&format!("the header {name} is not the caller's to say")));
            }
            headers.append(name, HeaderValue::try_from(value.as_str()).map_err(|_| malformed("a header's value is none"))?);
        }
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let mut checked = http::Request::new(Full::new(request.body));
        (*checked.method_mut(), *checked.uri_mut(), *checked.headers_mut()) = (method, uri, headers);
        Ok(checked)
    }

    async fn exchange(&self, request: http::Request<Full<Bytes>>) -> Result<Response, Error> {
        let answer = self.http.request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = answer.into_parts();
        let body =
            Limited::new(body, self.grant.response_bytes_max).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
                true => Error::new(Failure::TooLarge, format!("the answer has more than {} bytes", self.grant.response_bytes_max)),
                false => Error::new(Failure::Broken, format!("the answer broke off: {error}")),
            })?;
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into());
        Ok(Response { status: head.status.as_u16(), headers: head.headers.iter().map(text).collect(), body: body.to_bytes() })
    }
}

/// Why a request was not answered.
fn failed(error: &hyper_util::client::legacy::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(found) = cause {
        if let Some(connect) = found.downcast_ref::<ConnectError>() {
            let failure = match connect {
                ConnectError::NotGranted(_) => Failure::NotGranted,
                ConnectError::Unreachable(_) => Failure::Unreachable,
                ConnectError::Untrusted(_) => Failure::Untrusted,
            };
            return Error::new(failure, connect.to_string());
        }
        last = found.to_string();
        cause = found.source();
    }
    Error::new(Failure::Broken, last)
}
