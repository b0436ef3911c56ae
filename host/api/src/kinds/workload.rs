//! Workloads: deployments, replica sets, stateful sets, daemon sets, jobs, cron jobs, replication controllers, pod templates.

use serde_json::{Value, json};

use super::pod_template::default_template;
use super::pod_warnings;
use super::validation::At;
use super::value::{flag, has, if_nil, if_zero, list_mut, object_at, object_mut, remove, set, text};
use super::warnings::{self, Warnings};
use crate::Resource;

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

fn spec_mut(object: &mut Value) -> &mut Value {
    object_at(object, "spec")
}

/// `Deployment`
pub(super) fn default_deployment(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_nil(spec, "replicas", 1);
    let strategy = object_at(spec, "strategy");
    if_zero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        if_nil(rolling, "maxUnavailable", "25%");
        if_nil(rolling, "maxSurge", "25%");
    }
    if_nil(spec, "revisionHistoryLimit", 10);
    if_nil(spec, "progressDeadlineSeconds", 600);
    default_template(object_at(spec, "template"));
    if let Some(annotations) = object.pointer_mut("/metadata/annotations")
        && text(annotations, ROLLBACK_TO).is_empty()
    {
        remove(annotations, ROLLBACK_TO);
    }
}

/// `ReplicaSet`
pub(super) fn default_replica_set(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_nil(spec, "replicas", 1);
    default_template(object_at(spec, "template"));
}

/// `ReplicationController`
pub(super) fn default_replication_controller(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_nil(spec, "replicas", 1);
    let mut labels = None;
    if let Some(template) = object_mut(spec, "template") {
        labels = template.pointer("/metadata/labels").cloned();
        default_template(template);
    }
    if let Some(labels) = labels {
        if_zero(spec, "selector", labels.clone());
        if_zero(object_at(object, "metadata"), "labels", labels);
    }
}

/// `PodTemplate`
pub(super) fn default_pod_template(_: &Resource, object: &mut Value) {
    default_template(object_at(object, "template"));
}

/// `StatefulSet`
pub(super) fn default_stateful_set(_: &Resource, object: &mut Value) {
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
        super::storage::default_claim_value(claim);
    }
}

/// `StatefulSet`: a field behind a gate that is off by default.
pub(super) fn prepare_stateful_set(_: &Resource, object: &mut Value, old: Option<&Value>) {
    const PATH: &str = "/spec/updateStrategy/rollingUpdate";
    let in_use = old.and_then(|old| old.pointer(PATH)).is_some_and(|rolling| has(rolling, "maxUnavailable"));
    if let Some(rolling) = object.pointer_mut(PATH).filter(|_| !in_use) {
        remove(rolling, "maxUnavailable");
    }
}

/// `DaemonSet`
pub(super) fn default_daemon_set(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    let strategy = object_at(spec, "updateStrategy");
    if_zero(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = object_at(strategy, "rollingUpdate");
        if_nil(rolling, "maxUnavailable", 1);
        if_nil(rolling, "maxSurge", 0);
    }
    if_nil(spec, "revisionHistoryLimit", 10);
    default_template(object_at(spec, "template"));
    if template_generation(object).is_none() {
        set(object_at(object_at(object, "metadata"), "annotations"), TEMPLATE_GENERATION, "0");
    }
}

fn template_generation(object: &Value) -> Option<i64> {
    object.pointer("/metadata/annotations").map(|annotations| text(annotations, TEMPLATE_GENERATION))?.parse().ok()
}

/// `DaemonSet`: an annotation counts the changes of the template.
pub(super) fn prepare_daemon_set(_: &Resource, object: &mut Value, old: Option<&Value>) {
    let generation = match old {
        None => template_generation(object).unwrap_or(0).max(1),
        Some(old) => {
            let changed = old.pointer("/spec/template") != object.pointer("/spec/template");
            template_generation(old).unwrap_or(0) + i64::from(changed)
        }
    };
    set(object_at(object_at(object, "metadata"), "annotations"), TEMPLATE_GENERATION, generation.to_string());
}

/// `DaemonSet`: what counts the changes of the template is not the status' to change.
pub(super) fn prepare_daemon_set_status(_: &Resource, _: &str, object: &mut Value, old: &Value) {
    let generation = template_generation(old).unwrap_or(0);
    set(object_at(object_at(object, "metadata"), "annotations"), TEMPLATE_GENERATION, generation.to_string());
}

/// A job's spec, which a cron job's template does not get.
fn default_job_spec(spec: &mut Value) {
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    if_nil(spec, "parallelism", 1);
    let backoff = if has(spec, "backoffLimitPerIndex") { i64::from(i32::MAX) } else { 6 };
    if_nil(spec, "backoffLimit", backoff);
    if_nil(spec, "completionMode", "NonIndexed");
    if_nil(spec, "suspend", false);
    let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    if_nil(spec, "podReplacementPolicy", replacement);
    if_nil(spec, "manualSelector", false);
}

fn default_failure_policy(spec: &mut Value) {
    let Some(policy) = object_mut(spec, "podFailurePolicy") else { return };
    for rule in list_mut(policy, "rules") {
        for pattern in list_mut(rule, "onPodConditions") {
            if_zero(pattern, "status", "True");
        }
    }
}

/// `Job`
pub(super) fn default_job(_: &Resource, object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    let spec = spec_mut(object);
    default_job_spec(spec);
    default_failure_policy(spec);
    default_template(object_at(spec, "template"));
    if let Some(labels) = labels {
        if_zero(object_at(object, "metadata"), "labels", labels);
    }
}

/// `Job`: a selector of its own, by its uid.
pub(super) fn prepare_job(_: &Resource, object: &mut Value, old: Option<&Value>) {
    if old.is_some() || flag(&object["spec"], "manualSelector") {
        return;
    }
    let name = apimachinery::object::name(object).to_owned();
    let uid = apimachinery::object::uid(object).to_owned();
    // Labels that were taken from the template are one map with it in upstream's memory: what is added there is added here.
    let shared = object.pointer("/metadata/labels") == object.pointer("/spec/template/metadata/labels");
    let spec = spec_mut(object);
    let labels = object_at(object_at(object_at(spec, "template"), "metadata"), "labels");
    if_nil(labels, "job-name", name.clone());
    if_nil(labels, "batch.kubernetes.io/job-name", name);
    if_nil(labels, "controller-uid", uid.clone());
    if_nil(labels, "batch.kubernetes.io/controller-uid", uid.clone());
    let labels = labels.clone();
    if_nil(object_at(object_at(spec, "selector"), "matchLabels"), "batch.kubernetes.io/controller-uid", uid);
    if shared {
        set(object_at(object, "metadata"), "labels", labels);
    } else {
        // What is read back from the store is defaulted once more.
        if_zero(object_at(object, "metadata"), "labels", labels);
    }
}

/// `CronJob`
pub(super) fn default_cron_job(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_zero(spec, "concurrencyPolicy", "Allow");
    if_nil(spec, "suspend", false);
    if_nil(spec, "successfulJobsHistoryLimit", 3);
    if_nil(spec, "failedJobsHistoryLimit", 1);
    let job = object_at(object_at(spec, "jobTemplate"), "spec");
    default_failure_policy(job);
    default_template(object_at(job, "template"));
}

/// What a deletion of a `Job` is told that does not say what becomes of its pods.
pub(super) const PODS_STAY: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them \
                                    or set propagationPolicy=Orphan to suppress this warning";

const IN_POD_NAMES: &str = "Pod names and hostnames";

/// Whether an update counted as one of the spec: upstream looks at the templates of no other.
fn spec_is_new(object: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old.pointer("/metadata/generation") != object.pointer("/metadata/generation"))
}

/// `Deployment`, `ReplicaSet`
pub(super) fn warn_of_replicas(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let root = At::root(object);
    if old.is_none() {
        warnings::not_a_hostname(&root, IN_POD_NAMES, warnings);
    }
    if spec_is_new(object, old) {
        pod_warnings::template(&root.child("spec").child("template"), warnings);
    }
}

/// `ReplicationController`: on update upstream looks at the template that was there before.
pub(super) fn warn_of_replication_controller(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    match old {
        None => warn_of_replicas(object, None, warnings),
        Some(before) if spec_is_new(object, old) => {
            pod_warnings::template(&At::root(before).child("spec").child("template"), warnings);
        }
        Some(_) => {}
    }
}

/// `PodTemplate`
pub(super) fn warn_of_pod_template(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if spec_is_new(object, old) {
        pod_warnings::template(&At::root(object).child("template"), warnings);
    }
}

/// `DaemonSet`
pub(super) fn warn_of_daemon_set(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_none_or(|old| template_generation(old) != template_generation(object)) {
        pod_warnings::template(&At::root(object).child("spec").child("template"), warnings);
    }
}

/// `StatefulSet`
pub(super) fn warn_of_stateful_set(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let spec = At::root(object).child("spec");
    if spec_is_new(object, old) {
        pod_warnings::template(&spec.child("template"), warnings);
    }
    for template in spec.items("volumeClaimTemplates") {
        // The paths are upstream's, which differ.
        let path = if old.is_some() { template.path.child("Spec") } else { template.path.clone() };
        super::storage::warn_of_claim_spec(&template.child("spec").renamed(path), warnings);
    }
    if spec.int_of("revisionHistoryLimit").is_some_and(|limit| limit < 0) {
        warnings
            .push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".to_owned());
    }
}

/// `Job`
pub(super) fn warn_of_job(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let root = At::root(object);
    if old.is_none() {
        warnings::not_a_hostname(&root, IN_POD_NAMES, warnings);
    }
    if spec_is_new(object, old) {
        warn_of_job_spec(&root.child("spec"), warnings);
    }
}

/// `CronJob`
pub(super) fn warn_of_cron_job(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let root = At::root(object);
    if old.is_none() {
        warnings::not_a_hostname(&root, IN_POD_NAMES, warnings);
    }
    let spec = root.child("spec");
    if spec_is_new(object, old) {
        warn_of_job_spec(&spec.child("jobTemplate").child("spec"), warnings);
    }
    if old.is_some() && spec.text_of("schedule").contains("TZ") {
        // The path is upstream's.
        warnings.push(
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                .to_owned(),
        );
    }
}

fn warn_of_job_spec(spec: &At<'_>, warnings: &mut Warnings) {
    const COMPLETIONS_COUNT_TRACKED: i64 = 100_000;
    const PARALLELISM_COUNT_TRACKED: i64 = 10_000;
    let more = |name: &str, than: i64| spec.int_of(name).unwrap_or(0) > than;
    if spec.text_of("completionMode") == "Indexed"
        && more("completions", COMPLETIONS_COUNT_TRACKED)
        && more("parallelism", PARALLELISM_COUNT_TRACKED)
    {
        let why = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be \
                   able to track completedIndexes when a big number of indexes fail";
        warnings.at(&spec.path, why);
    }
    pod_warnings::template(&spec.child("template"), warnings);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_a_job_has_from_its_template_grow_with_them() {
        let resource = crate::tables::find("batch", "v1", "jobs").expect("a resource");
        let labels = |own: Value, template: Value| {
            let mut job = json!({
                "metadata": {"name": "j", "uid": "u", "labels": own},
                "spec": {"template": {"metadata": {"labels": template}, "spec": {}}},
            });
            default_job(resource, &mut job);
            prepare_job(resource, &mut job, None);
            let names = |labels: &Value| labels.as_object().map_or(0, serde_json::Map::len);
            (names(&job["metadata"]["labels"]), names(&job["spec"]["template"]["metadata"]["labels"]))
        };
        assert_eq!(labels(Value::Null, Value::Null), (4, 4));
        assert_eq!(labels(Value::Null, json!({"a": "b"})), (5, 5));
        assert_eq!(labels(json!({"c": "d"}), json!({"a": "b"})), (1, 5));
    }
}
