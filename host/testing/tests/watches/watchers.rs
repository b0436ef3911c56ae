//! One watcher, what it saw, and whether that is what happened.

use serde_json::Value;
use storage::Storage;
use wasmgate_testing::seeds::Random;
use wasmgate_testing::{MemoryStorage, TestServer, WatchEvent, WatchStream};

use crate::history::History;
use crate::selectors::Selector;

/// Where it began.
#[derive(Debug)]
enum Start {
    /// After a revision that some answer named.
    After(u64),
    /// After a list, with what that had.
    AfterList(u64, Vec<Value>),
    /// With the state of some moment: between these revisions.
    WithState(u64, u64),
    /// The same, and told where the state ends.
    WithStateToldApart(u64, u64),
}

/// A watch, all that it was told, and what it should have been told.
pub struct CheckedWatch {
    /// The number of the server that it watches.
    pub server: usize,
    selector: Selector,
    start: Start,
    stream: WatchStream,
    seen: Vec<WatchEvent>,
}

impl CheckedWatch {
    pub async fn begin(number: usize, server: &TestServer, random: &mut Random, known: &[u64], store: &MemoryStorage) -> Self {
        let selector = Selector::any(random);
        let target = selector.target();
        let lowest = server.registry.caches().applied();
        let (start, query) = match random.below(6) {
            0 | 1 => {
                let revision = *random.pick(known);
                (Start::After(revision), format!("&resourceVersion={revision}"))
            }
            2 | 3 => {
                let list = server.get(&target).await.ok();
                let revision =
                    list["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a list has a version");
                (Start::AfterList(revision, list["items"].as_array().cloned().unwrap_or_default()), format!("&resourceVersion={revision}"))
            }
            4 => (Start::WithState(lowest, lowest), (*random.pick(&["&resourceVersion=0", ""])).to_owned()),
            _ => {
                let query = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan".to_owned();
                (Start::WithStateToldApart(lowest, lowest), query)
            }
        };
        let stream = server.watch(&format!("{target}&watch=1&allowWatchBookmarks=true&timeoutSeconds=100000{query}")).await;
        let highest = store.current_revision().await.expect("it is in memory");
        let start = match start {
            Start::WithState(lowest, _) => Start::WithState(lowest, highest),
            Start::WithStateToldApart(lowest, _) => Start::WithStateToldApart(lowest, highest),
            other => other,
        };
        Self { server: number, selector, start, stream, seen: Vec::new() }
    }

    /// Takes in what has come.
    pub fn read(&mut self) {
        self.seen.extend(self.stream.ready());
    }
}

impl CheckedWatch {
    /// Compares all that it saw with what happened.
    pub async fn judge(&self, history: &History, server: &TestServer, may_lose_track: bool) {
        let case = format!("{:?} {:?}", self.selector, self.start);
        let is_lost = self.check_errors(may_lose_track, &case);
        self.check_bookmarks(&case);
        let seen: Vec<&WatchEvent> = self.seen.iter().filter(|event| !matches!(&*event.kind, "BOOKMARK" | "ERROR")).collect();
        let wanted = self.wanted(history);
        let is_wanted = |wanted: &Vec<WatchEvent>| match is_lost {
            true => wanted.len() >= seen.len() && wanted.iter().zip(&seen).all(|(wanted, seen)| wanted == *seen),
            false => wanted.iter().eq(seen.iter().copied()),
        };
        if !wanted.iter().any(is_wanted) {
            let best = wanted.iter().max_by_key(|wanted| agreeing(wanted, &seen)).expect("there is at least one");
            let at = agreeing(best, &seen);
            panic!(
                "{case}: saw {} of {} events; event {at} should be {:#?} and is {:#?}; lost: {is_lost}; all seen: {:?}",
                seen.len(),
                best.len(),
                best.get(at),
                seen.get(at),
                seen.iter().map(|event| (&event.kind, event.revision())).collect::<Vec<_>>(),
            );
        }
        if let (Start::AfterList(revision, items), false) = (&self.start, is_lost) {
            assert_eq!(*items, untyped(history.state(&self.selector, *revision)), "{case}: the list");
            let list = server.get(&self.selector.target()).await.ok();
            assert_eq!(list["items"], Value::Array(untyped(followed(items, &seen))), "{case}: the list, followed by the watch");
        }
    }

    /// All that it may have seen: one for each moment at which it may have begun.
    fn wanted(&self, history: &History) -> Vec<Vec<WatchEvent>> {
        let with_state = |revision: u64| {
            let state = history.state(&self.selector, revision).into_iter();
            let state = state.map(|object| WatchEvent { kind: "ADDED".into(), object });
            state.chain(history.seen_after(&self.selector, revision)).collect()
        };
        match &self.start {
            Start::After(revision) | Start::AfterList(revision, _) => vec![history.seen_after(&self.selector, *revision)],
            Start::WithState(lowest, highest) => (*lowest..=*highest).map(with_state).collect(),
            Start::WithStateToldApart(lowest, highest) => match self.end_of_state() {
                Some(told) => {
                    assert!((*lowest..=*highest).contains(&told), "the state's revision {told} is between {lowest} and {highest}");
                    vec![with_state(told)]
                }
                None => (*lowest..=*highest).map(with_state).collect(),
            },
        }
    }

    /// The revision of the bookmark that ends the state.
    fn end_of_state(&self) -> Option<u64> {
        let is_end = |event: &&WatchEvent| event.object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
        let ends: Vec<u64> = self.seen.iter().filter(is_end).map(WatchEvent::revision).collect();
        assert!(ends.len() <= 1, "it ends once: {ends:?}");
        ends.first().copied()
    }

    /// Whether it was told that it lost track, which ends it.
    fn check_errors(&self, may_lose_track: bool, case: &str) -> bool {
        let Some(at) = self.seen.iter().position(|event| event.kind == "ERROR") else {
            assert!(!self.stream.is_over(), "{case}: it ended without a reason");
            return false;
        };
        let error = &self.seen[at].object;
        assert_eq!((at + 1, &error["code"], &error["reason"]), (self.seen.len(), &410.into(), &"Expired".into()), "{case}: {error}");
        assert!(may_lose_track, "{case}: nothing was forgotten: {error}");
        true
    }

    /// A bookmark covers what was seen before it, and nothing that comes later.
    fn check_bookmarks(&self, case: &str) {
        let (mut bookmark, mut last) = (0, 0);
        let mut in_state = matches!(self.start, Start::WithState(..) | Start::WithStateToldApart(..));
        for event in &self.seen {
            let revision = event.revision();
            match &*event.kind {
                "BOOKMARK" => {
                    assert!(revision >= bookmark, "{case}: a bookmark goes back from {bookmark} to {revision}");
                    assert!(revision >= last, "{case}: a bookmark of {revision} after an event of {last}");
                    (bookmark, in_state) = (revision, false);
                }
                "ERROR" => {}
                _ => {
                    assert!(in_state || revision > bookmark, "{case}: an event of {revision} after a bookmark of {bookmark}");
                    last = last.max(revision);
                }
            }
        }
    }
}

/// How many events at the beginning are the same.
fn agreeing(wanted: &[WatchEvent], seen: &[&WatchEvent]) -> usize {
    wanted.iter().zip(seen).take_while(|(wanted, seen)| wanted == *seen).count()
}

/// Objects as the items of a list are: the list says what they are.
fn untyped(objects: Vec<Value>) -> Vec<Value> {
    let untyped = |mut object: Value| {
        let fields = object.as_object_mut().expect("objects");
        fields.remove("kind");
        fields.remove("apiVersion");
        object
    };
    objects.into_iter().map(untyped).collect()
}

/// What a client holds that took in the events after its list.
fn followed(items: &[Value], events: &[&WatchEvent]) -> Vec<Value> {
    let key = |object: &Value| {
        let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", field("namespace"), field("name"))
    };
    let mut held: std::collections::BTreeMap<String, Value> = items.iter().map(|item| (key(item), item.clone())).collect();
    for event in events {
        let before = match &*event.kind {
            "DELETED" => held.remove(&key(&event.object)),
            _ => held.insert(key(&event.object), event.object.clone()),
        };
        assert_eq!(
            before.is_some(),
            event.kind != "ADDED",
            "only what is there changes or goes, and only what is not there comes: {event:?}"
        );
    }
    held.into_values().collect()
}
