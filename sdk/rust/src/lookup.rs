//! Why the host does not answer what it was asked.

/// The kinds of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupFailure {
    /// The manifest does not ask for it, or the operator does not allow it.
    NotGranted,
    /// What was given is longer, or more, than the host takes.
    TooLong,
    /// The answer would be larger than what the host gives at once.
    TooLarge,
    /// This kind of call has no such thing.
    NotNow,
    /// What was given is not of the form that is asked for.
    Malformed,
    /// Whoever would know does not answer.
    Unavailable,
}

/// The error of everything that the host can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupError {
    /// Why.
    pub reason: LookupFailure,
    /// For people.
    pub message: String,
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LookupError {}

impl From<LookupError> for String {
    fn from(error: LookupError) -> Self {
        error.message
    }
}
