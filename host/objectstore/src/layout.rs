//! The one layout in which objects are stored and served.
//!
//! `{"kind":"Pod","apiVersion":"v1","metadata":{` stands first, so that the resource version, which upstream does not store
//! either, is spliced in at a known place, and a list item (without kind and apiVersion, as upstream's) is a slice.

use apimachinery::GroupVersionKind;
use serde_json::Value;
use storage::Revision;

const METADATA: &str = "\"metadata\":{";
const REVISION: &str = "\"resourceVersion\":\"";

/// `{"kind":"Pod","apiVersion":"v1",`: what all objects of a kind begin with.
pub fn head(gvk: &GroupVersionKind) -> String {
    format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", gvk.kind, gvk.api_version())
}

/// An object as it is stored: in layout, without a resource version.
///
/// # Panics
/// When the object is no JSON object or its `metadata` is empty; every stored object has a name.
pub fn encode(object: &Value, gvk: &GroupVersionKind) -> Vec<u8> {
    let object = object.as_object().expect("an API object is a JSON object");
    let metadata = object.get("metadata").and_then(Value::as_object).expect("an API object has metadata");
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(head(gvk).as_bytes());
    out.extend_from_slice(METADATA.as_bytes());
    write_fields(&mut out, metadata.iter().filter(|(key, _)| *key != "resourceVersion"));
    assert!(out.last() != Some(&b'{'), "metadata holds at least a name");
    out.push(b'}');
    for (key, value) in object {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            out.push(b',');
            write_fields(&mut out, std::iter::once((key, value)));
        }
    }
    out.push(b'}');
    out
}

fn write_fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a String, &'a Value)>) {
    for (i, (key, value)) in fields.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key).expect("a string always serialises");
        out.push(b':');
        serde_json::to_writer(&mut *out, value).expect("a JSON value always serialises");
    }
}

/// Whether stored bytes are in layout, so that [`splice`] may be used. kube-apiserver begins its JSON in the same way and ends it with
/// a new line, which is how what it wrote is told from ours.
pub fn in_layout(stored: &[u8], head: &str) -> bool {
    let is_begun = stored
        .strip_prefix(head.as_bytes())
        .and_then(|rest| rest.strip_prefix(METADATA.as_bytes()))
        .is_some_and(|rest| !rest.starts_with(b"}") && !rest.starts_with(REVISION.as_bytes()));
    is_begun && stored.ends_with(b"}")
}

/// Appends stored bytes to `out`, with the resource version spliced in.
pub fn splice(out: &mut Vec<u8>, stored: &[u8], head: &str, revision: Revision) {
    let at = head.len() + METADATA.len();
    out.extend_from_slice(&stored[..at]);
    out.extend_from_slice(REVISION.as_bytes());
    out.extend_from_slice(revision.to_string().as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(&stored[at..]);
}

/// Appends a served object to `out` with another resource version.
pub fn respell(out: &mut Vec<u8>, served: &[u8], head: &str, old: Revision, new: Revision) {
    let at = head.len() + METADATA.len() + REVISION.len();
    out.extend_from_slice(&served[..at]);
    out.extend_from_slice(new.to_string().as_bytes());
    out.extend_from_slice(&served[at + old.to_string().len()..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn splices_and_respells() {
        let gvk = GroupVersionKind::of("apps", "v1", "Deployment");
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "resourceVersion": "7"}, "spec": {}});
        let stored = encode(&object, &gvk);
        let head = head(&gvk);
        assert!(in_layout(&stored, &head));
        assert_eq!(String::from_utf8_lossy(&stored), r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"},"spec":{}}"#);
        let upstreams = [&stored[..], b"\n"].concat();
        assert!(!in_layout(&upstreams, &head), "what kube-apiserver wrote ends with a new line");
        let mut served = Vec::new();
        splice(&mut served, &stored, &head, 99);
        assert!(!in_layout(&served, &head), "a served object is not stored again as it is");
        let mut later = Vec::new();
        respell(&mut later, &served, &head, 99, 100);
        assert_eq!(
            String::from_utf8_lossy(&later),
            r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"resourceVersion":"100","name":"a"},"spec":{}}"#
        );
    }
}
