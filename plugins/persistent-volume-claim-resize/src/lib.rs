//! Admission `PersistentVolumeClaimResize`: a claim grows only where it is bound and its class allows it.

use wasmgate_sdk::admission::Object;
use wasmgate_sdk::cluster;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::quantity::Quantity;
use wasmgate_sdk::serde::Deserialize;

/// Where old claims name their class; it counts before the field.
const CLASS_ANNOTATION: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";

/// The plugin.
#[derive(Default)]
pub struct PersistentVolumeClaimResize;

impl Plugin for PersistentVolumeClaimResize {}

impl ValidatingAdmission for PersistentVolumeClaimResize {
    fn validate(&self, request: &Request) -> Result<(), Denial> {
        let updates = request.operation == Operation::Update && request.is("", "persistentvolumeclaims");
        let (true, Some(claim), Some(old)) = (updates, request.object(), request.old()) else { return Ok(()) };
        if size(claim) <= size(old) {
            return Ok(());
        }
        if old.get_str("/status/phase").as_deref() != Some("Bound") {
            return Err(deny_forbidden("Only bound persistent volume claims can be expanded"));
        }
        if !may_grow(claim, old) {
            return Err(deny_forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
            ));
        }
        Ok(())
    }
}

wasmgate_sdk::plugin!(PersistentVolumeClaimResize: validating_admission);

/// What it asks for; one that asks for nothing asks for zero.
fn size(claim: &Object) -> Option<Quantity> {
    Quantity::parse(claim.get_str("/spec/resources/requests/storage").as_deref().unwrap_or("0"))
}

fn class(claim: &Object) -> String {
    claim.get_str(CLASS_ANNOTATION).or_else(|| claim.get_str("/spec/storageClassName")).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", rename_all = "camelCase")]
struct StorageClass {
    allow_volume_expansion: Option<bool>,
}

/// A class that cannot be read allows nothing.
fn may_grow(claim: &Object, old: &Object) -> bool {
    let name = class(claim);
    if name.is_empty() || name != class(old) {
        return false;
    }
    let found = cluster::get("storage.k8s.io", "storageclasses", "", &name).ok().flatten();
    let class = found.and_then(|class| class.parse::<StorageClass>().ok());
    class.and_then(|class| class.allow_volume_expansion).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use wasmgate_sdk::admission::{Attributes, GroupVersionResource};
    use wasmgate_sdk::serde_json::{Value, json};
    use wasmgate_sdk::testing;

    use super::*;

    fn claim(storage: Value, class: &str, phase: &str) -> Value {
        json!({"spec": {"resources": {"requests": {"storage": storage}}, "storageClassName": class}, "status": {"phase": phase}})
    }

    #[test]
    fn what_may_grow() {
        for (name, allow) in [("yes", json!(true)), ("no", json!(false)), ("unsaid", json!(null))] {
            testing::put("storage.k8s.io", "storageclasses", json!({"metadata": {"name": name}, "allowVolumeExpansion": allow}));
        }
        let unbound = "Only bound persistent volume claims can be expanded";
        let fixed = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
        let rows = [
            ("1Gi", "2Gi", "yes", "yes", "Bound", ""),
            ("1Gi", "1024Mi", "no", "no", "Pending", ""),
            ("2Gi", "1Gi", "no", "no", "Pending", ""),
            ("1Gi", "2Gi", "yes", "yes", "Pending", unbound),
            ("1Gi", "2Gi", "yes", "yes", "", unbound),
            ("1Gi", "2Gi", "no", "no", "Bound", fixed),
            ("1Gi", "2Gi", "unsaid", "unsaid", "Bound", fixed),
            ("1Gi", "2Gi", "gone", "gone", "Bound", fixed),
            ("1Gi", "2Gi", "", "", "Bound", fixed),
            ("1Gi", "2Gi", "no", "yes", "Bound", fixed),
        ];
        for (before, after, old_class, class, phase, want) in rows {
            let (old, new) = (claim(json!(before), old_class, phase), claim(json!(after), class, phase));
            let resource =
                GroupVersionResource { group: String::new(), version: "v1".to_owned(), resource: "persistentvolumeclaims".to_owned() };
            let attributes = Attributes { operation: Operation::Update, resource, ..Attributes::default() };
            let request = Request::new(attributes, Some(Object::of(&new)), Some(Object::of(&old)));
            let message = match PersistentVolumeClaimResize.validate(&request) {
                Ok(()) => String::new(),
                Err(Denial::Forbidden(message)) => message,
                Err(Denial::Status(status)) => status.message().to_owned(),
            };
            assert_eq!(message, want, "{before} {after} {class} {phase}");
        }
    }
}
