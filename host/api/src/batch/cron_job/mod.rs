//! CronJob: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/batch/cronjob`).

mod schedule;

use serde_json::Value;

use crate::Resource;
use crate::batch::job_spec::{common_spec, default_failure_policy, warn_of_job_spec};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{NONE, UNSET, age, at, cells, containers, len, name, selector, since, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::pod::defaults::default_template;
use crate::shared::rules::{self, Field, Rule, count, field};
use crate::shared::value::{self, if_nil, if_zero, object_at};
use crate::shared::warnings::{self, Warnings};
use crate::shared::workload::{IN_POD_NAMES, spec_is_new, spec_mut};

/// Room for what a cron job adds to its jobs' names.
const CRON_JOB_NAME_BYTES_MAX: usize = 52;

const CONCURRENCY_POLICY: Field = field("concurrencyPolicy", &[Rule::Required, Rule::Enum(&["Allow", "Forbid", "Replace"])]);

/// The row.
pub(crate) static KIND: Kind = Kind::new("batch", "CronJob")
    .status(StatusMetadata::Free)
    .generation(SPEC)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .warn(warn)
    .printer(row)
    .pod_spec("/spec/jobTemplate/spec/template/spec");

fn default(_: &Resource, object: &mut Value) {
    let spec = spec_mut(object);
    if_zero(spec, "concurrencyPolicy", "Allow");
    if_nil(spec, "suspend", false);
    if_nil(spec, "successfulJobsHistoryLimit", 3);
    if_nil(spec, "failedJobsHistoryLimit", 1);
    let job = object_at(object_at(spec, "jobTemplate"), "spec");
    default_failure_policy(job);
    default_template(object_at(job, "template"));
}

/// Its status is not looked at, beyond what all updates are.
fn validate_status(_: &Resource, _: &str, _: &Value, _: &Value) -> Errors {
    Errors::new()
}

fn cron_job_spec(spec: &FieldValue<'_>, old: Option<&Value>, errors: &mut Errors) {
    let at = spec.child("schedule");
    if at.text().is_empty() {
        errors.push(at.required(""));
    } else {
        if let Err(why) = schedule::check(at.text()) {
            errors.push(at.invalid(&why));
        }
        let had_zone = old.is_some_and(|old| value::text(old, "schedule").contains("TZ"));
        if at.text().contains("TZ") {
            if had_zone && spec.has("timeZone") {
                errors.push(at.invalid("cannot use both timeZone field and TZ or CRON_TZ in schedule"));
            } else if !had_zone {
                errors.push(at.invalid("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
            }
        }
    }
    rules::check(&[count("startingDeadlineSeconds")], spec, None, errors);
    if let Some(zone) = spec.some("timeZone").filter(|zone| old.is_none_or(|old| old.get("timeZone") != Some(zone.value))) {
        schedule::time_zone(&zone, errors);
    }
    rules::check(&[CONCURRENCY_POLICY], spec, None, errors);
    let job = spec.child("jobTemplate").child("spec");
    common_spec(&job, errors);
    if let Some(selector) = job.some("selector") {
        errors.push(selector.invalid("`selector` will be auto-generated"));
    }
    if job.flag("manualSelector") {
        errors.push(job.child("manualSelector").unsupported(&["nil", "false"]));
    }
    rules::check(&[count("successfulJobsHistoryLimit"), count("failedJobsHistoryLimit")], spec, None, errors);
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    cron_job_spec(&FieldValue::root(object).child("spec"), None, &mut errors);
    let name = FieldValue::root(object).child("metadata").child("name");
    if name.text().len() > CRON_JOB_NAME_BYTES_MAX {
        errors.push(name.invalid(&format!("must be no more than {CRON_JOB_NAME_BYTES_MAX} characters")));
    }
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    cron_job_spec(&FieldValue::root(object).child("spec"), Some(&old["spec"]), &mut errors);
    errors
}

fn warn(object: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let root = FieldValue::root(object);
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

fn row(job: &Value, now: i64) -> Vec<Value> {
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
