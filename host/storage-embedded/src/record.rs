//! What lies on disk: a log of records in the order of revisions, and beside it the values.
//!
//! Both tables only ever grow at their end; compaction takes out what is superseded. A value is written once, and the
//! records without the values are small enough to be read in full when the store opens.

use redb::TableDefinition;
use storage::{Error, Revision};

/// Bits of a [`Place`] that number the operations of one transaction.
pub(crate) const POSITION_BITS: u32 = 12;

/// Place → [`Record`].
pub(crate) const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");
/// Place → value. Deletions have none.
pub(crate) const VALUES: TableDefinition<u64, &[u8]> = TableDefinition::new("values");
/// Name → number.
pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// In [`META`]: the layout described here.
pub(crate) const META_FORMAT: &str = "format";
/// In [`META`]: the oldest revision that can be read.
pub(crate) const META_COMPACTED: &str = "compacted";
/// The layout that this code writes and reads.
pub(crate) const FORMAT: u64 = 1;

/// Where a version lies: its revision, and its number within the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn new(revision: Revision, position: usize) -> Self {
        debug_assert!(position < 1 << POSITION_BITS);
        Self(revision << POSITION_BITS | position as u64)
    }

    /// The first place of a revision.
    pub(crate) fn first(revision: Revision) -> Self {
        Self::new(revision, 0)
    }

    pub(crate) fn revision(self) -> Revision {
        self.0 >> POSITION_BITS
    }
}

/// One version of one key, without the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The revision at which the key was created; in a deletion, that of the version that is deleted.
    pub create: Revision,
    /// The version that this one replaced or deleted, [`Place::NONE`] for a creation.
    pub previous: Place,
    /// When the key expires, in milliseconds since 1970; 0: never.
    pub expires: u64,
    /// The length of the value, in bytes.
    pub value_bytes: u32,
    /// Whether the version is a deletion.
    pub deleted: bool,
    /// The key.
    pub key: &'a str,
}

const HEAD_BYTES: usize = 8 + 8 + 8 + 8 + 4 + 1;

impl<'a> Record<'a> {
    /// The bytes of the record. They begin with a checksum over the rest, the value and the place: neither bit rot nor a page
    /// that a disk wrote to the wrong place passes for what was written.
    pub(crate) fn encode(&self, place: Place, value: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.create.to_le_bytes());
        out.extend_from_slice(&self.previous.0.to_le_bytes());
        out.extend_from_slice(&self.expires.to_le_bytes());
        out.extend_from_slice(&self.value_bytes.to_le_bytes());
        out.push(u8::from(self.deleted));
        out.extend_from_slice(self.key.as_bytes());
        let checksum = checksum(place, &out[8..], value);
        out[..8].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads a record. What it says is to be trusted after [`verify`] only, which takes the value.
    pub(crate) fn decode(place: Place, bytes: &'a [u8]) -> Result<Self, Error> {
        let number = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let record = || {
            Some(Record {
                create: number(8)?,
                previous: Place(number(16)?),
                expires: number(24)?,
                value_bytes: u32::from_le_bytes(bytes.get(32..36)?.try_into().ok()?),
                deleted: *bytes.get(36)? != 0,
                key: std::str::from_utf8(bytes.get(HEAD_BYTES..)?).ok()?,
            })
        };
        record().ok_or_else(|| corrupt(place))
    }
}

/// Whether a record and its value are what was written at this place.
pub(crate) fn verify(place: Place, record: &[u8], value: &[u8]) -> Result<(), Error> {
    match record.split_first_chunk::<8>() {
        Some((expected, rest)) if u64::from_le_bytes(*expected) == checksum(place, rest, value) => Ok(()),
        _ => Err(corrupt(place)),
    }
}

fn corrupt(place: Place) -> Error {
    Error::Corrupt(format!(
        "what revision {} wrote is damaged on disk; restore the data directory from a backup, and check the disk",
        place.revision()
    ))
}

/// A checksum of eight bytes at a time, each step a multiplication. It finds what a disk damages, and protects from no attacker.
fn checksum(place: Place, record: &[u8], value: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let wide = u128::from(hash.rotate_left(5) ^ word) * u128::from(FACTOR);
        (wide as u64) ^ (wide >> 64) as u64
    };
    [record, value].iter().fold(mix(FACTOR, place.0), |hash, bytes| {
        let mut words = bytes.chunks_exact(8);
        let hash = (&mut words)
            .fold(mix(hash, bytes.len() as u64), |hash, word| mix(hash, u64::from_le_bytes(word.try_into().expect("a chunk of eight"))));
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        mix(hash, u64::from_le_bytes(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record =
            Record { create: 7, previous: Place::new(8, 3), expires: 9, value_bytes: 5, deleted: false, key: "/registry/pods/a/b" };
        let mut bytes = Vec::new();
        record.encode(Place::new(12, 1), b"value", &mut bytes);
        assert_eq!(Record::decode(Place::new(12, 1), &bytes).unwrap(), record);
        for length in 0..HEAD_BYTES {
            assert!(Record::decode(Place::new(12, 1), &bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn every_bit_and_the_place_count() {
        let place = Place::new(12, 1);
        let record = Record { create: 7, previous: Place::NONE, expires: 0, value_bytes: 100, deleted: false, key: "a" };
        let value: Vec<u8> = (0..100).collect();
        let mut bytes = Vec::new();
        record.encode(place, &value, &mut bytes);
        assert!(verify(place, &bytes, &value).is_ok());
        assert!(verify(Place::new(12, 2), &bytes, &value).is_err());
        assert!(verify(place, &bytes, &value[..99]).is_err());
        assert!(verify(place, &bytes[..7], &value).is_err());
        for bit in 0..value.len() * 8 {
            let mut wrong = value.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(place, &bytes, &wrong).is_err(), "value, bit {bit}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(place, &wrong, &value).is_err(), "record, bit {bit}");
        }
    }
}
