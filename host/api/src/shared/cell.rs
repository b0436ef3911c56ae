//! Words that cells are made of: ages, selectors, shortened lists, and Go's idea of a missing field.

use apimachinery::selector::LabelSelector;
use apimachinery::time::{Time, human_duration};
use serde_json::Value;

/// What upstream shows for a thing that is not there.
pub(crate) const NONE: &str = "<none>";

/// And for a setting that was not made.
pub(crate) const UNSET: &str = "<unset>";

/// And for what cannot be known.
pub(crate) const UNKNOWN: &str = "<unknown>";

/// A row's cells, of whatever becomes a JSON value.
macro_rules! cells {
    ($($cell:expr),+ $(,)?) => { vec![$(serde_json::Value::from($cell)),+] };
}
pub(crate) use cells;

/// The value at a JSON pointer; null where it is missing.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

/// The value at a JSON pointer, where it is there and not null.
pub(crate) fn some<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    object.pointer(pointer).filter(|value| !value.is_null())
}

/// The string at a JSON pointer; empty where it is missing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).as_str().unwrap_or_default()
}

/// The string at a JSON pointer; `otherwise` where it is missing or empty.
pub(crate) fn text_or<'a>(object: &'a Value, pointer: &str, otherwise: &'a str) -> &'a str {
    Some(text(object, pointer)).filter(|text| !text.is_empty()).unwrap_or(otherwise)
}

/// The number at a JSON pointer; 0 where it is missing.
pub(crate) fn int(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).as_i64().unwrap_or_default()
}

/// The flag at a JSON pointer; false where it is missing.
pub(crate) fn flag(object: &Value, pointer: &str) -> bool {
    at(object, pointer).as_bool().unwrap_or_default()
}

/// The items of the list at a JSON pointer.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// How many entries the map or list at a JSON pointer has.
pub(crate) fn len(object: &Value, pointer: &str) -> usize {
    match at(object, pointer) {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    }
}

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The object is marked as deleted.
pub(crate) fn is_deleted(object: &Value) -> bool {
    some(object, "/metadata/deletionTimestamp").is_some()
}

/// Seconds since 1970 of a time's text; `None` for no time, and for Go's zero time.
pub(crate) fn seconds(time: &Value) -> Option<i64> {
    let time = Time::parse(time.as_str()?).ok()?;
    (!time.is_zero()).then_some(time.seconds)
}

/// How long ago the time at a JSON pointer is.
pub(crate) fn since(object: &Value, pointer: &str, now: i64) -> String {
    seconds(at(object, pointer)).map_or_else(|| UNKNOWN.to_owned(), |time| human_duration(now - time))
}

/// How old the object is.
pub(crate) fn age(object: &Value, now: i64) -> String {
    since(object, "/metadata/creationTimestamp", now)
}

/// The labels at a JSON pointer, as `a=b,c=d`.
pub(crate) fn labels(object: &Value, pointer: &str) -> String {
    let labels = at(object, pointer).as_object().into_iter().flatten();
    let mut pairs: Vec<String> = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    // By the pair, not by the key: `a-b=1` comes before `a=1`.
    pairs.sort();
    or_none(pairs.join(","))
}

/// The label selector at a JSON pointer.
pub(crate) fn selector(object: &Value, pointer: &str) -> String {
    LabelSelector::from_object(object.pointer(pointer)).map_or_else(|_| "<error>".to_owned(), |selector| or_none(selector.to_string()))
}

/// Names and images of the containers of the pod spec at a JSON pointer.
pub(crate) fn containers(object: &Value, pod_spec: &str) -> [String; 2] {
    let containers = items(at(object, pod_spec), "/containers");
    ["/name", "/image"].map(|field| join(containers.iter().map(|container| text(container, field)), ","))
}

/// A text, or `<none>` for an empty one.
pub(crate) fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// Texts with something between them.
pub(crate) fn join<'a>(texts: impl IntoIterator<Item = &'a str>, between: &str) -> String {
    texts.into_iter().collect::<Vec<_>>().join(between)
}

/// The first three texts, and how many more there are.
pub(crate) fn first_three(texts: &[String]) -> String {
    const SHOWN: usize = 3;
    match texts.len() {
        0..=SHOWN => texts.join(","),
        count => format!("{} + {} more...", texts[..SHOWN].join(","), count - SHOWN),
    }
}

/// A quantity as text; a missing one is what Go prints for a nil pointer.
pub(crate) fn quantity(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "<nil>".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The status of the first condition of that type.
pub(crate) fn condition<'a>(object: &'a Value, pointer: &str, kind: &str) -> Option<&'a Value> {
    items(object, pointer).iter().find(|condition| text(condition, "/type") == kind)
}
