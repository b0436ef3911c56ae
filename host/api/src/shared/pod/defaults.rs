//! What is filled in of the template or the spec of pods, and of the volumes that others have like pods (upstream: `pkg/apis/core/v1/defaults.go`).

use serde_json::{Value, json};

use crate::shared::claim;
use crate::shared::resources::{default_resources, round_up_quantities};
use crate::shared::value::{self, has, if_nil, if_zero, list, list_mut, object_mut, set, text};

/// The three lists of containers in a spec.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Annotations of long ago that upstream drops.
const DROPPED_ANNOTATIONS: [&str; 4] = [
    "pod.beta.kubernetes.io/init-containers",
    "pod.alpha.kubernetes.io/init-containers",
    "pod.beta.kubernetes.io/init-container-statuses",
    "pod.alpha.kubernetes.io/init-container-statuses",
];

/// Fills in a template: `metadata` and `spec`.
pub(crate) fn default_template(template: &mut Value) {
    if let Some(metadata) = object_mut(template, "metadata") {
        drop_annotations(metadata);
    }
    if let Some(spec) = object_mut(template, "spec") {
        default_spec(spec);
    }
}

/// Takes away the sources of projected volumes that are behind gates which are off, unless the `old` spec has such sources too.
pub(crate) fn drop_disabled_sources(spec: &mut Value, old: Option<&Value>) {
    for name in ["clusterTrustBundle", "podCertificate"] {
        let mut before = old.into_iter().flat_map(|old| list(old, "volumes"));
        if before.any(|volume| list(&volume["projected"], "sources").iter().any(|source| has(source, name))) {
            continue;
        }
        for projected in list_mut(spec, "volumes").filter_map(|volume| object_mut(volume, "projected")) {
            list_mut(projected, "sources").for_each(|source| drop(value::remove(source, name)));
        }
    }
}

/// Takes away the annotations that upstream drops.
pub(crate) fn drop_annotations(metadata: &mut Value) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.retain(|name, _| !DROPPED_ANNOTATIONS.contains(&name.as_str()));
    if annotations.is_empty() {
        value::remove(metadata, "annotations");
    }
}

/// Fills in a pod's spec, as far as templates and pods are alike.
pub(crate) fn default_spec(spec: &mut Value) {
    if_zero(spec, "dnsPolicy", "ClusterFirst");
    if_zero(spec, "restartPolicy", "Always");
    if_nil(spec, "securityContext", json!({}));
    if_nil(spec, "terminationGracePeriodSeconds", 30);
    if_zero(spec, "schedulerName", "default-scheduler");
    sync_service_account(spec);
    for volume in list_mut(spec, "volumes") {
        default_volume(volume);
    }
    for name in CONTAINER_LISTS {
        for container in list_mut(spec, name) {
            default_container(container);
        }
    }
    round_up_quantities(spec, "overhead");
    if let Some(resources) = object_mut(spec, "resources") {
        default_resources(resources);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`: both are always shown, and the new one counts.
pub(crate) fn sync_service_account(spec: &mut Value) {
    if text(spec, "serviceAccountName").is_empty() {
        let old = text(spec, "serviceAccount").to_owned();
        if !old.is_empty() {
            set(spec, "serviceAccountName", old);
        }
    } else if text(spec, "serviceAccount") != text(spec, "serviceAccountName") {
        let name = text(spec, "serviceAccountName").to_owned();
        set(spec, "serviceAccount", name);
    }
}

fn default_container(container: &mut Value) {
    if text(container, "imagePullPolicy").is_empty() {
        let policy = pull_policy(text(container, "image"));
        set(container, "imagePullPolicy", policy);
    }
    if_zero(container, "terminationMessagePath", "/dev/termination-log");
    if_zero(container, "terminationMessagePolicy", "File");
    for port in list_mut(container, "ports") {
        if_zero(port, "protocol", "TCP");
    }
    for variable in list_mut(container, "env") {
        let Some(source) = object_mut(variable, "valueFrom") else { continue };
        default_field_ref(source);
        if let Some(key) = object_mut(source, "fileKeyRef") {
            if_nil(key, "optional", false);
        }
    }
    if let Some(resources) = object_mut(container, "resources") {
        default_resources(resources);
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = object_mut(container, probe) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = object_mut(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = object_mut(lifecycle, hook) {
                default_http_get(hook);
            }
        }
    }
}

fn default_probe(probe: &mut Value) {
    if_zero(probe, "timeoutSeconds", 1);
    if_zero(probe, "periodSeconds", 10);
    if_zero(probe, "successThreshold", 1);
    if_zero(probe, "failureThreshold", 3);
    default_http_get(probe);
    if let Some(grpc) = object_mut(probe, "grpc") {
        if_nil(grpc, "service", "");
    }
}

fn default_http_get(handler: &mut Value) {
    if let Some(get) = object_mut(handler, "httpGet") {
        if_zero(get, "path", "/");
        if_zero(get, "scheme", "HTTP");
    }
}

fn default_field_ref(source: &mut Value) {
    if let Some(reference) = object_mut(source, "fieldRef") {
        if_zero(reference, "apiVersion", "v1");
    }
}

/// What a volume can be made of: all fields of a volume but its name.
fn has_source(volume: &Value) -> bool {
    volume.as_object().is_some_and(|map| map.iter().any(|(name, value)| name != "name" && !value.is_null()))
}

fn default_volume(volume: &mut Value) {
    if !has_source(volume) {
        set(volume, "emptyDir", json!({}));
    }
    if let Some(image) = object_mut(volume, "image")
        && text(image, "pullPolicy").is_empty()
    {
        let policy = pull_policy(text(image, "reference"));
        set(image, "pullPolicy", policy);
    }
    default_volume_source(volume);
    for (source, mode) in [("secret", 0o644), ("configMap", 0o644), ("downwardAPI", 0o644), ("projected", 0o644)] {
        if let Some(source) = object_mut(volume, source) {
            if_nil(source, "defaultMode", mode);
        }
    }
    if let Some(source) = object_mut(volume, "downwardAPI") {
        list_mut(source, "items").for_each(default_field_ref);
    }
    if let Some(projected) = object_mut(volume, "projected") {
        for source in list_mut(projected, "sources") {
            if let Some(downward) = object_mut(source, "downwardAPI") {
                list_mut(downward, "items").for_each(default_field_ref);
            }
            if let Some(token) = object_mut(source, "serviceAccountToken") {
                if_nil(token, "expirationSeconds", 3600);
            }
        }
    }
    if let Some(claim) = object_mut(volume, "ephemeral").and_then(|source| object_mut(source, "volumeClaimTemplate"))
        && let Some(spec) = object_mut(claim, "spec")
    {
        claim::default_claim_spec(spec);
    }
}

/// The sources that volumes of pods and persistent volumes share.
pub(crate) fn default_volume_source(volume: &mut Value) {
    if let Some(path) = object_mut(volume, "hostPath") {
        if_nil(path, "type", "");
    }
    if let Some(iscsi) = object_mut(volume, "iscsi") {
        if_zero(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = object_mut(volume, "rbd") {
        if_zero(rbd, "pool", "rbd");
        if_zero(rbd, "user", "admin");
        if_zero(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(disk) = object_mut(volume, "azureDisk") {
        if_nil(disk, "cachingMode", "ReadWrite");
        if_nil(disk, "fsType", "ext4");
        if_nil(disk, "readOnly", false);
        if_nil(disk, "kind", "Shared");
    }
    if let Some(scale_io) = object_mut(volume, "scaleIO") {
        if_zero(scale_io, "storageMode", "ThinProvisioned");
        if_zero(scale_io, "fsType", "xfs");
    }
}

/// `Always` for an image without a tag or of tag `latest`. Upstream takes what is no image reference for one with another tag.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    let component = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let (domain, path) = match repository.split_once('/') {
        Some((domain, path)) if domain.contains(['.', ':']) || domain == "localhost" || domain.to_ascii_lowercase() != domain => {
            (domain, path)
        }
        _ => ("", repository),
    };
    let domain_fits =
        domain.is_empty() || domain.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    if !domain_fits || !path.split('/').all(component) {
        return "IfNotPresent";
    }
    match (tag, digest) {
        (Some("latest"), _) | (None, None) => "Always",
        _ => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1", "IfNotPresent"),
            ("example.com:5000/a/b", "Always"),
            ("example.com:5000/a/b:2", "IfNotPresent"),
            ("a@sha256:0123456789012345678901234567890123456789012345678901234567890123", "IfNotPresent"),
            ("Upper", "IfNotPresent"),
            ("", "IfNotPresent"),
            ("with space", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
