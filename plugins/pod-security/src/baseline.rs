//! The checks of level baseline: what lets a pod out of its container.

use std::collections::BTreeSet;

use crate::pod::{Container, Pod, Profile, SeLinuxOptions};
use crate::words::{Verdict, containers, plural, quoted, setters, violation};

const ADDABLE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// The names of those containers of which it holds.
pub fn named(pod: &Pod, holds: impl FnMut(&&Container) -> bool) -> Vec<&str> {
    pod.spec.containers().filter(holds).map(|container| container.name.as_str()).collect()
}

/// Both kinds of profile have the same two good types.
pub fn is_confined(profile: &Profile) -> bool {
    ["RuntimeDefault", "Localhost"].contains(&profile.r#type.as_str())
}

pub fn app_armor_profile(pod: &Pod) -> Verdict {
    let mut values = BTreeSet::new();
    let mut bad = |profile: &Option<Profile>| {
        let bad = profile.as_ref().filter(|profile| !is_confined(profile));
        values.extend(bad.map(|profile| profile.r#type.clone()));
        bad.is_some()
    };
    let of_pod = bad(&pod.spec.security_context.app_armor_profile);
    let names = named(pod, |container| bad(&container.security_context.app_armor_profile));
    let fine = |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let annotations = pod.metadata.annotations.iter();
    let annotations: Vec<String> = annotations
        .filter(|(key, value)| key.starts_with(APP_ARMOR_ANNOTATION) && !fine(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let mut who: Vec<String> = setters(of_pod, &names).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = values.into_iter().chain(annotations).collect();
    violation(
        plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len()),
        format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(values)),
    )
}

pub fn capabilities(pod: &Pod) -> Verdict {
    let mut added = BTreeSet::new();
    let names = named(pod, |container| {
        let mut bad = container.security_context.capabilities.add.clone();
        bad.retain(|capability| !ADDABLE_CAPABILITIES.contains(&capability.as_str()));
        let any = !bad.is_empty();
        added.extend(bad);
        any
    });
    if names.is_empty() {
        return None;
    }
    let who = containers(&names);
    violation("non-default capabilities", format!("{who} must not include {} in securityContext.capabilities.add", quoted(added)))
}

pub fn host_namespaces(pod: &Pod) -> Verdict {
    let spec = &pod.spec;
    let shared = [(spec.host_network, "hostNetwork=true"), (spec.host_pid, "hostPID=true"), (spec.host_ipc, "hostIPC=true")];
    let shared: Vec<&str> = shared.into_iter().filter(|(set, _)| *set == Some(true)).map(|(_, words)| words).collect();
    if shared.is_empty() { None } else { violation("host namespaces", shared.join(", ")) }
}

pub fn host_path_volumes(pod: &Pod) -> Verdict {
    let volumes = pod.spec.volumes.iter().filter(|volume| volume.is("hostPath"));
    let names: Vec<&str> = volumes.map(|volume| volume.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    violation("hostPath volumes", format!("{} {}", plural("volume", "volumes", names.len()), quoted(names)))
}

pub fn host_ports(pod: &Pod) -> Verdict {
    let mut ports = BTreeSet::new();
    let names = named(pod, |container| {
        let before: Vec<i64> = container.ports.iter().filter_map(|port| port.host_port).filter(|port| *port != 0).collect();
        ports.extend(before.iter().map(i64::to_string));
        !before.is_empty()
    });
    if names.is_empty() {
        return None;
    }
    let uses = plural("uses", "use", names.len());
    let what = plural("hostPort", "hostPorts", ports.len());
    let ports: Vec<String> = ports.into_iter().collect();
    violation("hostPort", format!("{} {uses} {what} {}", containers(&names), ports.join(", ")))
}

pub fn probe_hosts(pod: &Pod) -> Verdict {
    let mut hosts = BTreeSet::new();
    let mut names = named(pod, |container| {
        let before: Vec<&str> = container.probed_hosts().collect();
        hosts.extend(before.iter().map(|&host| host.to_owned()));
        !before.is_empty()
    });
    if names.is_empty() {
        return None;
    }
    names.sort_unstable();
    names.dedup();
    let uses = plural("uses", "use", names.len());
    let what = plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len());
    violation("probe or lifecycle host", format!("{} {uses} {what} {}", containers(&names), quoted(hosts)))
}

pub fn privileged(pod: &Pod) -> Verdict {
    let names = named(pod, |container| container.security_context.privileged == Some(true));
    if names.is_empty() {
        return None;
    }
    violation("privileged", format!("{} must not set securityContext.privileged=true", containers(&names)))
}

pub fn proc_mount(pod: &Pod) -> Verdict {
    let mut types = BTreeSet::new();
    let names = named(pod, |container| {
        let bad = container.security_context.proc_mount.as_ref().filter(|mount| *mount != "Default");
        types.extend(bad.cloned());
        bad.is_some()
    });
    if names.is_empty() {
        return None;
    }
    violation("procMount", format!("{} must not set securityContext.procMount to {}", containers(&names), quoted(types)))
}

/// In a user namespace of its own, the host's `/proc` is not the pod's to harm.
pub fn proc_mount_1_35(pod: &Pod) -> Verdict {
    if pod.spec.host_users == Some(false) { None } else { proc_mount(pod) }
}

pub fn se_linux_options(pod: &Pod) -> Verdict {
    se_linux(pod, &["", "container_t", "container_init_t", "container_kvm_t"])
}

pub fn se_linux_options_1_31(pod: &Pod) -> Verdict {
    se_linux(pod, &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
}

fn se_linux(pod: &Pod, allowed: &[&str]) -> Verdict {
    let mut types = BTreeSet::new();
    let (mut user, mut role) = (false, false);
    let mut bad = |options: &Option<SeLinuxOptions>| {
        let Some(options) = options else { return false };
        let bad_type = !allowed.contains(&options.r#type.as_str());
        if bad_type {
            types.insert(options.r#type.clone());
        }
        let (sets_user, sets_role) = (!options.user.is_empty(), !options.role.is_empty());
        user |= sets_user;
        role |= sets_role;
        bad_type || sets_user || sets_role
    };
    let of_pod = bad(&pod.spec.security_context.se_linux_options);
    let names = named(pod, |container| bad(&container.security_context.se_linux_options));
    let who = setters(of_pod, &names)?;
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(types)));
    }
    what.extend(user.then(|| "user may not be set".to_owned()));
    what.extend(role.then(|| "role may not be set".to_owned()));
    violation("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {}", what.join("; ")))
}

/// Before the field there were annotations.
pub fn seccomp_annotations(pod: &Pod) -> Verdict {
    let fine = |value: &str| value == "runtime/default" || value == "docker/default" || value.starts_with("localhost/");
    let keys = pod.spec.containers().map(|container| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", container.name));
    let found = std::iter::once(SECCOMP_ANNOTATION.to_owned()).chain(keys).filter_map(|key| {
        let value = pod.metadata.annotations.get(&key).filter(|value| !fine(value))?;
        Some(format!("{key}={value:?}"))
    });
    let found: Vec<String> = found.collect::<BTreeSet<_>>().into_iter().collect();
    if found.is_empty() {
        return None;
    }
    violation("seccompProfile", format!("forbidden {} {}", plural("annotation", "annotations", found.len()), found.join(", ")))
}

pub fn seccomp_profile(pod: &Pod) -> Verdict {
    let mut types = BTreeSet::new();
    let mut bad = |profile: &Option<Profile>| {
        let bad = profile.as_ref().filter(|profile| !is_confined(profile));
        types.extend(bad.map(|profile| profile.r#type.clone()));
        bad.is_some()
    };
    let of_pod = bad(&pod.spec.security_context.seccomp_profile);
    let names = named(pod, |container| bad(&container.security_context.seccomp_profile));
    let who = setters(of_pod, &names)?;
    violation("seccompProfile", format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(types)))
}

const SYSCTLS: [&str; 5] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
];
const SYSCTLS_1_27: [&str; 1] = ["net.ipv4.ip_local_reserved_ports"];
const SYSCTLS_1_29: [&str; 4] =
    ["net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"];
const SYSCTLS_1_32: [&str; 2] = ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];

pub fn sysctls(pod: &Pod) -> Verdict {
    forbidden_sysctls(pod, &[&SYSCTLS])
}

pub fn sysctls_1_27(pod: &Pod) -> Verdict {
    forbidden_sysctls(pod, &[&SYSCTLS, &SYSCTLS_1_27])
}

pub fn sysctls_1_29(pod: &Pod) -> Verdict {
    forbidden_sysctls(pod, &[&SYSCTLS, &SYSCTLS_1_27, &SYSCTLS_1_29])
}

pub fn sysctls_1_32(pod: &Pod) -> Verdict {
    forbidden_sysctls(pod, &[&SYSCTLS, &SYSCTLS_1_27, &SYSCTLS_1_29, &SYSCTLS_1_32])
}

fn forbidden_sysctls(pod: &Pod, allowed: &[&[&str]]) -> Verdict {
    let names = pod.spec.security_context.sysctls.iter().map(|sysctl| sysctl.name.as_str());
    let bad: Vec<&str> = names.filter(|name| !allowed.iter().any(|list| list.contains(name))).collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

pub fn windows_host_process(pod: &Pod) -> Verdict {
    let of_pod = pod.spec.security_context.windows_options.host_process == Some(true);
    let names = named(pod, |container| container.security_context.windows_options.host_process == Some(true));
    let who = setters(of_pod, &names)?;
    violation("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}
