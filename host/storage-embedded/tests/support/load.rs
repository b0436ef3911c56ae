//! Writers whose every transaction leaves a trace: after a crash, the store shows how many of each writer's transactions took
//! effect, and everything else in it follows from that.

use bytes::Bytes;
use storage::{Error, KeyValue, Operation, Range, Revision, Storage, WatchBatch};

/// How many log keys a writer keeps; older ones it deletes.
const LOG_KEYS: u64 = 20;

/// One writer, and what was acknowledged to it.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    pub name: u64,
    /// The last round that was acknowledged.
    pub round: u64,
    /// Its revision.
    pub revision: Revision,
}

fn key(writer: u64, name: &str) -> String {
    format!("/registry/load/{writer}/{name}")
}

/// Of any size from nothing to three pages, and different in each round.
fn value(writer: u64, round: u64) -> Bytes {
    let size = (writer * 31 + round * 7919) % 9000;
    let mut value = format!("{round}:").into_bytes();
    value.extend((0..size).map(|at| ((at * (round + writer + 1)) >> 3) as u8));
    value.into()
}

fn round_of(kv: &KeyValue) -> u64 {
    let digits = kv.value.split(|byte| *byte == b':').next().expect("a value begins with its round");
    std::str::from_utf8(digits).expect("digits").parse().expect("a round")
}

impl Writer {
    /// The next round: two keys that change together, one that is new, and one that goes.
    pub async fn write(&mut self, store: &dyn Storage) -> Result<(), Error> {
        let round = self.round + 1;
        let put = |name: &str, expected| Operation { expected, ..Operation::create(key(self.name, name), value(self.name, round)) };
        let mut operations = vec![put("a", self.revision), put("b", self.revision), put(&format!("log/{round:06}"), 0)];
        if let Some(old) = round.checked_sub(LOG_KEYS).filter(|old| *old > 0) {
            let old = key(self.name, &format!("log/{old:06}"));
            let (found, _) = store.get(&old).await?;
            operations.push(Operation::delete(old, found.expect("the log is kept").mod_revision));
        }
        self.revision = store.commit(operations).await?;
        self.round = round;
        Ok(())
    }
}

/// Compares the store with what was acknowledged, and brings the writers up to what is there: at each of the crashes since the
/// last check, one transaction of each writer may have taken effect unacknowledged. Nothing else may differ.
pub async fn check(store: &dyn Storage, writers: &mut [Writer], seen: Revision, crashes: u64) -> Revision {
    let revision = store.current_revision().await.expect("the store is open");
    assert!(revision >= seen, "the store went back from revision {seen} to {revision}");
    for writer in writers.iter_mut() {
        let (a, _) = store.get(&key(writer.name, "a")).await.expect("it can be read");
        let (b, _) = store.get(&key(writer.name, "b")).await.expect("it can be read");
        assert_eq!(a.is_some(), b.is_some(), "half a transaction: {writer:?}");
        let (round, at) = a.as_ref().map_or((0, 0), |kv| (round_of(kv), kv.mod_revision));
        assert!((writer.round..=writer.round + crashes).contains(&round), "round {round} is there: {writer:?}");
        assert!(at >= writer.revision && at <= revision, "revision {at} is there: {writer:?}");
        for kv in [a, b].into_iter().flatten() {
            assert_eq!((kv.mod_revision, &kv.value), (at, &value(writer.name, round)), "half a transaction: {writer:?}");
        }
        (writer.round, writer.revision) = (round, at);
        let log = store.range(Range::prefix(&key(writer.name, "log/"))).await.expect("it can be read");
        let rounds: Vec<_> = log.items.iter().map(round_of).collect();
        let first = (round + 1).saturating_sub(LOG_KEYS).max(1);
        assert_eq!(rounds, (first..=round).collect::<Vec<_>>(), "the log of {writer:?}");
        for kv in &log.items {
            assert_eq!(kv.value, value(writer.name, round_of(kv)), "{}", kv.key);
        }
    }
    let transactions: u64 = writers.iter().map(|writer| writer.round).sum();
    assert_eq!(revision, 1 + transactions, "a revision a transaction, and no other");
    // 1 is the empty store.
    check_history(store, seen.max(1) + 1, revision).await;
    revision
}

/// Every revision since is in the history, and whole.
async fn check_history(store: &dyn Storage, from: Revision, to: Revision) {
    let mut watch = match store.watch("/registry/load/", from).await {
        Err(Error::Compacted { .. }) => return,
        watch => watch.expect("it can be watched"),
    };
    let mut revisions: Vec<Revision> = Vec::new();
    while revisions.last().map_or(from - 1, |last| *last) < to {
        match watch.next().await {
            Ok(WatchBatch::Events(events)) => {
                for event in events {
                    assert!(event.create_revision <= event.revision && (event.create_revision == 0) == event.value.is_none());
                    revisions.push(event.revision);
                }
            }
            Ok(WatchBatch::Progress(_)) => {}
            Err(Error::Compacted { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    for whole in revisions.chunk_by(|a, b| a == b) {
        assert!(whole.len() == 3 || whole.len() == 4, "{} events at revision {}", whole.len(), whole[0]);
    }
    revisions.dedup();
    assert_eq!(revisions, (from..=to).collect::<Vec<_>>());
}
