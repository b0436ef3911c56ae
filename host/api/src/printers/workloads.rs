//! Kinds that make pods: `apps`, `batch`, `policy`, and what of the core group is like them.

use apimachinery::GroupVersion;
use apimachinery::selector::LabelSelector;
use apimachinery::time::human_duration;
use serde_json::Value;

use super::cell::{
    NONE, UNSET, age, at, cells, condition, containers, int, is_deleted, items, labels, len, name, seconds, selector, since, some, text,
};

const TEMPLATE: &str = "/spec/template/spec";

pub(super) fn pod_template(template: &Value, _now: i64) -> Vec<Value> {
    let [names, images] = containers(template, "/template/spec");
    cells![name(template), names, images, labels(template, "/template/metadata/labels")]
}

pub(super) fn replication_controller(controller: &Value, now: i64) -> Vec<Value> {
    replicas(controller, now, labels(controller, "/spec/selector"))
}

pub(super) fn replica_set(set: &Value, now: i64) -> Vec<Value> {
    replicas(set, now, selector(set, "/spec/selector"))
}

fn replicas(set: &Value, now: i64, selector: String) -> Vec<Value> {
    let [names, images] = containers(set, TEMPLATE);
    cells![
        name(set),
        int(set, "/spec/replicas"),
        int(set, "/status/replicas"),
        int(set, "/status/readyReplicas"),
        age(set, now),
        names,
        images,
        selector,
    ]
}

pub(super) fn deployment(deployment: &Value, now: i64) -> Vec<Value> {
    let [names, images] = containers(deployment, TEMPLATE);
    // Unlike others', an empty selector is shown as it is.
    let selector = LabelSelector::from_object(deployment.pointer("/spec/selector"));
    cells![
        name(deployment),
        ready_of_desired(deployment),
        int(deployment, "/status/updatedReplicas"),
        int(deployment, "/status/availableReplicas"),
        age(deployment, now),
        names,
        images,
        selector.map_or_else(|_| "<invalid>".to_owned(), |selector| selector.to_string()),
    ]
}

pub(super) fn stateful_set(set: &Value, now: i64) -> Vec<Value> {
    let [names, images] = containers(set, TEMPLATE);
    cells![name(set), ready_of_desired(set), age(set, now), names, images]
}

fn ready_of_desired(set: &Value) -> String {
    format!("{}/{}", int(set, "/status/readyReplicas"), int(set, "/spec/replicas"))
}

pub(super) fn daemon_set(set: &Value, now: i64) -> Vec<Value> {
    let [names, images] = containers(set, TEMPLATE);
    cells![
        name(set),
        int(set, "/status/desiredNumberScheduled"),
        int(set, "/status/currentNumberScheduled"),
        int(set, "/status/numberReady"),
        int(set, "/status/updatedNumberScheduled"),
        int(set, "/status/numberAvailable"),
        labels(set, "/spec/template/spec/nodeSelector"),
        age(set, now),
        names,
        images,
        selector(set, "/spec/selector"),
    ]
}

pub(super) fn controller_revision(revision: &Value, now: i64) -> Vec<Value> {
    let owner = items(revision, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true);
    let controller = owner.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let group = GroupVersion::parse(text(owner, "/apiVersion")).map(|version| version.group).unwrap_or_default();
            let kind = text(owner, "/kind").to_lowercase();
            let dot = if group.is_empty() { "" } else { "." };
            format!("{kind}{dot}{}/{}", group.to_lowercase(), name_of(owner))
        },
    );
    cells![name(revision), controller, int(revision, "/revision"), age(revision, now)]
}

fn name_of(reference: &Value) -> &str {
    text(reference, "/name")
}

pub(super) fn job(job: &Value, now: i64) -> Vec<Value> {
    let succeeded = int(job, "/status/succeeded");
    let completions = match (at(job, "/spec/completions").as_i64(), int(job, "/spec/parallelism")) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let started = seconds(at(job, "/status/startTime"));
    let ended = seconds(at(job, "/status/completionTime")).unwrap_or(now);
    let [names, images] = containers(job, TEMPLATE);
    cells![
        name(job),
        job_status(job),
        completions,
        started.map_or_else(String::new, |started| human_duration(ended - started)),
        age(job, now),
        names,
        images,
        selector(job, "/spec/selector"),
    ]
}

fn job_status(job: &Value) -> &'static str {
    let is = |kind: &str| condition(job, "/status/conditions", kind).is_some_and(|condition| text(condition, "/status") == "True");
    match job {
        _ if is("Complete") => "Complete",
        _ if is("Failed") => "Failed",
        _ if is_deleted(job) => "Terminating",
        _ if is("Suspended") => "Suspended",
        _ if is("FailureTarget") => "FailureTarget",
        _ if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        _ => "Running",
    }
}

pub(super) fn cron_job(job: &Value, now: i64) -> Vec<Value> {
    let suspend = match at(job, "/spec/suspend") {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => UNSET,
    };
    let last = some(job, "/status/lastScheduleTime").map_or_else(|| NONE.to_owned(), |_| since(job, "/status/lastScheduleTime", now));
    let [names, images] = containers(job, "/spec/jobTemplate/spec/template/spec");
    cells![
        name(job),
        text(job, "/spec/schedule"),
        at(job, "/spec/timeZone").as_str().unwrap_or(NONE),
        suspend,
        len(job, "/status/active"),
        last,
        age(job, now),
        names,
        images,
        selector(job, "/spec/jobTemplate/spec/selector"),
    ]
}

pub(super) fn pod_disruption_budget(budget: &Value, now: i64) -> Vec<Value> {
    let shown = |pointer: &str| match at(budget, pointer) {
        Value::Null => "N/A".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    cells![
        name(budget),
        shown("/spec/minAvailable"),
        shown("/spec/maxUnavailable"),
        int(budget, "/status/disruptionsAllowed"),
        age(budget, now),
    ]
}
