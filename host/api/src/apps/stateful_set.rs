//! StatefulSet: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/apps/statefulset`).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::Resource;
use crate::apps::shared::{ready_of_desired, required_selector, template_labels};
use crate::kinds::action::{Action, ScaleSelector};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{age, cells, containers, name};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::defaults::default_template;
use crate::shared::pod::validation::validate_template;
use crate::shared::pod::warnings;
use crate::shared::rules::{self, Field, Rule, count, field};
use crate::shared::validation::int_or_percent_value;
use crate::shared::value::{self, has, if_nil, if_zero, list_mut, object_at, object_mut, remove, set, text};
use crate::shared::warnings::Warnings;
use crate::shared::workload::{self, TEMPLATE, always_running, not_more_than_all, positive_int_or_percent, spec_is_new, spec_mut};
use crate::shared::{claim, metadata, selector};

const RETENTION: Rule = Rule::Enum(&["Retain", "Delete"]);
const RETENTION_POLICY: Field = field(
    "persistentVolumeClaimRetentionPolicy",
    &[Rule::Optional, Rule::Fields(&[field("whenDeleted", &[RETENTION]), field("whenScaled", &[RETENTION])])],
);
const COUNTS: [Field; 3] = [count("replicas"), count("minReadySeconds"), field("ordinals", &[Rule::Fields(&[count("start")])])];

const STATUS: [Field; 7] = [
    count("replicas"),
    count("readyReplicas"),
    count("currentReplicas"),
    count("updatedReplicas"),
    count("availableReplicas"),
    count("observedGeneration"),
    count("collisionCount"),
];

/// The row.
pub(crate) static KIND: Kind = Kind::new("apps", "StatefulSet")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .default(default)
    .prepare(prepare)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .printer(row)
    .pod_spec("/spec/template/spec")
    .actions(&[("scale", Action::Scale(ScaleSelector::Expressions))]);

fn default(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_zero(spec, "podManagementPolicy", "OrderedReady");
    let strategy = object_at(spec, "updateStrategy");
    if text(strategy, "type").is_empty() {
        set(strategy, "type", "RollingUpdate");
        if_nil(strategy, "rollingUpdate", json!({}));
    }
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = object_mut(strategy, "rollingUpdate")
    {
        if_nil(rolling, "partition", 0);
    }
    let retention = object_at(spec, "persistentVolumeClaimRetentionPolicy");
    if_zero(retention, "whenDeleted", "Retain");
    if_zero(retention, "whenScaled", "Retain");
    if_nil(spec, "replicas", 1);
    if_nil(spec, "revisionHistoryLimit", 10);
    default_template(object_at(spec, "template"));
    for claim in list_mut(spec, "volumeClaimTemplates") {
        set(claim, "apiVersion", "v1");
        set(claim, "kind", "PersistentVolumeClaim");
        claim::default_claim_value(claim);
    }
}

/// A field behind a gate that is off by default.
fn prepare(_: &Resource, object: &mut Value, old: Option<&Value>) {
    const PATH: &str = "/spec/updateStrategy/rollingUpdate";
    let in_use = old.and_then(|old| old.pointer(PATH)).is_some_and(|rolling| has(rolling, "maxUnavailable"));
    if let Some(rolling) = object.pointer_mut(PATH).filter(|_| !in_use) {
        remove(rolling, "maxUnavailable");
    }
}

fn stateful_set_spec(spec: &FieldValue<'_>, update: bool, errors: &mut Errors) {
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
            rules::check(&[count("partition")], &rolling, None, errors);
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
    rules::check(&[RETENTION_POLICY], spec, None, errors);
    if !update {
        for claim in spec.items("volumeClaimTemplates") {
            claim::claim_spec(&claim.child("spec"), errors);
        }
    }
    rules::check(&COUNTS, spec, None, errors);
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
fn stateful_template(spec: &FieldValue<'_>, errors: &mut Errors) {
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
    validate_template(&FieldValue { value: &template, path: at.path.clone() }, errors);
    let meta = at.child("metadata");
    selector::labels(&meta.child("labels").renamed(at.path.child("labels")), errors);
    metadata::annotations(&meta.child("annotations").renamed(at.path.child("annotations")), errors);
}

fn claim_name(claim: &Value) -> &str {
    apimachinery::object::name(claim)
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::label, &mut errors);
    stateful_set_spec(&FieldValue::root(object).child("spec"), false, &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
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

fn warn(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let spec = FieldValue::root(object).child("spec");
    if spec_is_new(object, old) {
        warnings::template(&spec.child("template"), warnings);
    }
    for template in spec.items("volumeClaimTemplates") {
        // The paths are upstream's, which differ.
        let path = if old.is_some() { template.path.child("Spec") } else { template.path.clone() };
        claim::warn_of_claim_spec(&template.child("spec").renamed(path), warnings);
    }
    if spec.int_of("revisionHistoryLimit").is_some_and(|limit| limit < 0) {
        warnings
            .push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".to_owned());
    }
}

fn validate_status(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if subresource == "status" {
        let (status, before) = (FieldValue::root(object).child("status"), FieldValue::root(old).child("status"));
        rules::check(&STATUS, &status, None, &mut errors);
        let limited = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
        workload::within_replicas(&status, &limited, "cannot be greater than status.readyReplicas", &mut errors);
        metadata::validate_update(object, old, &mut errors);
        workload::collisions_not_decremented(&status, &before, &mut errors);
    }
    errors
}

fn row(set: &Value, now: i64) -> Vec<Value> {
    let [names, images] = containers(set, TEMPLATE);
    cells![name(set), ready_of_desired(set), age(set, now), names, images]
}
