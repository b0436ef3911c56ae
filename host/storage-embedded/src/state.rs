//! What the committer knows of the store as of the last commit, beside the values.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use storage::Revision;

use crate::index::{Index, Replaced, Version};
use crate::record::{Place, Record};

/// A version that compaction may take out once the oldest revision is beyond `by`.
pub(crate) struct Superseded {
    pub by: Revision,
    pub place: Place,
    pub key: Arc<str>,
    value_bytes: u32,
}

/// The index, what compaction may remove, and which keys expire.
#[derive(Default)]
pub(crate) struct State {
    pub index: Index,
    pub revision: Revision,
    pub compacted: Revision,
    /// Sorted by `by`.
    pub superseded: VecDeque<Superseded>,
    /// Bytes on disk of the superseded versions, about.
    pub superseded_bytes: u64,
    /// Bytes on disk of all versions, about.
    pub stored_bytes: u64,
    /// When keys expire: milliseconds since 1970, and the key.
    pub expiries: BTreeSet<(u64, Arc<str>)>,
}

/// What one record changes in the state.
pub(crate) struct Note {
    pub place: Place,
    pub key: Arc<str>,
    replaced: Option<Version>,
    old_expires: u64,
    expires: u64,
    value_bytes: u32,
    deleted: bool,
}

impl Note {
    pub(crate) fn new(place: Place, record: &Record<'_>, replaced: Replaced) -> Self {
        Self {
            place,
            key: replaced.key,
            replaced: replaced.version,
            old_expires: replaced.expires,
            expires: record.expires,
            value_bytes: record.value_bytes,
            deleted: record.deleted,
        }
    }
}

impl State {
    /// Takes a record into the queues, after the index has it.
    pub(crate) fn note(&mut self, note: Note) {
        let by = note.place.revision();
        self.stored_bytes += footprint(note.value_bytes);
        if let Some(old) = note.replaced {
            self.supersede(Superseded { by, place: old.place, key: note.key.clone(), value_bytes: old.value_bytes });
        }
        if note.old_expires != 0 {
            self.expiries.remove(&(note.old_expires, note.key.clone()));
        }
        if note.expires != 0 {
            self.expiries.insert((note.expires, note.key.clone()));
        }
        if note.deleted {
            self.supersede(Superseded { by, place: note.place, key: note.key, value_bytes: 0 });
        }
    }

    fn supersede(&mut self, old: Superseded) {
        self.superseded_bytes += footprint(old.value_bytes);
        self.superseded.push_back(old);
    }

    /// How many superseded versions may be removed now, `max` at most.
    pub(crate) fn garbage(&self, max: usize) -> usize {
        self.superseded.iter().take(max).take_while(|old| old.by < self.compacted).count()
    }

    /// The first so many of them have been removed.
    pub(crate) fn forget(&mut self, count: usize) {
        for old in self.superseded.drain(..count) {
            self.superseded_bytes -= footprint(old.value_bytes);
            self.stored_bytes -= footprint(old.value_bytes);
        }
    }

    /// The oldest revision that leaves superseded versions of no more than `bytes_max` in place.
    pub(crate) fn oldest_within(&self, bytes_max: u64) -> Revision {
        let mut left = self.superseded_bytes;
        let over = self.superseded.iter().take_while(|old| {
            let is_over = left > bytes_max;
            left -= footprint(old.value_bytes);
            is_over
        });
        over.last().map_or(0, |old| old.by + 1).min(self.revision)
    }
}

/// About what a version takes on disk: a value that does not share its page fills a power of two.
fn footprint(value_bytes: u32) -> u64 {
    const RECORD: u64 = 150;
    const SHARED_MAX: u64 = 1300;
    const PAGE: u64 = 4096;
    let value = u64::from(value_bytes);
    RECORD + if value <= SHARED_MAX { value } else { (value + 64).next_power_of_two().max(PAGE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(state: &mut State, key: &str, revision: Revision, value_bytes: u32, deleted: bool) {
        let record = Record { create: revision, previous: Place::NONE, expires: 0, value_bytes, deleted, key };
        let place = Place::first(revision);
        let replaced = state.index.push(place, &record);
        state.revision = revision;
        state.note(Note::new(place, &record, replaced));
    }

    #[test]
    fn what_is_superseded_is_counted_until_it_is_gone() {
        let mut state = State::default();
        for revision in 2..12 {
            write(&mut state, "a", revision, 3000, false);
        }
        write(&mut state, "a", 12, 0, true);
        assert_eq!(state.superseded.len(), 11, "ten values and the deletion itself");
        assert_eq!(state.oldest_within(u64::MAX), 0);
        let each = footprint(3000);
        assert_eq!(state.oldest_within(state.superseded_bytes - 2 * each), 5, "those that 3 and 4 replaced have to go");
        assert_eq!(state.oldest_within(0), 12, "never beyond now");
        for (compacted, expected) in [(2, 0), (3, 0), (4, 1), (12, 9), (13, 11)] {
            state.compacted = compacted;
            assert_eq!(state.garbage(usize::MAX), expected, "compacted at {compacted}");
        }
        state.forget(11);
        assert_eq!((state.superseded_bytes, state.stored_bytes), (0, 0));
    }
}
