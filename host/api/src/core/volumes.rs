//! What a PersistentVolume and a PersistentVolumeClaim show, and are warned of, alike.

use serde_json::Value;

use crate::shared::cell::{at, is_deleted, join, quantity, text};

pub(crate) const STORAGE_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(crate) fn phase(object: &Value) -> &str {
    if is_deleted(object) { "Terminating" } else { text(object, "/status/phase") }
}

pub(crate) fn storage(resources: &Value) -> String {
    resources.get("storage").map_or_else(|| "0".to_owned(), |size| quantity(Some(size)))
}

/// The annotation is older than the field, and goes before it.
pub(crate) fn class(object: &Value) -> &str {
    let annotated = at(object, "/metadata/annotations").get(CLASS).and_then(Value::as_str);
    annotated.unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

/// In upstream's order, whatever theirs is.
pub(crate) fn access_modes(modes: &Value) -> String {
    let modes = modes.as_array().map_or(&[][..], Vec::as_slice);
    let known = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    join(known.into_iter().filter(|(mode, _)| modes.iter().any(|given| given == mode)).map(|(_, short)| short), ",")
}
