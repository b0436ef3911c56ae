//! Indexes that the host holds for a plugin: objects by keys that the manifest declares. Once for all of its instances, so that a large one
//! costs its memory once, and so that no answer depends on which instance gives it.
//!
//! A call asks one state of all its plugin's indexes, which is at least as new as the watch cache was when the call began. The state is a
//! persistent map: to take it costs a pointer, whatever is written meanwhile.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use apimachinery::GroupResource;
use arc_swap::ArcSwap;
use bytes::Bytes;
use imbl::OrdMap;
use parking_lot::Mutex;
use serde_json::Value;

use crate::cluster::{Change, Changes, ClusterView, Feed};
use crate::fault::Fault;
use crate::limits;
use crate::lookup::{LookupError, LookupFailure};
use crate::projection::{EVERY_ITEM, Fields, segments};

/// Stands between the parts of a key. A text that has it is no part of a key.
const SEPARATOR: char = '\0';

/// The host's type of the WIT resource `index`: the index's place in the manifest.
pub enum IndexHandle {}

/// Where a part of a key stands in an object: the fields on the way, where `*` is every item of a list.
type Path = Vec<Box<str>>;

/// An index as the manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    name: String,
    resource: GroupResource,
    /// The parts of the key, each with the places of its texts.
    parts: Vec<Vec<Path>>,
    /// All that the key is made of.
    key_fields: Fields,
    /// What entries show of their object; `None`: nothing.
    fields: Option<Fields>,
}

impl IndexSpec {
    /// `parts`: the paths of each part of the key. An error where there are too many, or where more than one part can have several texts:
    /// an object would then have more keys than it has bytes.
    pub(crate) fn compile(name: String, resource: GroupResource, parts: &[Vec<String>], fields: &[String]) -> Result<Self, String> {
        if parts.is_empty() || parts.len() > limits::INDEX_KEY_PARTS_MAX || parts.iter().any(Vec::is_empty) {
            return Err(format!("must have 1 to {} parts, each with a path", limits::INDEX_KEY_PARTS_MAX));
        }
        let many = |part: &&Vec<String>| part.len() > 1 || part.iter().any(|path| path.split('/').any(|segment| segment == EVERY_ITEM));
        if parts.iter().filter(many).count() > 1 {
            return Err("may have several paths, or *, in one of its parts only".to_owned());
        }
        if parts.iter().flatten().any(String::is_empty) {
            return Err("must not have an empty path".to_owned());
        }
        let key_fields = Fields::parse(&parts.concat())?;
        let fields = (!fields.is_empty()).then(|| Fields::parse(fields)).transpose()?;
        let parts = parts.iter().map(|part| part.iter().map(|path| segments(path).collect()).collect()).collect();
        Ok(Self { name, resource, parts, key_fields, fields })
    }

    /// Its name in the manifest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is of.
    pub fn resource(&self) -> &GroupResource {
        &self.resource
    }

    /// The keys of an object, each once.
    fn keys_of(&self, object: &str) -> Vec<Arc<str>> {
        let mut cut = Vec::with_capacity(256);
        self.key_fields.cut(object, &mut cut);
        let value: Value = serde_json::from_slice(&cut).unwrap_or_default();
        let mut keys = vec![String::new()];
        for (at, part) in self.parts.iter().enumerate() {
            let mut texts = Vec::new();
            part.iter().for_each(|path| texts_at(&value, path, &mut texts));
            texts.sort_unstable();
            texts.dedup();
            let joined = |key: &String, text: &&str| if at == 0 { (*text).to_owned() } else { format!("{key}{SEPARATOR}{text}") };
            keys = keys.iter().flat_map(|key| texts.iter().map(move |text| joined(key, text))).collect();
        }
        keys.into_iter().map(Into::into).collect()
    }

    fn entry_of(&self, revision: u64, object: &str) -> IndexEntry {
        let shown = self.fields.as_ref().map(|fields| {
            let mut out = Vec::with_capacity(256);
            fields.cut(object, &mut out);
            out.into_boxed_slice().into()
        });
        IndexEntry { revision, object: shown.unwrap_or_default() }
    }

    /// A key as it is asked for.
    fn key_asked_for(&self, parts: &[String]) -> Result<String, LookupError> {
        if let Some(long) = parts.iter().map(String::len).find(|bytes| *bytes > limits::INDEX_KEY_BYTES_MAX) {
            let message = format!("a part of a key has {long} bytes, more than {}", limits::INDEX_KEY_BYTES_MAX);
            return Err(LookupError::new(LookupFailure::TooLong, message));
        }
        if parts.len() != self.parts.len() {
            let message = format!("a key of the index {} has {} parts, and not {}", self.name, self.parts.len(), parts.len());
            return Err(LookupError::new(LookupFailure::Malformed, message));
        }
        Ok(parts.join("\0"))
    }
}

/// The texts at a path; `true` and `false` are texts, too. What is too long to be asked for is left out.
fn texts_at<'a>(value: &'a Value, path: &[Box<str>], texts: &mut Vec<&'a str>) {
    match (path.split_first(), value) {
        (None, Value::String(text)) if text.len() <= limits::INDEX_KEY_BYTES_MAX && !text.contains(SEPARATOR) => texts.push(text),
        (None, Value::Bool(true)) => texts.push("true"),
        (None, Value::Bool(false)) => texts.push("false"),
        (Some((segment, below)), Value::Array(items)) if **segment == *EVERY_ITEM => {
            items.iter().for_each(|item| texts_at(item, below, texts));
        }
        (Some((segment, below)), Value::Object(fields)) => {
            fields.get(&**segment).into_iter().for_each(|value| texts_at(value, below, texts));
        }
        _ => {}
    }
}

/// What an index has of an object.
#[derive(Clone)]
pub(crate) struct IndexEntry {
    /// The object's resource version.
    pub(crate) revision: u64,
    /// As much of it as the manifest shows; empty: nothing.
    pub(crate) object: Bytes,
}

/// An object under one of its keys, in the order in which they are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Posting {
    key: Arc<str>,
    /// The object's; empty for cluster-scoped ones.
    pub(crate) namespace: Arc<str>,
    /// The object's.
    pub(crate) name: Arc<str>,
}

/// Some of what was found.
pub(crate) struct Page {
    /// In the order of namespace and name.
    pub(crate) entries: Vec<(Posting, IndexEntry)>,
    /// Whether there are more behind them.
    pub(crate) more: bool,
}

/// All indexes of a plugin at one position of their feed.
#[derive(Clone)]
pub(crate) struct IndexSnapshot {
    specs: Arc<[IndexSpec]>,
    /// Where the feed stood; `None`: they are not filled yet.
    position: Option<u64>,
    /// In the order of the manifest.
    maps: Vec<OrdMap<Posting, IndexEntry>>,
}

impl IndexSnapshot {
    /// Where the feed stood.
    pub(crate) fn position(&self) -> u64 {
        self.position.unwrap_or_default()
    }

    /// Those that have this key, of one namespace or of all (`""`), behind the object `after`.
    pub(crate) fn find(&self, index: usize, namespace: &str, key: &[String], after: Option<(String, String)>) -> Result<Page, LookupError> {
        let (Some(spec), Some(map)) = (self.specs.get(index), self.maps.get(index)) else {
            return Err(LookupError::new(LookupFailure::NotGranted, "there is no such index"));
        };
        let key: Arc<str> = spec.key_asked_for(key)?.into();
        let first = Posting { key: key.clone(), namespace: namespace.into(), name: Arc::default() };
        let after = after.map(|(namespace, name)| Posting { key: key.clone(), namespace: namespace.into(), name: name.into() });
        let start = match after {
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        let there = |posting: &Posting| posting.key == key && (namespace.is_empty() || *posting.namespace == *namespace);
        let mut found = map.range((start, Bound::Unbounded)).take_while(|(posting, _)| there(posting));
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (posting, entry) in found.by_ref() {
            bytes += entry.object.len();
            if entries.len() == limits::INDEX_PAGE_ENTRIES_MAX || (bytes > limits::INDEX_PAGE_BYTES_MAX && !entries.is_empty()) {
                return Ok(Page { entries, more: true });
            }
            entries.push((posting.clone(), entry.clone()));
        }
        Ok(Page { entries, more: false })
    }

    /// The place of the index that has this name.
    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        self.specs.iter().position(|spec| spec.name == name)
    }
}

/// The indexes of a plugin, kept up with their feed by whoever asks first.
pub(crate) struct Indexes {
    feed: Arc<dyn Feed>,
    published: ArcSwap<IndexSnapshot>,
    writer: Mutex<Writer>,
}

/// An object's namespace and name.
type ObjectId = (Arc<str>, Arc<str>);

/// What is needed to write the next state.
struct Writer {
    state: IndexSnapshot,
    /// The keys under which an object is; for each index.
    keys: Vec<HashMap<ObjectId, Box<[Arc<str>]>>>,
}

impl Indexes {
    /// Empty ones, of what the cluster has from now on. `None`: the manifest declares none.
    pub(crate) fn new(specs: &[IndexSpec], cluster: &dyn ClusterView) -> Option<Arc<Self>> {
        if specs.is_empty() {
            return None;
        }
        let mut resources: Vec<GroupResource> = Vec::new();
        for spec in specs {
            if !resources.contains(&spec.resource) {
                resources.push(spec.resource.clone());
            }
        }
        let state = IndexSnapshot { specs: specs.into(), position: None, maps: vec![OrdMap::new(); specs.len()] };
        let published = ArcSwap::from_pointee(state.clone());
        let writer = Mutex::new(Writer { state, keys: vec![HashMap::new(); specs.len()] });
        Some(Arc::new(Self { feed: cluster.subscribe(&resources), published, writer }))
    }

    /// Where the feed stands now.
    pub(crate) fn position(&self) -> u64 {
        self.feed.cursor()
    }

    /// What they are before anything was asked: names, and whatever was published last.
    pub(crate) fn latest(&self) -> Arc<IndexSnapshot> {
        self.published.load_full()
    }

    /// A state with everything up to now. Costs an atomic load or two where nothing changed.
    pub(crate) async fn up_to_now(self: &Arc<Self>) -> Result<Arc<IndexSnapshot>, Fault> {
        let published = self.latest();
        if published.position == Some(self.feed.cursor()) {
            return Ok(published);
        }
        if let Some(state) = self.writer.try_lock().and_then(|mut writer| self.follow(&mut writer)) {
            return Ok(state);
        }
        // Somebody else is at it, or there is much to do: nothing for a worker of the runtime.
        let this = self.clone();
        let work = tokio::task::spawn_blocking(move || this.bring_up(&mut this.writer.lock()));
        let not_filled = |error: &dyn std::fmt::Display| Fault::State(format!("its indexes are not filled: {error}"));
        let worked = tokio::time::timeout(limits::CATCH_UP_TIMEOUT, work).await.map_err(|error| not_filled(&error))?;
        worked.map_err(|error| not_filled(&error))
    }

    /// Takes in a few changes. `None`: they are many, or nobody knows them any more.
    fn follow(&self, writer: &mut Writer) -> Option<Arc<IndexSnapshot>> {
        match self.feed.changes_since(writer.state.position?) {
            Changes::Since { cursor, list } if list.len() <= limits::INDEX_CHANGES_INLINE_MAX => Some(self.publish(writer, &list, cursor)),
            _ => None,
        }
    }

    fn bring_up(&self, writer: &mut Writer) -> Arc<IndexSnapshot> {
        let known = writer.state.position.map(|position| self.feed.changes_since(position));
        if let Some(Changes::Since { cursor, list }) = known {
            return self.publish(writer, &list, cursor);
        }
        let snapshot = self.feed.snapshot();
        writer.state.maps.iter_mut().for_each(|map| *map = OrdMap::new());
        writer.keys.iter_mut().for_each(HashMap::clear);
        for (_, objects) in &snapshot.objects {
            writer.apply(objects);
        }
        self.publish(writer, &[], snapshot.cursor)
    }

    fn publish(&self, writer: &mut Writer, changes: &[Change], position: u64) -> Arc<IndexSnapshot> {
        writer.apply(changes);
        writer.state.position = Some(position);
        let state = Arc::new(writer.state.clone());
        self.published.store(state.clone());
        state
    }
}

impl Writer {
    fn apply(&mut self, changes: &[Change]) {
        let specs = self.state.specs.clone();
        for (at, spec) in specs.iter().enumerate() {
            for change in changes.iter().filter(|change| change.resource == spec.resource) {
                self.put(at, spec, change);
            }
        }
    }

    fn put(&mut self, at: usize, spec: &IndexSpec, change: &Change) {
        let (map, keys) = (&mut self.state.maps[at], &mut self.keys[at]);
        let id = (change.namespace.clone(), change.name.clone());
        let posting = |key: &Arc<str>| Posting { key: key.clone(), namespace: id.0.clone(), name: id.1.clone() };
        for key in keys.remove(&id).into_iter().flatten() {
            map.remove(&posting(&key));
        }
        let Some(object) = change.object.as_ref().and_then(|object| std::str::from_utf8(object).ok()) else { return };
        let found = spec.keys_of(object);
        if found.is_empty() {
            return;
        }
        let entry = spec.entry_of(change.revision, object);
        for key in &found {
            map.insert(posting(key), entry.clone());
        }
        keys.insert(id, found.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(parts: &[&[&str]], fields: &[&str]) -> Result<IndexSpec, String> {
        let owned = |list: &&[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let parts: Vec<_> = parts.iter().map(owned).collect();
        IndexSpec::compile("a".into(), GroupResource::of("", "pods"), &parts, &owned(&fields))
    }

    #[test]
    fn keys_are_the_texts_at_the_paths() {
        let pod = json!({
            "metadata": {"labels": {"a/b": "x"}},
            "spec": {"nodeName": "n1", "hostNetwork": true, "priority": 5, "long": "x".repeat(limits::INDEX_KEY_BYTES_MAX + 1),
                "volumes": [{"secret": {"secretName": "s1"}}, {"emptyDir": {}}, {"secret": {"secretName": "s1"}},
                            {"secret": {"secretName": "s2"}}, 7],
                "odd": "a\u{0}b", "empty": ""},
        });
        let volumes = "spec/volumes/*/secret/secretName";
        let rows: [(&[&[&str]], &[&str]); 9] = [
            (&[&["spec/nodeName"]], &["n1"]),
            (&[&["spec/hostNetwork"]], &["true"]),
            (&[&["spec/priority", "spec/long", "spec/odd", "spec/absent", "spec/volumes"]], &[]),
            (&[&["spec/empty"]], &[""]),
            (&[&["metadata/labels/a~1b"]], &["x"]),
            (&[&[volumes]], &["s1", "s2"]),
            (&[&[volumes, "spec/nodeName"]], &["n1", "s1", "s2"]),
            (&[&["spec/nodeName"], &[volumes]], &["n1\0s1", "n1\0s2"]),
            (&[&["spec/nodeName"], &["spec/absent"]], &[]),
        ];
        for (parts, want) in rows {
            let found = spec(parts, &[]).expect("a spec").keys_of(&pod.to_string());
            assert_eq!(found.iter().map(|key| &**key).collect::<Vec<_>>(), want, "{parts:?}");
        }
    }

    #[test]
    fn an_object_has_no_more_keys_than_texts() {
        assert!(spec(&[&["a/*"], &["b"]], &[]).is_ok());
        assert!(spec(&[&["a", "c"], &["b"]], &[]).is_ok());
        for parts in
            [&[&["a/*"] as &[&str], &["b/*"]] as &[&[&str]], &[&["a", "c"], &["b/*"]], &[], &[&[]], &[&[""]], &[&["a"] as &[&str]; 9]]
        {
            assert!(spec(parts, &[]).is_err(), "{parts:?}");
        }
    }

    fn change(namespace: &str, name: &str, node: Option<&str>) -> Change {
        let object = node.map(|node| json!({"metadata": {"name": name, "uid": "u"}, "spec": {"nodeName": node}}).to_string().into());
        Change { resource: GroupResource::of("", "pods"), namespace: namespace.into(), name: name.into(), revision: 7, object }
    }

    fn writer(spec: IndexSpec) -> Writer {
        let state = IndexSnapshot { specs: [spec].into(), position: None, maps: vec![OrdMap::new()] };
        Writer { state, keys: vec![HashMap::new()] }
    }

    fn found(state: &IndexSnapshot, namespace: &str, key: &str, after: Option<(&str, &str)>) -> Vec<String> {
        let after = after.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
        let page = state.find(0, namespace, &[key.to_owned()], after).expect("an answer");
        page.entries.iter().map(|(posting, _)| format!("{}/{}", posting.namespace, posting.name)).collect()
    }

    #[test]
    fn what_is_found_is_what_was_said_last_and_a_taken_state_stays() {
        let mut writer = writer(spec(&[&["spec/nodeName"]], &["metadata/uid"]).expect("a spec"));
        writer.apply(&[
            change("b", "p2", Some("n1")),
            change("a", "p1", Some("n1")),
            change("a", "p3", Some("n2")),
            change("a", "p0", None),
        ]);
        let taken = writer.state.clone();
        assert_eq!(found(&taken, "", "n1", None), ["a/p1", "b/p2"]);
        assert_eq!(found(&taken, "b", "n1", None), ["b/p2"]);
        assert_eq!(found(&taken, "", "n1", Some(("a", "p1"))), ["b/p2"]);
        assert_eq!(found(&taken, "b", "n1", Some(("a", "p1"))), ["b/p2"]);
        assert_eq!(found(&taken, "c", "n1", None), [""; 0]);
        assert_eq!(found(&taken, "", "n", None), [""; 0]);
        let page = taken.find(0, "b", &["n1".to_owned()], None).expect("an answer");
        assert_eq!((page.entries[0].1.revision, &*page.entries[0].1.object), (7, br#"{"metadata":{"uid":"u"}}"# as &[u8]));
        writer.apply(&[change("a", "p1", Some("n2")), change("b", "p2", None)]);
        assert_eq!(
            (found(&writer.state, "", "n1", None), found(&writer.state, "", "n2", None)),
            (vec![], vec!["a/p1".into(), "a/p3".into()])
        );
        assert_eq!(found(&taken, "", "n1", None), ["a/p1", "b/p2"]);
        assert_eq!((writer.keys[0].len(), writer.state.maps[0].len()), (2, 2));
    }

    #[test]
    fn answers_come_in_bounded_pages() {
        let mut writer = writer(spec(&[&["spec/nodeName"]], &[]).expect("a spec"));
        let count = limits::INDEX_PAGE_ENTRIES_MAX + 1;
        let changes: Vec<_> = (0..count).map(|at| change("a", &format!("p{at:06}"), Some("n1"))).collect();
        writer.apply(&changes);
        let key = ["n1".to_owned()];
        let first = writer.state.find(0, "", &key, None).expect("an answer");
        assert_eq!((first.entries.len(), first.more), (limits::INDEX_PAGE_ENTRIES_MAX, true));
        let last = &first.entries.last().expect("entries").0;
        let rest = writer.state.find(0, "", &key, Some((last.namespace.to_string(), last.name.to_string()))).expect("an answer");
        assert_eq!((rest.entries.len(), rest.more), (1, false));
    }
}
