//! What is wrong with a PersistentVolume, in upstream's order and words (`pkg/apis/core/validation`).

use serde_json::Value;

use crate::Resource;
use crate::kinds::go_struct;
use crate::shared::claim::{VOLUME_MODES, access_modes};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::pod::{path, volume};
use crate::shared::rules::{self, Rule};
use crate::shared::{metadata, scheduling, value};

/// Sources that persistent volumes have, with the name that errors give them.
const PERSISTENT_SOURCES: [(&str, &str); 21] = [
    ("hostPath", "hostPath"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("nfs", "nfs"),
    ("rbd", "rbd"),
    ("quobyte", "quobyte"),
    ("cephfs", "cephFS"),
    ("iscsi", "iscsi"),
    ("cinder", "cinder"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("scaleIO", "scaleIO"),
    ("local", "local"),
    ("storageos", "storageos"),
];

fn volume_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    access_modes(spec, "", errors);
    let capacity = spec.child("capacity");
    if spec.is_empty("capacity") {
        errors.push(capacity.required(""));
    }
    if capacity.value.get("storage").is_none() || spec.entries("capacity").count() > 1 {
        let shown = if capacity.value.is_null() { Value::Object(Default::default()) } else { capacity.value.clone() };
        errors.push(field_value::unsupported(&capacity.path, &shown, &["storage"]));
    }
    for (_, entry) in spec.entries("capacity") {
        let Some(quantity) = entry.quantity() else { continue };
        if quantity.sign() < 0 {
            errors.push(entry.invalid_as(quantity.value(), "must be a valid resource quantity"));
        }
        if quantity.sign() <= 0 {
            errors.push(entry.invalid_as(quantity.to_string(), "must be greater than zero"));
        }
    }
    let policy = spec.child("persistentVolumeReclaimPolicy");
    rules::check_value(&[Rule::OptionalOrEmpty, Rule::Enum(&["Delete", "Recycle", "Retain"])], &policy, None, errors);
    let mut has_affinity = false;
    if let Some(affinity) = spec.some("nodeAffinity") {
        match affinity.some("required") {
            Some(required) => {
                scheduling::node_selector(&required, errors);
                has_affinity = true;
            }
            None => errors.push(affinity.child("required").required("must specify required node constraints")),
        }
    }
    persistent_source(spec, has_affinity, errors);
    let root_path = spec.child("hostPath").child("path");
    if root_path.text() == "/" && policy.text() == "Recycle" {
        errors.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = spec.child("storageClassName");
    if !class.text().is_empty() {
        class.problems(metadata::subdomain(class.text(), false), errors);
    }
    if let Some(mode) = spec.some("volumeMode").filter(|mode| !VOLUME_MODES.contains(&mode.text())) {
        errors.push(mode.unsupported(&VOLUME_MODES));
    }
    if let Some(class) = spec.some("volumeAttributesClassName") {
        if class.text().is_empty() {
            errors.push(class.required("an empty string is disallowed"));
        } else {
            class.problems(metadata::subdomain(class.text(), false), errors);
        }
        if !spec.has("csi") {
            errors.push(spec.child("csi").required("has to be specified when using volumeAttributesClassName"));
        }
    }
}

fn persistent_source(spec: &FieldValue<'_>, has_affinity: bool, errors: &mut Errors) {
    let mut found = 0;
    for (name, shown) in PERSISTENT_SOURCES.iter().chain(&[("csi", "csi")]) {
        let Some(at) = spec.some(name) else { continue };
        if found > 0 && *name != "flexVolume" {
            errors.push(spec.child(shown).forbidden("may not specify more than 1 volume type"));
            continue;
        }
        found += 1;
        let mut require = |names: &[&str]| {
            for name in names.iter().filter(|name| at.is_empty(name)) {
                errors.push(at.child(name).required(""));
            }
        };
        match *name {
            "gcePersistentDisk" => require(&["pdName"]),
            "awsElasticBlockStore" | "cinder" | "portworxVolume" => require(&["volumeID"]),
            "glusterfs" => require(&["endpoints", "path"]),
            "rbd" => require(&["monitors", "image"]),
            "quobyte" => require(&["registry", "volume"]),
            "cephfs" => require(&["monitors"]),
            "iscsi" => require(&["targetPortal", "iqn"]),
            "azureFile" => require(&["secretName", "shareName"]),
            "vsphereVolume" => require(&["volumePath"]),
            "photonPersistentDisk" => require(&["pdID"]),
            "azureDisk" => require(&["diskName", "diskURI"]),
            "scaleIO" => require(&["gateway", "system", "volumeName"]),
            "hostPath" => volume::host_path(&at, errors),
            "nfs" => volume::nfs(&at, errors),
            "flexVolume" => volume::flex(&at, errors),
            "local" => {
                if at.is_empty("path") {
                    errors.push(at.child("path").required(""));
                } else {
                    path::no_backsteps(&at.child("path"), errors);
                }
                if !has_affinity {
                    errors.push(spec.child("nodeAffinity").required("Local volume requires node affinity"));
                }
            }
            "csi" => {
                volume::csi_driver_name(&at.child("driver"), errors);
                if at.is_empty("volumeHandle") {
                    errors.push(at.child("volumeHandle").required(""));
                }
                for secret in [
                    "controllerPublishSecretRef",
                    "controllerExpandSecretRef",
                    "nodePublishSecretRef",
                    "nodeStageSecretRef",
                    "nodeExpandSecretRef",
                ] {
                    let Some(secret) = at.some(secret) else { continue };
                    for name in ["name", "namespace"].iter().filter(|name| secret.is_empty(name)) {
                        errors.push(secret.child(name).required(""));
                    }
                }
            }
            _ => {}
        }
    }
    if found == 0 {
        errors.push(spec.required("must specify a volume type"));
    }
}

pub(crate) fn validate(resource: &Resource, volume: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, volume, metadata::subdomain, &mut errors);
    volume_spec(&FieldValue::root(volume).child("spec"), &mut errors);
    mount_options(&FieldValue::root(volume), &mut errors);
    errors
}

/// Only some sources can be told, by an annotation, how to be mounted.
fn mount_options(root: &FieldValue<'_>, errors: &mut Errors) {
    const ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";
    const SOURCES: [&str; 13] = [
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    let (annotations, spec) = (root.child("metadata").child("annotations"), root.child("spec"));
    if annotations.value.get(ANNOTATION).is_some() && !SOURCES.iter().any(|source| spec.has(source)) {
        errors.push(annotations.child(ANNOTATION).forbidden("may not specify mount options for this volume type"));
    }
}

/// Its source is for good.
pub(crate) fn validate_update(resource: &Resource, volume: &Value, old: &Value) -> Errors {
    let mut errors = validate(resource, volume);
    let spec = FieldValue::root(volume).child("spec");
    let before = &old["spec"];
    let source = |spec: &Value| -> Vec<(String, Value)> {
        PERSISTENT_SOURCES
            .iter()
            .chain(&[("csi", "csi")])
            .filter_map(|(name, _)| {
                let mut source = spec.get(*name)?.clone();
                if *name == "csi" && before["csi"].get("controllerExpandSecretRef").is_none() {
                    value::remove(&mut source, "controllerExpandSecretRef");
                }
                Some(((*name).to_owned(), source))
            })
            .collect()
    };
    if source(spec.value) != source(before) {
        let at = spec.child("persistentvolumesource");
        let schema = go_struct::definition("io.k8s.api.core.v1.PersistentVolumeSpec");
        let mut now = spec.value.clone();
        if before["csi"].get("controllerExpandSecretRef").is_none()
            && let Some(csi) = value::object_mut(&mut now, "csi")
        {
            value::remove(csi, "controllerExpandSecretRef");
        }
        let changes = go_struct::changes(&schema, "io.k8s.api.core.v1.PersistentVolumeSource", before, &now);
        errors.push(at.forbidden(&format!("spec.persistentvolumesource is immutable after creation\n{changes}")));
    }
    let mode = spec.child("volumeMode");
    if mode.value != before.get("volumeMode").unwrap_or(field_value::NULL) {
        errors.push(mode.renamed(apimachinery::field::Path::new("volumeMode")).invalid(field_value::IMMUTABLE));
    }
    if let Some(affinity) = before.get("nodeAffinity") {
        let at = spec.child("nodeAffinity");
        if at.value != affinity {
            let at = at.renamed(apimachinery::field::Path::new("nodeAffinity"));
            errors.push(at.invalid("field is immutable, except for updating from beta label to GA"));
        }
    }
    if value::has(before, "volumeAttributesClassName") && !spec.has("volumeAttributesClassName") {
        errors.push(spec.child("volumeAttributesClassName").forbidden("update from non-nil value to nil is forbidden"));
    }
    errors
}
