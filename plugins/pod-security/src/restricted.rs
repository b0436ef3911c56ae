//! The checks of level restricted: what a hardened pod says of itself.

use std::collections::BTreeSet;

use crate::baseline::{is_confined, named, proc_mount};
use crate::pod::Pod;
use crate::words::{Verdict, containers, plural, quoted, setters, violation};

const VOLUMES: [&str; 9] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];
/// A volume of none of these and none of those above has a source that is unknown.
const OTHER_VOLUMES: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

/// Windows has none of these fields: validation refuses them there.
fn is_windows(pod: &Pod) -> bool {
    pod.spec.os.as_ref().is_some_and(|os| os.name == "windows")
}

/// Root in a user namespace of the pod's own is nobody outside.
fn is_in_user_namespace(pod: &Pod) -> bool {
    pod.spec.host_users == Some(false)
}

pub fn allow_privilege_escalation(pod: &Pod) -> Verdict {
    let names = named(pod, |container| container.security_context.allow_privilege_escalation != Some(false));
    if names.is_empty() {
        return None;
    }
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&names));
    violation("allowPrivilegeEscalation != false", detail)
}

pub fn allow_privilege_escalation_1_25(pod: &Pod) -> Verdict {
    if is_windows(pod) { None } else { allow_privilege_escalation(pod) }
}

pub fn capabilities(pod: &Pod) -> Verdict {
    let keeping = named(pod, |container| !container.security_context.capabilities.drop.iter().any(|dropped| dropped == "ALL"));
    let mut added = BTreeSet::new();
    let adding = named(pod, |container| {
        let mut bad = container.security_context.capabilities.add.clone();
        bad.retain(|capability| capability != "NET_BIND_SERVICE");
        let any = !bad.is_empty();
        added.extend(bad);
        any
    });
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    }
    if !adding.is_empty() {
        details.push(format!("{} must not include {} in securityContext.capabilities.add", containers(&adding), quoted(added)));
    }
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

pub fn capabilities_1_25(pod: &Pod) -> Verdict {
    if is_windows(pod) { None } else { capabilities(pod) }
}

/// Here a user namespace is no excuse.
pub fn proc_mount_always(pod: &Pod) -> Verdict {
    proc_mount(pod)
}

pub fn volumes(pod: &Pod) -> Verdict {
    let mut types = BTreeSet::new();
    let bad = pod.spec.volumes.iter().filter(|volume| !VOLUMES.iter().any(|source| volume.is(source)));
    let names: Vec<&str> = bad
        .map(|volume| {
            types.insert(*OTHER_VOLUMES.iter().find(|source| volume.is(source)).unwrap_or(&"unknown"));
            volume.name.as_str()
        })
        .collect();
    if names.is_empty() {
        return None;
    }
    let (volumes, uses) = (plural("volume", "volumes", names.len()), plural("uses", "use", names.len()));
    let what = plural("restricted volume type", "restricted volume types", types.len());
    violation("restricted volume types", format!("{volumes} {} {uses} {what} {}", quoted(names), quoted(types)))
}

pub fn run_as_non_root(pod: &Pod) -> Verdict {
    const REASON: &str = "runAsNonRoot != true";
    let of_pod = pod.spec.security_context.run_as_non_root;
    let explicit = named(pod, |container| container.security_context.run_as_non_root == Some(false));
    if let Some(who) = setters(of_pod == Some(false), &explicit) {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    let silent = named(pod, |container| of_pod != Some(true) && container.security_context.run_as_non_root.is_none());
    if silent.is_empty() {
        return None;
    }
    violation(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent)))
}

pub fn run_as_non_root_1_35(pod: &Pod) -> Verdict {
    if is_in_user_namespace(pod) { None } else { run_as_non_root(pod) }
}

pub fn run_as_user(pod: &Pod) -> Verdict {
    let of_pod = pod.spec.security_context.run_as_user == Some(0);
    let who = setters(of_pod, &named(pod, |container| container.security_context.run_as_user == Some(0)))?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

pub fn run_as_user_1_35(pod: &Pod) -> Verdict {
    if is_in_user_namespace(pod) { None } else { run_as_user(pod) }
}

pub fn seccomp_profile(pod: &Pod) -> Verdict {
    if let Some(explicit) = crate::baseline::seccomp_profile(pod) {
        return Some(explicit);
    }
    let of_pod = pod.spec.security_context.seccomp_profile.as_ref().is_some_and(is_confined);
    let silent = named(pod, |container| !of_pod && container.security_context.seccomp_profile.is_none());
    if silent.is_empty() {
        return None;
    }
    let words = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
    violation("seccompProfile", format!("pod or {} {words}", containers(&silent)))
}

pub fn seccomp_profile_1_25(pod: &Pod) -> Verdict {
    if is_windows(pod) { None } else { seccomp_profile(pod) }
}
