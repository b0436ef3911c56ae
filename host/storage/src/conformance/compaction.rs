//! Forgetting history.

use super::{Subject, events};
use crate::{Error, Range, Revision, WatchBatch};

async fn read_at(subject: &Subject, revision: Revision) -> Result<Vec<(String, Revision)>, Error> {
    let found = subject.storage.range(Range { revision, ..Range::prefix(&subject.prefix) }).await?;
    let name = |key: &str| key.strip_prefix(&subject.prefix).expect("only the range's keys").to_owned();
    Ok(found.items.iter().map(|kv| (name(&kv.key), kv.mod_revision)).collect())
}

pub(super) async fn history_before_a_compaction_is_gone(subject: Subject) {
    let first = subject.create("a", "1").await;
    let second = subject.update("a", first, "2").await;
    let third = subject.update("a", second, "3").await;
    assert_eq!(read_at(&subject, first).await.expect("it is history"), [("a".to_owned(), first)]);
    subject.storage.compact(second).await.expect("it is history");

    let gone = read_at(&subject, first).await;
    assert!(matches!(gone, Err(Error::Compacted { requested, oldest }) if requested == first && oldest >= second), "{gone:?}");
    assert_eq!(read_at(&subject, second).await.expect("it is the oldest"), [("a".to_owned(), second)]);
    assert_eq!(read_at(&subject, third).await.expect("it is younger"), [("a".to_owned(), third)]);

    // The watch may only find out when it is read.
    let watched = match subject.storage.watch(&subject.prefix, first).await {
        Ok(mut watch) => watch.next().await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(matches!(watched, Err(Error::Compacted { oldest, .. }) if oldest >= second), "{watched:?}");
    let told = events(&mut subject.watch(third).await, 1).await;
    assert_eq!((told[0].revision, told[0].create_revision), (third, first));

    let again = subject.storage.compact(second).await;
    assert!(matches!(again, Err(Error::Compacted { .. })), "{again:?}");
    let future = subject.storage.compact(third + 100).await;
    assert!(matches!(future, Err(Error::Future { .. })), "{future:?}");
}

pub(super) async fn what_is_live_outlives_a_compaction(subject: Subject) {
    let kept = subject.create("kept", "1").await;
    let deleted = subject.create("deleted", "1").await;
    subject.delete("deleted", deleted).await;
    let reborn = subject.create("reborn", "1").await;
    subject.delete("reborn", reborn).await;
    let reborn = subject.create("reborn", "2").await;
    let mut changed = subject.create("changed", "0").await;
    for number in 1..50 {
        changed = subject.update("changed", changed, &number.to_string()).await;
    }
    let expected = [("changed".to_owned(), changed), ("kept".to_owned(), kept), ("reborn".to_owned(), reborn)];
    subject.storage.compact(changed).await.expect("it is history");
    // Some stores forget in steps: they must look the same at every one.
    for _ in 0..20 {
        assert_eq!(read_at(&subject, 0).await.expect("now can be read"), expected);
        assert_eq!(subject.get("deleted").await, None);
        subject.storage.commit(vec![crate::Operation::create("/elsewhere", "1".into())]).await.ok();
        tokio::task::yield_now().await;
    }
    assert_eq!(subject.get("changed").await, Some(subject.expect("changed", "49", changed - 49, changed)));
    subject.create("deleted", "2").await;
}

pub(super) async fn a_watch_that_keeps_up_outlives_a_compaction(subject: Subject) {
    let mut revision = subject.create("a", "0").await;
    let mut watch = subject.watch(revision + 1).await;
    for number in 0..20 {
        revision = subject.update("a", revision, &number.to_string()).await;
        loop {
            match watch.next().await.expect("the watch keeps up") {
                WatchBatch::Events(events) => {
                    assert_eq!(events.iter().map(|event| event.revision).collect::<Vec<_>>(), [revision]);
                    break;
                }
                WatchBatch::Progress(_) => {}
            }
        }
        subject.storage.compact(revision).await.expect("it is history");
    }
}
