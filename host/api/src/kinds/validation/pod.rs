//! Pods and pod templates.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use apimachinery::field::{Error, ErrorType};
use apimachinery::validation::ip::parse_ip_sloppy;
use apimachinery::validation::name;
use serde_json::Value;

use super::container::{self, Scope};
use super::security::APP_ARMOR_ANNOTATION;
use super::selector::labels;
use super::{At, Errors, legacy_ip, metadata, resources, scheduling, security, volume};
use crate::Resource;
use crate::kinds::go_struct::{self, POD_SPEC};
use crate::kinds::{pod as behaviour, value};

const MIRROR: &str = "kubernetes.io/config.mirror";
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCHES_BYTES_MAX: usize = 2048;
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
     to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A new pod.
pub(crate) fn validate(resource: &Resource, pod: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata_and_spec(resource, pod, &mut errors);
    let spec = At::root(pod).child("spec");
    if !spec.is_empty("ephemeralContainers") {
        errors.push(spec.child("ephemeralContainers").forbidden("cannot be set on create"));
    }
    if !spec.is_empty("nodeName") && !spec.is_empty("schedulingGates") {
        errors.push(spec.child("nodeName").forbidden("cannot be set until all schedulingGates have been cleared"));
    }
    security::app_armor_annotations(&At::root(pod).child("metadata").child("annotations"), &spec, &mut errors);
    errors
}

fn metadata_and_spec(resource: &Resource, pod: &Value, errors: &mut Errors) {
    let root = At::root(pod);
    let spec = root.child("spec");
    metadata::validate(resource, pod, metadata::subdomain, errors);
    pod_annotations(&root.child("metadata").child("annotations"), &spec, errors);
    validate_spec(&spec, apimachinery::object::name(pod), true, errors);
    if spec.is_empty("serviceAccountName") {
        for volume in spec.items("volumes") {
            for source in volume.child("projected").items("sources").filter(|source| source.has("serviceAccountToken")) {
                errors.push(source.child("serviceAccountToken").forbidden("must not be specified when serviceAccountName is not set"));
            }
        }
    }
    container::pod_images(&spec, errors);
}

fn pod_annotations(at: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let of = |key: &str| At { value: at.value.get(key).unwrap_or(super::NULL), path: at.path.key(key) };
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
pub(crate) fn validate_template(at: &At<'_>, errors: &mut Errors) {
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
pub(crate) fn validate_spec(spec: &At<'_>, pod_name: &str, is_pod: bool, errors: &mut Errors) {
    if !spec.has("terminationGracePeriodSeconds") {
        errors.push(spec.child("terminationGracePeriodSeconds").required(""));
    }
    let scope = Scope {
        volumes: volume::volumes(spec, pod_name, errors),
        claims: spec.items("resourceClaims").map(|claim| value::text(claim.value, "name")).collect(),
        grace_seconds: spec.int_of("terminationGracePeriodSeconds"),
        restart_policy: spec.text_of("restartPolicy"),
        host_users: spec.value.get("hostUsers") != Some(&Value::Bool(false)),
    };
    resource_claims(spec, errors);
    container::containers(spec, &scope, errors);
    container::init_containers(spec, &scope, errors);
    container::ephemeral_containers(spec, &scope, errors);
    if let Some(resources) = spec.some("resources") {
        resources::requirements(&resources, true, &HashSet::new(), errors);
        pod_level_consistency(spec, &resources, errors);
    }
    host_network_ports(spec, is_pod, errors);
    spec.child("restartPolicy").one_of(&["Always", "OnFailure", "Never"], errors);
    spec.child("dnsPolicy").one_of(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], errors);
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
    if let Some(policy) = spec.some("preemptionPolicy").filter(|policy| !matches!(policy.text(), "PreemptLowerPriority" | "Never")) {
        errors.push(policy.unsupported(&["PreemptLowerPriority", "Never"]));
    }
    for (name, entry) in spec.entries("overhead") {
        let entry = entry.renamed(spec.path.child("overhead").child("limits").key(name));
        resources::resource_name(name, &entry, errors);
        resources::quantity_value(name, &entry, errors);
    }
    os(spec, errors);
    container::file_key_volumes(spec, errors);
}

fn names(spec: &At<'_>, errors: &mut Errors) {
    let subdomain = |name: &str, errors: &mut Errors| {
        let at = spec.child(name);
        if !at.text().is_empty() {
            at.problems(metadata::subdomain(at.text(), false), errors);
        }
    };
    subdomain("serviceAccountName", errors);
    subdomain("nodeName", errors);
    if let Some(deadline) = spec.some("activeDeadlineSeconds") {
        deadline.within(1, i64::from(i32::MAX), errors);
    }
    for name in ["hostname", "subdomain"] {
        let at = spec.child(name);
        if !at.text().is_empty() {
            at.dns_label(errors);
        }
    }
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

fn resource_claims(spec: &At<'_>, errors: &mut Errors) {
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
            let field = |name: &str| claim.value.get(name).unwrap_or(super::NULL).to_string();
            let (claim, template) = (field("resourceClaimName"), field("resourceClaimTemplateName"));
            format!("{{\"Name\":{},\"ResourceClaimName\":{claim},\"ResourceClaimTemplateName\":{template}}}", field("name"))
        };
        match (claim.has("resourceClaimName"), claim.has("resourceClaimTemplateName")) {
            (true, true) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(super::invalid_shown(&claim.path, &shown(), detail));
            }
            (false, false) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(super::invalid_shown(&claim.path, &shown(), detail));
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

fn pod_level_consistency(spec: &At<'_>, resources: &At<'_>, errors: &mut Errors) {
    for (name, sum) in behaviour::aggregate(spec.value, "requests") {
        let at = At { value: &resources.child("requests").value[name.as_str()], path: resources.path.child("requests").key(&name) };
        if let Some(said) = at.quantity().filter(|said| sum > *said) {
            errors
                .push(at.invalid_as(said.to_string(), &format!("must be greater than or equal to aggregate container requests of {sum}")));
        }
    }
    for (name, sum) in behaviour::aggregate(spec.value, "limits").into_iter().filter(|(name, _)| resources::is_huge_page(name)) {
        let at = At { value: &resources.child("limits").value[name.as_str()], path: resources.path.child("limits").key(&name) };
        if let Some(said) = at.quantity().filter(|said| sum > *said) {
            errors.push(at.invalid_as(said.to_string(), &format!("must be greater than or equal to aggregate container limits of {sum}")));
        }
    }
    for (i, container) in spec.items("containers").enumerate() {
        for (name, limit) in container.child("resources").entries("limits") {
            let most = At { value: &resources.child("limits").value[name], path: resources.path.clone() }.quantity();
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

fn host_network_ports(spec: &At<'_>, is_pod: bool, errors: &mut Errors) {
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

fn dns_config(spec: &At<'_>, errors: &mut Errors) {
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

fn host_users(spec: &At<'_>, errors: &mut Errors) {
    if spec.value.get("hostUsers") != Some(&Value::Bool(false)) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.flag(field) {
            errors.push(spec.child(shown).forbidden("when `hostUsers` is false"));
        }
    }
}

fn hostname_override(spec: &At<'_>, errors: &mut Errors) {
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

fn os(spec: &At<'_>, errors: &mut Errors) {
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
        _ => errors.push(super::unsupported(&os.path, name.value, &["linux", "windows"])),
    }
}

/// A changed pod: next to nothing of the spec may change.
pub(crate) fn validate_update(resource: &Resource, pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(pod, old, &mut errors);
    metadata_and_spec(resource, pod, &mut errors);
    let root = At::root(pod);
    annotation_updates(&root, old, &mut errors);
    let spec = root.child("spec");
    let before = &old["spec"];
    for list in ["containers", "initContainers"] {
        if spec.items(list).count() != value::list(before, list).len() {
            errors.push(spec.child(list).forbidden("pod updates may not add or remove containers"));
            return errors;
        }
        for container in spec.items(list) {
            let image = container.child("image");
            if image.text().is_empty() {
                errors.push(image.required(""));
            }
            if image.text().trim() != image.text() {
                errors.push(image.invalid("must not have leading or trailing whitespace"));
            }
        }
    }
    let deadline = spec.child("activeDeadlineSeconds");
    match (spec.int_of("activeDeadlineSeconds"), value::int(before, "activeDeadlineSeconds")) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            errors.push(deadline.invalid(&name::inclusive_range_error(0, i64::from(i32::MAX))));
            return errors;
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(deadline.invalid("must be less than or equal to previous value"));
            return errors;
        }
        (None, Some(_)) => errors.push(deadline.invalid("must not update from a positive integer to nil value")),
        _ => {}
    }
    only_added_tolerations(&spec, before, &mut errors);
    only_deleted_gates(&spec, before, &mut errors);
    if spec.value == before {
        return errors;
    }
    let mut munged = spec.value.clone();
    for list in ["containers", "initContainers"] {
        let images: Vec<Value> =
            value::list(before, list).iter().map(|container| container.get("image").cloned().unwrap_or_default()).collect();
        for (container, image) in value::list_mut(&mut munged, list).zip(images) {
            value::set(container, "image", image);
        }
    }
    for name in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        value::restore(&mut munged, before, name);
    }
    if !value::list(before, "schedulingGates").is_empty() {
        gated_changes(&spec, &mut munged, before, &mut errors);
    }
    if munged != *before {
        let changes = go_struct::changes(&go_struct::definition(POD_SPEC), POD_SPEC, before, &munged);
        errors.push(spec.forbidden(&format!("pod updates may not change fields other than {UPDATABLE}\n{changes}")));
    }
    errors
}

fn annotation_updates(root: &At<'_>, old: &Value, errors: &mut Errors) {
    let annotations = root.child("metadata").child("annotations");
    let before = old.pointer("/metadata/annotations").unwrap_or(super::NULL);
    for (key, value) in before.as_object().into_iter().flatten() {
        if annotations.value.get(key) == Some(value) {
            continue;
        }
        let at = At { value, path: annotations.path.key(key) };
        if key.starts_with(APP_ARMOR_ANNOTATION) {
            errors.push(at.forbidden("may not remove or update AppArmor annotations"));
        }
        if key == MIRROR {
            errors.push(at.forbidden("may not remove or update mirror pod annotation"));
        }
    }
    for (key, value) in annotations.value.as_object().into_iter().flatten().filter(|(key, _)| before.get(key.as_str()).is_none()) {
        let at = At { value, path: annotations.path.key(key) };
        if key.starts_with(APP_ARMOR_ANNOTATION) {
            errors.push(at.forbidden("may not add AppArmor annotations"));
        }
        if key == MIRROR {
            errors.push(at.forbidden("may not add mirror pod annotation"));
        }
    }
    pod_annotations(&annotations, &root.child("spec"), errors);
}

fn only_added_tolerations(spec: &At<'_>, before: &Value, errors: &mut Errors) {
    let untimed = |toleration: &Value| {
        let mut toleration = toleration.clone();
        value::remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let known: HashSet<Value> = value::list(spec.value, "tolerations").iter().map(untimed).collect();
    for old in value::list(before, "tolerations") {
        if !known.contains(&untimed(old)) {
            errors.push(spec.child("tolerations").forbidden("existing toleration can not be modified except its tolerationSeconds"));
            return;
        }
    }
    scheduling::tolerations(spec, errors);
}

fn only_deleted_gates(spec: &At<'_>, before: &Value, errors: &mut Errors) {
    let known: HashSet<&str> = value::list(before, "schedulingGates").iter().map(|old| value::text(old, "name")).collect();
    for gate in spec.items("schedulingGates") {
        let name = gate.child("name");
        if !known.contains(name.text()) {
            errors.push(name.forbidden(&format!("only deletion is allowed, but found new scheduling gate '{}'", name.text())));
        }
    }
}

/// As long as a pod waits at a gate, where it may run may be narrowed.
fn gated_changes(spec: &At<'_>, munged: &mut Value, before: &Value, errors: &mut Errors) {
    let selector = spec.child("nodeSelector");
    let kept = value::entries(before, "nodeSelector").all(|(key, value)| selector.value.get(key) == Some(value));
    if !kept {
        errors.push(selector.invalid("only additions to spec.nodeSelector are allowed (no mutations or deletions)"));
    }
    value::restore(munged, before, "nodeSelector");
    const REQUIRED: &str = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = |spec: &Value| spec.pointer(REQUIRED).and_then(Value::as_array).cloned().unwrap_or_default();
    let (new_terms, old_terms) = (terms(spec.value), terms(before));
    let required = spec.child("affinity").child("nodeAffinity").child("requiredDuringSchedulingIgnoredDuringExecution");
    if !old_terms.is_empty() && old_terms.len() != new_terms.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(required.child("nodeSelectorTerms").invalid(detail));
    } else {
        for (i, (new, old)) in new_terms.iter().zip(&old_terms).enumerate() {
            let added = |name: &str| {
                let (new, old) = (value::list(new, name), value::list(old, name));
                new.len() >= old.len() && new[..old.len()] == *old
            };
            let only_fields = value::list(old, "matchExpressions").is_empty() && value::list(old, "matchFields").is_empty();
            if only_fields && new != old || !added("matchExpressions") || !added("matchFields") {
                let at = At { value: new, path: required.path.child("nodeSelectorTerms").index(i) };
                errors.push(at.invalid("only additions are allowed (no mutations or deletions)"));
            }
        }
    }
    let old_affinity = before.get("affinity");
    let others = ["podAffinity", "podAntiAffinity"].iter().any(|name| munged["affinity"].get(*name).is_some());
    match (munged.get("affinity").is_some(), old_affinity) {
        (true, None) if !others => {
            value::remove(munged, "affinity");
        }
        (false, Some(old)) if old.get("nodeAffinity").is_none() => {}
        (false, None) => {}
        (_, old) => value::restore(value::object_at(munged, "affinity"), old.unwrap_or(super::NULL), "nodeAffinity"),
    }
}

/// A change of a subresource.
pub(crate) fn validate_subresource(resource: &Resource, subresource: &str, pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(pod, old, &mut errors);
    match subresource {
        "status" => status(pod, old, &mut errors),
        "ephemeralcontainers" => {
            metadata_and_spec(resource, pod, &mut errors);
            annotation_updates(&At::root(pod), old, &mut errors);
            let spec = At::root(pod).child("spec");
            let list = spec.child("ephemeralContainers");
            let mut named: HashMap<&str, &Value> = HashMap::new();
            for new in value::list(spec.value, "ephemeralContainers") {
                named.entry(value::text(new, "name")).or_insert(new);
            }
            for container in value::list(&old["spec"], "ephemeralContainers") {
                let name = value::text(container, "name");
                match named.get(name) {
                    None => errors.push(list.forbidden(&format!("existing ephemeral containers \"{name}\" may not be removed\n"))),
                    Some(new) if *new != container => {
                        const KIND: &str = "io.k8s.api.core.v1.EphemeralContainer";
                        let changes = go_struct::changes(&go_struct::definition(KIND), KIND, container, new);
                        errors.push(list.forbidden(&format!("existing ephemeral containers \"{name}\" may not be changed\n{changes}")));
                    }
                    Some(_) => {}
                }
            }
        }
        "resize" => {
            if let Some(why) = never_resized(old) {
                // Upstream's empty path, which is written so.
                return vec![Error { kind: ErrorType::Forbidden, field: "[]".to_owned(), body: format!("Forbidden: {why}"), value: None }];
            }
            metadata_and_spec(resource, pod, &mut errors);
            resize(pod, old, &mut errors);
        }
        _ => {}
    }
    errors
}

fn status(pod: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(pod);
    annotation_updates(&root, old, errors);
    let at = root.child("status");
    let before = At::root(old).child("status");
    for condition in at.items("conditions") {
        let generation = condition.child("observedGeneration");
        if generation.int() < 0 {
            errors.push(generation.invalid("must be a non-negative integer"));
        }
        let kind = condition.text_of("type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            let shown = condition.child("Type");
            errors.extend(name::is_qualified_name(kind).iter().map(|problem| shown.invalid_as(kind, problem)));
        }
    }
    let nominated = at.child("nominatedNodeName");
    if nominated.text() != before.text_of("nominatedNodeName") && !nominated.text().is_empty() {
        nominated.problems(metadata::subdomain(nominated.text(), false), errors);
        if !value::text(&old["spec"], "nodeName").is_empty() {
            errors.push(nominated.forbidden("may not be set on pods that are already bound to a node"));
        }
    }
    at.child("qosClass").immutable(&before.child("qosClass"), errors);
    state_transitions(&at, &before, "containerStatuses", &old["spec"], errors);
    for list in ["podIPs", "hostIPs"] {
        let ips: Vec<At<'_>> = at.items(list).map(|ip| ip.child("ip").renamed(ip.path.clone())).collect();
        let stored: Vec<&str> = before.items(list).map(|ip| value::text(ip.value, "ip")).collect();
        if let Some(first) = at.items(list).next().filter(|first| list == "hostIPs" && first.text_of("ip") != at.text_of("hostIP")) {
            errors.push(first.child("ip").invalid("must be equal to `hostIP`"));
        }
        for ip in &ips {
            legacy_ip(ip, &stored, errors);
        }
        let families: HashSet<bool> =
            ips.iter().filter_map(|ip| parse_ip_sloppy(ip.text())).map(|ip| ip.to_canonical().is_ipv6()).collect();
        if ips.len() > 1 && (families.len() != 2 || ips.len() > 2) {
            errors.push(at.child(list).invalid("may specify no more than one IP for each IP family"));
        }
    }
}

fn state_transitions(at: &At<'_>, before: &At<'_>, list: &str, spec: &Value, errors: &mut Errors) {
    let policy = value::text(spec, "restartPolicy");
    if policy == "Always" {
        return;
    }
    let alive: HashSet<&str> = value::list(at.value, list)
        .iter()
        .filter(|new| !value::has(&new["state"], "terminated"))
        .map(|new| value::text(new, "name"))
        .collect();
    for status in before.items(list) {
        let Some(terminated) = status.child("state").some("terminated") else { continue };
        if policy == "OnFailure" && terminated.int_of("exitCode").unwrap_or(0) != 0 {
            continue;
        }
        if alive.contains(status.text_of("name")) {
            errors.push(status.child("state").forbidden("may not be transitioned to non-terminated state"));
        }
    }
}

/// Why a pod is none that can be resized.
fn never_resized(old: &Value) -> Option<&'static str> {
    if value::has(&old["metadata"]["annotations"], MIRROR) {
        return Some("static pods cannot be resized");
    }
    (value::text(&old["spec"]["os"], "name") == "windows").then_some("windows pods cannot be resized")
}

fn resize(pod: &Value, old: &Value, errors: &mut Errors) {
    let spec = At::root(pod).child("spec");
    let before = &old["spec"];
    if value::text(&old["status"], "qosClass") != behaviour::qos_class(spec.value) {
        let class = pod["status"].get("qosClass").cloned().unwrap_or_default();
        errors.push(spec.invalid_as(class, "Pod QOS Class may not change as a result of resizing"));
    }
    let running = value::list(&old["status"], "containerStatuses").iter().find(|status| value::has(&status["state"], "running"));
    if running.is_some_and(|status| !value::has(status, "resources")) {
        errors.push(spec.forbidden("Pod running on node without support for resize"));
    }
    let mut copy = spec.value.clone();
    if value::has(spec.value, "resources") || value::has(before, "resources") {
        pod_level_resize(&spec, before, &mut copy, errors);
    }
    let ordered = errors.len();
    for list in ["containers", "initContainers"] {
        let at = spec.child(list);
        if spec.items(list).count() != value::list(before, list).len() {
            errors.push(at.forbidden(&format!("{list} may not be added or removed on resize")));
            continue;
        }
        for (new, old) in spec.items(list).zip(value::list(before, list)) {
            if new.text_of("name") != value::text(old, "name") {
                errors.push(new.child("name").forbidden(&format!("{list} may not be renamed or reordered on resize")));
            }
        }
    }
    if errors.len() > ordered {
        return;
    }
    for list in ["initContainers", "containers"] {
        for (new, old) in spec.items(list).zip(value::list(before, list)) {
            if list == "initContainers" && value::text(old, "restartPolicy") != "Always" {
                continue;
            }
            let resources = new.child("resources");
            for (which, noun) in [("requests", "resource requests"), ("limits", "resource limits")] {
                if is_removed(&resources.value[which], &old["resources"][which]) {
                    errors.push(resources.child(which).forbidden(&format!("{noun} cannot be removed")));
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for (i, old) in value::list(before, list).iter().enumerate() {
            let container = &mut copy[list][i];
            if list == "initContainers" && value::text(old, "restartPolicy") != "Always" {
                if container != old {
                    errors.push(spec.forbidden("resources for non-sidecar init containers are immutable"));
                }
                continue;
            }
            let resources = keep_compute(&container["resources"], &old["resources"]);
            value::set(container, "resources", resources);
            if container != old {
                let at = if list == "containers" { spec.clone() } else { spec.child(list) };
                errors.push(match list {
                    "containers" => at.forbidden("only cpu and memory resources are mutable"),
                    _ => At { value: at.value, path: at.path.index(i) }
                        .forbidden("only cpu and memory resources for init or sidecar containers are mutable"),
                });
            }
        }
    }
    if errors.is_empty() && copy != *before {
        errors.push(spec.forbidden("only cpu and memory resources are mutable"));
    }
}

fn pod_level_resize(spec: &At<'_>, before: &Value, copy: &mut Value, errors: &mut Errors) {
    let at = spec.child("resources");
    if value::has(before, "resources") {
        if at.value.is_null() {
            return errors.push(at.forbidden("pod-level resources cannot be removed"));
        }
        for (which, noun) in [("requests", "pod-level resource requests"), ("limits", "pod-level resource limits")] {
            if is_removed(&at.value[which], &before["resources"][which]) {
                errors.push(at.child(which).forbidden(&format!("{noun} cannot be removed")));
            }
        }
    }
    let kept = keep_compute(at.value, &before["resources"]);
    if kept == serde_json::json!({}) && !value::has(before, "resources") {
        value::remove(copy, "resources");
    } else {
        value::set(copy, "resources", kept);
    }
    if copy.get("resources") != before.get("resources") {
        errors.push(spec.forbidden("only cpu and memory resources are mutable at pod-level"));
    }
}

fn is_removed(new: &Value, old: &Value) -> bool {
    old.as_object().into_iter().flatten().any(|(name, _)| new.get(name).is_none())
}

/// The new requirements with the old cpu and memory.
fn keep_compute(new: &Value, old: &Value) -> Value {
    let mut kept = serde_json::json!({});
    for which in ["limits", "requests"] {
        let mut list = new.get(which).cloned().unwrap_or_else(|| serde_json::json!({}));
        for name in ["cpu", "memory"] {
            value::restore(&mut list, &old[which], name);
        }
        if list.as_object().is_some_and(|list| !list.is_empty()) {
            value::set(&mut kept, which, list);
        }
    }
    kept
}
