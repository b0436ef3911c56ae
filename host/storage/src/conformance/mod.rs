//! What every backend must do, as cases that each backend runs from its own tests.
//!
//! A case gets a store and a prefix that is its own, and panics where the store is wrong. The cases run one after another
//! and nobody else writes meanwhile, so that they may count revisions; one store may serve them all.

mod compaction;
mod reads;
mod transactions;
mod watches;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Error, Event, KeyValue, Operation, Revision, Storage, Watch, WatchBatch};

/// What a case works on.
#[derive(Clone)]
pub struct Subject {
    /// The store.
    pub storage: Arc<dyn Storage>,
    /// Begins every key of the case; ends in `/`.
    pub prefix: String,
}

/// A case, by name.
pub struct Case {
    /// What is checked.
    pub name: &'static str,
    /// Checks it.
    pub run: fn(Subject) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        /// All cases.
        pub const CASES: &[Case] =
            &[$(Case { name: stringify!($name), run: |subject| Box::pin($module::$name(subject)) }),*];
    };
}

cases![
    transactions::create_makes_a_key_once,
    transactions::update_wants_the_revision_seen,
    transactions::delete_wants_the_revision_seen,
    transactions::a_transaction_is_one_revision_or_nothing,
    transactions::a_deletion_of_nothing_is_a_guard,
    transactions::values_are_any_bytes,
    transactions::what_is_too_large_is_refused,
    transactions::writers_that_race_lose_no_update,
    transactions::a_key_lives_no_longer_than_its_time,
    transactions::revisions_go_up_one_a_transaction,
    reads::a_range_is_in_order_and_counted,
    reads::a_range_has_bounds,
    reads::pages_of_one_revision_are_one_picture,
    reads::a_large_range_is_whole,
    reads::a_future_revision_is_an_error,
    watches::a_watch_tells_history_then_news,
    watches::a_watch_tells_of_each_change,
    watches::a_watch_sees_its_prefix_only,
    watches::a_watch_may_begin_in_the_future,
    watches::watches_under_load_miss_and_repeat_nothing,
    watches::a_slow_watch_catches_up,
    watches::progress_comes_when_asked_for,
    compaction::history_before_a_compaction_is_gone,
    compaction::what_is_live_outlives_a_compaction,
    compaction::a_watch_that_keeps_up_outlives_a_compaction,
];

/// A case that waits this long waits for ever.
const CASE_DURATION_MAX: Duration = Duration::from_secs(120);

/// Runs every case, each on what `make` gives for its name.
pub async fn run_all<F: Future<Output = Arc<dyn Storage>>>(make: impl Fn(&'static str) -> F) {
    for case in CASES {
        let subject = Subject { storage: make(case.name).await, prefix: format!("/registry/{}/", case.name) };
        eprintln!("conformance: {}", case.name);
        if tokio::time::timeout(CASE_DURATION_MAX, tokio::spawn((case.run)(subject))).await.unwrap_or_else(|_| hang(case)).is_err() {
            panic!("the case {} failed", case.name);
        }
    }
}

fn hang(case: &Case) -> ! {
    panic!("the case {} hangs", case.name)
}

impl Subject {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn create(&self, name: &str, value: &str) -> Revision {
        self.commit(vec![Operation::create(self.key(name), Bytes::copy_from_slice(value.as_bytes()))]).await.expect("the key is new")
    }

    async fn update(&self, name: &str, expected: Revision, value: &str) -> Revision {
        let operation = Operation::update(self.key(name), expected, Bytes::copy_from_slice(value.as_bytes()));
        self.commit(vec![operation]).await.expect("the key is as expected")
    }

    async fn delete(&self, name: &str, expected: Revision) -> Revision {
        self.commit(vec![Operation::delete(self.key(name), expected)]).await.expect("the key is as expected")
    }

    async fn commit(&self, operations: Vec<Operation>) -> Result<Revision, Error> {
        self.storage.commit(operations).await
    }

    async fn get(&self, name: &str) -> Option<KeyValue> {
        self.storage.get(&self.key(name)).await.expect("the key can be read").0
    }

    async fn revision(&self) -> Revision {
        self.storage.current_revision().await.expect("the store says where it is")
    }

    async fn watch(&self, from: Revision) -> Box<dyn Watch> {
        self.storage.watch(&self.prefix, from).await.expect("the store can be watched")
    }

    /// A key that is expected to be there, with everything about it.
    fn expect(&self, name: &str, value: &str, create_revision: Revision, mod_revision: Revision) -> KeyValue {
        let value = Bytes::copy_from_slice(value.as_bytes());
        KeyValue { key: self.key(name).into(), value, create_revision, mod_revision }
    }
}

/// Reads a watch until it has told of `count` events. No revision may be split over two batches.
async fn events(watch: &mut Box<dyn Watch>, count: usize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    while events.len() < count {
        if let WatchBatch::Events(batch) = watch.next().await.expect("the watch goes on") {
            let (last, first) = (events.last().map_or(0, |event| event.revision), batch.first().expect("a batch has events").revision);
            assert!(first > last, "revision {first} came after {last}, in another batch");
            assert!(batch.is_sorted_by_key(|event| event.revision), "events in order");
            events.extend(batch);
        }
    }
    assert_eq!(events.len(), count, "no event beyond those written");
    events
}

/// Fails where a refusal is not the conflict that it should be.
#[track_caller]
fn assert_conflict(result: Result<Revision, Error>, expected_key: &str, expected: Option<KeyValue>) {
    match result {
        Err(Error::Conflict { key, current }) => assert_eq!((key.as_str(), current), (expected_key, expected)),
        other => panic!("a conflict over {expected_key} was expected, not {other:?}"),
    }
}
