//! Persistent volumes and claims, storage classes, CSI drivers, volume attachments.

use serde_json::{Value, json};

use super::pod_template::{default_resources, default_volume_source, round_up_quantities};
use super::value::{has, if_nil, if_zero, object_at, object_mut, remove, restore, set, text};
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
