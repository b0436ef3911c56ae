//! Persistent volumes and claims, storage classes, CSI drivers, volume attachments.

use serde_json::{Value, json};

use super::pod_template::{default_resources, default_volume_source, round_up_quantities};
use super::validation::At;
use super::value::{has, if_nil, if_zero, list, object_at, object_mut, remove, restore, set, text};
use super::warnings::{self, Warnings};
use crate::Resource;
use crate::strategy::Context;

/// `PersistentVolume`
pub(super) fn default_volume(_: &Resource, volume: &mut Value) {
    if_zero(object_at(volume, "status"), "phase", "Pending");
    let spec = object_at(volume, "spec");
    default_volume_spec(spec);
    if_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
    if_nil(spec, "volumeMode", "Filesystem");
}

fn default_volume_spec(spec: &mut Value) {
    default_volume_source(spec);
    round_up_quantities(spec, "capacity");
}

/// `PersistentVolume`: pending since it was made.
pub(super) fn prepare_volume(_: &Resource, volume: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        set(volume, "status", json!({ "phase": "Pending" }));
    }
}

/// `PersistentVolume`: since when it is in its phase.
pub(super) fn stamp_volume(volume: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    const SINCE: &str = "lastPhaseTransitionTime";
    let status = object_at(volume, "status");
    let Some(old) = old else { return set(status, SINCE, context.now) };
    if context.subresource != Some("status") {
        return;
    }
    let old = &old["status"];
    if text(old, "phase") == text(status, "phase") {
        if !has(status, SINCE) {
            restore(status, old, SINCE);
        }
    } else if !has(status, SINCE) || status.get(SINCE) == old.get(SINCE) {
        set(status, SINCE, context.now);
    }
}

/// `PersistentVolumeClaim`
pub(super) fn default_claim(_: &Resource, claim: &mut Value) {
    default_claim_value(claim);
}

/// A claim, alone or as a template of a stateful set.
pub(super) fn default_claim_value(claim: &mut Value) {
    let status = object_at(claim, "status");
    if_zero(status, "phase", "Pending");
    round_up_quantities(status, "capacity");
    round_up_quantities(status, "allocatedResources");
    default_claim_spec(object_at(claim, "spec"));
}

/// The spec of a claim, also that of an ephemeral volume.
pub(super) fn default_claim_spec(spec: &mut Value) {
    if_nil(spec, "volumeMode", "Filesystem");
    if let Some(resources) = object_mut(spec, "resources") {
        default_resources(resources);
    }
}

/// `PersistentVolumeClaim`: the two ways to say where its content comes from are kept alike.
pub(super) fn prepare_claim(_: &Resource, claim: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        set(claim, "status", json!({ "phase": "Pending" }));
    }
    let spec = object_at(claim, "spec");
    let in_use = old.is_some_and(|old| has(&old["spec"], "dataSource") || has(&old["spec"], "dataSourceRef"));
    if !in_use && !has(spec, "dataSourceRef") {
        let source = &spec["dataSource"];
        let known = matches!(
            (text(source, "kind"), text(source, "apiGroup")),
            ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
        );
        if !known {
            remove(spec, "dataSource");
        }
    }
    match (spec.get("dataSource").cloned(), spec.get("dataSourceRef").cloned()) {
        (Some(source), None) => set(spec, "dataSourceRef", source),
        (None, Some(reference)) if text(&reference, "namespace").is_empty() => {
            let mut source = reference;
            remove(&mut source, "namespace");
            set(spec, "dataSource", source);
        }
        _ => {}
    }
}

/// `StorageClass`
pub(super) fn default_class(_: &Resource, class: &mut Value) {
    if_nil(class, "reclaimPolicy", "Delete");
    if_nil(class, "volumeBindingMode", "Immediate");
}

/// `CSIDriver`
pub(super) fn default_driver(_: &Resource, driver: &mut Value) {
    let spec = object_at(driver, "spec");
    if_nil(spec, "attachRequired", true);
    if_nil(spec, "podInfoOnMount", false);
    if_nil(spec, "storageCapacity", false);
    if_nil(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if_zero(spec, "volumeLifecycleModes", json!(["Persistent"]));
    if_nil(spec, "requiresRepublish", false);
    if_nil(spec, "seLinuxMount", false);
}

/// `VolumeAttachment`
pub(super) fn default_attachment(_: &Resource, attachment: &mut Value) {
    if let Some(spec) = attachment.pointer_mut("/spec/source/inlineVolumeSpec") {
        default_volume_spec(spec);
    }
}

/// `PersistentVolume`: annotations, labels of nodes and plugins that are no more, and the policy that nobody should use.
pub(super) fn warn_of_volume(volume: &Value, _: Option<&Value>, warnings: &mut Warnings) {
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
    let root = At::root(volume);
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

const STORAGE_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// `PersistentVolumeClaim`
pub(super) fn warn_of_claim(claim: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let root = At::root(claim);
    let annotations = root.child("metadata").child("annotations");
    if annotations.value.get(STORAGE_CLASS_ANNOTATION).is_some() {
        let path = annotations.path.key(STORAGE_CLASS_ANNOTATION);
        warnings.at(&path, "deprecated since v1.8; use \"storageClassName\" attribute instead");
    }
    warn_of_claim_spec(&root.child("spec"), warnings);
}

/// The spec of a claim, also that of an ephemeral volume or of a stateful set's template.
pub(super) fn warn_of_claim_spec(spec: &At<'_>, warnings: &mut Warnings) {
    for list in ["requests", "limits"] {
        warnings::fractional_bytes(&spec.child("resources").child(list), "storage", warnings);
    }
}

/// `StorageClass`: labels of nodes.
pub(super) fn warn_of_class(class: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    for expression in At::root(class).items("allowedTopologies").flat_map(|topology| topology.items("matchLabelExpressions")) {
        if let Some(why) = warnings::deprecated_node_label(expression.text_of("key")) {
            warnings.at(&expression.path.child("key"), why);
        }
    }
}

/// `CSIDriver`: tokens that would stand in logs, where an update touches them.
pub(super) fn warn_of_driver(driver: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let spec = &driver["spec"];
    let untouched = old.is_some_and(|old| old["spec"].get("tokenRequests") == spec.get("tokenRequests"));
    if !untouched && !list(spec, "tokenRequests").is_empty() && !has(spec, "serviceAccountTokenInSecrets") {
        warnings.push(
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in \
             volume attributes"
                .to_owned(),
        );
    }
}

/// `CSIStorageCapacity`: labels of nodes.
pub(super) fn warn_of_capacity(capacity: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let topology = At::root(capacity).child("nodeTopology");
    warnings::node_label_expressions(&topology, warnings);
    let labels = topology.path.child("matchLabels");
    for (label, _) in topology.entries("matchLabels") {
        if let Some(why) = warnings::deprecated_node_label(label) {
            warnings.at(&labels.child(label), why);
        }
    }
}
