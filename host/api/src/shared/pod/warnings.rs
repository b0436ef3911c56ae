//! What clients are warned of about pods and templates of pods (upstream: `pkg/api/pod/warnings.go`).

use std::collections::{HashMap, HashSet};

use apimachinery::field::{Path, go_quote};
use serde_json::{Value, json};

use crate::shared::claim;
use crate::shared::field_value::FieldValue;
use crate::shared::pod::volume_overlap;
use crate::shared::value::{has, list, text};
use crate::shared::warnings::{self, Warnings};

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub(crate) const APP_ARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";
const USE_SECCOMP_PROFILE: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
pub(crate) const USE_APP_ARMOR_PROFILE: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
const MATCHES_NO_POD: &str = "a null labelSelector results in matching no pod";

/// Annotations that nobody reads any more.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead"),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Volumes that no kubelet mounts any more: the field, the name in the path, and since when.
const VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// A template of pods; upstream does not call it by a name, but knows it by its path.
pub(crate) fn template(template: &FieldValue<'_>, warnings: &mut Warnings) {
    if !template.value.is_null() {
        spec_and_metadata(template, warnings);
    }
}

pub(crate) fn spec_and_metadata(at: &FieldValue<'_>, warnings: &mut Warnings) {
    let spec = at.child("spec");
    node_labels(&spec, warnings);
    topology(&spec, warnings);
    let annotations = at.child("metadata").child("annotations");
    for (key, why) in ANNOTATIONS.iter().filter(|(key, _)| annotations.value.get(key).is_some()) {
        warnings.at(&annotations.path.key(key), why);
    }
    spec.items("volumes").for_each(|volume| self::volume(&volume, warnings));
    volume_overlap::warn(&spec, warnings);
    repeated(&spec, "hostAliases", "ip", warnings);
    repeated(&spec, "imagePullSecrets", "name", warnings);
    for secret in spec.items("imagePullSecrets").filter(|secret| secret.text_of("name").is_empty()) {
        warnings.at(&secret.path.child("name"), "invalid empty name \"\"");
    }
    let overhead = spec.child("overhead");
    ["memory", "ephemeral-storage"].iter().for_each(|resource| warnings::fractional_bytes(&overhead, resource, warnings));
    let profile = spec.child("securityContext").some("seccompProfile");
    if profile.is_none() && annotations.value.get(SECCOMP_POD).is_some() {
        warnings.at(&annotations.path.key(SECCOMP_POD), USE_SECCOMP_PROFILE);
    }
    let is_template = at.path != Path::default();
    for (_, _, container) in containers(&spec) {
        profile_annotations(&container, &annotations, is_template.then_some(&spec), warnings);
        if let Some(resources) = container.some("resources") {
            let (limits, requests) = (resources.child("limits"), resources.child("requests"));
            for resource in ["memory", "ephemeral-storage"] {
                warnings::fractional_bytes(&limits, resource, warnings);
                warnings::fractional_bytes(&requests, resource, warnings);
            }
        }
        hidden_variables(&container, warnings);
    }
    ports(&spec, warnings);
    port_names(&spec, warnings);
    if spec.int_of("terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let path = spec.path.child("terminationGracePeriodSeconds");
        warnings.at(&path, "must be >= 0; negative values are invalid and will be treated as 1");
    }
    pod_affinity(&spec, warnings);
    spec.child("dnsConfig").items("nameservers").for_each(|server| warnings::address(&server, warnings));
    spec.items("hostAliases").for_each(|alias| warnings::address(&alias.child("ip"), warnings));
}

/// Upstream's order: what runs first comes first. With each the list that it is in, and where.
pub(crate) fn containers<'a>(spec: &FieldValue<'a>) -> impl Iterator<Item = (&'static str, usize, FieldValue<'a>)> + use<'a> {
    let spec = spec.clone();
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| spec.items(list).enumerate().map(move |(index, container)| (list, index, container)))
}

fn node_labels(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    for (label, at) in spec.entries("nodeSelector") {
        if let Some(why) = warnings::deprecated_node_label(label) {
            warnings.at(&at.path, why);
        }
    }
    let Some(affinity) = spec.some("affinity").and_then(|affinity| affinity.some("nodeAffinity")) else { return };
    for term in affinity.child("requiredDuringSchedulingIgnoredDuringExecution").items("nodeSelectorTerms") {
        warnings::node_label_expressions(&term, warnings);
    }
    for term in affinity.items("preferredDuringSchedulingIgnoredDuringExecution") {
        warnings::preferred_node_term(&term.child("preference"), warnings);
    }
}

fn topology(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    for constraint in spec.items("topologySpreadConstraints") {
        let key = constraint.child("topologyKey");
        if let Some(why) = warnings::deprecated_node_label(key.text()) {
            warnings.at(&key.path, &format!("{} is {why}", key.text()));
        }
        selects_nothing(&constraint, warnings);
    }
}

fn selects_nothing(at: &FieldValue<'_>, warnings: &mut Warnings) {
    if !at.has("labelSelector") {
        warnings.at(&at.path.child("labelSelector"), MATCHES_NO_POD);
    }
}

fn pod_affinity(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    let Some(affinity) = spec.some("affinity") else { return };
    for which in ["podAffinity", "podAntiAffinity"] {
        let affinity = affinity.child(which);
        affinity.items("requiredDuringSchedulingIgnoredDuringExecution").for_each(|term| selects_nothing(&term, warnings));
        for term in affinity.items("preferredDuringSchedulingIgnoredDuringExecution") {
            selects_nothing(&term.child("podAffinityTerm"), warnings);
        }
    }
}

fn volume(volume: &FieldValue<'_>, warnings: &mut Warnings) {
    for (_, shown, why) in VOLUMES.iter().filter(|(field, ..)| volume.has(field)) {
        warnings.at(&volume.path.child(shown), why);
    }
    if let Some(template) = volume.some("ephemeral").and_then(|ephemeral| ephemeral.some("volumeClaimTemplate")) {
        claim::warn_of_claim_spec(&template.child("spec"), warnings);
    }
}

/// Items of a list that have the same value in a field.
fn repeated(spec: &FieldValue<'_>, list: &str, field: &str, warnings: &mut Warnings) {
    let mut seen = HashSet::new();
    for item in spec.items(list).filter(|item| !seen.insert(text(item.value, field))) {
        warnings.at(&item.path.child(field), &format!("duplicate {field} {}", go_quote(item.text_of(field))));
    }
}

/// Annotations for a container where its fields say nothing. AppArmor's are looked at in templates only (then `pod` is its spec): in
/// a pod they are made into fields.
fn profile_annotations(container: &FieldValue<'_>, annotations: &FieldValue<'_>, pod: Option<&FieldValue<'_>>, warnings: &mut Warnings) {
    let name = container.text_of("name");
    let context = container.child("securityContext");
    let seccomp = format!("{SECCOMP_CONTAINER}{name}");
    if !context.has("seccompProfile") && annotations.value.get(&seccomp).is_some() {
        warnings.at(&annotations.path.key(&seccomp), USE_SECCOMP_PROFILE);
    }
    let Some(pod) = pod.filter(|_| !context.has("appArmorProfile")) else { return };
    let app_armor = format!("{APP_ARMOR_CONTAINER}{name}");
    let Some(annotation) = annotations.value.get(&app_armor).and_then(Value::as_str) else { return };
    let of_pod = pod.child("securityContext").some("appArmorProfile");
    if of_pod.is_none_or(|profile| app_armor_profile(annotation).as_ref() != Some(profile.value)) {
        warnings.at(&annotations.path.key(&app_armor), USE_APP_ARMOR_PROFILE);
    }
}

/// A variable that stands there twice, unless the second is made from the first.
fn hidden_variables(container: &FieldValue<'_>, warnings: &mut Warnings) {
    let mut seen = HashSet::new();
    for (index, variable) in list(container.value, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        if seen.insert(name) {
            continue;
        }
        let reference = format!("$({name})");
        if has(variable, "valueFrom") || value == reference || !value.contains(&reference) {
            let name = go_quote(name);
            let path = container.path.child("env").index(index);
            warnings.at(&path, &format!("hides previous definition of {name}, which may be dropped when using apply"));
        }
    }
}

/// A port of a container.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Port<'a> {
    number: i64,
    protocol: &'a str,
    host_port: i64,
    host_ip: &'a str,
}

impl<'a> Port<'a> {
    fn of(at: &FieldValue<'a>) -> Self {
        Self {
            number: at.int_of("containerPort").unwrap_or(0),
            protocol: at.text_of("protocol"),
            host_port: at.int_of("hostPort").unwrap_or(0),
            host_ip: at.text_of("hostIP"),
        }
    }

    /// What is wrong with one beside another of the same number and protocol.
    fn clash(&self, other: &Self) -> &'static str {
        if self == other {
            "duplicate"
        } else if self.host_port == 0 || other.host_port == 0 {
            "overlapping"
        } else {
            "dangerously ambiguous"
        }
    }
}

/// Ports by number and protocol, and where asked for by host port and host address. Looking up instead of comparing each with each: a
/// pod may have tens of thousands of them.
#[derive(Default)]
struct Ports<'a>(HashMap<(i64, &'a str, Option<i64>, Option<&'a str>), Vec<usize>>);

impl<'a> Ports<'a> {
    fn add(&mut self, port: &Port<'a>, index: usize) {
        for (host_port, host_ip) in [(None, None), (Some(port.host_port), None), (Some(port.host_port), Some(port.host_ip))] {
            self.0.entry((port.number, port.protocol, host_port, host_ip)).or_default().push(index);
        }
    }

    /// Those that clash with it, in order.
    fn clashing(&self, port: &Port<'a>) -> Vec<usize> {
        let wanted: &[(Option<i64>, Option<&str>)] = match (port.host_port, port.host_ip) {
            (0, _) => &[(None, None)],
            (number, "") => &[(Some(0), None), (Some(number), None)],
            (number, ip) => &[(Some(0), None), (Some(number), Some(ip)), (Some(number), Some(""))],
        };
        let of = |(host_port, host_ip): &(Option<i64>, Option<&'a str>)| self.0.get(&(port.number, port.protocol, *host_port, *host_ip));
        let mut found: Vec<usize> = wanted.iter().filter_map(of).flatten().copied().collect();
        found.sort_unstable();
        found
    }
}

fn ports(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    let mut before: Vec<(Path, Port<'_>)> = Vec::new();
    let mut known = Ports::default();
    for at in containers(spec).flat_map(|(_, _, container)| container.items("ports")) {
        if warnings.is_full() {
            return;
        }
        let port = Port::of(&at);
        if !port.host_ip.is_empty() && port.host_port == 0 {
            let Port { number, protocol, host_port, host_ip } = port;
            let name = at.text_of("name");
            let shown = format!("{{Name:{name} HostPort:{host_port} ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}");
            warnings.at(&at.path, &format!("hostIP set without hostPort: {shown}"));
        }
        for (path, other) in known.clashing(&port).into_iter().map(|index| &before[index]) {
            warnings.at(&at.path, &format!("{} port definition with {path}", port.clash(other)));
        }
        known.add(&port, before.len());
        before.push((at.path, port));
    }
}

fn port_names(spec: &FieldValue<'_>, warnings: &mut Warnings) {
    let mut first: HashMap<&str, Path> = HashMap::new();
    for port in containers(spec).flat_map(|(_, _, container)| container.items("ports")) {
        let name = port.text_of("name");
        if name.is_empty() {
            continue;
        }
        match first.get(name) {
            None => drop(first.insert(name, port.path)),
            Some(other) => {
                let quoted = go_quote(name);
                let text =
                    format!("duplicate port name {quoted} with {other}, services and probes that select ports by name will use {other}");
                warnings.at(&port.path, &text);
            }
        }
    }
}

/// The field that says what an AppArmor annotation says.
pub(crate) fn app_armor_profile(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({ "type": "Unconfined" })),
        "runtime/default" => Some(json!({ "type": "RuntimeDefault" })),
        other => {
            let name = other.strip_prefix("localhost/").filter(|name| !name.is_empty())?;
            Some(json!({ "type": "Localhost", "localhostProfile": name }))
        }
    }
}
