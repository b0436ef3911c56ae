//! Warnings about the pods that are already there when a namespace begins to enforce more.

use std::collections::{BTreeMap, HashSet};

use wasmgate_sdk::{clock, cluster};

use crate::checks::Findings;
use crate::pod::Pod;
use crate::policy::Standard;
use crate::settings::Exemptions;

/// How many pods are looked at.
const PODS_MAX: usize = 3000;
/// How long.
const CHECK_MILLISECONDS_MAX: u64 = 1000;
/// How many sets of reasons are named: the host takes no more than 64 warnings.
const REASONS_MAX: usize = 60;

/// One warning for each set of reasons, with the first pod by name and how many more there are.
pub fn warnings(namespace: &str, enforce: Standard, exemptions: &Exemptions) -> Vec<String> {
    let Ok(found) = cluster::list("", "pods", namespace) else {
        return vec!["failed to list pods while checking new PodSecurity enforce level".to_owned()];
    };
    let pods: Vec<Pod> = found.into_iter().filter_map(|pod| pod.parse().ok()).collect();
    let pods = by_priority(pods, exemptions);
    let deadline = clock::now_milliseconds() + CHECK_MILLISECONDS_MAX;
    let mut by_reasons: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    let mut checked = 0;
    for pod in pods.iter().take(PODS_MAX) {
        checked += 1;
        let findings = Findings::of(enforce, pod);
        if !findings.is_empty() {
            let (first, count) = by_reasons.entry(findings.reasons()).or_insert((&pod.metadata.name, 0));
            *first = (*first).min(&pod.metadata.name);
            *count += 1;
        }
        if clock::now_milliseconds() > deadline {
            break;
        }
    }
    let mut warnings = Vec::new();
    if checked < pods.len() {
        let total = pods.len();
        warnings.push(format!("new PodSecurity enforce level only checked against the first {checked} of {total} existing pods"));
    }
    if !by_reasons.is_empty() {
        warnings
            .push(format!("existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {:?}", enforce.to_string()));
    }
    let line = |(reasons, (first, count)): (String, (&str, usize))| match count {
        1 => format!("{first}: {reasons}"),
        2 => format!("{first} (and 1 other pod): {reasons}"),
        _ => format!("{first} (and {} other pods): {reasons}", count - 1),
    };
    let mut lines: Vec<String> = by_reasons.into_iter().map(line).collect();
    lines.sort_unstable();
    let left_out = lines.len().saturating_sub(REASONS_MAX);
    lines.truncate(REASONS_MAX);
    warnings.extend(lines);
    if left_out > 0 {
        warnings.push(format!("{left_out} more kinds of violations are left out"));
    }
    warnings
}

/// One pod of each controller first: its other pods say the same.
fn by_priority(pods: Vec<Pod>, exemptions: &Exemptions) -> Vec<Pod> {
    let mut seen = HashSet::new();
    let looked_at = |pod: &Pod| !pod.spec.runtime_class_name.as_ref().is_some_and(|class| exemptions.runtime_classes.contains(class));
    let is_first = |pod: &Pod| {
        let controller = pod.metadata.owner_references.iter().find(|owner| owner.controller == Some(true));
        controller.is_none_or(|owner| seen.insert(owner.uid.clone()))
    };
    let (mut first, others): (Vec<Pod>, Vec<Pod>) = pods.into_iter().filter(looked_at).partition(is_first);
    first.extend(others);
    first
}
