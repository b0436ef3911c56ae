//! Values that many writes change: a range of numbers, and the objects that are charged. They are committed with the object that the write
//! is about. A conflict about one of them says nothing of the rest: it is read and written again.

use storage::{Error, Operation, Revision};

use crate::charge::{Charging, ReadFrom};
use crate::create::CommitError;
use crate::{RangeChange, Registry};

/// How often a commit is tried again because others changed the same values.
const SHARED_TRIES_MAX: usize = 64;

/// A commit with shared values that did not happen.
pub(crate) enum SharedCommitError {
    Storage(Error),
    Commit(CommitError),
}

impl Registry {
    /// Commits the operations together with what they do to shared values.
    pub(crate) async fn commit_with_shared(
        &self,
        operations: Vec<Operation>,
        range: Option<&RangeChange>,
        charging: &Charging<'_>,
    ) -> Result<Revision, SharedCommitError> {
        let store = self.caches().store();
        // In turn, so that the writes of this process do not take the value from each other.
        let _turn = match range {
            Some(_) => Some(self.range_turn.acquire().await),
            None => None,
        };
        let mut from = ReadFrom::Cache;
        for _ in 0..SHARED_TRIES_MAX {
            let mut shared = self.charges_to_commit(charging, from).await.map_err(failed)?;
            if let Some(change) = range {
                shared.extend(change.operation(store).await.map_err(SharedCommitError::Commit)?);
            }
            from = ReadFrom::Store;
            match store.commit(operations.iter().chain(&shared).cloned().collect()).await {
                Err(Error::Conflict { key, .. }) if shared.iter().any(|operation| operation.key == key) => {}
                Err(error) => return Err(SharedCommitError::Storage(error)),
                Ok(revision) => return Ok(revision),
            }
        }
        Err(SharedCommitError::Commit(CommitError::Taken))
    }
}

fn failed(status: apimachinery::Status) -> SharedCommitError {
    SharedCommitError::Commit(CommitError::Failed(status))
}
