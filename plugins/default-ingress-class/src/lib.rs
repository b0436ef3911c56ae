//! Admission `DefaultIngressClass`: an ingress that names no class gets the default one.

use wasmgate_sdk::default_classes::DefaultClasses;
use wasmgate_sdk::prelude::*;

/// Marks a class as the default one.
const MARKS: [&str; 1] = ["ingressclass.kubernetes.io/is-default-class"];
/// Where old ingresses name their class.
const CLASS_ANNOTATION: &str = "/metadata/annotations/kubernetes.io~1ingress.class";

/// The plugin.
pub struct DefaultIngressClass {
    classes: DefaultClasses,
}

impl Default for DefaultIngressClass {
    fn default() -> Self {
        Self { classes: DefaultClasses::marked_by(&MARKS) }
    }
}

impl Plugin for DefaultIngressClass {}

impl MutatingAdmission for DefaultIngressClass {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let creates = request.operation == Operation::Create && request.is("networking.k8s.io", "ingresses");
        let Some(ingress) = request.object().filter(|_| creates) else { return Ok(patch) };
        let named = || ingress.get_str("/spec/ingressClassName").is_some() || ingress.get(CLASS_ANNOTATION).is_some();
        if let Some(class) = self.classes.newest().filter(|_| !named()) {
            patch.add("/spec/ingressClassName", class);
        }
        Ok(patch)
    }
}

impl Changes for DefaultIngressClass {
    fn reset(&mut self, _: GroupResource) {
        self.classes.reset();
    }

    fn apply(&mut self, changes: Vec<Change>) {
        self.classes.apply(&changes);
    }
}

wasmgate_sdk::plugin!(DefaultIngressClass: mutating_admission, changes);

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
    use wasmgate_sdk::serde_json::{Value, json};

    use super::*;

    fn named(plugin: &DefaultIngressClass, ingress: &Value) -> String {
        let resource =
            GroupVersionResource { group: "networking.k8s.io".to_owned(), version: "v1".to_owned(), resource: "ingresses".to_owned() };
        let request = Request::new(Attributes { resource, ..Attributes::default() }, Some(Object::of(ingress)), None);
        let patch = plugin.admit(&request).expect("never refused");
        patch.operations().first().map(|first| format!("{}={}", first["path"], first["value"])).unwrap_or_default()
    }

    #[test]
    fn only_one_that_names_no_class_gets_the_default() {
        let mut plugin = DefaultIngressClass::default();
        assert_eq!(named(&plugin, &json!({"spec": {}})), "", "there is no default yet");
        for mark in MARKS {
            let class = json!({"metadata": {"name": "a", "annotations": {mark: "true"}}});
            plugin.apply(vec![Change::put(GroupResource::new("networking.k8s.io", "ingressclasses"), &class)]);
            let rows = [
                (json!({"spec": {}}), r#""/spec/ingressClassName"="a""#),
                (json!({"spec": {"ingressClassName": ""}}), ""),
                (json!({"spec": {"ingressClassName": "x"}}), ""),
                (json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {}}), ""),
            ];
            for (ingress, want) in rows {
                assert_eq!(named(&plugin, &ingress), want, "{ingress}");
            }
        }
        let gone = Change {
            resource: GroupResource::new("networking.k8s.io", "ingressclasses"),
            namespace: String::new(),
            name: "a".to_owned(),
            revision: 1,
            object: None,
        };
        plugin.apply(vec![gone]);
        assert_eq!(named(&plugin, &json!({"spec": {}})), "");
    }
}
