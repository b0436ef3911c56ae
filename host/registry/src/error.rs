//! What goes wrong in the store, in the API's words.

use apimachinery::status::StatusDetails;
use apimachinery::{GroupResource, Status};
use cacher::ReadError;
use storage::Error;

/// A failure of the store below a request.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {source}")]
pub struct StoreFailure {
    /// What the store says.
    #[from]
    pub source: Error,
}

/// A read that failed.
pub fn read(error: Error) -> Status {
    match error {
        Error::Compacted { requested, oldest } => too_old_resource_version(requested, oldest),
        Error::Future { requested, current } => too_large_resource_version(requested, current, 0),
        other => unavailable(other),
    }
}

/// A write that failed for another reason than its guard.
pub fn write(error: Error) -> Status {
    match error {
        // Upstream has no reason for it either.
        Error::TooLarge(why) => unclassified(&why),
        other => unavailable(other),
    }
}

fn unavailable(error: Error) -> Status {
    tracing::error!(%error, "the store failed");
    match error {
        Error::Unavailable(_) | Error::NoSpace(_) => Status::service_unavailable(error.to_string()),
        other => Status::internal(other),
    }
}

/// A read of an object past its cache that failed.
pub fn read_object(error: ReadError) -> Status {
    match error {
        ReadError::Storage(error) => read(error),
        ReadError::Decode(error) => corrupt(error),
    }
}

/// An object in the store that is none.
pub(crate) fn corrupt(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("the stored object cannot be read: {error}"))
}

/// 500 without a reason: what upstream's handlers make of an error that is no `Status`.
pub(crate) fn unclassified(message: &str) -> Status {
    let mut status = Status::internal("");
    (status.message, status.reason, status.details) = (message.to_owned(), None, None);
    status
}

/// What an object needs besides its name was somebody else's whenever it was tried.
pub(crate) fn taken_too_fast() -> Status {
    Status::internal("what the object needs besides its name is being taken by others too fast")
}

/// 503, to be asked again at once: the version in which a resource is stored changed while the request was under way.
pub(crate) fn stored_version_changed(resource: &GroupResource) -> Status {
    let details = StatusDetails { retry_after_seconds: Some(1), ..StatusDetails::default() };
    Status::service_unavailable(format!("the version in which {resource} are stored has just changed, please try again"))
        .with_details(details)
}

/// 410: the history has been compacted away.
pub(crate) fn too_old_resource_version(requested: u64, oldest: u64) -> Status {
    Status::expired(format!("too old resource version: {requested} ({oldest})"))
}

/// 504: nothing has that revision yet. `retry_after_seconds`: 0 where asking again is of no use.
pub(crate) fn too_large_resource_version(requested: u64, current: u64, retry_after_seconds: u32) -> Status {
    let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
    let mut status = Status::timeout(message, retry_after_seconds);
    if let Some(details) = &mut status.details {
        details.causes = vec![apimachinery::status::StatusCause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        }];
    }
    status
}
