//! Security contexts of pods and containers.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::capabilities;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::path;
use crate::shared::rules::{self, Rule};
use crate::shared::validation;

/// The key of a container's AppArmor annotation begins so; the container's name follows.
pub(crate) const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

const SYSCTL_BYTES_MAX: usize = 253;
const SYSCTL_PATTERN: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// The longest path but one.
const LOCALHOST_PROFILE_BYTES_MAX: usize = 4095;

fn id(at: &FieldValue<'_>, errors: &mut Errors) {
    if !at.value.is_null() {
        at.problems(name::is_valid_unix_id(at.int()), errors);
    }
}

/// `securityContext` of a pod; what upstream counts to it lies in `spec`.
pub(crate) fn pod_security_context(spec: &FieldValue<'_>, errors: &mut Errors) {
    let Some(at) = spec.some("securityContext") else { return };
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&at.child(name), errors);
    }
    for group in at.items("supplementalGroups") {
        id(&group, errors);
    }
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        errors.push(at.child("shareProcessNamespace").invalid_as(true, "ShareProcessNamespace and HostPID cannot both be enabled"));
    }
    sysctls(&at, errors);
    optional_one_of(&at.child("fsGroupChangePolicy"), &["Always", "OnRootMismatch"], errors);
    seccomp(&at, errors);
    app_armor(&at, errors);
    optional_one_of(&at.child("supplementalGroupsPolicy"), &["Merge", "Strict"], errors);
    optional_one_of(&at.child("seLinuxChangePolicy"), &["MountOption", "Recursive"], errors);
}

fn optional_one_of(at: &FieldValue<'_>, valid: &[&str], errors: &mut Errors) {
    if !at.value.is_null() && !valid.contains(&at.text()) {
        errors.push(at.unsupported(valid));
    }
}

fn is_sysctl(text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        !bytes.is_empty() && alnum(bytes[0]) && alnum(bytes[bytes.len() - 1]) && bytes.iter().all(|&b| alnum(b) || matches!(b, b'-' | b'_'))
    };
    text.len() <= SYSCTL_BYTES_MAX && text.split(['.', '/']).all(part)
}

fn sysctls(at: &FieldValue<'_>, errors: &mut Errors) {
    let mut names: HashSet<&str> = HashSet::new();
    for sysctl in at.items("sysctls") {
        let name = sysctl.child("name");
        if name.text().is_empty() {
            errors.push(name.required(""));
        } else if !is_sysctl(name.text()) {
            errors.push(name.invalid(&format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex {SYSCTL_PATTERN}")));
        } else if names.contains(&name.text()) {
            errors.push(name.duplicate());
        }
        names.insert(name.text());
    }
}

fn seccomp(context: &FieldValue<'_>, errors: &mut Errors) {
    let Some(at) = context.some("seccompProfile") else { return };
    let kind = at.child("type");
    match kind.text() {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => errors.push(kind.required("type is required when seccompProfile is set")),
        _ => errors.push(kind.unsupported(&["Localhost", "RuntimeDefault", "Unconfined"])),
    }
    let profile = at.child("localhostProfile");
    match (kind.text() == "Localhost", profile.value.is_null()) {
        (true, true) => errors.push(profile.required("must be set when seccomp type is Localhost")),
        (true, false) => path::local_descending_path(&profile, errors),
        (false, false) => {
            let shown = format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", kind.value, profile.value);
            errors.push(validation::invalid_shown(&profile.path, &shown, "can only be set when seccomp type is Localhost"));
        }
        (false, true) => {}
    }
}

fn app_armor(context: &FieldValue<'_>, errors: &mut Errors) {
    let Some(at) = context.some("appArmorProfile") else { return };
    let kind = at.child("type");
    let profile = at.child("localhostProfile");
    match kind.text() {
        "Localhost" => {
            if profile.text().trim() != profile.text() {
                errors.push(profile.invalid("must not be padded with whitespace"));
            } else if profile.text().is_empty() {
                errors.push(profile.required("must be set when AppArmor type is Localhost"));
            }
            if profile.text().len() > LOCALHOST_PROFILE_BYTES_MAX {
                errors.push(apimachinery::field::Error::too_long(&profile.path, LOCALHOST_PROFILE_BYTES_MAX));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if !profile.value.is_null() {
                errors.push(profile.invalid("can only be set when AppArmor type is Localhost"));
            }
        }
        "" => errors.push(kind.required("type is required when appArmorProfile is set")),
        _ => errors.push(kind.unsupported(&["Localhost", "RuntimeDefault", "Unconfined"])),
    }
}

/// Where both an annotation and a field tell a container's AppArmor profile, they tell the same. On Windows there is no AppArmor.
pub(crate) fn app_armor_annotations(annotations: &FieldValue<'_>, spec: &FieldValue<'_>, errors: &mut Errors) {
    if spec.child("os").text_of("name") == "windows" {
        return;
    }
    let of_pod = spec.child("securityContext").some("appArmorProfile");
    for container in ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|list| spec.items(list)) {
        let at = container.child("securityContext").child("appArmorProfile");
        let Some(profile) = container.child("securityContext").some("appArmorProfile").or_else(|| of_pod.clone()) else { continue };
        let annotation = annotations.value.get(format!("{APP_ARMOR_ANNOTATION}{}", container.text_of("name")));
        let Some(annotation) = annotation.and_then(Value::as_str) else { continue };
        let localhost = annotation.strip_prefix("localhost/");
        let same = match profile.text_of("type") {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => annotation == "runtime/default",
            "Localhost" => localhost.is_some(),
            _ => continue,
        };
        if !same {
            errors.push(at.child("type").forbidden("apparmor type in annotation and field must match"));
        } else if localhost.is_some() && localhost != profile.child("localhostProfile").value.as_str() {
            errors.push(at.child("localhostProfile").forbidden("apparmor profile in annotation and field must match"));
        }
    }
}

/// A privileged container is the cluster's to allow.
fn privileged(at: &FieldValue<'_>, allowed: bool, errors: &mut Errors) {
    if at.flag("privileged") && !allowed {
        errors.push(at.child("privileged").forbidden("disallowed by cluster policy"));
    }
}

/// `securityContext` of a container.
pub(crate) fn security_context(container: &FieldValue<'_>, host_users: bool, errors: &mut Errors) {
    let Some(at) = container.some("securityContext") else { return };
    privileged(&at, capabilities::allow_privileged(), errors);
    id(&at.child("runAsUser"), errors);
    id(&at.child("runAsGroup"), errors);
    let proc_mount = at.child("procMount");
    if !proc_mount.value.is_null() {
        rules::check_value(&[Rule::Enum(&["Default", "Unmasked"])], &proc_mount, None, errors);
        if host_users && proc_mount.text() == "Unmasked" {
            errors.push(proc_mount.invalid("`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp(&at, errors);
    if at.value.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        if at.flag("privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(validation::invalid_shown(&at.path, &shown_context(at.value), detail));
        }
        for capability in at.child("capabilities").texts("add") {
            if capability == "CAP_SYS_ADMIN" {
                let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
                errors.push(validation::invalid_shown(&at.path, &shown_context(at.value), detail));
            }
        }
    }
    app_armor(&at, errors);
}

/// Upstream shows its own struct: all fields, under their Go names.
fn shown_context(value: &Value) -> String {
    let fields = [
        ("Capabilities", "capabilities"),
        ("Privileged", "privileged"),
        ("SELinuxOptions", "seLinuxOptions"),
        ("WindowsOptions", "windowsOptions"),
        ("RunAsUser", "runAsUser"),
        ("RunAsGroup", "runAsGroup"),
        ("RunAsNonRoot", "runAsNonRoot"),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
        ("ProcMount", "procMount"),
        ("SeccompProfile", "seccompProfile"),
        ("AppArmorProfile", "appArmorProfile"),
    ];
    let shown = fields.iter().map(|(go, name)| {
        let value = match (*name, value.get(name)) {
            ("capabilities", Some(value)) => {
                format!("{{\"Add\":{},\"Drop\":{}}}", value.get("add").unwrap_or(&Value::Null), value.get("drop").unwrap_or(&Value::Null))
            }
            (_, Some(value)) => value.to_string(),
            (_, None) => json!(null).to_string(),
        };
        format!("\"{go}\":{value}")
    });
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileged_containers_are_the_clusters_to_allow() {
        for (context, allowed, want) in [
            (json!({ "privileged": true }), true, ""),
            (json!({ "privileged": false }), false, ""),
            (json!({}), false, ""),
            (json!({ "privileged": true }), false, "privileged: Forbidden: disallowed by cluster policy"),
        ] {
            let mut errors = Errors::new();
            privileged(&FieldValue::root(&context), allowed, &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), want, "{context} {allowed}");
        }
    }
}
