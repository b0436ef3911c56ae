//! Workloads: deployments, replica sets, stateful sets, daemon sets, replication controllers, pod templates, controller revisions.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use super::pod::validate_template;
use super::selector::{self, label_selector};
use super::{At, Errors, int_or_percent, int_or_percent_value, metadata, percent_of, storage};
use crate::Resource;
use crate::kinds::value;

/// The pods of a workload always run.
fn always_running(template: &At<'_>, kind: &str, errors: &mut Errors) {
    let spec = template.child("spec");
    let policy = spec.child("restartPolicy");
    if policy.text() != "Always" {
        errors.push(super::unsupported(&policy.path, &Value::from(policy.text()), &["Always"]));
    }
    if spec.has("activeDeadlineSeconds") {
        errors.push(spec.child("activeDeadlineSeconds").forbidden(&format!("activeDeadlineSeconds in {kind} is not Supported")));
    }
}

fn template_labels(spec: &At<'_>, errors: &mut Errors) -> bool {
    let labels = spec.child("template").child("metadata").child("labels");
    match selector::selects(spec.child("selector").value, labels.value) {
        Some(false) => {
            errors.push(labels.invalid("`selector` does not match template `labels`"));
            true
        }
        Some(true) => true,
        None => false,
    }
}

fn required_selector(spec: &At<'_>, noun: &str, errors: &mut Errors) {
    let selector = spec.child("selector");
    if selector.value.is_null() {
        return errors.push(selector.required(""));
    }
    label_selector(&selector, errors);
    if selector::is_empty(selector.value) {
        errors.push(selector.invalid(&format!("empty selector is invalid for {noun}")));
    }
}

/// The selector, then the template that it must select; nothing is selected by no selector.
fn selected_template(spec: &At<'_>, kind: &str, bad_selector: &str, errors: &mut Errors) {
    let selector = spec.child("selector");
    let before = errors.len();
    let known = if selector.value.is_null() {
        let labels = spec.child("template").child("metadata").child("labels");
        errors.push(labels.invalid("`selector` does not match template `labels`"));
        true
    } else if selector::is_empty(selector.value) {
        true
    } else {
        template_labels(spec, errors)
    };
    if !known {
        errors.truncate(before);
        return errors.push(selector.invalid(bad_selector));
    }
    let template = spec.child("template");
    validate_template(&template, errors);
    always_running(&template, kind, errors);
}

/// Not above 100 %.
pub(crate) fn not_more_than_all(at: &At<'_>, errors: &mut Errors) {
    if percent_of(at.value).is_some_and(|percent| percent > 100) {
        errors.push(at.invalid("must not be greater than 100%"));
    }
}

/// A number or percentage, not below zero.
pub(crate) fn positive_int_or_percent(at: &At<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => at.problems(name::is_valid_percent(text), errors),
        _ => int_or_percent(at, errors),
    }
}

fn deployment_spec(spec: &At<'_>, errors: &mut Errors) {
    spec.child("replicas").non_negative(errors);
    required_selector(spec, "deployment", errors);
    selected_template(spec, "ReplicaSet", "invalid label selector", errors);
    let strategy = spec.child("strategy");
    let rolling = strategy.child("rollingUpdate");
    match strategy.text_of("type") {
        "Recreate" => {
            if !rolling.value.is_null() {
                errors.push(rolling.forbidden("may not be specified when strategy `type` is 'Recreate'"));
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            positive_int_or_percent(&unavailable, errors);
            positive_int_or_percent(&surge, errors);
            if int_or_percent_value(unavailable.value) == 0 && int_or_percent_value(surge.value) == 0 {
                errors.push(unavailable.invalid("may not be 0 when `maxSurge` is 0"));
            }
            not_more_than_all(&unavailable, errors);
        }
        _ => errors.push(strategy.unsupported(&["Recreate", "RollingUpdate"])),
    }
    let ready = spec.child("minReadySeconds");
    ready.non_negative(errors);
    spec.child("revisionHistoryLimit").non_negative(errors);
    if let Some(deadline) = spec.some("progressDeadlineSeconds") {
        deadline.non_negative(errors);
        if deadline.int() <= ready.int() {
            errors.push(deadline.invalid("must be greater than minReadySeconds"));
        }
    }
}

/// `Deployment`
pub(crate) fn validate_deployment(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    deployment_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `Deployment`
pub(crate) fn validate_deployment_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    deployment_spec(&spec, &mut errors);
    spec.child("selector").immutable(&At::root(old).child("spec").child("selector"), &mut errors);
    errors
}

fn replica_set_spec(spec: &At<'_>, errors: &mut Errors) {
    spec.child("replicas").non_negative(errors);
    spec.child("minReadySeconds").non_negative(errors);
    required_selector(spec, "deployment", errors);
    selected_template(spec, "ReplicaSet", "invalid label selector", errors);
}

/// `ReplicaSet`
pub(crate) fn validate_replica_set(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    replica_set_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `ReplicaSet`
pub(crate) fn validate_replica_set_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    replica_set_spec(&spec, &mut errors);
    spec.child("selector").immutable(&At::root(old).child("spec").child("selector"), &mut errors);
    errors
}

/// A count that is not below zero and not above `replicas`.
fn counts(at: &At<'_>, all: &[&str], limited: &[&str], ready_words: &str, errors: &mut Errors) {
    for name in all {
        at.child(name).non_negative(errors);
    }
    let replicas = at.child("replicas").int();
    for name in limited.iter().map(|name| at.child(name)).filter(|count| count.int() > replicas) {
        errors.push(name.invalid_as(name.int(), "cannot be greater than status.replicas"));
    }
    let available = at.child("availableReplicas");
    if available.int() > at.child("readyReplicas").int() {
        errors.push(available.invalid_as(available.int(), ready_words));
    }
}

fn not_decremented(at: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let (new, old) = (at.child("collisionCount"), before.child("collisionCount"));
    if !old.value.is_null() && (new.value.is_null() || new.int() < old.int()) {
        errors.push(new.invalid_as(new.int(), "cannot be decremented"));
    }
}

/// A changed status of a workload.
pub(crate) fn validate_status(resource: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if &*resource.gvk.kind != "StatefulSet" {
        metadata::validate_update(object, old, &mut errors);
    }
    if subresource != "status" {
        return errors;
    }
    let (at, before) = (At::root(object).child("status"), At::root(old).child("status"));
    match &*resource.gvk.kind {
        "Deployment" => {
            let all = [
                "observedGeneration",
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
                "unavailableReplicas",
                "terminatingReplicas",
                "collisionCount",
            ];
            counts(
                &at,
                &all,
                &["updatedReplicas", "readyReplicas", "availableReplicas"],
                "cannot be greater than readyReplicas",
                &mut errors,
            );
            not_decremented(&at, &before, &mut errors);
        }
        "ReplicaSet" | "ReplicationController" => {
            let all =
                ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration", "terminatingReplicas"];
            let limited = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
            counts(&at, &all, &limited, "cannot be greater than readyReplicas", &mut errors);
        }
        "StatefulSet" => {
            let all = [
                "replicas",
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
                "observedGeneration",
                "collisionCount",
            ];
            let limited = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
            counts(&at, &all, &limited, "cannot be greater than status.readyReplicas", &mut errors);
            metadata::validate_update(object, old, &mut errors);
            not_decremented(&at, &before, &mut errors);
        }
        "DaemonSet" => {
            for name in [
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
                "collisionCount",
            ] {
                at.child(name).non_negative(&mut errors);
            }
            not_decremented(&at, &before, &mut errors);
        }
        _ => {}
    }
    errors
}

fn stateful_set_spec(spec: &At<'_>, update: bool, errors: &mut Errors) {
    let management = spec.child("podManagementPolicy");
    if !matches!(management.text(), "OrderedReady" | "Parallel") {
        errors.push(management.invalid("must be 'OrderedReady' or 'Parallel'"));
    }
    let strategy = spec.child("updateStrategy");
    let rolling = strategy.child("rollingUpdate");
    match strategy.text_of("type") {
        "OnDelete" => {
            if !rolling.value.is_null() {
                errors.push(rolling.invalid("only allowed for updateStrategy 'RollingUpdate'"));
            }
        }
        "RollingUpdate" => {
            rolling.child("partition").non_negative(errors);
            if let Some(unavailable) = rolling.some("maxUnavailable") {
                positive_int_or_percent(&unavailable, errors);
                if int_or_percent_value(unavailable.value) == 0 {
                    errors.push(unavailable.invalid("cannot be 0"));
                }
                not_more_than_all(&unavailable, errors);
            }
        }
        _ => errors.push(strategy.invalid("must be 'RollingUpdate' or 'OnDelete'")),
    }
    if let Some(retention) = spec.some("persistentVolumeClaimRetentionPolicy") {
        for policy in ["whenDeleted", "whenScaled"].map(|name| retention.child(name)) {
            if !matches!(policy.text(), "Retain" | "Delete") {
                errors.push(policy.unsupported(&["Retain", "Delete"]));
            }
        }
    }
    if !update {
        for claim in spec.items("volumeClaimTemplates") {
            storage::claim_spec(&claim.child("spec"), errors);
        }
    }
    spec.child("replicas").non_negative(errors);
    spec.child("minReadySeconds").non_negative(errors);
    if let Some(ordinals) = spec.some("ordinals") {
        ordinals.child("start").non_negative(errors);
    }
    let service = spec.child("serviceName");
    if !update && !service.text().is_empty() {
        service.dns_label(errors);
    }
    required_selector(spec, "statefulset", errors);
    let selector = spec.child("selector");
    let before = errors.len();
    let matched = if selector.value.is_null() {
        let labels = spec.child("template").child("metadata").child("labels");
        errors.push(labels.invalid("`selector` does not match template `labels`"));
        true
    } else {
        selector::is_empty(selector.value) || template_labels(spec, errors)
    };
    if matched {
        stateful_template(spec, errors);
    } else {
        errors.truncate(before);
        errors.push(selector.invalid(""));
    }
    always_running(&spec.child("template"), "StatefulSet", errors);
}

/// The template with the volumes that the claims will be; names and annotations are looked at twice, as upstream does.
fn stateful_template(spec: &At<'_>, errors: &mut Errors) {
    let at = spec.child("template");
    let mut template = at.value.clone();
    if let Some(pod) = template.get_mut("spec").filter(|pod| pod.is_object()) {
        value::remove(pod, "subdomain");
        value::remove(pod, "hostname");
        let claims: Vec<&str> = spec.items("volumeClaimTemplates").map(|claim| claim_name(claim.value)).collect();
        if !claims.is_empty() {
            let source = |name: &&str| serde_json::json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
            let mut volumes: Vec<Value> = claims.iter().map(source).collect();
            let claims: HashSet<&str> = claims.into_iter().collect();
            volumes.extend(value::list(pod, "volumes").iter().filter(|volume| !claims.contains(value::text(volume, "name"))).cloned());
            value::set(pod, "volumes", volumes);
        }
    }
    validate_template(&At { value: &template, path: at.path.clone() }, errors);
    let meta = at.child("metadata");
    selector::labels(&meta.child("labels").renamed(at.path.child("labels")), errors);
    metadata::annotations(&meta.child("annotations").renamed(at.path.child("annotations")), errors);
}

fn claim_name(claim: &Value) -> &str {
    apimachinery::object::name(claim)
}

/// `StatefulSet`
pub(crate) fn validate_stateful_set(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::label, &mut errors);
    stateful_set_spec(&At::root(object).child("spec"), false, &mut errors);
    errors
}

/// `StatefulSet`
pub(crate) fn validate_stateful_set_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    stateful_set_spec(&spec, true, &mut errors);
    let mut copy = spec.value.clone();
    for name in [
        "replicas",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "ordinals",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
    ] {
        value::restore(&mut copy, &old["spec"], name);
    }
    if copy != old["spec"] {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(spec.forbidden(detail));
    }
    errors
}

fn daemon_set_spec(spec: &At<'_>, errors: &mut Errors) {
    let selector = spec.child("selector");
    label_selector(&selector, errors);
    let labels = spec.child("template").child("metadata").child("labels");
    if selector::selects(selector.value, labels.value) == Some(false) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    if !selector.value.is_null() && selector::is_empty(selector.value) {
        errors.push(selector.invalid("empty selector is invalid for daemonset"));
    }
    let template = spec.child("template");
    validate_template(&template, errors);
    always_running(&template, "DaemonSet", errors);
    spec.child("minReadySeconds").non_negative(errors);
    let strategy = spec.child("updateStrategy");
    let rolling = strategy.child("rollingUpdate");
    match strategy.text_of("type") {
        "OnDelete" => {}
        "RollingUpdate" if rolling.value.is_null() => errors.push(rolling.required("")),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            positive_int_or_percent(&unavailable, errors);
            positive_int_or_percent(&surge, errors);
            not_more_than_all(&unavailable, errors);
            not_more_than_all(&surge, errors);
            match (int_or_percent_value(unavailable.value) != 0, int_or_percent_value(surge.value) != 0) {
                (true, true) => errors.push(surge.invalid("may not be set when maxUnavailable is non-zero")),
                (false, false) => errors.push(unavailable.required("cannot be 0 when maxSurge is 0")),
                _ => {}
            }
        }
        _ => errors.push(strategy.unsupported(&["RollingUpdate", "OnDelete"])),
    }
    spec.child("revisionHistoryLimit").non_negative(errors);
}

/// `DaemonSet`
pub(crate) fn validate_daemon_set(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    daemon_set_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `DaemonSet`
pub(crate) fn validate_daemon_set_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    spec.child("selector").immutable(&At::root(old).child("spec").child("selector"), &mut errors);
    daemon_set_spec(&spec, &mut errors);
    errors
}

fn replication_controller_spec(spec: &At<'_>, errors: &mut Errors) {
    spec.child("minReadySeconds").non_negative(errors);
    if spec.is_empty("selector") {
        errors.push(spec.child("selector").required(""));
    }
    spec.child("replicas").non_negative(errors);
    let template = spec.child("template");
    if template.value.is_null() {
        return errors.push(template.required(""));
    }
    let labels = template.child("metadata").child("labels");
    if spec.entries("selector").any(|(key, value)| labels.value.get(key) != Some(value.value)) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    validate_template(&template, errors);
    always_running(&template, "ReplicationController", errors);
}

/// `ReplicationController`
pub(crate) fn validate_replication_controller(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain_once, &mut errors);
    replication_controller_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `ReplicationController`
pub(crate) fn validate_replication_controller_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    replication_controller_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `PodTemplate`
pub(crate) fn validate_pod_template(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    validate_template(&At::root(object).child("template"), &mut errors);
    errors
}

/// `PodTemplate`
pub(crate) fn validate_pod_template_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    validate_template(&At::root(object).child("template"), &mut errors);
    errors
}

/// `ControllerRevision`
pub(crate) fn validate_revision(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = At::root(object);
    root.child("revision").non_negative(&mut errors);
    match root.child("data") {
        data if data.value.is_null() => errors.push(data.required("data is mandatory")),
        data if !data.value.is_object() => errors.push(data.required("data must be a valid JSON object")),
        _ => {}
    }
    errors
}

/// `ControllerRevision`
pub(crate) fn validate_revision_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = At::root(object);
    root.child("revision").non_negative(&mut errors);
    root.child("data").immutable(&At::root(old).child("data"), &mut errors);
    errors
}
