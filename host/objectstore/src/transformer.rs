//! What happens to values on their way into the store and out of it: encryption at rest.

use bytes::Bytes;

/// A value as it was before it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The value.
    pub value: Bytes,
    /// It would be sealed otherwise now (with another key): the next write of the object stores it anew, even where nothing changed.
    pub stale: bool,
}

/// A value that could not be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransformError(pub String);

/// Seals values before they are written and opens those that are read (upstream's `value.Transformer`).
pub trait Transformer: Send + Sync + 'static {
    /// The value as it is stored under `key`, to which it is bound.
    ///
    /// # Errors
    /// It cannot be sealed: nothing is written.
    fn seal(&self, key: &str, value: Bytes) -> Result<Bytes, TransformError>;

    /// The value that was sealed for `key`.
    ///
    /// # Errors
    /// It was sealed by somebody else, for another key, or it is damaged.
    fn open(&self, key: &str, sealed: &Bytes) -> Result<Opened, TransformError>;
}

/// Values are stored as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl Transformer for Identity {
    fn seal(&self, _: &str, value: Bytes) -> Result<Bytes, TransformError> {
        Ok(value)
    }

    fn open(&self, _: &str, sealed: &Bytes) -> Result<Opened, TransformError> {
        Ok(Opened { value: sealed.clone(), stale: false })
    }
}
