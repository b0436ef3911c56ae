//! VolumeAttachment: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storage/volumeattachment`).

use serde_json::Value;

use crate::Resource;
use crate::core::persistent_volume::defaults::default_volume_spec;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::shared::cell::{age, cells, flag, name, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::volume;
use crate::shared::rules::{self, immutable};

/// The row.
pub(crate) static KIND: Kind = Kind::new("storage.k8s.io", "VolumeAttachment")
    .status(StatusMetadata::Reset)
    .conditional_update()
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(|resource, _, attachment, old| validate_update(resource, attachment, old))
    .printer(row)
    .returns_deleted_object();

fn default(_: &Resource, attachment: &mut Value) {
    if let Some(spec) = attachment.pointer_mut("/spec/source/inlineVolumeSpec") {
        default_volume_spec(spec);
    }
}

fn validate(resource: &Resource, attachment: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, attachment, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(attachment).child("spec");
    volume::csi_driver_name(&spec.child("attacher"), &mut errors);
    let source = spec.child("source");
    let volume = source.child("persistentVolumeName");
    match (source.has("inlineVolumeSpec"), !volume.value.is_null()) {
        (false, false) => errors.push(source.required("must specify exactly one of inlineVolumeSpec and persistentVolumeName")),
        (true, true) => errors.push(source.forbidden("must specify exactly one of inlineVolumeSpec and persistentVolumeName")),
        (false, true) if volume.text().is_empty() => errors.push(volume.required("must specify non empty persistentVolumeName")),
        _ => {}
    }
    let node = spec.child("nodeName");
    errors.extend(metadata::subdomain(node.text(), false).iter().map(|problem| node.invalid_as(node.text(), problem)));
    if !volume.value.is_null() {
        volume.problems(metadata::subdomain(volume.text(), false), &mut errors);
    }
    errors
}

fn validate_update(resource: &Resource, attachment: &Value, old: &Value) -> Errors {
    let mut errors = validate(resource, attachment);
    rules::check(&[immutable("spec")], &FieldValue::root(attachment), Some(&FieldValue::root(old)), &mut errors);
    errors
}

fn row(attachment: &Value, now: i64) -> Vec<Value> {
    cells![
        name(attachment),
        text(attachment, "/spec/attacher"),
        text(attachment, "/spec/source/persistentVolumeName"),
        text(attachment, "/spec/nodeName"),
        flag(attachment, "/status/attached"),
        age(attachment, now),
    ]
}
