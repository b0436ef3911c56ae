//! What is wrong with a Pod, in upstream's order and words (`pkg/apis/core/validation`).

use std::collections::{HashMap, HashSet};

use apimachinery::field::{Error, ErrorType};
use apimachinery::validation::ip::parse_ip_sloppy;
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::core::pod::strategy;
use crate::kinds::go_struct::{self, POD_SPEC};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::pod::security::{self, APP_ARMOR_ANNOTATION};
use crate::shared::pod::validation::{MIRROR, pod_annotations, validate_spec};
use crate::shared::rules::{self, Rule};
use crate::shared::validation::legacy_ip;
use crate::shared::{metadata, scheduling, value};

/// Images of pods, which are stricter than those of templates.
fn pod_images(spec: &FieldValue<'_>, errors: &mut Errors) {
    for list in ["containers", "initContainers"] {
        for container in spec.items(list) {
            let image = container.child("image");
            if image.text().trim() != image.text() {
                errors.push(image.invalid("must not have leading or trailing whitespace"));
            }
        }
    }
}

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions \
     to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// A new pod.
pub(crate) fn validate(resource: &Resource, pod: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata_and_spec(resource, pod, &mut errors);
    let spec = FieldValue::root(pod).child("spec");
    if !spec.is_empty("ephemeralContainers") {
        errors.push(spec.child("ephemeralContainers").forbidden("cannot be set on create"));
    }
    if !spec.is_empty("nodeName") && !spec.is_empty("schedulingGates") {
        errors.push(spec.child("nodeName").forbidden("cannot be set until all schedulingGates have been cleared"));
    }
    security::app_armor_annotations(&FieldValue::root(pod).child("metadata").child("annotations"), &spec, &mut errors);
    errors
}

fn metadata_and_spec(resource: &Resource, pod: &Value, errors: &mut Errors) {
    let root = FieldValue::root(pod);
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
    pod_images(&spec, errors);
}

/// A changed pod: next to nothing of the spec may change.
pub(crate) fn validate_update(resource: &Resource, pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(pod, old, &mut errors);
    metadata_and_spec(resource, pod, &mut errors);
    let root = FieldValue::root(pod);
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
            rules::check_value(&[Rule::Required], &image, None, &mut errors);
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

fn annotation_updates(root: &FieldValue<'_>, old: &Value, errors: &mut Errors) {
    let annotations = root.child("metadata").child("annotations");
    let before = old.pointer("/metadata/annotations").unwrap_or(field_value::NULL);
    for (key, value) in before.as_object().into_iter().flatten() {
        if annotations.value.get(key) == Some(value) {
            continue;
        }
        let at = FieldValue { value, path: annotations.path.key(key) };
        if key.starts_with(APP_ARMOR_ANNOTATION) {
            errors.push(at.forbidden("may not remove or update AppArmor annotations"));
        }
        if key == MIRROR {
            errors.push(at.forbidden("may not remove or update mirror pod annotation"));
        }
    }
    for (key, value) in annotations.value.as_object().into_iter().flatten().filter(|(key, _)| before.get(key.as_str()).is_none()) {
        let at = FieldValue { value, path: annotations.path.key(key) };
        if key.starts_with(APP_ARMOR_ANNOTATION) {
            errors.push(at.forbidden("may not add AppArmor annotations"));
        }
        if key == MIRROR {
            errors.push(at.forbidden("may not add mirror pod annotation"));
        }
    }
    pod_annotations(&annotations, &root.child("spec"), errors);
}

fn only_added_tolerations(spec: &FieldValue<'_>, before: &Value, errors: &mut Errors) {
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

fn only_deleted_gates(spec: &FieldValue<'_>, before: &Value, errors: &mut Errors) {
    let known: HashSet<&str> = value::list(before, "schedulingGates").iter().map(|old| value::text(old, "name")).collect();
    for gate in spec.items("schedulingGates") {
        let name = gate.child("name");
        if !known.contains(name.text()) {
            errors.push(name.forbidden(&format!("only deletion is allowed, but found new scheduling gate '{}'", name.text())));
        }
    }
}

/// As long as a pod waits at a gate, where it may run may be narrowed.
fn gated_changes(spec: &FieldValue<'_>, munged: &mut Value, before: &Value, errors: &mut Errors) {
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
                let at = FieldValue { value: new, path: required.path.child("nodeSelectorTerms").index(i) };
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
        (_, old) => value::restore(value::object_at(munged, "affinity"), old.unwrap_or(field_value::NULL), "nodeAffinity"),
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
            annotation_updates(&FieldValue::root(pod), old, &mut errors);
            let spec = FieldValue::root(pod).child("spec");
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
    let root = FieldValue::root(pod);
    annotation_updates(&root, old, errors);
    let at = root.child("status");
    let before = FieldValue::root(old).child("status");
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
        let ips: Vec<FieldValue<'_>> = at.items(list).map(|ip| ip.child("ip").renamed(ip.path.clone())).collect();
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

fn state_transitions(at: &FieldValue<'_>, before: &FieldValue<'_>, list: &str, spec: &Value, errors: &mut Errors) {
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
    let spec = FieldValue::root(pod).child("spec");
    let before = &old["spec"];
    if value::text(&old["status"], "qosClass") != strategy::qos_class(spec.value) {
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
                    _ => FieldValue { value: at.value, path: at.path.index(i) }
                        .forbidden("only cpu and memory resources for init or sidecar containers are mutable"),
                });
            }
        }
    }
    if errors.is_empty() && copy != *before {
        errors.push(spec.forbidden("only cpu and memory resources are mutable"));
    }
}

fn pod_level_resize(spec: &FieldValue<'_>, before: &Value, copy: &mut Value, errors: &mut Errors) {
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
