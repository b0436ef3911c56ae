//! What happened, by the store's own account, and what a watcher is to see of it.

use std::collections::BTreeMap;

use serde_json::Value;
use wasmgate_testing::{MemoryStorage, WatchEvent};

use crate::selectors::{Kind, Selector};

/// A change of one object.
struct Change {
    key: String,
    revision: u64,
    /// As it was, and as it is.
    before: Option<Value>,
    now: Option<Value>,
}

pub struct History(Vec<Change>);

/// An object as it is served at a revision.
fn served(value: &[u8], revision: u64) -> Value {
    let mut object: Value = serde_json::from_slice(value).expect("objects are stored as JSON");
    object["metadata"]["resourceVersion"] = revision.to_string().into();
    object
}

impl History {
    pub fn of(store: &MemoryStorage) -> Self {
        let of_a_kind = |key: &str| [Kind::ConfigMap, Kind::Pod].iter().any(|kind| key.starts_with(&kind.prefix()));
        let events = store.history().into_iter().filter(|event| of_a_kind(&event.key));
        let mut objects: BTreeMap<String, Value> = BTreeMap::new();
        let change = |event: storage::Event| {
            let (key, now) = (event.key.to_string(), event.value.as_ref().map(|value| served(value, event.revision)));
            let before = match &now {
                Some(now) => objects.insert(key.clone(), now.clone()),
                None => objects.remove(&key),
            };
            Change { key, revision: event.revision, before, now }
        };
        Self(events.map(change).collect())
    }

    fn changes(&self, kind: Kind) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(move |change| change.key.starts_with(&kind.prefix()))
    }

    /// What a watch sees that begins after a revision.
    pub fn seen_after(&self, selector: &Selector, revision: u64) -> Vec<WatchEvent> {
        let event = |kind: &str, object: &Value| Some(WatchEvent { kind: kind.to_owned(), object: object.clone() });
        let departed = |before: &Value, revision: u64| {
            let mut object = before.clone();
            object["metadata"]["resourceVersion"] = revision.to_string().into();
            object
        };
        let seen = |change: &Change| {
            let before = change.before.as_ref().filter(|object| selector.selects(object));
            let now = change.now.as_ref().filter(|object| selector.selects(object));
            match (before, now) {
                (None, Some(now)) => event("ADDED", now),
                (Some(_), Some(now)) => event("MODIFIED", now),
                (Some(before), None) => event("DELETED", &departed(before, change.revision)),
                (None, None) => None,
            }
        };
        self.changes(selector.kind).filter(|change| change.revision > revision).filter_map(seen).collect()
    }

    /// What there is at a revision, in the order of keys.
    pub fn state(&self, selector: &Selector, revision: u64) -> Vec<Value> {
        let mut all = BTreeMap::new();
        for change in self.changes(selector.kind).take_while(|change| change.revision <= revision) {
            match &change.now {
                Some(object) => drop(all.insert(&change.key, object)),
                None => drop(all.remove(&change.key)),
            }
        }
        all.into_values().filter(|object| selector.selects(object)).cloned().collect()
    }
}
