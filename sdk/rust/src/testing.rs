//! Stands in for the host in a plugin's own tests: the test says what the capabilities answer. Each test thread has its own.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::admission::Notes;
use crate::authorization::{Attributes, Authorization};
use crate::capabilities::counters::Bucket;
use crate::capabilities::http::{HttpError, HttpFailure, Request, Response};
use crate::capabilities::index::{Entry, Page};
use crate::capabilities::jwt::Verification;
use crate::capabilities::log::Level;
use crate::json::Json;

/// Group, resource, namespace, name.
type Key = (String, String, String, String);

/// Answers requests.
type Server = dyn Fn(&Request) -> Result<Response, HttpError>;

#[derive(Default)]
struct Host {
    now_milliseconds: u64,
    objects: BTreeMap<Key, Value>,
    live: BTreeMap<Key, Value>,
    tokens: BTreeMap<String, Verification>,
    audiences: Vec<String>,
    lines: Vec<(Level, String)>,
    notes: Notes,
    input: Vec<u8>,
    random: u8,
    authorizer: Option<Box<dyn Fn(&Attributes) -> Authorization>>,
    server: Option<Box<Server>>,
    /// Tokens that were taken; nothing is added with time.
    taken: BTreeMap<String, u32>,
    /// Entries by index and key.
    indexed: BTreeMap<(String, Vec<String>), Vec<Entry>>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Sets the clock.
pub fn set_now_milliseconds(now: u64) {
    HOST.with_borrow_mut(|host| host.now_milliseconds = now);
}

/// Puts an object into the cluster. Its namespace and name are those of its metadata.
pub fn put(group: &str, resource: &str, object: Value) {
    let key = key_of(group, resource, &object);
    HOST.with_borrow_mut(|host| {
        host.live.insert(key.clone(), object.clone());
        host.objects.insert(key, object)
    });
}

/// Puts an object where only a live read finds it: the cache has not seen it yet.
pub fn put_live(group: &str, resource: &str, object: Value) {
    HOST.with_borrow_mut(|host| host.live.insert(key_of(group, resource, &object), object));
}

/// What the host says of this token.
pub fn set_token(token: &str, verification: Verification) {
    HOST.with_borrow_mut(|host| host.tokens.insert(token.to_owned(), verification));
}

/// Audiences that the server answers to.
pub fn set_audiences(audiences: &[&str]) {
    HOST.with_borrow_mut(|host| host.audiences = audiences.iter().map(|&audience| audience.to_owned()).collect());
}

/// What the server's authorizers say. Before this is called they have no opinion.
pub fn set_authorizer(authorizer: impl Fn(&Attributes) -> Authorization + 'static) {
    HOST.with_borrow_mut(|host| host.authorizer = Some(Box::new(authorizer)));
}

/// Puts an object under a key of an index.
pub fn put_indexed(index: &str, key: &[&str], entry: Entry) {
    let key = (index.to_owned(), key.iter().map(|&part| part.to_owned()).collect());
    HOST.with_borrow_mut(|host| {
        let entries = host.indexed.entry(key).or_default();
        entries.push(entry);
        entries.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    });
}

/// One entry a page, so that who forgets the next one is found out.
pub(crate) fn index_find(index: &str, namespace: &str, key: &[&str], after: Option<(&str, &str)>) -> Page {
    let key = (index.to_owned(), key.iter().map(|&part| part.to_owned()).collect());
    let wanted = |entry: &&Entry| {
        let behind = after.is_none_or(|after| (entry.namespace.as_str(), entry.name.as_str()) > after);
        behind && (namespace.is_empty() || entry.namespace == namespace)
    };
    HOST.with_borrow(|host| {
        let mut found = host.indexed.get(&key).into_iter().flatten().filter(wanted);
        Page { entries: found.next().cloned().into_iter().collect(), more: found.next().is_some() }
    })
}

/// What answers the plugin's requests. Before this is called nobody does.
pub fn set_server(server: impl Fn(&Request) -> Result<Response, HttpError> + 'static) {
    HOST.with_borrow_mut(|host| host.server = Some(Box::new(server)));
}

pub(crate) fn send(request: &Request) -> Result<Response, HttpError> {
    let nobody = || HttpError { reason: HttpFailure::Unreachable, message: format!("nobody answers {}", request.url) };
    HOST.with_borrow(|host| host.server.as_ref().map_or_else(|| Err(nobody()), |server| server(request)))
}

/// A bucket never fills here: what a test takes is gone.
pub(crate) fn take(key: &str, tokens: u32, bucket: Bucket) -> bool {
    HOST.with_borrow_mut(|host| {
        let taken = host.taken.entry(key.to_owned()).or_default();
        let enough = *taken + tokens <= bucket.burst;
        *taken += if enough { tokens } else { 0 };
        enough
    })
}

/// What the plugin logged.
pub fn lines() -> Vec<(Level, String)> {
    HOST.with_borrow(|host| host.lines.clone())
}

/// What [`crate::request::input`] gives an authenticator or authorizer.
pub fn set_input(input: &Value) {
    HOST.with_borrow_mut(|host| host.input = input.to_string().into_bytes());
}

pub(crate) fn input() -> Vec<u8> {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.input))
}

/// What the plugin noted by [`crate::request`].
pub fn notes() -> Notes {
    HOST.with_borrow(|host| host.notes.clone())
}

pub(crate) fn warned(message: &str) {
    HOST.with_borrow_mut(|host| host.notes.warnings.push(message.to_owned()));
}

pub(crate) fn annotated(key: &str, value: &str) {
    HOST.with_borrow_mut(|host| host.notes.audit_annotations.push((key.to_owned(), value.to_owned())));
}

fn key_of(group: &str, resource: &str, object: &Value) -> Key {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    (group.to_owned(), resource.to_owned(), text("/metadata/namespace"), text("/metadata/name"))
}

pub(crate) fn logged(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.lines.push((level, message.to_owned())));
}

pub(crate) fn now_milliseconds() -> u64 {
    HOST.with_borrow(|host| host.now_milliseconds)
}

pub(crate) fn random_bytes(count: u32) -> Vec<u8> {
    HOST.with_borrow_mut(|host| {
        let next = |_| {
            host.random = host.random.wrapping_mul(29).wrapping_add(17);
            host.random
        };
        (0..count).map(next).collect()
    })
}

pub(crate) fn verify(token: &str) -> Verification {
    HOST.with_borrow(|host| host.tokens.get(token).cloned().unwrap_or(Verification::Unknown))
}

pub(crate) fn audiences() -> Vec<String> {
    HOST.with_borrow(|host| host.audiences.clone())
}

pub(crate) fn authorize(attributes: &Attributes) -> Authorization {
    HOST.with_borrow(|host| host.authorizer.as_ref().map_or(Authorization::no_opinion(""), |authorizer| authorizer(attributes)))
}

pub(crate) fn cluster_get(group: &str, resource: &str, namespace: &str, name: &str, live: bool) -> Option<Json> {
    let key = (group.to_owned(), resource.to_owned(), namespace.to_owned(), name.to_owned());
    HOST.with_borrow(|host| if live { &host.live } else { &host.objects }.get(&key).map(Json::from))
}

pub(crate) fn cluster_list(group: &str, resource: &str, namespace: &str) -> Vec<Json> {
    let wanted = |key: &Key| key.0 == group && key.1 == resource && (namespace.is_empty() || key.2 == namespace);
    HOST.with_borrow(|host| host.objects.iter().filter(|(key, _)| wanted(key)).map(|(_, object)| Json::from(object)).collect())
}
