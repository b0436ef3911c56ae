//! Volumes, and who provides them.

use serde_json::Value;

use super::cell::{UNSET, age, at, cells, flag, is_deleted, items, join, len, name, or_none, quantity, some, text, text_or};

const DEFAULT_CLASS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn persistent_volume(volume: &Value, now: i64) -> Vec<Value> {
    let claim = some(volume, "/spec/claimRef").map(|claim| format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")));
    cells![
        name(volume),
        storage(at(volume, "/spec/capacity")),
        access_modes(at(volume, "/spec/accessModes")),
        text(volume, "/spec/persistentVolumeReclaimPolicy"),
        phase(volume),
        claim.unwrap_or_default(),
        class(volume),
        at(volume, "/spec/volumeAttributesClassName").as_str().unwrap_or(UNSET),
        text(volume, "/status/reason"),
        age(volume, now),
        at(volume, "/spec/volumeMode").as_str().unwrap_or(UNSET),
    ]
}

pub(super) fn persistent_volume_claim(claim: &Value, now: i64) -> Vec<Value> {
    let volume = text(claim, "/spec/volumeName");
    // Until it is bound, a claim has neither a size nor modes.
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => (storage(at(claim, "/status/capacity")), access_modes(at(claim, "/status/accessModes"))),
    };
    cells![
        name(claim),
        phase(claim),
        volume,
        capacity,
        modes,
        class(claim),
        at(claim, "/spec/volumeAttributesClassName").as_str().unwrap_or(UNSET),
        age(claim, now),
        at(claim, "/spec/volumeMode").as_str().unwrap_or(UNSET),
    ]
}

fn phase(object: &Value) -> &str {
    if is_deleted(object) { "Terminating" } else { text(object, "/status/phase") }
}

fn storage(resources: &Value) -> String {
    resources.get("storage").map_or_else(|| "0".to_owned(), |size| quantity(Some(size)))
}

/// The annotation is older than the field, and goes before it.
fn class(object: &Value) -> &str {
    let annotated = at(object, "/metadata/annotations").get(CLASS).and_then(Value::as_str);
    annotated.unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

/// In upstream's order, whatever theirs is.
fn access_modes(modes: &Value) -> String {
    let modes = modes.as_array().map_or(&[][..], Vec::as_slice);
    let known = [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    join(known.into_iter().filter(|(mode, _)| modes.iter().any(|given| given == mode)).map(|(_, short)| short), ",")
}

pub(super) fn storage_class(class: &Value, now: i64) -> Vec<Value> {
    let annotations = at(class, "/metadata/annotations");
    let is_default = DEFAULT_CLASS.iter().any(|annotation| annotations.get(annotation).is_some_and(|value| value == "true"));
    let shown = if is_default { format!("{} (default)", name(class)) } else { name(class).to_owned() };
    cells![
        shown,
        text(class, "/provisioner"),
        at(class, "/reclaimPolicy").as_str().unwrap_or("Delete"),
        at(class, "/volumeBindingMode").as_str().unwrap_or("Immediate"),
        flag(class, "/allowVolumeExpansion"),
        age(class, now),
    ]
}

pub(super) fn volume_attributes_class(class: &Value, now: i64) -> Vec<Value> {
    cells![name(class), text(class, "/driverName"), age(class, now)]
}

pub(super) fn volume_attachment(attachment: &Value, now: i64) -> Vec<Value> {
    cells![
        name(attachment),
        text(attachment, "/spec/attacher"),
        text(attachment, "/spec/source/persistentVolumeName"),
        text(attachment, "/spec/nodeName"),
        flag(attachment, "/status/attached"),
        age(attachment, now),
    ]
}

pub(super) fn csi_node(node: &Value, now: i64) -> Vec<Value> {
    cells![name(node), len(node, "/spec/drivers"), age(node, now)]
}

pub(super) fn csi_driver(driver: &Value, now: i64) -> Vec<Value> {
    let modes = items(driver, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str);
    let audiences =
        some(driver, "/spec/tokenRequests").map(|requests| join(items(requests, "").iter().map(|r| text_or(r, "/audience", "")), ","));
    cells![
        name(driver),
        at(driver, "/spec/attachRequired").as_bool().unwrap_or(true),
        flag(driver, "/spec/podInfoOnMount"),
        flag(driver, "/spec/storageCapacity"),
        audiences.unwrap_or_else(|| UNSET.to_owned()),
        flag(driver, "/spec/requiresRepublish"),
        or_none(join(modes, ",")),
        age(driver, now),
    ]
}
