//! Giving room back: what is live moves to a new file, a step at a time, and the new file takes the old one's place.
//!
//! A record never changes once it is written, so the copy needs no lock: it follows the log from its beginning until it has
//! caught up with the end, while writers go on and only the removal of old records pauses. redb's own compaction was refused:
//! it holds off every reader and writer until it is through.

use std::sync::Arc;

use redb::Database;

use crate::disk::{Disk, Reserve};
use crate::error::EngineError;
use crate::limits::PAGE_CACHE_BYTES_MAX;
use crate::open;
use crate::record::{LOG, META, META_COMPACTED, Place, VALUES};
use crate::snapshot::Snapshot;

/// A copy in the making.
pub(crate) struct Copy {
    database: Database,
    next: Place,
}

impl Copy {
    pub(crate) fn begin(disk: &dyn Disk, reserve: &Arc<Reserve>) -> Result<Self, EngineError> {
        let file = disk.open_other().map_err(redb::StorageError::Io)?;
        let database = open::create(file, reserve, PAGE_CACHE_BYTES_MAX / 4)?;
        open::prepare(&database)?;
        Ok(Self { database, next: Place::NONE })
    }

    /// Copies the next records. `true`: there are no more in this snapshot.
    pub(crate) fn step(&mut self, snapshot: &Snapshot, bytes_max: usize) -> Result<bool, EngineError> {
        let transaction = self.database.begin_write()?;
        let (mut bytes, mut is_through) = (0, true);
        {
            let mut log = transaction.open_table(LOG)?;
            let mut values = transaction.open_table(VALUES)?;
            for entry in snapshot.records(self.next)? {
                let (place, record) = entry?;
                if bytes >= bytes_max {
                    is_through = false;
                    break;
                }
                log.insert(place.value(), record.value())?;
                bytes += record.value().len();
                if let Some(value) = snapshot.raw_value(Place(place.value()))? {
                    values.insert(place.value(), value.value())?;
                    bytes += value.value().len();
                }
                self.next = Place(place.value() + 1);
            }
        }
        transaction.commit()?;
        Ok(is_through)
    }

    /// The copy as the store, once it has caught up.
    pub(crate) fn finish(self, snapshot: &Snapshot) -> Result<Database, EngineError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(META)?.insert(META_COMPACTED, snapshot.compacted)?;
        transaction.commit()?;
        Ok(self.database)
    }
}
