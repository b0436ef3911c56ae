//! Which checks a level has in which version of the standards, and what they find all together.

use crate::pod::Pod;
use crate::policy::{Level, Standard, Version};
use crate::words::{Verdict, Violation};
use crate::{baseline, restricted};

type Check = fn(&Pod) -> Verdict;

/// A check as it was from version to version.
struct Versioned {
    /// Since which minor version, in ascending order.
    versions: &'static [(u64, Check)],
    /// Restricted checks, by their place below, that say the same more strictly: with them this one is not asked.
    stricter: Option<usize>,
}

const fn check(versions: &'static [(u64, Check)]) -> Versioned {
    Versioned { versions, stricter: None }
}

const fn weaker(versions: &'static [(u64, Check)], stricter: usize) -> Versioned {
    Versioned { versions, stricter: Some(stricter) }
}

/// In the order of upstream's names, which is the order of what is said.
static BASELINE: [Versioned; 12] = [
    check(&[(0, baseline::app_armor_profile)]),
    weaker(&[(0, baseline::capabilities)], CAPABILITIES),
    check(&[(0, baseline::host_namespaces)]),
    weaker(&[(0, baseline::host_path_volumes)], VOLUMES),
    check(&[(0, baseline::host_ports)]),
    check(&[(34, baseline::probe_hosts)]),
    check(&[(0, baseline::privileged)]),
    weaker(&[(0, baseline::proc_mount), (35, baseline::proc_mount_1_35)], PROC_MOUNT),
    check(&[(0, baseline::se_linux_options), (31, baseline::se_linux_options_1_31)]),
    weaker(&[(0, baseline::seccomp_annotations), (19, baseline::seccomp_profile)], SECCOMP),
    check(&[(0, baseline::sysctls), (27, baseline::sysctls_1_27), (29, baseline::sysctls_1_29), (32, baseline::sysctls_1_32)]),
    check(&[(0, baseline::windows_host_process)]),
];

static RESTRICTED: [Versioned; 7] = [
    check(&[(8, restricted::allow_privilege_escalation), (25, restricted::allow_privilege_escalation_1_25)]),
    check(&[(22, restricted::capabilities), (25, restricted::capabilities_1_25)]),
    check(&[(35, restricted::proc_mount_always)]),
    check(&[(0, restricted::volumes)]),
    check(&[(0, restricted::run_as_non_root), (35, restricted::run_as_non_root_1_35)]),
    check(&[(23, restricted::run_as_user), (35, restricted::run_as_user_1_35)]),
    check(&[(19, restricted::seccomp_profile), (25, restricted::seccomp_profile_1_25)]),
];

const CAPABILITIES: usize = 1;
const PROC_MOUNT: usize = 2;
const VOLUMES: usize = 3;
const SECCOMP: usize = 6;

impl Versioned {
    fn at(&self, version: Version) -> Option<Check> {
        self.versions.iter().rev().find(|(since, _)| version.has(*since)).map(|(_, check)| *check)
    }
}

/// What all checks of a standard find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<Violation>);

impl Findings {
    /// Asks the checks.
    pub fn of(standard: Standard, pod: &Pod) -> Self {
        let is_restricted = standard.level == Level::Restricted;
        let asked = |check: &&Versioned| {
            let stricter = check.stricter.and_then(|place| RESTRICTED[place].at(standard.version));
            !(is_restricted && stricter.is_some())
        };
        let baseline: &[Versioned] = if standard.level == Level::Privileged { &[] } else { &BASELINE };
        let restricted: &[Versioned] = if is_restricted { &RESTRICTED } else { &[] };
        let checks = baseline.iter().filter(asked).chain(restricted);
        Self(checks.filter_map(|check| check.at(standard.version)).filter_map(|check| check(pod)).collect())
    }

    /// Whether the pod is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `host namespaces, privileged`.
    pub fn reasons(&self) -> String {
        self.0.iter().map(|violation| violation.reason.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// `host namespaces (hostNetwork=true), privileged (…)`.
    pub fn details(&self) -> String {
        let one = |Violation { reason, detail }: &Violation| {
            if detail.is_empty() { reason.clone() } else { format!("{reason} ({detail})") }
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
