//! What is wrong with the template or the spec of pods, in upstream's order and words (`pkg/apis/core/validation/validation.go`).

use std::cell::LazyCell;
use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::pod::container::{self, ContainerContext};
use crate::shared::pod::security::{self, APP_ARMOR_ANNOTATION};
use crate::shared::pod::{requests, volume};
use crate::shared::rules::{self, Field, Format, PREEMPTION_POLICY, Rule, field};
use crate::shared::selector::labels;
use crate::shared::validation::{self, legacy_ip};
use crate::shared::{metadata, resources, scheduling, value};

pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCHES_BYTES_MAX: usize = 2048;

pub(crate) fn pod_annotations(at: &FieldValue<'_>, spec: &FieldValue<'_>, errors: &mut Errors) {
    let of = |key: &str| FieldValue { value: at.value.get(key).unwrap_or(field_value::NULL), path: at.path.key(key) };
    let mirror = of(MIRROR);
    if !mirror.value.is_null() && spec.is_empty("nodeName") {
        errors.push(mirror.invalid("must set spec.nodeName if mirror pod annotation is set"));
    }
    let cost = of("controller.kubernetes.io/pod-deletion-cost");
    if !cost.value.is_null() {
        let text = cost.text();
        let canonical =
            text.parse::<i32>().is_ok_and(|_| !text.starts_with('+') && (text == "0" || !text.trim_start_matches('-').starts_with('0')));
        if !canonical {
            errors.push(cost.invalid("must be a 32bit integer"));
        }
    }
    let containers = || ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|list| value::list(spec.value, list));
    let names = LazyCell::new(|| containers().map(|container| value::text(container, "name")).collect::<HashSet<_>>());
    for (key, profile) in at.value.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with(APP_ARMOR_ANNOTATION)) {
        let container = &key[APP_ARMOR_ANNOTATION.len()..];
        if !names.contains(container) {
            errors.push(of(key).invalid_as(container, "container not found"));
        }
        let profile = profile.as_str().unwrap_or_default();
        if !(profile.is_empty() || matches!(profile, "runtime/default" | "unconfined") || profile.starts_with("localhost/")) {
            errors.push(of(key).invalid_as(profile, &format!("invalid AppArmor profile name: \"{profile}\"")));
        }
    }
}

/// A template of pods, at `at`.
pub(crate) fn validate_template(at: &FieldValue<'_>, errors: &mut Errors) {
    let spec = at.child("spec");
    let meta = at.child("metadata");
    labels(&meta.child("labels").renamed(at.path.child("labels")), errors);
    let annotations = meta.child("annotations").renamed(at.path.child("annotations"));
    metadata::annotations(&annotations, errors);
    pod_annotations(&annotations, &spec, errors);
    validate_spec(&spec, "", false, errors);
    security::app_armor_annotations(&annotations, &spec, errors);
    if !spec.is_empty("ephemeralContainers") {
        errors.push(spec.child("ephemeralContainers").forbidden("ephemeral containers not allowed in pod template"));
    }
}

/// A pod's spec; a template's pods have no name yet.
pub(crate) fn validate_spec(spec: &FieldValue<'_>, pod_name: &str, is_pod: bool, errors: &mut Errors) {
    if !spec.has("terminationGracePeriodSeconds") {
        errors.push(spec.child("terminationGracePeriodSeconds").required(""));
    }
    let context = ContainerContext {
        volumes: volume::volumes(spec, pod_name, errors),
        claims: spec.items("resourceClaims").map(|claim| value::text(claim.value, "name")).collect(),
        grace_seconds: spec.int_of("terminationGracePeriodSeconds"),
        restart_policy: spec.text_of("restartPolicy"),
        host_users: spec.value.get("hostUsers") != Some(&Value::Bool(false)),
    };
    resource_claims(spec, errors);
    container::containers(spec, &context, errors);
    container::init_containers(spec, &context, errors);
    container::ephemeral_containers(spec, &context, errors);
    if let Some(resources) = spec.some("resources") {
        resources::requirements(&resources, true, &HashSet::new(), errors);
        pod_level_consistency(spec, &resources, errors);
    }
    host_network_ports(spec, is_pod, errors);
    rules::check(&POLICIES, spec, None, errors);
    labels(&spec.child("nodeSelector"), errors);
    security::pod_security_context(spec, errors);
    scheduling::affinity(&spec.child("affinity"), errors);
    dns_config(spec, errors);
    for gate in spec.items("readinessGates") {
        let kind = gate.child("conditionType");
        errors.extend(name::is_qualified_name(kind.text()).iter().map(|problem| kind.invalid_as(kind.text(), problem)));
    }
    let mut gates: HashSet<&str> = HashSet::new();
    for gate in spec.items("schedulingGates") {
        let name = value::text(gate.value, "name");
        errors.extend(name::is_qualified_name(name).iter().map(|problem| gate.invalid_as(name, problem)));
        if gates.contains(&name) {
            errors.push(apimachinery::field::Error::duplicate(&gate.path, name));
        }
        gates.insert(name);
    }
    scheduling::topology_spread(spec, errors);
    host_users(spec, errors);
    hostname_override(spec, errors);
    names(spec, errors);
    rules::check(&[PREEMPTION_POLICY], spec, None, errors);
    for (name, entry) in spec.entries("overhead") {
        let entry = entry.renamed(spec.path.child("overhead").child("limits").key(name));
        resources::resource_name(name, &entry, errors);
        resources::quantity_value(name, &entry, errors);
    }
    os(spec, errors);
    container::file_key_volumes(spec, errors);
}

const POLICIES: [Field; 2] = [
    field("restartPolicy", &[Rule::Required, Rule::Enum(&["Always", "OnFailure", "Never"])]),
    field("dnsPolicy", &[Rule::Required, Rule::Enum(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])]),
];
const NAMES: [Field; 3] = [
    field("activeDeadlineSeconds", &[Rule::Optional, Rule::Range(1, i32::MAX as i64)]),
    field("hostname", &[Rule::OptionalOrEmpty, Rule::Format(Format::DnsLabel)]),
    field("subdomain", &[Rule::OptionalOrEmpty, Rule::Format(Format::DnsLabel)]),
];

fn names(spec: &FieldValue<'_>, errors: &mut Errors) {
    let subdomain = |name: &str, errors: &mut Errors| {
        let at = spec.child(name);
        if !at.text().is_empty() {
            at.problems(metadata::subdomain(at.text(), false), errors);
        }
    };
    subdomain("serviceAccountName", errors);
    subdomain("nodeName", errors);
    rules::check(&NAMES, spec, None, errors);
    scheduling::tolerations(spec, errors);
    for alias in spec.items("hostAliases") {
        legacy_ip(&alias.child("ip"), &[], errors);
        for hostname in alias.items("hostnames") {
            hostname.dns_subdomain(errors);
        }
    }
    subdomain("priorityClassName", errors);
    if let Some(class) = spec.some("runtimeClassName") {
        class.problems(metadata::subdomain(class.text(), false), errors);
    }
}

fn resource_claims(spec: &FieldValue<'_>, errors: &mut Errors) {
    let mut seen: HashSet<&str> = HashSet::new();
    for claim in spec.items("resourceClaims") {
        let name = claim.child("name");
        if name.text().is_empty() {
            errors.push(name.required(""));
        } else if seen.contains(&name.text()) {
            errors.push(name.duplicate());
        } else {
            name.dns_label(errors);
            seen.insert(name.text());
        }
        let shown = || {
            let field = |name: &str| claim.value.get(name).unwrap_or(field_value::NULL).to_string();
            let (claim, template) = (field("resourceClaimName"), field("resourceClaimTemplateName"));
            format!("{{\"Name\":{},\"ResourceClaimName\":{claim},\"ResourceClaimTemplateName\":{template}}}", field("name"))
        };
        match (claim.has("resourceClaimName"), claim.has("resourceClaimTemplateName")) {
            (true, true) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(validation::invalid_shown(&claim.path, &shown(), detail));
            }
            (false, false) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(validation::invalid_shown(&claim.path, &shown(), detail));
            }
            _ => {}
        }
        for name in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = claim.some(name) {
                name.problems(metadata::subdomain(name.text(), false), errors);
            }
        }
    }
}

fn pod_level_consistency(spec: &FieldValue<'_>, resources: &FieldValue<'_>, errors: &mut Errors) {
    for (name, sum) in requests::aggregate(spec.value, "requests") {
        let at = FieldValue { value: &resources.child("requests").value[name.as_str()], path: resources.path.child("requests").key(&name) };
        if let Some(said) = at.quantity().filter(|said| sum > *said) {
            errors
                .push(at.invalid_as(said.to_string(), &format!("must be greater than or equal to aggregate container requests of {sum}")));
        }
    }
    for (name, sum) in requests::aggregate(spec.value, "limits").into_iter().filter(|(name, _)| resources::is_huge_page(name)) {
        let at = FieldValue { value: &resources.child("limits").value[name.as_str()], path: resources.path.child("limits").key(&name) };
        if let Some(said) = at.quantity().filter(|said| sum > *said) {
            errors.push(at.invalid_as(said.to_string(), &format!("must be greater than or equal to aggregate container limits of {sum}")));
        }
    }
    for (i, container) in spec.items("containers").enumerate() {
        for (name, limit) in container.child("resources").entries("limits") {
            let most = FieldValue { value: &resources.child("limits").value[name], path: resources.path.clone() }.quantity();
            if let (Some(limit), Some(most)) = (limit.quantity(), most)
                && limit > most
            {
                let path = resources.path.child("containers").index(i).key(name).child("limits");
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.push(apimachinery::field::Error::invalid(&path, limit.to_string(), &detail));
            }
        }
    }
}

fn host_network_ports(spec: &FieldValue<'_>, is_pod: bool, errors: &mut Errors) {
    if !spec.flag("hostNetwork") {
        return;
    }
    for port in spec.items("containers").flat_map(|container| container.items("ports").collect::<Vec<_>>()) {
        let host = port.child("hostPort");
        if (is_pod || host.int() != 0) && host.int() != port.child("containerPort").int() {
            errors.push(host.invalid_as(host.int(), "must match `containerPort` when `hostNetwork` is true"));
        }
    }
}

fn dns_config(spec: &FieldValue<'_>, errors: &mut Errors) {
    let at = spec.child("dnsConfig");
    if spec.text_of("dnsPolicy") == "None" {
        if at.value.is_null() {
            return errors.push(at.required("must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        if at.is_empty("nameservers") {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return errors.push(at.child("nameservers").required(detail));
        }
    }
    if at.texts("nameservers").count() > NAMESERVERS_MAX {
        errors.push(at.child("nameservers").invalid(&format!("must not have more than {NAMESERVERS_MAX} nameservers")));
    }
    for server in at.items("nameservers") {
        legacy_ip(&server, &[], errors);
    }
    let searches: Vec<&str> = at.texts("searches").collect();
    if searches.len() > SEARCHES_MAX {
        errors.push(at.child("searches").invalid(&format!("must not have more than {SEARCHES_MAX} search paths")));
    }
    if searches.join(" ").len() > SEARCHES_BYTES_MAX {
        let detail = format!("must not have more than {SEARCHES_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(at.child("searches").invalid(&detail));
    }
    for search in at.items("searches").filter(|search| search.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        errors.extend(name::is_dns1123_subdomain_with_underscore(text).iter().map(|problem| search.invalid_as(text, problem)));
    }
    for option in at.items("options").filter(|option| option.is_empty("name")) {
        errors.push(option.required("must not be empty"));
    }
}

fn host_users(spec: &FieldValue<'_>, errors: &mut Errors) {
    if spec.value.get("hostUsers") != Some(&Value::Bool(false)) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.flag(field) {
            errors.push(spec.child(shown).forbidden("when `hostUsers` is false"));
        }
    }
}

fn hostname_override(spec: &FieldValue<'_>, errors: &mut Errors) {
    let Some(at) = spec.some("hostnameOverride") else { return };
    if spec.flag("setHostnameAsFQDN") {
        errors.push(at.forbidden("may not be specified when setHostnameAsFQDN is true"));
    }
    if spec.flag("hostNetwork") {
        errors.push(at.forbidden("may not be specified when hostNetwork is true"));
    }
    if at.text().len() > 64 {
        errors.push(apimachinery::field::Error::too_long(&at.path, 64));
    }
    at.dns_subdomain(errors);
}

fn os(spec: &FieldValue<'_>, errors: &mut Errors) {
    let Some(os) = spec.some("os") else { return };
    let name = os.child("name");
    let all = || ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| spec.items(list).collect::<Vec<_>>());
    match name.text() {
        "" => errors.push(name.required("")),
        "linux" => {
            const LINUX: &str = "windows options cannot be set for a linux pod";
            let context = spec.child("securityContext");
            if context.has("windowsOptions") {
                errors.push(context.child("windowsOptions").forbidden(LINUX));
            }
            for context in all().map(|container| container.child("securityContext")).filter(|context| context.has("windowsOptions")) {
                errors.push(context.child("windowsOptions").forbidden(LINUX));
            }
        }
        "windows" => {
            const WINDOWS: &str = "cannot be set for a windows pod";
            let context = spec.child("securityContext");
            for field in ["appArmorProfile", "seLinuxOptions"] {
                if context.has(field) {
                    errors.push(context.child(field).forbidden(WINDOWS));
                }
            }
            for field in ["hostUsers"] {
                if spec.has(field) {
                    errors.push(spec.child(field).forbidden(WINDOWS));
                }
            }
            for field in ["hostPID", "hostIPC"] {
                if spec.flag(field) {
                    errors.push(spec.child(field).forbidden(WINDOWS));
                }
            }
            for field in ["seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls", "runAsUser", "runAsGroup", "supplementalGroups"] {
                if context.has(field) {
                    errors.push(context.child(field).forbidden(WINDOWS));
                }
            }
            for context in all().map(|container| container.child("securityContext")) {
                for field in [
                    "appArmorProfile",
                    "seLinuxOptions",
                    "seccompProfile",
                    "capabilities",
                    "readOnlyRootFilesystem",
                    "privileged",
                    "allowPrivilegeEscalation",
                    "procMount",
                    "runAsUser",
                    "runAsGroup",
                ] {
                    if context.has(field) {
                        errors.push(context.child(field).forbidden(WINDOWS));
                    }
                }
            }
        }
        _ => errors.push(field_value::unsupported(&os.path, name.value, &["linux", "windows"])),
    }
}
