//! Numbers of a range that a write takes and gives back, in the one value that holds them for the whole cluster.

use apimachinery::Status;
use objectstore::{ObjectStore, RangeAllocation};
use storage::{Operation, Revision};

use crate::create::CommitError;
use crate::error;

/// What a write does to a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeChange {
    /// The range's name in the store: `servicenodeports`.
    pub name: &'static str,
    /// The range as this server is told to use it: `30000-32767`.
    pub range: String,
    /// Offsets into the range that are taken.
    pub taken: Vec<usize>,
    /// Offsets that are given back.
    pub released: Vec<usize>,
}

/// A range as it is stored, and the revision of the value; of revision 0 where there is none yet.
pub struct StoredRange {
    /// Which numbers are given out.
    pub allocation: RangeAllocation,
    /// Of the value in the store.
    pub revision: Revision,
}

/// Why no number of a stored range can be given out: it was written by a server that is told to use another one. Upstream's words.
pub const MISMATCH: &str = "the provided range does not match the current range";

/// Reads a range; `range` is what it spans where nothing is stored yet.
///
/// # Errors
/// 500 or 503 where the store fails, 500 where the value is no range.
pub async fn read(store: &ObjectStore, name: &str, range: &str) -> Result<StoredRange, Status> {
    let key = store.range_allocation_key(name);
    let (found, _) = store.storage().get(&key).await.map_err(error::read)?;
    let Some(found) = found else { return Ok(StoredRange { allocation: RangeAllocation::new(range), revision: 0 }) };
    let allocation = store.decode_range_allocation(&key, &found.value).map_err(error::corrupt)?;
    Ok(StoredRange { allocation, revision: found.mod_revision })
}

/// Writes a range that must be as it was read.
///
/// # Errors
/// 500 where it cannot be encoded.
pub fn write(store: &ObjectStore, name: &str, stored: Revision, allocation: &RangeAllocation) -> Result<Operation, Status> {
    let key = store.range_allocation_key(name);
    let value = store.encode_range_allocation(&key, allocation).map_err(Status::internal)?;
    Ok(Operation { key, expected: stored, value: Some(value), time_to_live: None })
}

impl RangeChange {
    /// The write of the range as it is stored now; none where nothing is to be written.
    pub(crate) async fn operation(&self, store: &ObjectStore) -> Result<Option<Operation>, CommitError> {
        let StoredRange { mut allocation, revision } = read(store, self.name, &self.range).await.map_err(CommitError::Failed)?;
        if allocation.range != self.range {
            // What is given back is found by the next repair.
            let why = || CommitError::Failed(Status::internal(format!("range {}: {MISMATCH}", self.name)));
            return if self.taken.is_empty() { Ok(None) } else { Err(why()) };
        }
        if self.taken.iter().any(|offset| allocation.has(*offset)) {
            return Err(CommitError::Taken);
        }
        let before = allocation.clone();
        self.taken.iter().for_each(|offset| allocation.take(*offset));
        self.released.iter().for_each(|offset| allocation.release(*offset));
        if allocation == before {
            return Ok(None);
        }
        write(store, self.name, revision, &allocation).map(Some).map_err(CommitError::Failed)
    }
}
