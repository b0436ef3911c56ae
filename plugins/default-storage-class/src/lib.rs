//! Admission `DefaultStorageClass`: a claim that names no class gets the default one.

use wasmgate_sdk::default_classes::DefaultClasses;
use wasmgate_sdk::prelude::*;

/// Either marks a class as the default one.
const MARKS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// Where old claims name their class.
const CLASS_ANNOTATION: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";

/// The plugin.
pub struct DefaultStorageClass {
    classes: DefaultClasses,
}

impl Default for DefaultStorageClass {
    fn default() -> Self {
        Self { classes: DefaultClasses::marked_by(&MARKS) }
    }
}

impl Plugin for DefaultStorageClass {}

impl MutatingAdmission for DefaultStorageClass {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let creates = request.operation == Operation::Create && request.is("", "persistentvolumeclaims");
        let Some(claim) = request.object().filter(|_| creates) else { return Ok(patch) };
        // The empty name is a name: no class.
        let named = || claim.get_str("/spec/storageClassName").is_some() || claim.get(CLASS_ANNOTATION).is_some();
        if let Some(class) = self.classes.newest().filter(|_| !named()) {
            patch.add("/spec/storageClassName", class);
        }
        Ok(patch)
    }
}

impl Changes for DefaultStorageClass {
    fn reset(&mut self, _: GroupResource) {
        self.classes.reset();
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.classes.apply(&changes);
    }
}

wasmgate_sdk::plugin!(DefaultStorageClass: mutating_admission, changes);

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
    use wasmgate_sdk::serde_json::{Value, json};

    use super::*;

    fn named(plugin: &DefaultStorageClass, claim: &Value) -> String {
        let resource =
            GroupVersionResource { group: "".to_owned(), version: "v1".to_owned(), resource: "persistentvolumeclaims".to_owned() };
        let request = Request::new(Attributes { resource, ..Attributes::default() }, Some(Object::of(claim)), None);
        let patch = plugin.admit(&request).expect("never refused");
        patch.operations().first().map(|first| format!("{}={}", first["path"], first["value"])).unwrap_or_default()
    }

    #[test]
    fn only_one_that_names_no_class_gets_the_default() {
        let mut plugin = DefaultStorageClass::default();
        assert_eq!(named(&plugin, &json!({"spec": {}})), "", "there is no default yet");
        for mark in MARKS {
            let class = json!({"metadata": {"name": "a", "annotations": {mark: "true"}}});
            plugin.apply(vec![Change::put(GroupResource::new("storage.k8s.io", "storageclasses"), &class)]);
            let rows = [
                (json!({"spec": {}}), r#""/spec/storageClassName"="a""#),
                (json!({"spec": {"storageClassName": ""}}), ""),
                (json!({"spec": {"storageClassName": "x"}}), ""),
                (json!({"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}, "spec": {}}), ""),
            ];
            for (claim, want) in rows {
                assert_eq!(named(&plugin, &claim), want, "{claim}");
            }
        }
        let gone = Change {
            resource: GroupResource::new("storage.k8s.io", "storageclasses"),
            namespace: String::new(),
            name: "a".to_owned(),
            revision: 1,
            object: None,
        };
        plugin.apply(vec![gone]);
        assert_eq!(named(&plugin, &json!({"spec": {}})), "");
    }
}
