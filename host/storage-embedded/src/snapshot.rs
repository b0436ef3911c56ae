//! One revision of the store, to be read while the committer goes on.

use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadableDatabase};
use storage::{Error, Event, KeyValue, Range, RangeResult, Revision};

use crate::error::{EngineError, catch};
use crate::index::{Index, Version};
use crate::limits::{CATCH_UP_BYTES_MAX, CATCH_UP_RECORDS_MAX};
use crate::record::{self, LOG, Place, Record, VALUES};

/// Counts the snapshots of one file: it must not be closed while there are any.
pub(crate) type Readers = Arc<()>;

/// The index and the tables as one commit left them.
pub(crate) struct Snapshot {
    index: Index,
    log: ReadOnlyTable<u64, &'static [u8]>,
    values: ReadOnlyTable<u64, &'static [u8]>,
    /// The newest revision in it.
    pub(crate) revision: Revision,
    /// The oldest revision that can be read.
    pub(crate) compacted: Revision,
    /// Keeps the file from being closed. The last field, since it must be dropped after the tables.
    _readers: Readers,
}

impl Snapshot {
    pub(crate) fn new(
        database: &Database,
        readers: &Readers,
        index: Index,
        revision: Revision,
        compacted: Revision,
    ) -> Result<Self, EngineError> {
        let transaction = database.begin_read()?;
        let (log, values) = (transaction.open_table(LOG)?, transaction.open_table(VALUES)?);
        Ok(Self { _readers: readers.clone(), index, log, values, revision, compacted })
    }

    /// One key at the snapshot's revision.
    pub(crate) fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        let Some(version) = self.index.at(key, self.revision) else { return Ok(None) };
        self.key_value(key.into(), version).map(Some)
    }

    /// The keys of a range.
    pub(crate) fn range(&self, range: &Range) -> Result<RangeResult, Error> {
        let revision = self.resolve(range.revision)?;
        let limit = if range.limit == 0 { usize::MAX } else { range.limit };
        let (mut items, mut count) = (Vec::new(), 0_u64);
        for (key, version) in self.index.range(&range.start, &range.end, revision) {
            count += 1;
            if items.len() < limit {
                items.push(self.key_value(key.clone(), version)?);
            }
        }
        Ok(RangeResult { more: count > items.len() as u64, items, count, revision })
    }

    /// The events from `from` on to keys under `prefix`, as many as a step takes, and the last revision that was looked at.
    pub(crate) fn events(&self, prefix: &str, from: Revision) -> Result<(Vec<Event>, Revision), Error> {
        if from < self.compacted {
            return Err(Error::Compacted { requested: from, oldest: self.compacted });
        }
        catch(|| {
            let (mut events, mut bytes, mut seen) = (Vec::new(), 0, from);
            for (records, entry) in self.log.range(Place::first(from).0..)?.enumerate() {
                let (place, record) = entry?;
                let place = Place(place.value());
                if place.revision() > seen && (records >= CATCH_UP_RECORDS_MAX || bytes >= CATCH_UP_BYTES_MAX) {
                    return Ok((events, seen));
                }
                seen = place.revision();
                let head = Record::decode(place, record.value())?;
                if head.key.starts_with(prefix) {
                    let event = self.event(place, &head)?;
                    bytes += event.value.as_ref().map_or(0, Bytes::len);
                    events.push(event);
                }
            }
            Ok((events, self.revision))
        })
        .map_err(EngineError::into_storage)
    }

    /// The log's records from a place on, undecoded.
    pub(crate) fn records(&self, from: Place) -> Result<redb::Range<'static, u64, &'static [u8]>, EngineError> {
        Ok(self.log.range(from.0..)?)
    }

    /// The value at a place, not checked against its record.
    pub(crate) fn raw_value(&self, place: Place) -> Result<Option<redb::AccessGuard<'static, &'static [u8]>>, EngineError> {
        Ok(self.values.get(place.0)?)
    }

    fn event(&self, place: Place, record: &Record<'_>) -> Result<Event, EngineError> {
        let key: Arc<str> = record.key.into();
        let value = if record.deleted { None } else { Some(self.value(place)?) };
        let create_revision = if record.deleted { 0 } else { record.create };
        Ok(Event { key, value, revision: place.revision(), create_revision })
    }

    fn resolve(&self, requested: Revision) -> Result<Revision, Error> {
        match requested {
            0 => Ok(self.revision),
            _ if requested > self.revision => Err(Error::Future { requested, current: self.revision }),
            _ if requested < self.compacted => Err(Error::Compacted { requested, oldest: self.compacted }),
            _ => Ok(requested),
        }
    }

    fn key_value(&self, key: Arc<str>, version: Version) -> Result<KeyValue, Error> {
        let value = catch(|| self.value(version.place)).map_err(EngineError::into_storage)?;
        Ok(KeyValue { key, value, create_revision: version.create, mod_revision: version.place.revision() })
    }

    fn value(&self, place: Place) -> Result<Bytes, EngineError> {
        let (record, value) = (self.log.get(place.0)?, self.values.get(place.0)?);
        let (Some(record), Some(value)) = (record, value) else { return Err(missing(place).into()) };
        record::verify(place, record.value(), value.value())?;
        Ok(Bytes::copy_from_slice(value.value()))
    }
}

/// The error for a value that the index has and the table has not.
pub(crate) fn missing(place: Place) -> Error {
    Error::Corrupt(format!("the value of revision {} is missing; restore the data directory from a backup", place.revision()))
}
