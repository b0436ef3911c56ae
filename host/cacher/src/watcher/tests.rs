use std::sync::atomic::{AtomicBool, AtomicU64};

use apimachinery::selector::label::Labels as _;
use bytes::Bytes;
use serde_json::json;
use storage::Event as Change;

use super::*;
use crate::limits::WINDOW_EVENTS_MAX;

/// A cache of config maps, fed by hand.
struct Feed {
    cacher: Arc<Cacher>,
    applied: Arc<AtomicU64>,
    revision: Revision,
}

impl Feed {
    fn new() -> Self {
        let applied = Arc::new(AtomicU64::new(0));
        let resource = api::tables::find("", "v1", "configmaps").expect("built in");
        Self { cacher: Arc::new(Cacher::new(crate::codec_for_tests(resource), applied.clone())), applied, revision: 0 }
    }

    /// One change that is not published yet: `namespace/name`, and a label or the object's end.
    fn change(&mut self, key: &str, label: Option<&str>) {
        self.revision += 1;
        let (namespace, name) = key.split_once('/').expect("a namespaced key");
        let value = label.map(|label| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "labels": {"l": label}}});
            Bytes::from(object.to_string())
        });
        let change = Change { key: format!("/registry/configmaps/{key}").into(), value, revision: self.revision, create_revision: 1 };
        self.cacher.apply(key, &change);
    }

    fn publish(&self) {
        self.cacher.publish();
        self.applied.store(self.revision, Ordering::Release);
    }

    fn changed(&mut self, key: &str, label: Option<&str>) {
        self.change(key, label);
        self.publish();
    }
}

fn of_namespace(namespace: &str) -> Predicate {
    Predicate { namespace: Some(namespace.into()), ..Predicate::default() }
}

/// `ADDED a/one 3`, and so on.
fn taken(watcher: &mut Watcher) -> Vec<String> {
    let updates = watcher.take().expect("it has not lost track");
    updates
        .into_iter()
        .map(|update| match update {
            Update::Event(kind, object) => format!("{} {} {}", kind.as_str(), object.key(), object.revision()),
            Update::InitialEventsEnd(revision) => format!("END {revision}"),
        })
        .collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_batch_is_seen_whole_or_not_at_all() {
    let mut feed = Feed::new();
    let mut watcher = feed.cacher.watch_from_now(of_namespace("a"));
    feed.change("a/one", Some("x"));
    feed.change("a/two", Some("x"));
    assert_eq!(taken(&mut watcher), NOTHING);
    feed.publish();
    assert_eq!(taken(&mut watcher), ["ADDED a/one 1", "ADDED a/two 2"]);
    feed.change("b/one", Some("x"));
    feed.change("a/one", None);
    feed.publish();
    assert_eq!(taken(&mut watcher), ["DELETED a/one 4"]);
}

#[test]
fn who_joins_within_a_batch_sees_each_change_once() {
    let mut feed = Feed::new();
    feed.changed("a/one", Some("x"));
    feed.change("a/two", Some("x"));
    let mut state = feed.cacher.watch_with_state(of_namespace("a"));
    let mut since = feed.cacher.watch_from(1, of_namespace("a")).expect("in the window");
    let mut seen = (taken(&mut state), taken(&mut since));
    feed.change("a/three", Some("x"));
    feed.publish();
    for _ in 0..3 {
        seen.0.extend(taken(&mut state));
        seen.1.extend(taken(&mut since));
    }
    seen.0.sort();
    assert_eq!(seen.0, ["ADDED a/one 1", "ADDED a/three 3", "ADDED a/two 2"]);
    assert_eq!(seen.1, ["ADDED a/two 2", "ADDED a/three 3"]);
}

#[test]
fn an_object_enters_and_leaves_a_selector() {
    let mut feed = Feed::new();
    let matcher: Arc<dyn Fn(&Object) -> bool + Send + Sync> = Arc::new(|object: &Object| object.label("l") == Some("x"));
    let mut watcher = feed.cacher.watch_from_now(Predicate { matcher: Some(matcher), ..Predicate::default() });
    let mut seen = Vec::new();
    for label in [Some("y"), Some("x"), Some("x"), Some("y"), Some("x"), None] {
        feed.changed("a/one", label);
        seen.extend(taken(&mut watcher));
    }
    assert_eq!(seen, ["ADDED a/one 2", "MODIFIED a/one 3", "DELETED a/one 4", "ADDED a/one 5", "DELETED a/one 6"]);
}

#[test]
fn what_does_not_concern_a_watcher_leaves_it_behind_never() {
    let mut feed = Feed::new();
    let mut quiet = feed.cacher.watch_from_now(of_namespace("quiet"));
    let mut slow = feed.cacher.watch_from_now(of_namespace("busy"));
    assert_eq!(taken(&mut quiet), NOTHING);
    for _ in 0..WINDOW_EVENTS_MAX + 10 {
        feed.changed("busy/one", Some("x"));
    }
    // A wake-up that was for nothing must not make it skip what comes.
    assert_eq!(taken(&mut quiet), NOTHING);
    feed.changed("quiet/one", Some("x"));
    assert_eq!(taken(&mut quiet), [format!("ADDED quiet/one {}", feed.revision)]);
    assert!(slow.take().is_err(), "it did not read, and the window has gone on");
}

/// Watchers that read at any moment, in the middle of batches too, see every change once and in order.
#[test]
fn nothing_is_lost_between_threads() {
    const BATCHES: u64 = 3_000;
    let mut feed = Feed::new();
    let (cacher, over) = (feed.cacher.clone(), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = ["a", "b", "a", "b"]
        .map(|namespace| {
            let mut watcher = cacher.watch_from_now(of_namespace(namespace));
            let over = over.clone();
            std::thread::spawn(move || {
                let mut seen: Vec<Revision> = Vec::new();
                loop {
                    // Read before the last look, so that the last look is after the last change.
                    let last = over.load(Ordering::Acquire);
                    let found = watcher.take().expect("it has not lost track");
                    if found.is_empty() && last {
                        return (namespace, seen);
                    }
                    for update in found {
                        let Update::Event(_, object) = update else { continue };
                        assert_eq!(object.namespace(), namespace);
                        seen.push(object.revision());
                    }
                    std::thread::yield_now();
                }
            })
        })
        .into();
    let mut made = std::collections::HashMap::<&str, Vec<Revision>>::new();
    for batch in 0..BATCHES {
        for n in 0..=batch % 4 {
            let namespace = if (batch * 7 + n) % 3 == 0 { "a" } else { "b" };
            feed.change(&format!("{namespace}/one"), Some("x"));
            made.entry(namespace).or_default().push(feed.revision);
        }
        feed.publish();
        std::thread::yield_now();
    }
    over.store(true, Ordering::Release);
    for reader in readers {
        let (namespace, seen) = reader.join().expect("no panic");
        assert_eq!(seen, made[namespace], "{namespace}");
    }
}
