//! Writes and their guards.

use std::time::Duration;

use bytes::Bytes;

use super::{Subject, assert_conflict, events};
use crate::size::{self, MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::{Error, Operation};

pub(super) async fn create_makes_a_key_once(subject: Subject) {
    assert_eq!(subject.get("a").await, None);
    let first = subject.create("a", "1").await;
    assert!(first >= 2, "0 and 1 mean something else in the API");
    let made = subject.expect("a", "1", first, first);
    assert_eq!(subject.get("a").await, Some(made.clone()));
    let again = subject.commit(vec![Operation::create(subject.key("a"), Bytes::from_static(b"2"))]).await;
    assert_conflict(again, &subject.key("a"), Some(made.clone()));
    assert_eq!(subject.get("a").await, Some(made));
    assert_eq!(subject.revision().await, first, "a refusal is no revision");
}

pub(super) async fn update_wants_the_revision_seen(subject: Subject) {
    let key = subject.key("a");
    let update = |expected| subject.commit(vec![Operation::update(&key, expected, Bytes::from_static(b"x"))]);
    assert_conflict(update(7).await, &key, None);
    let first = subject.create("a", "1").await;
    let second = subject.update("a", first, "2").await;
    assert_eq!(second, first + 1);
    let now = subject.expect("a", "2", first, second);
    assert_eq!(subject.get("a").await, Some(now.clone()));
    assert_conflict(update(first).await, &key, Some(now.clone()));
    assert_conflict(update(second + 1).await, &key, Some(now.clone()));
    assert_eq!(subject.get("a").await, Some(now));
}

pub(super) async fn delete_wants_the_revision_seen(subject: Subject) {
    let key = subject.key("a");
    let delete = |expected| subject.commit(vec![Operation::delete(&key, expected)]);
    let first = subject.create("a", "1").await;
    let second = subject.update("a", first, "2").await;
    assert_conflict(delete(first).await, &key, Some(subject.expect("a", "2", first, second)));
    assert_eq!(delete(second).await.expect("the revision is right"), second + 1);
    assert_eq!(subject.get("a").await, None);
    assert_conflict(delete(second).await, &key, None);
    let again = subject.create("a", "3").await;
    assert_eq!(subject.get("a").await, Some(subject.expect("a", "3", again, again)), "a new life, a new create revision");
}

pub(super) async fn a_transaction_is_one_revision_or_nothing(subject: Subject) {
    let [a, b, c] = ["a", "b", "c"].map(|name| subject.key(name));
    let value = |value: &'static str| Bytes::from_static(value.as_bytes());
    let first = subject.commit(vec![Operation::create(&a, value("1")), Operation::create(&b, value("1"))]).await.expect("all are new");
    assert_eq!(subject.get("a").await, Some(subject.expect("a", "1", first, first)));
    assert_eq!(subject.get("b").await, Some(subject.expect("b", "1", first, first)));

    let stale = vec![Operation::update(&a, first, value("2")), Operation::create(&c, value("2")), Operation::delete(&b, first + 5)];
    assert_conflict(subject.commit(stale).await, &b, Some(subject.expect("b", "1", first, first)));
    assert_eq!(subject.get("a").await, Some(subject.expect("a", "1", first, first)));
    assert_eq!(subject.get("c").await, None);
    assert_eq!(subject.revision().await, first);

    let right = vec![Operation::update(&a, first, value("2")), Operation::create(&c, value("2")), Operation::delete(&b, first)];
    let second = subject.commit(right).await.expect("all guards hold");
    assert_eq!(subject.get("a").await, Some(subject.expect("a", "2", first, second)));
    assert_eq!(subject.get("b").await, None);
    assert_eq!(subject.get("c").await, Some(subject.expect("c", "2", second, second)));
    let events = events(&mut subject.watch(first).await, 5).await;
    assert_eq!(events.iter().filter(|event| event.revision == second).count(), 3);
}

/// The charge of a quota that must not be there yet, and the like.
pub(super) async fn a_deletion_of_nothing_is_a_guard(subject: Subject) {
    let [a, b] = ["a", "b"].map(|name| subject.key(name));
    let absent_and = |key: &str| vec![Operation::delete(&a, 0), Operation::create(key, Bytes::from_static(b"1"))];
    let first = subject.commit(absent_and(&b)).await.expect("a is not there");
    let a_made = subject.create("a", "1").await;
    let refused = subject.commit(absent_and(&subject.key("c"))).await;
    assert_conflict(refused, &a, Some(subject.expect("a", "1", a_made, a_made)));
    assert_eq!(subject.get("c").await, None);
    assert_eq!(subject.get("b").await, Some(subject.expect("b", "1", first, first)));
}

pub(super) async fn values_are_any_bytes(subject: Subject) {
    let cases = [("empty", Vec::new()), ("zeros", vec![0; 5000]), ("all", (0..=255).collect()), ("large", vec![0xa5; 1 << 20])];
    for (name, value) in cases {
        let value = Bytes::from(value);
        subject.commit(vec![Operation::create(subject.key(name), value.clone())]).await.expect("the key is new");
        assert_eq!(subject.get(name).await.expect("it was written").value, value, "{name}");
    }
}

pub(super) async fn what_is_too_large_is_refused(subject: Subject) {
    // A little beside the bound: the number of a transaction in etcd's log is not always of the same length.
    let margin = 128;
    let (fits, too_large) = (REQUEST_BYTES_MAX - margin - 4 * subject.key("a").len(), REQUEST_BYTES_MAX - 3 * subject.key("a").len());
    for bytes in [too_large, MESSAGE_BYTES_MAX - 1024, MESSAGE_BYTES_MAX, 32 << 20] {
        let operations = vec![Operation::create(subject.key("a"), vec![1; bytes].into())];
        let words = size::check(&operations).expect_err("too large").to_string();
        match subject.commit(operations).await {
            Err(Error::TooLarge(found)) => assert_eq!(found, words, "{bytes}"),
            other => panic!("{bytes}: {other:?}"),
        }
        assert_eq!(subject.get("a").await, None);
    }
    subject.commit(vec![Operation::create(subject.key("a"), vec![1; fits].into())]).await.expect("it fits");
    subject.create("b", "the store goes on").await;
}

pub(super) async fn writers_that_race_lose_no_update(subject: Subject) {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 25;
    subject.create("counter", "0").await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                let mut seen = subject.get("counter").await.expect("it was made");
                while revisions.len() < ROUNDS {
                    let count: u64 = std::str::from_utf8(&seen.value).expect("digits").parse().expect("a number");
                    let value = Bytes::from((count + 1).to_string());
                    match subject.commit(vec![Operation::update(subject.key("counter"), seen.mod_revision, value)]).await {
                        Ok(revision) => {
                            revisions.push(revision);
                            seen = subject.get("counter").await.expect("nobody deletes it");
                        }
                        Err(Error::Conflict { current, .. }) => seen = current.expect("nobody deletes it"),
                        Err(error) => panic!("{error}"),
                    }
                }
                revisions
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.extend(task.await.expect("the writer ends"));
    }
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), WRITERS * ROUNDS, "no two updates have one revision");
    let last = subject.get("counter").await.expect("it was made");
    assert_eq!(last.value, (WRITERS * ROUNDS).to_string());
    assert_eq!(Some(&last.mod_revision), revisions.last());
}

pub(super) async fn a_key_lives_no_longer_than_its_time(subject: Subject) {
    const TIME: Duration = Duration::from_secs(1);
    let with_time = |operation: Operation| Operation { time_to_live: Some(TIME), ..operation };
    let value = Bytes::from_static(b"1");
    let mut revisions = Vec::new();
    for name in ["goes", "stays", "goes-too"] {
        let operation = with_time(Operation::create(subject.key(name), value.clone()));
        revisions.push(subject.commit(vec![operation]).await.expect("the key is new"));
    }
    let kept = subject.update("stays", revisions[1], "2").await;
    let mut watch = subject.watch(kept + 1).await;
    let mut gone = events(&mut watch, 2).await;
    gone.sort_by_key(|event| event.key.clone());
    for (event, name) in gone.iter().zip(["goes", "goes-too"]) {
        assert_eq!((&*event.key, &event.value), (subject.key(name).as_str(), &None));
        assert_eq!(subject.get(name).await, None);
    }
    assert_eq!(subject.get("stays").await, Some(subject.expect("stays", "2", revisions[1], kept)), "an update without a time has none");
}

pub(super) async fn revisions_go_up_one_a_transaction(subject: Subject) {
    let before = subject.revision().await;
    for number in 1..=5 {
        let revision = subject.create(&format!("key-{number}"), "1").await;
        assert_eq!(revision, before + number);
        assert_eq!(subject.revision().await, revision);
        assert_eq!(subject.storage.get(&subject.key("key-1")).await.expect("it can be read").1, revision);
    }
    assert_eq!(subject.commit(Vec::new()).await.expect("nothing is easy"), before + 5);
}
