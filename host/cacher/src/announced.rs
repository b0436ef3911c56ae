//! What this process is about to write: what the cache needs to know of an object is taken from the built object, so that the value need
//! not be read again when the feed brings it.

use std::collections::HashMap;

use bytes::Bytes;
use objectstore::{Encoded, Stored};
use parking_lot::Mutex;

use crate::extract::Extracted;

struct Announcement {
    encoded: Encoded,
    found: Extracted,
}

/// Writes that are under way, by key. There are as many as requests that write; of two for one key the later is kept.
#[derive(Default)]
pub(crate) struct Announcements(Mutex<HashMap<Box<str>, Announcement>>);

impl Announcements {
    pub(crate) fn add(&self, key: &str, encoded: Encoded, found: Extracted) -> Announced<'_> {
        let announced = Announced { all: self, key: key.into(), value: encoded.value.clone() };
        self.0.lock().insert(key.into(), Announcement { encoded, found });
        announced
    }

    /// What was announced of this very value.
    pub(crate) fn take(&self, key: &str, value: &Bytes) -> Option<(Stored, Extracted)> {
        let mut all = self.0.lock();
        if all.get(key)?.encoded.value != *value {
            return None;
        }
        let Announcement { encoded, found } = all.remove(key)?;
        Some((Stored { json: encoded.json, stale: false }, found))
    }
}

/// A write that was announced. Dropped when it is over, however it ends.
pub struct Announced<'a> {
    all: &'a Announcements,
    key: Box<str>,
    value: Bytes,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if all.get(&self.key).is_some_and(|left| left.encoded.value == self.value) {
            all.remove(&self.key);
        }
    }
}
