//! Ranges.

use bytes::Bytes;

use super::Subject;
use crate::{Error, Operation, Range, prefix_end};

fn names(subject: &Subject, items: &[crate::KeyValue]) -> Vec<String> {
    items.iter().map(|kv| kv.key.strip_prefix(&subject.prefix).expect("only the range's keys").to_owned()).collect()
}

pub(super) async fn a_range_is_in_order_and_counted(subject: Subject) {
    let mut last = 0;
    for name in ["b", "a", "c/2", "c", "c/1", "ä"] {
        last = subject.create(name, name).await;
    }
    let expected = ["a", "b", "c", "c/1", "c/2", "ä"];
    for limit in 0..8 {
        let range = Range { limit, ..Range::prefix(&subject.prefix) };
        let found = subject.storage.range(range).await.expect("it can be read");
        let wanted = if limit == 0 { 6 } else { limit.min(6) };
        assert_eq!(names(&subject, &found.items), expected[..wanted], "limit {limit}");
        assert_eq!((found.more, found.count, found.revision), (wanted < 6, 6, last), "limit {limit}");
        assert!(found.items.iter().all(|kv| kv.key.ends_with(std::str::from_utf8(&kv.value).expect("text"))));
    }
}

pub(super) async fn a_range_has_bounds(subject: Subject) {
    for name in ["a", "b", "b/x", "b0", "bc", "c"] {
        subject.create(name, "1").await;
    }
    let cases: &[(&str, &str, &[&str])] = &[
        ("a", "c", &["a", "b", "b/x", "b0", "bc"]),
        ("b/", "b0", &["b/x"]),
        ("b", "b\0", &["b"]),
        ("b\0", "c", &["b/x", "b0", "bc"]),
        ("c", "a", &[]),
        ("b", "b", &[]),
        ("d", "e", &[]),
    ];
    for (start, end, expected) in cases {
        let range = Range { start: subject.key(start), end: subject.key(end), ..Range::default() };
        let found = subject.storage.range(range).await.expect("it can be read");
        assert_eq!(
            (names(&subject, &found.items), found.count, found.more),
            (expected.iter().map(|s| s.to_string()).collect(), expected.len() as u64, false),
            "[{start:?}, {end:?})"
        );
    }
    assert_eq!(prefix_end("/registry/pods/"), "/registry/pods0");
}

/// A list in pages at one revision, while others write.
pub(super) async fn pages_of_one_revision_are_one_picture(subject: Subject) {
    let mut revisions = Vec::new();
    for number in 0..10 {
        revisions.push(subject.create(&format!("{number}"), "old").await);
    }
    let mut range = Range { limit: 3, ..Range::prefix(&subject.prefix) };
    let mut found = Vec::new();
    for number in 0.. {
        let page = subject.storage.range(range.clone()).await.expect("it can be read");
        assert_eq!(page.revision, revisions[9]);
        assert_eq!(page.count, 10 - found.len() as u64);
        let last = page.items.last().expect("a page is not empty").key.clone();
        found.extend(page.items);
        if !page.more {
            break;
        }
        (range.revision, range.start) = (page.revision, format!("{last}\0"));
        subject.update(&format!("{}", number + 2), revisions[number + 2], "new").await;
        subject.delete(&format!("{}", 9 - number), revisions[9 - number]).await;
        subject.create(&format!("{number}-new"), "new").await;
    }
    assert_eq!(names(&subject, &found), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(found.iter().all(|kv| kv.value == "old"));
}

/// Larger than what fits into one message of a store over a network.
pub(super) async fn a_large_range_is_whole(subject: Subject) {
    const KEYS: usize = 600;
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(20) {
        let value = Bytes::from(vec![b'x'; 10_000]);
        let operations = chunk.iter().map(|n| Operation::create(subject.key(&format!("{n:05}")), value.clone())).collect();
        subject.commit(operations).await.expect("the keys are new");
    }
    let found = subject.storage.range(Range::prefix(&subject.prefix)).await.expect("it can be read");
    assert_eq!((found.items.len(), found.count, found.more), (KEYS, KEYS as u64, false));
    assert!(found.items.is_sorted_by(|a, b| a.key < b.key));
    assert!(found.items.iter().all(|kv| kv.value.len() == 10_000));
}

pub(super) async fn a_future_revision_is_an_error(subject: Subject) {
    let now = subject.create("a", "1").await;
    let found = subject.storage.range(Range { revision: now + 100, ..Range::prefix(&subject.prefix) }).await;
    assert!(matches!(found, Err(Error::Future { requested, current }) if requested == now + 100 && current == now), "{found:?}");
}
