//! What clients are warned of about a PersistentVolume.

use serde_json::Value;

use crate::core::volumes::STORAGE_CLASS_ANNOTATION;
use crate::shared::field_value::FieldValue;
use crate::shared::warnings::{self, Warnings};

/// Annotations, labels of nodes and plugins that are no more, and the policy that nobody should use.
pub(crate) fn warn(volume: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    const ANNOTATIONS: [(&str, &str); 2] = [
        (STORAGE_CLASS_ANNOTATION, "deprecated since v1.8; use \"storageClassName\" attribute instead"),
        ("volume.beta.kubernetes.io/mount-options", "deprecated since v1.31; use \"mountOptions\" attribute instead"),
    ];
    const PLUGINS: [(&str, &str, &str); 6] = [
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    let root = FieldValue::root(volume);
    let annotations = root.child("metadata").child("annotations");
    for (key, why) in ANNOTATIONS.iter().filter(|(key, _)| annotations.value.get(key).is_some()) {
        warnings.at(&annotations.path.key(key), why);
    }
    let spec = root.child("spec");
    if spec.text_of("persistentVolumeReclaimPolicy") == "Recycle" {
        let why = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
        warnings.at(&spec.path.child("persistentVolumeReclaimPolicy"), why);
    }
    for term in spec.child("nodeAffinity").child("required").items("nodeSelectorTerms") {
        warnings::node_label_expressions(&term, warnings);
    }
    for (_, shown, why) in PLUGINS.iter().filter(|(field, ..)| spec.has(field)) {
        warnings.at(&spec.path.child(shown), why);
    }
}
