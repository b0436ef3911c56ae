//! Opening the file, and reading the log into memory.

use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend};

use crate::disk::{Disk, Guarded, Reserve};
use crate::error::EngineError;
use crate::limits::PAGE_CACHE_BYTES_MAX;
use crate::record::{FORMAT, LOG, META, META_COMPACTED, META_FORMAT, Place, Record, VALUES};
use crate::state::{Note, State};

/// Opens the file, makes it where there is none, and reads what the committer needs to know.
pub(crate) fn open(disk: &dyn Disk, reserve: &Arc<Reserve>) -> Result<(Database, State), EngineError> {
    let failed = redb::StorageError::Io;
    if !disk.exists() {
        // Made under another name: a crash in the middle leaves no store, instead of half a one that cannot be opened.
        let database = create(disk.open_other().map_err(failed)?, reserve, PAGE_CACHE_BYTES_MAX)?;
        prepare(&database)?;
        drop(database);
        disk.adopt_other().map_err(failed)?;
    }
    let file = disk.open().map_err(failed)?;
    if file.len().map_err(failed)? == 0 {
        // redb would take it for a new one, and all that was in it would be gone without a word.
        return Err(EngineError::Engine(redb::Error::Corrupted("the file is empty".into())));
    }
    let database = create(file, reserve, PAGE_CACHE_BYTES_MAX)?;
    prepare(&database)?;
    let state = load(&database)?;
    Ok((database, state))
}

/// redb on a file, which may be empty.
pub(crate) fn create(file: Box<dyn StorageBackend>, reserve: &Arc<Reserve>, cache_bytes: usize) -> Result<Database, EngineError> {
    Ok(Builder::new().set_cache_size(cache_bytes).create_with_backend(Guarded::new(file, reserve.clone()))?)
}

/// Makes the tables of a new file; refuses a format that is not ours.
pub(crate) fn prepare(database: &Database) -> Result<(), EngineError> {
    let transaction = database.begin_write()?;
    let format = transaction.open_table(META)?.get(META_FORMAT)?.map(|format| format.value());
    match format {
        Some(FORMAT) => {
            transaction.abort()?;
            return Ok(());
        }
        Some(other) => {
            return Err(EngineError::Engine(redb::Error::Corrupted(format!("the store's format is number {other}, not {FORMAT}"))));
        }
        None => {}
    }
    transaction.open_table(META)?.insert(META_FORMAT, FORMAT)?;
    transaction.open_table(LOG)?;
    transaction.open_table(VALUES)?;
    transaction.commit()?;
    Ok(())
}

/// Reads the log, which holds no values, from the oldest record to the newest.
fn load(database: &Database) -> Result<State, EngineError> {
    let transaction = database.begin_read()?;
    let compacted = transaction.open_table(META)?.get(META_COMPACTED)?.map_or(1, |revision| revision.value());
    // etcd's empty store is at revision 1, so that the first write is 2.
    let mut state = State { revision: compacted, compacted, ..State::default() };
    for entry in transaction.open_table(LOG)?.iter()? {
        let (place, bytes) = entry?;
        let place = Place(place.value());
        let record = Record::decode(place, bytes.value())?;
        let replaced = state.index.push(place, &record);
        state.revision = state.revision.max(place.revision());
        state.note(Note::new(place, &record, replaced));
    }
    Ok(state)
}
