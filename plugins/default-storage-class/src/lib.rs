//! Admission `DefaultStorageClass`: a claim that names no class gets the default one.
//!
//! The classes come by the change feed; only those that are marked as default are kept.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;

/// Either marks a class as the default one.
const MARKS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// Where old claims name their class.
const CLASS_ANNOTATION: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";

/// The plugin.
#[derive(Default)]
pub struct DefaultStorageClass {
    /// Name and creation time of the default classes.
    defaults: BTreeMap<String, String>,
}

impl Plugin for DefaultStorageClass {}

impl MutatingAdmission for DefaultStorageClass {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let creates = request.operation == Operation::Create && request.is("", "persistentvolumeclaims");
        let Some(claim) = request.object().filter(|_| creates) else { return Ok(patch) };
        // The empty name is a name: no class.
        let named = || claim.get_str("/spec/storageClassName").is_some() || claim.get(CLASS_ANNOTATION).is_some();
        if let Some(class) = self.newest().filter(|_| !named()) {
            patch.add("/spec/storageClassName", class);
        }
        Ok(patch)
    }
}

impl DefaultStorageClass {
    /// Of several the newest, and of several of the same second the first by name. Times are in one form, so text compares.
    fn newest(&self) -> Option<&str> {
        self.defaults.iter().min_by_key(|(_, created)| Reverse(created.as_str())).map(|(name, _)| name.as_str())
    }

    fn put(&mut self, object: &Json) {
        let Ok(Class { metadata }) = object.parse() else { return };
        if MARKS.iter().any(|mark| metadata.annotations.get(*mark).is_some_and(|value| value == "true")) {
            self.defaults.insert(metadata.name, metadata.creation_timestamp);
        } else {
            self.defaults.remove(&metadata.name);
        }
    }
}

impl Changes for DefaultStorageClass {
    fn reset(&mut self, _: GroupResource, objects: Vec<Json>) {
        self.defaults.clear();
        objects.iter().for_each(|object| self.put(object));
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match &change.object {
                Some(object) => self.put(object),
                None => {
                    self.defaults.remove(&change.name);
                }
            }
        }
    }
}

wasmgate_sdk::plugin!(DefaultStorageClass: mutating_admission, changes);

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Class {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    creation_timestamp: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
    use wasmgate_sdk::serde_json::{Value, json};

    use super::*;

    fn class(name: &str, second: u8, mark: &str, value: &str) -> Value {
        let created = format!("2026-01-01T00:00:{second:02}Z");
        json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": {mark: value}}})
    }

    fn resource() -> GroupResource {
        GroupResource::new("storage.k8s.io", "storageclasses")
    }

    fn named(plugin: &DefaultStorageClass, claim: &Value) -> String {
        let resource =
            GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "persistentvolumeclaims".to_owned() };
        let request = Request::new(Attributes { resource, ..Attributes::default() }, Some(Object::of(claim)), None);
        let patch = plugin.admit(&request).expect("never refused");
        patch.operations().first().map(|first| format!("{}={}", first["path"], first["value"])).unwrap_or_default()
    }

    #[test]
    fn which_class() {
        let [mark, beta] = MARKS;
        let classes = [
            vec![class("a", 1, mark, "false")],
            vec![class("a", 1, mark, "true"), class("b", 9, mark, "false")],
            vec![class("a", 1, beta, "true"), class("b", 2, mark, "true"), class("c", 2, mark, "true")],
        ];
        let wants = ["", r#""/spec/storageClassName"="a""#, r#""/spec/storageClassName"="b""#];
        for (classes, want) in classes.iter().zip(wants) {
            let mut plugin = DefaultStorageClass::default();
            plugin.reset(resource(), classes.iter().map(Json::from).collect());
            assert_eq!(named(&plugin, &json!({"spec": {}})), want, "{classes:?}");
            for claim in [
                json!({"spec": {"storageClassName": ""}}),
                json!({"spec": {"storageClassName": "x"}}),
                json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}, "spec": {}}),
            ] {
                assert_eq!(named(&plugin, &claim), "", "{claim}");
            }
        }
    }

    #[test]
    fn changes_count_at_once() {
        let mut plugin = DefaultStorageClass::default();
        let rows = [(Some(class("a", 1, MARKS[0], "true")), Some("a")), (Some(class("a", 1, MARKS[0], "no")), None), (None, None)];
        for (object, want) in rows {
            let object = object.as_ref().map(Json::from);
            plugin.apply(vec![Change { resource: resource(), namespace: String::new(), name: "a".to_owned(), object }]);
            assert_eq!(plugin.newest(), want);
        }
    }
}
