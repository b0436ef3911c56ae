//! redb's errors in the storage layer's words.

use std::io;

use storage::Error;

/// What went wrong inside the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// redb refused or failed.
    #[error(transparent)]
    Engine(#[from] redb::Error),
    /// A record of ours is not as written.
    #[error(transparent)]
    Storage(#[from] Error),
    /// redb panicked: on damaged pages it does.
    #[error("the engine panicked: {0}")]
    Panic(String),
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for EngineError {
            fn from(error: redb::$error) -> Self {
                Self::Engine(error.into())
            }
        }
    )*};
}
from_redb!(DatabaseError, TransactionError, TableError, StorageError, CommitError);

impl EngineError {
    /// A failure while the store runs.
    pub(crate) fn into_storage(self) -> Error {
        match self {
            Self::Storage(error) => error,
            Self::Engine(redb::Error::Corrupted(what)) => Error::Corrupt(format!("{what}; restore the data directory from a backup")),
            Self::Engine(redb::Error::ValueTooLarge(bytes)) => Error::TooLarge(format!("{bytes} bytes")),
            Self::Engine(redb::Error::Io(error)) if is_no_space(&error) => {
                Error::NoSpace(format!("{error}; make room on the disk of the data directory, and writes go on"))
            }
            Self::Engine(error) => Error::Unavailable(error.to_string()),
            Self::Panic(what) => Error::Corrupt(format!("{what}; restore the data directory from a backup")),
        }
    }

    /// A failure to open the store at `path`.
    pub(crate) fn into_open(self, path: &str) -> Error {
        let damaged = |what: String| {
            Error::Corrupt(format!("{path}: {what}. Restore the file from a backup; or move it away, to begin with an empty store"))
        };
        match self {
            Self::Storage(Error::Corrupt(what)) | Self::Panic(what) | Self::Engine(redb::Error::Corrupted(what)) => damaged(what),
            Self::Storage(error) => error,
            Self::Engine(redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch) => {
                Error::Unavailable(format!("{path} is in use by another process; stop that one, or take another data directory"))
            }
            Self::Engine(redb::Error::UpgradeRequired(version)) => damaged(format!("the file's format is number {version}, not ours")),
            Self::Engine(error @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TableIsMultimap(_))) => damaged(error.to_string()),
            Self::Engine(redb::Error::Io(error)) => match error.kind() {
                // redb's word for a file that is not one of its own, or ends too early.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(error.to_string()),
                _ if is_no_space(&error) => Error::NoSpace(format!("{path}: {error}")),
                _ => Error::Unavailable(format!("{path}: {error}")),
            },
            Self::Engine(error) => Error::Unavailable(format!("{path}: {error}")),
        }
    }
}

/// A full disk or a used-up quota.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Runs what may make redb panic: it does so on some damaged files instead of returning an error.
pub(crate) fn catch<T>(run: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
            Err(EngineError::Panic(text.unwrap_or_else(|| "without a word".into())))
        }
    }
}
