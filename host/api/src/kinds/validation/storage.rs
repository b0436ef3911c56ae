//! Persistent volumes and claims, storage classes.

use std::collections::{HashMap, HashSet};

use apimachinery::quantity::Quantity;
use serde_json::Value;

use super::selector::label_selector;
use super::{At, Errors, metadata, resources};
use crate::Resource;
use crate::kinds::{go_struct, value};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// The template of a claim, in an ephemeral volume.
pub(crate) fn claim_template(at: &At<'_>, errors: &mut Errors) {
    let meta = at.child("metadata");
    super::selector::labels(&meta.child("labels"), errors);
    metadata::annotations(&meta.child("annotations"), errors);
    claim_spec(&at.child("spec"), errors);
}

fn access_modes(at: &At<'_>, detail: &str, errors: &mut Errors) {
    let list = at.child("accessModes");
    if at.is_empty("accessModes") {
        errors.push(list.required(detail));
    }
    let modes: Vec<&str> = at.texts("accessModes").collect();
    for mode in at.items("accessModes").filter(|mode| !ACCESS_MODES.contains(&mode.text())) {
        errors.push(mode.renamed(list.path.clone()).unsupported(&ACCESS_MODES));
    }
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        errors.push(list.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

/// The spec of a claim.
pub(crate) fn claim_spec(at: &At<'_>, errors: &mut Errors) {
    access_modes(at, "at least 1 access mode is required", errors);
    label_selector(&at.child("selector"), errors);
    let storage = at.child("resources").child("requests");
    match storage.value.get("storage") {
        None => errors.push(At { value: at.value, path: at.path.child("resources").key("storage") }.required("")),
        Some(amount) => {
            let at = At { value: amount, path: at.path.child("resources").key("storage") };
            let quantity = Quantity::of_json(amount).unwrap_or(Quantity::ZERO);
            if quantity.sign() <= 0 {
                errors.push(at.invalid_as(quantity.to_string(), "must be greater than zero"));
            }
        }
    }
    let class = at.child("storageClassName");
    if !class.text().is_empty() {
        class.problems(metadata::subdomain(class.text(), false), errors);
    }
    if let Some(mode) = at.some("volumeMode").filter(|mode| !VOLUME_MODES.contains(&mode.text())) {
        errors.push(mode.unsupported(&VOLUME_MODES));
    }
    data_source(&at.child("dataSource"), errors);
    let reference = at.child("dataSourceRef");
    data_source(&reference, errors);
    let namespace = reference.child("namespace");
    if !namespace.text().is_empty() {
        namespace.problems(metadata::label(namespace.text(), false), errors);
    }
    // What upstream shows as the value is a path, which has nothing that can be shown.
    let unlike = |detail: &str| super::invalid_shown(&at.path, "{}", detail);
    if let Some(source) = at.some("dataSource").filter(|_| !reference.value.is_null()) {
        if !namespace.text().is_empty() {
            errors.push(unlike("may not be specified when dataSourceRef.namespace is specified"));
        } else if ["kind", "name", "apiGroup"].iter().any(|name| source.text_of(name) != reference.text_of(name)) {
            errors.push(unlike("must match dataSourceRef"));
        }
    }
    if let Some(attributes) = at.some("volumeAttributesClassName").filter(|class| !class.text().is_empty()) {
        attributes.problems(metadata::subdomain(attributes.text(), false), errors);
    }
}

fn data_source(at: &At<'_>, errors: &mut Errors) {
    if at.value.is_null() {
        return;
    }
    for name in ["name", "kind"] {
        if at.is_empty(name) {
            errors.push(at.child(name).required(""));
        }
    }
    let group = at.text_of("apiGroup");
    if group.is_empty() && at.text_of("kind") != "PersistentVolumeClaim" {
        errors.push(at.invalid_as(at.text_of("kind"), "must be 'PersistentVolumeClaim' when referencing the default apiGroup"));
    }
    if !group.is_empty() {
        at.child("apiGroup").dns_subdomain(errors);
    }
}

/// A new claim.
pub(crate) fn validate_claim(resource: &Resource, claim: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, claim, metadata::subdomain, &mut errors);
    claim_spec(&At::root(claim).child("spec"), &mut errors);
    errors
}

/// A changed claim: only its size, and what a volume is made with.
pub(crate) fn validate_claim_update(resource: &Resource, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(claim, old, &mut errors);
    errors.extend(validate_claim(resource, claim));
    let spec = At::root(claim).child("spec");
    let before = &old["spec"];
    let mut copy = spec.value.clone();
    if value::text(before, "volumeName").is_empty() {
        value::restore(&mut copy, before, "volumeName");
    }
    class_annotation(claim, old, &mut errors);
    if !value::has(before, "storageClassName") {
        value::restore(&mut copy, before, "storageClassName");
    }
    if value::text(&claim["status"], "phase") == "Bound" {
        if let Some(requests) = copy.pointer_mut("/resources/requests") {
            value::restore(requests, before.pointer("/resources/requests").unwrap_or(super::NULL), "storage");
        }
        value::restore(&mut copy, before, "volumeAttributesClassName");
    }
    if copy != *before {
        const KIND: &str = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
        const WHY: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        // What may be set once is not shown as a change.
        let mut before = before.clone();
        if value::text(&before, "volumeName").is_empty() {
            value::restore(&mut before, spec.value, "volumeName");
            value::restore(&mut copy, spec.value, "volumeName");
        }
        let changes = go_struct::changes(&go_struct::definition(KIND), KIND, &before, &copy);
        errors.push(spec.forbidden(&format!("{WHY}\n{changes}")));
    }
    let size = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Quantity::of_json).unwrap_or(Quantity::ZERO);
    const REQUESTED: &str = "/resources/requests/storage";
    let new_size = size(spec.value, REQUESTED);
    if new_size < size(before, REQUESTED) && new_size <= size(old, "/status/capacity/storage") {
        let at = spec.child("resources").child("requests").child("storage");
        errors.push(at.forbidden("field can not be less than status.capacity"));
    }
    let mode = spec.child("volumeMode");
    if mode.value != before.get("volumeMode").unwrap_or(super::NULL) {
        errors.push(mode.renamed(apimachinery::field::Path::new("volumeMode")).invalid(super::IMMUTABLE));
    }
    let class = spec.child("volumeAttributesClassName");
    if class.value != before.get("volumeAttributesClassName").unwrap_or(super::NULL)
        && value::has(&old["status"], "currentVolumeAttributesClassName")
    {
        let what = if class.value.is_null() { "nil" } else { "empty string" };
        if class.text().is_empty() {
            errors.push(class.forbidden(&format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil")));
        }
    }
    errors
}

/// The class was an annotation once.
fn class_annotation(claim: &Value, old: &Value, errors: &mut Errors) {
    const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
    let of = |claim: &Value| {
        claim.pointer("/metadata/annotations").map(|annotations| value::text(annotations, CLASS).to_owned()).unwrap_or_default()
    };
    let (new, old) = (of(claim), of(old));
    if new != old && !(new.is_empty() && At::root(claim).child("spec").text_of("storageClassName") == old) {
        let path = At::root(claim).child("metadata").child("annotations").child(CLASS).path;
        errors.push(apimachinery::field::Error::invalid(&path, new, super::IMMUTABLE));
    }
}

/// A changed status of a claim.
pub(crate) fn validate_claim_status(_: &Resource, _: &str, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(claim, old, &mut errors);
    let spec = At::root(claim).child("spec");
    if spec.is_empty("resources") {
        errors.push(spec.child("resources").child("requests").required(""));
    }
    for (_, quantity) in At::root(claim).child("status").entries("capacity") {
        resources::non_negative_quantity(&quantity, &mut errors);
    }
    errors
}

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

fn volume_spec(spec: &At<'_>, errors: &mut Errors) {
    access_modes(spec, "", errors);
    let capacity = spec.child("capacity");
    if spec.is_empty("capacity") {
        errors.push(capacity.required(""));
    }
    if capacity.value.get("storage").is_none() || spec.entries("capacity").count() > 1 {
        let shown = if capacity.value.is_null() { Value::Object(Default::default()) } else { capacity.value.clone() };
        errors.push(super::unsupported(&capacity.path, &shown, &["storage"]));
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
    if !policy.text().is_empty() && !matches!(policy.text(), "Delete" | "Recycle" | "Retain") {
        errors.push(policy.unsupported(&["Delete", "Recycle", "Retain"]));
    }
    let mut has_affinity = false;
    if let Some(affinity) = spec.some("nodeAffinity") {
        match affinity.some("required") {
            Some(required) => {
                super::scheduling::node_selector(&required, errors);
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

fn persistent_source(spec: &At<'_>, has_affinity: bool, errors: &mut Errors) {
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
            "hostPath" => super::volume::host_path(&at, errors),
            "nfs" => super::volume::nfs(&at, errors),
            "flexVolume" => super::volume::flex(&at, errors),
            "local" => {
                if at.is_empty("path") {
                    errors.push(at.child("path").required(""));
                } else {
                    super::volume::no_backsteps(&at.child("path"), errors);
                }
                if !has_affinity {
                    errors.push(spec.child("nodeAffinity").required("Local volume requires node affinity"));
                }
            }
            "csi" => {
                super::volume::csi_driver_name(&at.child("driver"), errors);
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

/// `PersistentVolume`
pub(crate) fn validate_volume(resource: &Resource, volume: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, volume, metadata::subdomain, &mut errors);
    volume_spec(&At::root(volume).child("spec"), &mut errors);
    mount_options(&At::root(volume), &mut errors);
    errors
}

/// Only some sources can be told, by an annotation, how to be mounted.
fn mount_options(root: &At<'_>, errors: &mut Errors) {
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

/// `PersistentVolume`: its source is for good.
pub(crate) fn validate_volume_update(resource: &Resource, volume: &Value, old: &Value) -> Errors {
    let mut errors = validate_volume(resource, volume);
    let spec = At::root(volume).child("spec");
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
    if mode.value != before.get("volumeMode").unwrap_or(super::NULL) {
        errors.push(mode.renamed(apimachinery::field::Path::new("volumeMode")).invalid(super::IMMUTABLE));
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

fn provisioner(at: &At<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    let lower = at.text().to_lowercase();
    errors.extend(apimachinery::validation::name::is_qualified_name(&lower).iter().map(|problem| at.invalid_as(lower.as_str(), problem)));
}

fn parameters(at: &At<'_>, errors: &mut Errors) {
    const COUNT_MAX: usize = 512;
    const BYTES_MAX: usize = 256 * 1024;
    let entries: Vec<(&String, &Value)> = at.value.as_object().into_iter().flatten().collect();
    if entries.len() > COUNT_MAX {
        return errors.push(apimachinery::field::Error::too_long(&at.path, COUNT_MAX));
    }
    for _ in entries.iter().filter(|(key, _)| key.is_empty()) {
        errors.push(at.invalid_as("", "field can not be empty."));
    }
    if entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum::<usize>() > BYTES_MAX {
        errors.push(apimachinery::field::Error::too_long(&at.path, BYTES_MAX));
    }
}

/// `StorageClass`
pub(crate) fn validate_class(resource: &Resource, class: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, class, metadata::subdomain, &mut errors);
    let root = At::root(class);
    provisioner(&root.child("provisioner"), &mut errors);
    parameters(&root.child("parameters"), &mut errors);
    let policy = root.child("reclaimPolicy");
    if !policy.text().is_empty() && !matches!(policy.text(), "Delete" | "Retain") {
        errors.push(policy.unsupported(&["Delete", "Retain"]));
    }
    let mode = root.child("volumeBindingMode");
    match mode.text() {
        "" if mode.value.is_null() => errors.push(mode.required("")),
        "Immediate" | "WaitForFirstConsumer" => {}
        _ => errors.push(mode.unsupported(&["Immediate", "WaitForFirstConsumer"])),
    }
    let mut seen: HashSet<&Value> = HashSet::new();
    for term in root.items("allowedTopologies") {
        for expression in term.items("matchLabelExpressions") {
            let values = expression.child("values");
            if expression.is_empty("values") {
                errors.push(values.required(""));
            }
            let mut known: HashSet<&Value> = HashSet::new();
            for value in expression.items("values") {
                if known.contains(&value.value) {
                    errors.push(value.duplicate());
                }
                known.insert(value.value);
            }
            expression.child("key").label_key(&mut errors);
        }
        if seen.contains(&term.value) {
            errors.push(apimachinery::field::Error::duplicate(&term.child("matchLabelExpressions").path, ""));
        }
        seen.insert(term.value);
    }
    errors
}

/// `StorageClass`: what made volumes does not change.
pub(crate) fn validate_class_update(_: &Resource, class: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(class, old, &mut errors);
    for name in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        At::root(class).child(name).immutable(&At::root(old).child(name), &mut errors);
    }
    errors
}

fn driver_spec(spec: &At<'_>, errors: &mut Errors) {
    const POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];
    if let Some(policy) = spec.some("fsGroupPolicy").filter(|policy| !POLICIES.contains(&policy.text())) {
        errors.push(policy.unsupported(&POLICIES));
    }
    let mut audiences: HashSet<&str> = HashSet::new();
    for request in spec.items("tokenRequests") {
        let audience = value::text(request.value, "audience");
        if audiences.contains(&audience) {
            errors.push(apimachinery::field::Error::duplicate(&request.child("audience").path, audience));
            continue;
        }
        audiences.insert(audience);
        let Some(seconds) = request.some("expirationSeconds") else { continue };
        if seconds.int() < 600 {
            errors.push(seconds.invalid("may not specify a duration less than 10 minutes"));
        }
        if seconds.int() > 1 << 32 {
            errors.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
        }
    }
    let modes = spec.child("volumeLifecycleModes");
    for mode in spec.items("volumeLifecycleModes").filter(|mode| !matches!(mode.text(), "Persistent" | "Ephemeral")) {
        errors.push(mode.renamed(modes.path.clone()).unsupported(&["Persistent", "Ephemeral"]));
    }
    if let Some(period) = spec.some("nodeAllocatableUpdatePeriodSeconds").filter(|period| period.int() < 10) {
        errors.push(period.invalid("must be greater than or equal to 10 seconds"));
    }
    if spec.has("serviceAccountTokenInSecrets") && spec.is_empty("tokenRequests") {
        let at = spec.child("serviceAccountTokenInSecrets");
        errors.push(at.invalid("serviceAccountTokenInSecrets is set but no tokenRequests are specified"));
    }
}

fn driver_name(text: &str, prefix: bool) -> Vec<String> {
    let mut problems = metadata::subdomain(&text.to_lowercase(), prefix);
    if text.len() > 63 {
        problems.insert(0, "must be no more than 63 characters".to_owned());
    }
    problems
}

/// `CSIDriver`
pub(crate) fn validate_driver(resource: &Resource, driver: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, driver, driver_name, &mut errors);
    driver_spec(&At::root(driver).child("spec"), &mut errors);
    errors
}

/// `CSIDriver`
pub(crate) fn validate_driver_update(_: &Resource, driver: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(driver, old, &mut errors);
    let (spec, before) = (At::root(driver).child("spec"), At::root(old).child("spec"));
    driver_spec(&spec, &mut errors);
    for (name, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        if spec.child(name).value != before.child(name).value {
            errors.push(spec.child(name).renamed(spec.child(shown).path).invalid(super::IMMUTABLE));
        }
    }
    errors
}

/// `CSINode`
pub(crate) fn validate_node(resource: &Resource, node: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, node, metadata::subdomain, &mut errors);
    let mut names: HashSet<&str> = HashSet::new();
    for driver in At::root(node).child("spec").items("drivers") {
        let (name, id) = (driver.child("name"), driver.child("nodeID"));
        super::volume::csi_driver_name(&name, &mut errors);
        if id.text().is_empty() {
            errors.push(id.required(""));
        }
        if id.text().len() > 192 {
            errors.push(id.invalid("must be 192 characters or less"));
        }
        driver.child("allocatable").child("count").non_negative(&mut errors);
        let text = value::text(driver.value, "name");
        if names.contains(&text) {
            errors.push(name.duplicate());
        }
        names.insert(text);
        let mut keys: HashSet<&str> = HashSet::new();
        for key in driver.texts("topologyKeys") {
            if key.is_empty() {
                errors.push(driver.required(""));
            }
            if keys.contains(&key) {
                errors.push(apimachinery::field::Error::duplicate(&driver.path, key));
            }
            keys.insert(key);
            errors.extend(apimachinery::validation::name::is_qualified_name(key).iter().map(|problem| driver.invalid_as(key, problem)));
        }
    }
    errors
}

/// `CSINode`: a driver stays as it is.
pub(crate) fn validate_node_update(resource: &Resource, node: &Value, old: &Value) -> Errors {
    let mut errors = validate_node(resource, node);
    let spec = At::root(node).child("spec");
    let bare = |driver: &Value| {
        let mut driver = driver.clone();
        value::remove(&mut driver, "allocatable");
        driver
    };
    let mut by_name: HashMap<&str, Vec<&Value>> = HashMap::new();
    for new in value::list(spec.value, "drivers") {
        by_name.entry(value::text(new, "name")).or_default().push(new);
    }
    // Names in what is stored are unique, so that each is looked up once.
    for old in value::list(&old["spec"], "drivers") {
        for new in by_name.remove(value::text(old, "name")).into_iter().flatten() {
            if bare(new) != bare(old) {
                errors.push(spec.child("drivers").invalid_as(bare(new), super::IMMUTABLE));
            }
        }
    }
    errors
}

/// `CSIStorageCapacity`
pub(crate) fn validate_capacity(resource: &Resource, capacity: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, capacity, metadata::subdomain, &mut errors);
    let root = At::root(capacity);
    label_selector(&root.child("nodeTopology"), &mut errors);
    let class = root.child("storageClassName");
    errors.extend(metadata::subdomain(class.text(), false).iter().map(|problem| class.invalid_as(class.text(), problem)));
    resources::non_negative_quantity(&root.child("capacity"), &mut errors);
    errors
}

/// `CSIStorageCapacity`
pub(crate) fn validate_capacity_update(_: &Resource, capacity: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(capacity, old, &mut errors);
    for name in ["nodeTopology", "storageClassName"] {
        At::root(capacity).child(name).immutable(&At::root(old).child(name), &mut errors);
    }
    errors
}

/// `VolumeAttributesClass`
pub(crate) fn validate_attributes_class(resource: &Resource, class: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, class, metadata::subdomain, &mut errors);
    let root = At::root(class);
    provisioner(&root.child("driverName"), &mut errors);
    parameters(&root.child("parameters"), &mut errors);
    if root.is_empty("parameters") {
        errors.push(root.child("parameters").required("must contain at least one key/value pair"));
    }
    errors
}

/// `VolumeAttributesClass`
pub(crate) fn validate_attributes_class_update(resource: &Resource, class: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(class, old, &mut errors);
    for name in ["driverName", "parameters"] {
        if class.get(name) != old.get(name) {
            errors.push(At::root(class).child(name).forbidden(&format!("updates to {name} are forbidden.")));
        }
    }
    errors.extend(validate_attributes_class(resource, class));
    errors
}

/// `VolumeAttachment`
pub(crate) fn validate_attachment(resource: &Resource, attachment: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, attachment, metadata::subdomain, &mut errors);
    let spec = At::root(attachment).child("spec");
    super::volume::csi_driver_name(&spec.child("attacher"), &mut errors);
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

/// `VolumeAttachment`
pub(crate) fn validate_attachment_update(resource: &Resource, attachment: &Value, old: &Value) -> Errors {
    let mut errors = validate_attachment(resource, attachment);
    At::root(attachment).child("spec").immutable(&At::root(old).child("spec"), &mut errors);
    errors
}
