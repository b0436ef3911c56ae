//! Watches: no gap, no duplicate, no split revision.

use bytes::Bytes;

use super::{Subject, events};
use crate::{Event, Operation, WatchBatch};

pub(super) async fn a_watch_tells_history_then_news(subject: Subject) {
    let first = subject.create("a", "1").await;
    let second = subject.update("a", first, "2").await;
    for from in [first, second, second + 1] {
        let mut watch = subject.watch(from).await;
        let now = subject.revision().await;
        let told: Vec<_> = events(&mut watch, (now + 1 - from) as usize).await.iter().map(|event| event.revision).collect();
        assert_eq!(told, (from..=now).collect::<Vec<_>>());
        let name = format!("news-{from}");
        let news = subject.create(&name, "1").await;
        let told = events(&mut watch, 1).await.remove(0);
        assert_eq!((&*told.key, told.create_revision, told.value), (subject.key(&name).as_str(), news, Some(Bytes::from_static(b"1"))));
    }
}

pub(super) async fn a_watch_tells_of_each_change(subject: Subject) {
    let mut live = subject.watch(subject.revision().await + 1).await;
    let first = subject.create("a", "1").await;
    let second = subject.update("a", first, "2").await;
    let third = subject.delete("a", second).await;
    let fourth = subject.create("a", "4").await;
    let event = |value: Option<&'static str>, revision, create_revision| Event {
        key: subject.key("a").into(),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        revision,
        create_revision,
    };
    let expected =
        vec![event(Some("1"), first, first), event(Some("2"), second, first), event(None, third, 0), event(Some("4"), fourth, fourth)];
    assert_eq!(events(&mut live, 4).await, expected, "live");
    assert_eq!(events(&mut subject.watch(first).await, 4).await, expected, "from history");
}

pub(super) async fn a_watch_sees_its_prefix_only(subject: Subject) {
    let start = subject.create("pods/a", "1").await;
    let prefix = subject.key("pods/");
    let mut watch = subject.storage.watch(&prefix, start).await.expect("the store can be watched");
    subject.create("pods0", "1").await;
    subject.create("pod", "1").await;
    let both = vec![
        Operation::create(subject.key("pods/b"), Bytes::from_static(b"1")),
        Operation::create(subject.key("services/b"), Bytes::from_static(b"1")),
    ];
    let both = subject.commit(both).await.expect("the keys are new");
    subject.create("qods/a", "1").await;
    let last = subject.create("pods/c", "1").await;
    let told: Vec<_> = events(&mut watch, 3).await.into_iter().map(|event| (event.key.to_string(), event.revision)).collect();
    assert_eq!(told, [(subject.key("pods/a"), start), (subject.key("pods/b"), both), (subject.key("pods/c"), last)]);
}

pub(super) async fn a_watch_may_begin_in_the_future(subject: Subject) {
    let now = subject.revision().await;
    let mut watch = subject.watch(now + 3).await;
    for number in 0..4 {
        subject.create(&format!("{number}"), "1").await;
    }
    let told: Vec<_> = events(&mut watch, 2).await.into_iter().map(|event| event.revision).collect();
    assert_eq!(told, [now + 3, now + 4]);
}

pub(super) async fn watches_under_load_miss_and_repeat_nothing(subject: Subject) {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 60;
    let start = subject.revision().await + 1;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut expected = 0;
                for round in 0..ROUNDS {
                    // Two keys at one revision, one of them always new.
                    let value = Bytes::from(format!("{round}"));
                    let operations = vec![
                        Operation { expected, ..Operation::create(subject.key(&format!("{writer}")), value.clone()) },
                        Operation::create(subject.key(&format!("{writer}-{round}")), value),
                    ];
                    expected = subject.commit(operations).await.expect("each writer has its own keys");
                }
            })
        })
        .collect();
    // Begun at different times: in history, and while it is being made.
    let watches: Vec<_> = (0..6)
        .map(|number| {
            let subject = subject.clone();
            tokio::spawn(async move {
                while subject.revision().await < start + number * 20 {
                    tokio::task::yield_now().await;
                }
                events(&mut subject.watch(start).await, WRITERS * ROUNDS * 2).await
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    let mut told = Vec::new();
    for watch in watches {
        told.push(watch.await.expect("the watch tells everything"));
    }
    for other in &told[1..] {
        assert_eq!(&told[0], other, "all watches tell the same");
    }
    let mut revisions: Vec<_> = told[0].iter().map(|event| event.revision).collect();
    revisions.dedup();
    assert_eq!(revisions, (start..start + (WRITERS * ROUNDS) as u64).collect::<Vec<_>>());
    for writer in 0..WRITERS {
        let key = subject.key(&format!("{writer}"));
        let of_key: Vec<_> = told[0].iter().filter(|event| *event.key == *key).collect();
        assert_eq!(of_key.len(), ROUNDS, "each change once");
        assert!(of_key.iter().all(|event| event.create_revision == of_key[0].revision), "the key came to be once");
    }
}

pub(super) async fn a_slow_watch_catches_up(subject: Subject) {
    const EVENTS: usize = 400;
    let mut slow = subject.watch(subject.revision().await + 1).await;
    let value = "x".repeat(50_000);
    let mut revision = subject.create("a", &value).await;
    for _ in 1..EVENTS {
        // Nobody reads the watch, and no writer waits for it.
        revision = subject.update("a", revision, &value).await;
    }
    let told = events(&mut slow, EVENTS).await;
    assert!(told.iter().all(|event| event.value.as_ref().is_some_and(|value| value.len() == 50_000)));
    assert_eq!(told.last().map(|event| event.revision), Some(revision));
}

pub(super) async fn progress_comes_when_asked_for(subject: Subject) {
    let mut watch = subject.storage.watch(&subject.key("quiet/"), subject.revision().await + 1).await.expect("the store can be watched");
    let now = subject.create("elsewhere", "1").await;
    if !subject.storage.request_progress().await.expect("the store answers") {
        eprintln!("conformance: this backend does not offer progress");
        return;
    }
    loop {
        match watch.next().await.expect("the watch goes on") {
            WatchBatch::Progress(revision) if revision >= now => break,
            WatchBatch::Progress(_) => _ = subject.storage.request_progress().await,
            WatchBatch::Events(events) => panic!("nothing happened under the prefix: {events:?}"),
        }
    }
}
