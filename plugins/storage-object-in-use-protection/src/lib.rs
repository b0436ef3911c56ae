//! Admission `StorageObjectInUseProtection`: volumes, claims and their attribute classes stay while somebody uses them. A
//! finalizer on each new one keeps it until upstream's controllers take it off.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde_json::Value;

/// The plugin.
#[derive(Default)]
pub struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {}

impl MutatingAdmission for StorageObjectInUseProtection {
    fn admit(&self, request: &Request) -> Result<Patch, Denial> {
        let mut patch = Patch::unchanged();
        let (Some(finalizer), Some(object)) = (finalizer(request), request.object()) else { return Ok(patch) };
        match object.get("/metadata/finalizers") {
            Some(Value::Array(known)) => {
                if !known.iter().any(|known| known == finalizer) {
                    patch.add("/metadata/finalizers/-", finalizer);
                }
            }
            _ => {
                patch.add("/metadata/finalizers", [finalizer]);
            }
        }
        Ok(patch)
    }
}

wasmgate_sdk::plugin!(StorageObjectInUseProtection: mutating_admission);

/// What keeps an object of this request's resource.
fn finalizer(request: &Request) -> Option<&'static str> {
    if request.operation != Operation::Create || !request.subresource.is_empty() {
        return None;
    }
    match (request.resource.group.as_str(), request.resource.resource.as_str()) {
        ("", "persistentvolumes") => Some("kubernetes.io/pv-protection"),
        ("", "persistentvolumeclaims") => Some("kubernetes.io/pvc-protection"),
        ("storage.k8s.io", "volumeattributesclasses") => Some("kubernetes.io/vac-protection"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
    use wasmgate_sdk::serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept() {
        let add = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
        let (pv, pvc, vac) = ("kubernetes.io/pv-protection", "kubernetes.io/pvc-protection", "kubernetes.io/vac-protection");
        let rows = [
            ("", "persistentvolumes", "", json!({}), add("/metadata/finalizers", json!([pv]))),
            ("", "persistentvolumeclaims", "", json!({"finalizers": ["a/b"]}), add("/metadata/finalizers/-", json!(pvc))),
            ("", "persistentvolumeclaims", "", json!({"finalizers": [pvc]}), json!([])),
            ("", "persistentvolumeclaims", "status", json!({}), json!([])),
            ("storage.k8s.io", "volumeattributesclasses", "", json!({"finalizers": null}), add("/metadata/finalizers", json!([vac]))),
            ("storage.k8s.io", "storageclasses", "", json!({}), json!([])),
            ("other", "persistentvolumes", "", json!({}), json!([])),
        ];
        for (group, resource, subresource, metadata, want) in rows {
            let resource = GroupVersionResource { group: group.to_owned(), version: "v1".to_owned(), resource: resource.to_owned() };
            let attributes = Attributes { resource: resource.clone(), subresource: subresource.to_owned(), ..Attributes::default() };
            let object = json!({"metadata": metadata});
            let patch = StorageObjectInUseProtection.admit(&Request::new(attributes, Some(Object::of(&object)), None));
            assert_eq!(Value::from(patch.expect("never refused").operations()), want, "{resource:?} {object}");
        }
    }
}
