//! etcd's errors in the storage layer's words.

use storage::Error;

/// Why a call was not done.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// The revision has been compacted. Which is the oldest one, etcd does not say here.
    Compacted,
    /// The revision is in the future.
    Future,
    /// The lease ran out between its grant and its use.
    LeaseGone,
    /// No member could be reached, and the call was surely not sent: it may be tried again, whatever it is.
    NotSent(String),
    /// No answer. A read may be tried again.
    NoAnswer(String),
    /// Any other error, as the caller gets it.
    Storage(Error),
}

impl From<Error> for NotDone {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

impl From<etcd_client::Error> for NotDone {
    fn from(error: etcd_client::Error) -> Self {
        let etcd_client::Error::GRpcStatus(status) = &error else { return Self::NotSent(error.to_string()) };
        Self::from_status(status.code().into(), status.message())
    }
}

/// gRPC's numbers.
const RESOURCE_EXHAUSTED: i32 = 8;
const OUT_OF_RANGE: i32 = 11;
const UNAVAILABLE: i32 = 14;
const CANCELLED: i32 = 1;
const UNKNOWN: i32 = 2;

impl NotDone {
    /// etcd tells its errors apart by their text; its clients match on it, so it stays.
    fn from_status(code: i32, message: &str) -> Self {
        let has = |part: &str| message.contains(part);
        match code {
            OUT_OF_RANGE if has("required revision has been compacted") => Self::Compacted,
            OUT_OF_RANGE if has("required revision is a future revision") => Self::Future,
            OUT_OF_RANGE if has("message length too large") => Self::Storage(message_too_large(message)),
            _ if has("requested lease not found") => Self::LeaseGone,
            RESOURCE_EXHAUSTED if has("space exceeded") => Self::Storage(Error::NoSpace(message.to_owned())),
            RESOURCE_EXHAUSTED if has("larger than max") => Self::Storage(message_too_large(message)),
            _ if has("request is too large") || has("too many operations") => Self::Storage(Error::TooLarge(message.to_owned())),
            UNAVAILABLE | UNKNOWN if has("connect error") || has("dns error") => Self::NotSent(message.to_owned()),
            UNAVAILABLE | CANCELLED | UNKNOWN => Self::NoAnswer(message.to_owned()),
            _ => Self::Storage(Error::Unavailable(format!("etcd: {message}"))),
        }
    }

    /// The error that the caller gets, where it does not need the revisions of the first two.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Storage(error) => error,
            Self::NotSent(what) | Self::NoAnswer(what) => Error::Unavailable(format!("etcd: {what}")),
            Self::LeaseGone => Error::Unavailable("etcd: the lease ran out while it was being used".into()),
            Self::Compacted => Error::Compacted { requested: 0, oldest: 0 },
            Self::Future => Error::Future { requested: 0, current: 0 },
        }
    }
}

/// etcd's `grpc: received message larger than max (2097215 vs. 2097152)`, in the words of upstream's client, which does not even send it.
fn message_too_large(message: &str) -> Error {
    let bounds = message.split_once('(').map_or("", |(_, bounds)| bounds);
    let bytes = bounds.split(' ').next().and_then(|bytes| bytes.parse().ok());
    storage::size::message_too_large(bytes.unwrap_or(storage::size::MESSAGE_BYTES_MAX + 1))
}

/// The error for an answer that etcd never gives to such a request.
pub(crate) fn unexpected(what: &str) -> Error {
    Error::Unavailable(format!("etcd answered what was not asked: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_etcd() {
        let kind = |code, message: &str| match NotDone::from_status(code, message) {
            NotDone::Compacted => "compacted",
            NotDone::Future => "future",
            NotDone::LeaseGone => "lease",
            NotDone::NotSent(_) => "not sent",
            NotDone::NoAnswer(_) => "no answer",
            NotDone::Storage(Error::TooLarge(_)) => "too large",
            NotDone::Storage(Error::NoSpace(_)) => "no space",
            NotDone::Storage(_) => "other",
        };
        let cases = [
            (11, "etcdserver: mvcc: required revision has been compacted", "compacted"),
            (11, "etcdserver: mvcc: required revision is a future revision", "future"),
            (5, "etcdserver: requested lease not found", "lease"),
            (8, "etcdserver: mvcc: database space exceeded", "no space"),
            (8, "grpc: received message larger than max (33554464 vs. 2097152)", "too large"),
            (3, "etcdserver: request is too large", "too large"),
            (3, "etcdserver: too many operations in txn request", "too large"),
            (14, "tcp connect error", "not sent"),
            (14, "etcdserver: leader changed", "no answer"),
            (1, "Timeout expired", "no answer"),
            (7, "etcdserver: permission denied", "other"),
        ];
        for (code, message, expected) in cases {
            assert_eq!(kind(code, message), expected, "{message}");
        }
    }
}
