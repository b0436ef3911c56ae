//! Full disks, damaged files, a second process, and what a restart must find again.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::{Error, Operation, Range, Storage, WatchBatch};
use wasmgate_storage_embedded::limits::RESERVE_BYTES;
use wasmgate_storage_embedded::{Embedded, FILE_NAME, Options};

use crate::support::disk::SimulatedDisk;

fn create(key: impl std::fmt::Display, bytes: usize) -> Vec<Operation> {
    vec![Operation::create(format!("/registry/{key}"), Bytes::from(vec![b'x'; bytes]))]
}

/// Writes until the disk is full; how many were acknowledged.
async fn fill(store: &Embedded, name: &str) -> u64 {
    for number in 0.. {
        match store.commit(create(format!("{name}/{number:06}"), 100_000)).await {
            Ok(_) => {}
            Err(Error::NoSpace(_)) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the disk has an end")
}

async fn count(store: &Embedded, prefix: &str) -> u64 {
    store.range(Range { limit: 1, ..Range::prefix(&format!("/registry/{prefix}/")) }).await.expect("reads go on").count
}

/// Writes as soon as the store takes writes again.
async fn write_again(store: &Embedded, key: &str) {
    let begin = Instant::now();
    while let Err(error) = store.commit(create(key, 1000)).await {
        assert!(matches!(error, Error::NoSpace(_) | Error::Unavailable(_)), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(60), "there is room, and no write: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lays up the reserve: the store does so by and by.
async fn wait_for_reserve(disk: &SimulatedDisk) {
    let before = disk.used_bytes();
    while disk.used_bytes() < before + RESERVE_BYTES as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_serves_reads() {
    let disk = SimulatedDisk::default();
    let store = Embedded::open_on(Arc::new(disk.clone()), Options::default()).expect("an empty store opens");
    wait_for_reserve(&disk).await;
    disk.set_capacity(Some(disk.used_bytes() + (20 << 20)));
    let written = fill(&store, "a").await;
    assert!(written > 50, "{written}");
    for _ in 0..3 {
        assert_eq!(count(&store, "a").await, written, "all that was acknowledged, and nothing else");
        let refused = store.commit(create("b", 10)).await;
        assert!(matches!(refused, Err(Error::NoSpace(_))), "{refused:?}");
        store.healthy().await.expect("it serves reads");
    }
    disk.set_capacity(None);
    write_again(&store, "again").await;
    assert_eq!(count(&store, "a").await, written);
    drop(store);
    let store = Embedded::open_on(Arc::new(disk), Options::default()).expect("it was closed cleanly");
    assert_eq!(count(&store, "a").await, written);
}

/// Full before there was a reserve: the engine itself fails, and is opened again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_without_a_reserve_is_survived() {
    let disk = SimulatedDisk::default();
    let store = Embedded::open_on(Arc::new(disk.clone()), Options::default()).expect("an empty store opens");
    disk.set_capacity(Some(disk.used_bytes() + (RESERVE_BYTES / 2) as u64));
    let mut watch = store.watch("/registry/", 2).await.expect("it can be watched");
    let written = fill(&store, "a").await;
    disk.set_capacity(None);
    write_again(&store, "again").await;
    assert_eq!(count(&store, "a").await, written);
    let mut seen = 0;
    while seen < written + 1 {
        if let WatchBatch::Events(events) = watch.next().await.expect("the watch outlives it") {
            seen += events.len() as u64;
        }
    }
}

/// The same on a real file system, where a small one can be mounted.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_system() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mount = |arguments: &[&str]| std::process::Command::new("mount").args(arguments).arg(dir.path()).output();
    match mount(&["-t", "tmpfs", "-o", "size=48m", "none"]) {
        Ok(output) if output.status.success() => {}
        _ => return eprintln!("SKIPPED: no right to mount a file system"),
    }
    let result = tokio::spawn({
        let dir = dir.path().to_owned();
        async move {
            let store = Embedded::open(&dir, Options::default()).expect("an empty store opens");
            while !dir.join("store.reserve").exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::fs::write(dir.join("ballast"), vec![1; 8 << 20]).expect("there is room");
            let written = fill(&store, "a").await;
            assert_eq!(count(&store, "a").await, written);
            std::fs::remove_file(dir.join("ballast")).expect("it is there");
            // Not enough room for the reserve yet, or just enough: either way the store says the truth.
            let _ = store.commit(create("b", 10)).await;
            assert_eq!(count(&store, "a").await, written);
            drop(store);
            let store = Embedded::open(&dir, Options::default()).expect("it opens on a full disk");
            assert_eq!(count(&store, "a").await, written);
        }
    })
    .await;
    std::process::Command::new("umount").arg(dir.path()).status().expect("it was mounted");
    result.expect("the case passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_an_error_that_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join(FILE_NAME);
    {
        let store = Embedded::open(dir.path(), Options::default()).expect("an empty store opens");
        for number in 0..50 {
            store.commit(create(number, 3000)).await.expect("the key is new");
        }
    }
    let whole = std::fs::read(&path).expect("the file is there");
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not a store", b"hello, world\n".repeat(1000)),
        ("short and not a store", b"hello".to_vec()),
        ("empty", Vec::new()),
        ("zeros", vec![0; whole.len()]),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("a page of it", whole[..4096].to_vec()),
        ("a few bytes of it", whole[..100].to_vec()),
        ("another magic number", with(0, b"xxxx")),
        ("noise in the header", with(64, &[0x5a; 256])),
    ];
    for (what, file) in cases {
        std::fs::write(&path, &file).expect("it can be written");
        match Embedded::open(dir.path(), Options::default()).err() {
            Some(Error::Corrupt(words)) => assert!(words.contains(FILE_NAME) && words.contains("backup"), "{what}: {words}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(std::fs::read(&path).expect("it is there").len(), file.len(), "{what}: the evidence is left alone");
    }
}

/// Damage anywhere in the file is found when it is opened or when it is read: nobody is served what was not written.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_never_served() {
    let disk = SimulatedDisk::default();
    {
        let store = Embedded::open_on(Arc::new(disk.clone()), Options::default()).expect("an empty store opens");
        for number in 0..40 {
            store.commit(create(format!("{number:02}"), 3000)).await.expect("the key is new");
        }
    }
    let image = disk.image();
    let mut found = 0;
    for page in (4096..image.len()).step_by(4096) {
        let mut damaged = image.clone();
        damaged[page + 1000..page + 1008].copy_from_slice(b"damaged!");
        if damaged == image {
            continue;
        }
        let Ok(store) = Embedded::open_on(Arc::new(SimulatedDisk::holding(damaged)), Options::default()) else {
            found += 1;
            continue;
        };
        match store.range(Range::prefix("/registry/")).await {
            Ok(range) => {
                assert_eq!(range.count, 40, "damage in page {page}");
                assert!(range.items.iter().all(|kv| kv.value == vec![b'x'; 3000]), "damage in page {page}");
            }
            Err(Error::Corrupt(_) | Error::Unavailable(_)) => found += 1,
            Err(error) => panic!("damage in page {page}: {error:?}"),
        }
    }
    assert!(found >= 20, "values fill most pages: {found} found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = Embedded::open(dir.path(), Options::default()).expect("an empty store opens");
    let second = Embedded::open(dir.path(), Options::default()).err();
    assert!(matches!(&second, Some(Error::Unavailable(words)) if words.contains("in use by another process")), "{second:?}");
    first.commit(create("a", 10)).await.expect("the first goes on");
    drop(first);
    let third = Embedded::open(dir.path(), Options::default()).expect("the first is gone");
    assert!(third.get("/registry/a").await.expect("it can be read").0.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_says_so() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Embedded::open(dir.path(), Options::default()).expect("an empty store opens");
    let mut watch = store.watch("/registry/", 2).await.expect("it can be watched");
    let waiting = tokio::spawn(async move { watch.next().await });
    store.commit(create("elsewhere", 1)).await.expect("the key is new");
    assert!(waiting.await.expect("it ends").is_ok());
    let mut watch = store.watch("/quiet/", 3).await.expect("it can be watched");
    let waiting = tokio::spawn(async move { watch.next().await });
    store.close();
    assert!(matches!(waiting.await.expect("it ends"), Err(Error::Unavailable(_))));
    assert!(matches!(store.commit(create("a", 1)).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.get("/registry/a").await, Err(Error::Unavailable(_))));
    assert!(matches!(store.watch("/", 3).await.err(), Some(Error::Unavailable(_))));
    assert!(store.healthy().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_revisions_history_and_times() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = || Embedded::open(dir.path(), Options::default()).expect("the store opens");
    let store = open();
    let short = Operation { time_to_live: Some(Duration::from_millis(1500)), ..create("short", 1).remove(0) };
    let long = Operation { time_to_live: Some(Duration::from_secs(3600)), ..create("long", 1).remove(0) };
    let first = store.commit(vec![short, long]).await.expect("the keys are new");
    let second = store.commit(create("a", 5)).await.expect("the key is new");
    let third = store.commit(vec![Operation::delete("/registry/a", second)]).await.expect("it is as expected");
    drop(store);

    let store = open();
    assert_eq!(store.current_revision().await.expect("it is open"), third);
    let old = store.range(Range { revision: second, ..Range::prefix("/registry/a") }).await.expect("it is history");
    assert_eq!(old.items[0].mod_revision, second);
    let mut watch = store.watch("/registry/", first).await.expect("it is history");
    let mut events = Vec::new();
    while events.len() < 5 {
        if let WatchBatch::Events(batch) = watch.next().await.expect("the watch goes on") {
            events.extend(batch);
        }
    }
    let expired = events.pop().expect("five events");
    assert_eq!((&*expired.key, expired.value, expired.revision), ("/registry/short", None, third + 1));
    assert!(store.get("/registry/long").await.expect("it can be read").0.is_some());
    store.compact(third).await.expect("it is history");
    drop(store);

    let store = open();
    let gone = store.range(Range { revision: second, ..Range::prefix("/registry/") }).await;
    assert!(matches!(gone, Err(Error::Compacted { oldest, .. }) if oldest == third), "a compaction outlives a restart: {gone:?}");
    assert_eq!(store.commit(create("b", 1)).await.expect("the key is new"), third + 2);
}

/// Everything deleted and forgotten: the room goes back to the disk, while the store is open.
#[tokio::test(flavor = "multi_thread")]
async fn room_is_given_back() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Embedded::open(dir.path(), Options::default()).expect("an empty store opens");
    let mut keys = Vec::new();
    for number in 0..1500 {
        let key = format!("{number:04}");
        keys.push((format!("/registry/{key}"), store.commit(create(key, 100_000)).await.expect("the key is new")));
    }
    let large = store.size_bytes().await.expect("it has a size");
    assert!(large > 150 << 20, "{large}");
    // What stays is spread over the whole file, and pins its end.
    let mut last = 0;
    for chunk in keys.iter().enumerate().filter(|(at, _)| at % 50 != 0).map(|(_, key)| key).collect::<Vec<_>>().chunks(100) {
        let operations = chunk.iter().map(|(key, revision)| Operation::delete(key.as_str(), *revision)).collect();
        last = store.commit(operations).await.expect("they are as expected");
    }
    store.compact(last).await.expect("it is history");
    let begin = Instant::now();
    while store.size_bytes().await.expect("it has a size") > large / 2 {
        assert!(begin.elapsed() < Duration::from_secs(100), "the file stays at {large} bytes");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let left = store.range(Range::prefix("/registry/")).await.expect("it can be read");
    assert_eq!(left.items.len(), 30);
    assert!(left.items.iter().all(|kv| kv.value.len() == 100_000));
}
