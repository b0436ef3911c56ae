//! Every bound of this crate, with its unit in its name.

use std::time::Duration;

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 8 << 10;
/// Headers of a request or an answer.
pub const HEADERS_COUNT_MAX: usize = 64;
/// Bytes of a request's headers, names and values together.
pub const HEADERS_BYTES_MAX: usize = 32 << 10;
/// Bytes of an answer's status line and headers.
pub const ANSWER_HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a connection that nobody uses is kept.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections to one origin that are kept while nobody uses them.
pub const IDLE_CONNECTIONS_MAX: usize = 8;
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 8;
