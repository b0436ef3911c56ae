//! Why the host does not answer what a guest asked. Never a trap: what a guest asks for may come from a request.

/// WIT's `lookup-failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupFailure {
    NotGranted,
    TooLong,
    TooLarge,
    NotNow,
    Malformed,
    Unavailable,
}

/// WIT's `lookup-error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookupError {
    pub(crate) reason: LookupFailure,
    pub(crate) message: String,
}

impl LookupError {
    pub(crate) fn new(reason: LookupFailure, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
