//! Volumes of pods.

use std::collections::{HashMap, HashSet};

use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::{field_selector, image, path};
use crate::shared::rules::{self, Format, Rule};
use crate::shared::{claim, metadata, selector};

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Upstream's sources, in the order in which it looks at them, with the name that its errors give them.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwarAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// All volumes of a spec; gives back those that are in order, by name.
pub(crate) fn volumes<'a>(spec: &FieldValue<'a>, pod_name: &str, errors: &mut Errors) -> HashMap<&'a str, &'a Value> {
    let mut sound: HashMap<&str, &Value> = HashMap::new();
    let created: HashSet<String> = spec
        .items("volumes")
        .filter(|volume| !pod_name.is_empty() && volume.has("ephemeral"))
        .map(|volume| format!("{pod_name}-{}", volume.text_of("name")))
        .collect();
    for at in spec.items("volumes") {
        let before = errors.len();
        source(&at, pod_name, errors);
        let name = at.child("name");
        rules::check_value(&[Rule::Required, Rule::Format(Format::DnsLabel)], &name, None, errors);
        if sound.contains_key(name.text()) {
            errors.push(name.duplicate());
        }
        if errors.len() == before {
            sound.insert(name.text(), at.value);
        }
        let claim = at.child("persistentVolumeClaim").child("claimName");
        if created.contains(claim.text()) {
            errors.push(claim.invalid("must not reference a PVC that gets created for an ephemeral volume"));
        }
    }
    sound
}

fn source(at: &FieldValue<'_>, pod_name: &str, errors: &mut Errors) {
    let mut found = 0;
    for (name, shown) in SOURCES {
        let Some(source) = at.some(name) else { continue };
        if found > 0 && name != "emptyDir" {
            errors.push(at.child(shown).forbidden("may not specify more than 1 volume type"));
            continue;
        }
        found += 1;
        one_source(name, &source, at, pod_name, errors);
    }
    if found == 0 {
        errors.push(at.required("must specify a volume type"));
    }
}

fn require(at: &FieldValue<'_>, names: &[&str], errors: &mut Errors) {
    for name in names {
        if at.is_empty(name) {
            errors.push(at.child(name).required(""));
        }
    }
}

fn one_source(name: &str, at: &FieldValue<'_>, volume: &FieldValue<'_>, pod_name: &str, errors: &mut Errors) {
    match name {
        "emptyDir" if at.child("sizeLimit").quantity().is_some_and(|limit| limit.sign() < 0) => {
            errors.push(at.child("sizeLimit").forbidden("SizeLimit field must be a valid resource quantity"));
        }
        "hostPath" => host_path(at, errors),
        "gitRepo" => {
            require(at, &["repository"], errors);
            path::local_descending_path(&at.child("directory"), errors);
        }
        "gcePersistentDisk" => {
            let at = at.renamed(volume.path.child("persistentDisk"));
            require(&at, &["pdName"], errors);
            partition(&at, errors);
        }
        "awsElasticBlockStore" => {
            require(at, &["volumeID"], errors);
            partition(at, errors);
        }
        "secret" => {
            require(at, &["secretName"], errors);
            mode(&at.child("defaultMode"), errors);
            key_paths(at, errors);
        }
        "configMap" => {
            require(at, &["name"], errors);
            mode(&at.child("defaultMode"), errors);
            key_paths(at, errors);
        }
        "downwardAPI" => {
            mode(&at.child("defaultMode"), errors);
            for file in at.items("items") {
                downward_file(&file, errors);
            }
        }
        "projected" => projected(at, errors),
        "nfs" => nfs(at, errors),
        "iscsi" => iscsi(at, errors),
        "persistentVolumeClaim" => require(at, &["claimName"], errors),
        "rbd" => require(at, &["monitors", "image"], errors),
        "cephfs" => require(at, &["monitors"], errors),
        "cinder" => {
            require(at, &["volumeID"], errors);
            if let Some(secret) = at.some("secretRef") {
                require(&secret, &["name"], errors);
            }
        }
        "glusterfs" => require(at, &["endpoints", "path"], errors),
        "flocker" => {
            if at.is_empty("datasetName") && at.is_empty("datasetUUID") {
                errors.push(at.required("one of datasetName and datasetUUID is required"));
            }
            if !at.is_empty("datasetName") && !at.is_empty("datasetUUID") {
                errors.push(at.invalid_as("resource", "datasetName and datasetUUID can not be specified simultaneously"));
            }
            if at.text_of("datasetName").contains('/') {
                errors.push(at.child("datasetName").invalid("must not contain '/'"));
            }
        }
        "flexVolume" => flex(at, errors),
        "azureFile" => require(at, &["secretName", "shareName"], errors),
        "vsphereVolume" => require(at, &["volumePath"], errors),
        "photonPersistentDisk" => require(at, &["pdID"], errors),
        "portworxVolume" => require(at, &["volumeID"], errors),
        "azureDisk" => require(at, &["diskName", "diskURI"], errors),
        "scaleIO" => require(at, &["gateway", "system", "volumeName"], errors),
        "quobyte" => require(at, &["registry", "volume"], errors),
        "csi" => {
            csi_driver_name(&at.child("driver"), errors);
            if let Some(secret) = at.some("nodePublishSecretRef") {
                require(&secret, &["name"], errors);
            }
        }
        "ephemeral" => {
            match at.some("volumeClaimTemplate") {
                None => errors.push(at.child("volumeClaimTemplate").required("")),
                Some(template) => claim::claim_template(&template, errors),
            }
            let name = volume.text_of("name");
            if !pod_name.is_empty() && !name.is_empty() {
                let claim = format!("{pod_name}-{name}");
                for problem in metadata::subdomain(&claim, false) {
                    errors.push(volume.child("name").invalid(&format!("PVC name \"{claim}\": {problem}")));
                }
            }
        }
        "image" => {
            let reference = at.child("reference");
            rules::check_value(&[Rule::Required], &reference, None, errors);
            image::pull_policy(&at.child("pullPolicy"), errors);
        }
        _ => {}
    }
}

/// `hostPath`
pub(crate) fn host_path(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.is_empty("path") {
        return errors.push(at.child("path").required(""));
    }
    path::no_backsteps(&at.child("path"), errors);
    const TYPES: [&str; 8] = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    if let Some(kind) = at.some("type").filter(|kind| !TYPES.contains(&kind.text())) {
        errors.push(kind.unsupported(&TYPES));
    }
}

/// `nfs`
pub(crate) fn nfs(at: &FieldValue<'_>, errors: &mut Errors) {
    require(at, &["server", "path"], errors);
    let path = at.child("path");
    if !path.text().starts_with('/') {
        errors.push(path.invalid_as(path.text(), "must be an absolute path"));
    }
}

/// `flexVolume`
pub(crate) fn flex(at: &FieldValue<'_>, errors: &mut Errors) {
    require(at, &["driver"], errors);
    for (key, _) in at.entries("options") {
        let namespace = key.split_once('/').map_or(key, |(namespace, _)| namespace);
        let namespace = format!(".{}", namespace.to_lowercase());
        if namespace.ends_with(".kubernetes.io") || namespace.ends_with(".k8s.io") {
            let path = at.child("options").path.key(key);
            errors.push(apimachinery::field::Error::invalid(&path, key, "kubernetes.io and k8s.io namespaces are reserved"));
        }
    }
}

fn partition(at: &FieldValue<'_>, errors: &mut Errors) {
    let partition = at.child("partition");
    if !(0..=255).contains(&partition.int()) {
        errors.push(partition.invalid(&name::inclusive_range_error(1, 255)));
    }
}

fn iscsi(at: &FieldValue<'_>, errors: &mut Errors) {
    require(at, &["targetPortal", "iqn"], errors);
    let iqn = at.child("iqn");
    if !iqn.text().is_empty() && !["iqn", "eui", "naa"].iter().any(|prefix| iqn.text().starts_with(prefix)) {
        errors.push(iqn.invalid("must be valid format starting with iqn, eui, or naa"));
    }
    at.child("lun").within(0, 255, errors);
    if (at.flag("chapAuthDiscovery") || at.flag("chapAuthSession")) && !at.has("secretRef") {
        errors.push(at.child("secretRef").required(""));
    }
}

/// The name of a CSI driver.
pub(crate) fn csi_driver_name(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    if at.text().len() > 63 {
        errors.push(apimachinery::field::Error::too_long(&at.path, 63));
    }
    let lower = at.text().to_lowercase();
    errors.extend(name::is_dns1123_subdomain(&lower).iter().map(|problem| at.invalid_as(at.text(), problem)));
}

/// Permission bits.
fn mode(at: &FieldValue<'_>, errors: &mut Errors) {
    if !at.value.is_null() && !(0..=0o777).contains(&at.int()) {
        errors.push(at.invalid(FILE_MODE));
    }
}

fn key_paths(at: &FieldValue<'_>, errors: &mut Errors) {
    for item in at.items("items") {
        key_path(&item, errors);
    }
}

fn key_path(at: &FieldValue<'_>, errors: &mut Errors) {
    require(at, &["key", "path"], errors);
    local_non_reserved_path(&at.child("path"), errors);
    mode(&at.child("mode"), errors);
}

fn downward_file(at: &FieldValue<'_>, errors: &mut Errors) {
    require(at, &["path"], errors);
    local_non_reserved_path(&at.child("path"), errors);
    match (at.some("fieldRef"), at.some("resourceFieldRef")) {
        (Some(field), resource) => {
            field_selector::field_ref(&field, false, errors);
            if resource.is_some() {
                errors.push(at.invalid_as("resource", "fieldRef and resourceFieldRef can not be specified simultaneously"));
            }
        }
        (None, Some(resource)) => field_selector::resource_field_ref(&resource, true, errors),
        (None, None) => errors.push(at.required("one of fieldRef and resourceFieldRef is required")),
    }
    mode(&at.child("mode"), errors);
}

fn local_non_reserved_path(at: &FieldValue<'_>, errors: &mut Errors) {
    path::local_descending_path(at, errors);
    if at.text().starts_with("..") && !at.text().starts_with("../") {
        errors.push(at.invalid("must not start with '..'"));
    }
}

fn projected(at: &FieldValue<'_>, errors: &mut Errors) {
    mode(&at.child("defaultMode"), errors);
    let mut seen = HashSet::new();
    for source in at.items("sources") {
        let mut found = 0;
        for kind in ["secret", "configMap"] {
            let Some(projection) = source.some(kind) else { continue };
            found += 1;
            require(&projection, &["name"], errors);
            for item in projection.items("items") {
                key_path(&item, errors);
                if is_repeated(&mut seen, item.text_of("path")) {
                    errors.push(at.invalid_as(projection.text_of("name"), "conflicting duplicate paths"));
                }
            }
        }
        if let Some(projection) = source.some("downwardAPI") {
            found += 1;
            for file in projection.items("items") {
                downward_file(&file.renamed(projection.path.clone()), errors);
                if is_repeated(&mut seen, file.text_of("path")) {
                    errors.push(at.invalid_as(file.text_of("path"), "conflicting duplicate paths"));
                }
            }
        }
        if let Some(token) = source.some("serviceAccountToken") {
            found += 1;
            let seconds = token.child("expirationSeconds");
            if seconds.int() < 600 {
                errors.push(seconds.invalid("may not specify a duration less than 10 minutes"));
            }
            if seconds.int() > 1 << 32 {
                errors.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
            }
            let path = token.child("path").renamed(at.path.child("path"));
            if path.text().is_empty() {
                errors.push(path.required(""));
            } else {
                local_non_reserved_path(&path, errors);
            }
        }
        if let Some(bundle) = source.some("clusterTrustBundle") {
            found += 1;
            trust_bundle(&bundle, errors);
            if is_repeated(&mut seen, bundle.text_of("path")) {
                errors.push(at.invalid_as(bundle.text_of("path"), "conflicting duplicate paths"));
            }
        }
        if source.has("podCertificate") {
            found += 1;
        }
        if found > 1 {
            errors.push(source.forbidden("may not specify more than 1 volume type per source"));
        }
    }
}

fn is_repeated(seen: &mut HashSet<String>, path: &str) -> bool {
    !path.is_empty() && !seen.insert(path.to_owned())
}

fn trust_bundle(at: &FieldValue<'_>, errors: &mut Errors) {
    match (at.has("name"), at.has("signerName")) {
        (true, true) => errors.push(at.invalid("only one of name and signerName may be used")),
        (true, false) => {
            if at.is_empty("name") {
                errors.push(at.child("name").required("must be a valid object name"));
            }
        }
        (false, true) => {
            if at.is_empty("signerName") {
                errors.push(at.child("signerName").required("must be a valid signer name"));
            }
            selector::label_selector(&at.child("labelSelector"), errors);
        }
        (false, false) => errors.push(at.required("either name or signerName must be specified")),
    }
    require(at, &["path"], errors);
    local_non_reserved_path(&at.child("path"), errors);
}
