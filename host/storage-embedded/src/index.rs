//! The keys and where their versions lie: what the committer checks guards against, and what a range read walks.
//!
//! It is a persistent map: a reader takes a copy in one step and walks it while the committer goes on. It holds no values:
//! about 100 bytes a key.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;
use storage::Revision;

use crate::record::{Place, Record};

/// One version of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    pub place: Place,
    /// The revision at which the key was created; 0 marks a deletion.
    pub create: Revision,
    /// The length of the value, in bytes.
    pub value_bytes: u32,
}

impl Version {
    pub(crate) fn is_deletion(&self) -> bool {
        self.create == 0
    }
}

/// All versions of a key that compaction has left.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    /// The newest.
    pub head: Version,
    /// When the key expires, in milliseconds since 1970; 0: never.
    pub expires: u64,
    /// The others, oldest first. Most keys have none, hence the option; shared, since map nodes are copied.
    older: Option<Arc<Vec<Version>>>,
}

impl Versions {
    /// The version that was the newest at `revision`; it may be a deletion.
    fn at(&self, revision: Revision) -> Option<Version> {
        if self.head.place.revision() <= revision {
            return Some(self.head);
        }
        let older = self.older.as_ref()?;
        let after = older.partition_point(|version| version.place.revision() <= revision);
        Some(older[after.checked_sub(1)?])
    }

    fn push(&mut self, version: Version, expires: u64) {
        Arc::make_mut(self.older.get_or_insert_default()).push(self.head);
        self.head = version;
        self.expires = expires;
    }

    fn forget(&mut self, place: Place) {
        if let Some(older) = &mut self.older {
            let versions = Arc::make_mut(older);
            versions.retain(|version| version.place != place);
            if versions.is_empty() {
                self.older = None;
            }
        }
    }
}

/// Key → versions.
#[derive(Clone, Default)]
pub(crate) struct Index {
    keys: OrdMap<Arc<str>, Versions>,
}

/// What a new version replaced.
pub(crate) struct Replaced {
    pub key: Arc<str>,
    pub version: Option<Version>,
    pub expires: u64,
}

impl Index {
    /// The key's newest version, unless it is deleted.
    pub(crate) fn live(&self, key: &str) -> Option<&Versions> {
        self.keys.get(key).filter(|versions| !versions.head.is_deletion())
    }

    /// The version that a reader at `revision` sees.
    pub(crate) fn at(&self, key: &str, revision: Revision) -> Option<Version> {
        self.keys.get(key)?.at(revision).filter(|version| !version.is_deletion())
    }

    /// The versions that a reader of `[start, end)` at `revision` sees; an empty `end` is the end of the store.
    pub(crate) fn range<'a>(&'a self, start: &'a str, end: &'a str, revision: Revision) -> impl Iterator<Item = (&'a Arc<str>, Version)> {
        // An inverted range is an empty one; the map panics on it.
        let end = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end.max(start)) };
        let start = if end == Bound::Excluded(start) { Bound::Excluded(start) } else { Bound::Included(start) };
        let empty = matches!((start, end), (Bound::Excluded(_), Bound::Excluded(_)));
        let keys = (!empty).then(|| self.keys.range::<_, str>((start, end)));
        keys.into_iter()
            .flatten()
            .filter_map(move |(key, versions)| Some((key, versions.at(revision).filter(|version| !version.is_deletion())?)))
    }

    /// Takes in a record of the log.
    pub(crate) fn push(&mut self, place: Place, record: &Record<'_>) -> Replaced {
        let version = Version { place, create: if record.deleted { 0 } else { record.create }, value_bytes: record.value_bytes };
        // The key's one allocation is shared by the index, the events and the queues.
        if let Some((key, versions)) = self.keys.get_key_value(record.key) {
            let replaced =
                Replaced { key: key.clone(), version: Some(versions.head).filter(|v| !v.is_deletion()), expires: versions.expires };
            self.keys.get_mut(record.key).expect("the key was just seen").push(version, record.expires);
            return replaced;
        }
        let key: Arc<str> = record.key.into();
        self.keys.insert(key.clone(), Versions { head: version, expires: record.expires, older: None });
        Replaced { key, version: None, expires: 0 }
    }

    /// Forgets a version that is superseded or is a deletion.
    pub(crate) fn forget(&mut self, key: &str, place: Place) {
        match self.keys.get(key) {
            Some(versions) if versions.head.place == place => {
                self.keys.remove(key);
            }
            Some(_) => self.keys.get_mut(key).expect("the key was just seen").forget(place),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(index: &mut Index, key: &str, revision: Revision, create: Revision) {
        index.push(Place::first(revision), &Record { create, previous: Place::NONE, expires: 0, value_bytes: 0, deleted: false, key });
    }

    fn delete(index: &mut Index, key: &str, revision: Revision) {
        index.push(Place::first(revision), &Record { create: 2, previous: Place::NONE, expires: 0, value_bytes: 0, deleted: true, key });
    }

    fn seen(index: &Index, start: &str, end: &str, revision: Revision) -> Vec<(String, Revision)> {
        index.range(start, end, revision).map(|(key, version)| (key.to_string(), version.place.revision())).collect()
    }

    #[test]
    fn a_reader_sees_its_revision() {
        let mut index = Index::default();
        put(&mut index, "a", 2, 2);
        put(&mut index, "b", 3, 3);
        put(&mut index, "a", 4, 2);
        delete(&mut index, "b", 5);
        put(&mut index, "b", 6, 6);
        let cases: &[(Revision, &[(&str, Revision)])] = &[
            (1, &[]),
            (2, &[("a", 2)]),
            (3, &[("a", 2), ("b", 3)]),
            (4, &[("a", 4), ("b", 3)]),
            (5, &[("a", 4)]),
            (6, &[("a", 4), ("b", 6)]),
            (9, &[("a", 4), ("b", 6)]),
        ];
        for (revision, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(key, at)| (key.to_string(), *at)).collect();
            assert_eq!(seen(&index, "", "", *revision), expected, "at {revision}");
        }
    }

    #[test]
    fn bounds() {
        let mut index = Index::default();
        for (at, key) in ["a", "b", "c"].into_iter().enumerate() {
            put(&mut index, key, at as u64 + 2, at as u64 + 2);
        }
        let cases = [("a", "c", 2), ("a", "", 3), ("b", "b", 0), ("c", "a", 0), ("b\0", "", 1), ("", "b", 1)];
        for (start, end, count) in cases {
            assert_eq!(seen(&index, start, end, 9).len(), count, "[{start:?}, {end:?})");
        }
    }

    #[test]
    fn what_is_forgotten_is_gone_and_nothing_else() {
        let mut index = Index::default();
        put(&mut index, "a", 2, 2);
        put(&mut index, "a", 3, 2);
        delete(&mut index, "a", 4);
        put(&mut index, "a", 5, 5);
        let copy = index.clone();
        index.forget("a", Place::first(2));
        index.forget("a", Place::first(4));
        assert_eq!(seen(&index, "", "", 2), []);
        assert_eq!(seen(&index, "", "", 3), [("a".to_owned(), 3)]);
        assert_eq!(seen(&index, "", "", 5), [("a".to_owned(), 5)]);
        assert_eq!(seen(&copy, "", "", 2), [("a".to_owned(), 2)], "a reader's copy stays as it was");
        delete(&mut index, "a", 6);
        for revision in [3, 5, 6] {
            index.forget("a", Place::first(revision));
        }
        assert!(index.keys.is_empty());
    }
}
