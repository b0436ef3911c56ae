//! A group of transactions in the making: guards checked, records appended, nothing committed.

use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};
use storage::{Error, Event, KeyValue, Operation, Revision};

use crate::error::EngineError;
use crate::index::{Index, Version};
use crate::record::{self, LOG, Place, Record, VALUES};
use crate::snapshot::missing;
use crate::state::{Note, State, Superseded};

/// The store's state as it will be once the group is committed.
pub(crate) struct Group<'t> {
    log: Table<'t, u64, &'static [u8]>,
    values: Table<'t, u64, &'static [u8]>,
    pub index: Index,
    pub revision: Revision,
    pub compacted: Revision,
    pub notes: Vec<Note>,
    /// The group's events; `None`: nobody watches.
    pub events: Option<Vec<Event>>,
    record: Vec<u8>,
    now_millis: u64,
}

impl<'t> Group<'t> {
    pub(crate) fn new(transaction: &'t WriteTransaction, state: &State, watched: bool, now_millis: u64) -> Result<Self, EngineError> {
        Ok(Self {
            log: transaction.open_table(LOG)?,
            values: transaction.open_table(VALUES)?,
            index: state.index.clone(),
            revision: state.revision,
            compacted: state.compacted,
            notes: Vec::new(),
            events: watched.then(Vec::new),
            record: Vec::new(),
            now_millis,
        })
    }

    /// All operations at the next revision, or none. The outer error is the engine's and ends the group.
    pub(crate) fn apply(&mut self, operations: &[Operation]) -> Result<Result<Revision, Error>, EngineError> {
        for operation in operations {
            let found = self.index.live(&operation.key);
            if found.map_or(0, |versions| versions.head.place.revision()) != operation.expected {
                let current = match found.map(|versions| versions.head) {
                    Some(version) => Some(self.key_value(operation.key.as_str().into(), version)?),
                    None => None,
                };
                return Ok(Err(Error::Conflict { key: operation.key.clone(), current }));
            }
        }
        let revision = self.revision + 1;
        for (position, operation) in operations.iter().enumerate() {
            if operation.value.is_none() && operation.expected == 0 {
                // An operation that only checks its guard: the key must not exist, and nothing is written.
                continue;
            }
            self.put(Place::new(revision, position), operation)?;
            self.revision = revision;
        }
        Ok(Ok(self.revision))
    }

    fn put(&mut self, place: Place, operation: &Operation) -> Result<(), EngineError> {
        let before = self.index.live(&operation.key).map(|versions| versions.head);
        let expires = match operation.time_to_live {
            Some(time) if operation.value.is_some() => self.now_millis.saturating_add(time.as_millis() as u64).max(1),
            _ => 0,
        };
        let record = Record {
            create: before.map_or(place.revision(), |version| version.create),
            previous: before.map_or(Place::NONE, |version| version.place),
            expires,
            value_bytes: operation.value.as_ref().map_or(0, |value| value.len() as u32),
            deleted: operation.value.is_none(),
            key: &operation.key,
        };
        record.encode(place, operation.value.as_deref().unwrap_or_default(), &mut self.record);
        self.log.insert(place.0, self.record.as_slice())?;
        if let Some(value) = &operation.value {
            self.values.insert(place.0, &**value)?;
        }
        let replaced = self.index.push(place, &record);
        if let Some(events) = &mut self.events {
            events.push(Event {
                key: replaced.key.clone(),
                value: operation.value.clone(),
                revision: place.revision(),
                create_revision: if record.deleted { 0 } else { record.create },
            });
        }
        self.notes.push(Note::new(place, &record, replaced));
        Ok(())
    }

    pub(crate) fn compact(&mut self, requested: Revision) -> Result<Revision, Error> {
        if requested > self.revision {
            return Err(Error::Future { requested, current: self.revision });
        }
        if requested <= self.compacted {
            return Err(Error::Compacted { requested, oldest: self.compacted });
        }
        self.compacted = requested;
        Ok(requested)
    }

    pub(crate) fn forget(&mut self, old: &Superseded) -> Result<(), EngineError> {
        self.log.remove(old.place.0)?;
        self.values.remove(old.place.0)?;
        self.index.forget(&old.key, old.place);
        Ok(())
    }

    fn key_value(&self, key: Arc<str>, version: Version) -> Result<KeyValue, EngineError> {
        Ok(KeyValue { key, value: self.value(version.place)?, create_revision: version.create, mod_revision: version.place.revision() })
    }

    fn value(&self, place: Place) -> Result<Bytes, EngineError> {
        let (record, value) = (self.log.get(place.0)?, self.values.get(place.0)?);
        let (Some(record), Some(value)) = (record, value) else { return Err(missing(place).into()) };
        record::verify(place, record.value(), value.value())?;
        Ok(Bytes::copy_from_slice(value.value()))
    }
}
