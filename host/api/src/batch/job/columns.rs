//! What a table shows of a Job (upstream: `pkg/printers/internalversion/printers.go`).

use apimachinery::time::human_duration;
use serde_json::Value;

use crate::shared::cell::{age, at, cells, condition, containers, int, is_deleted, name, seconds, selector, text};
use crate::shared::workload::TEMPLATE;

pub(crate) fn row(job: &Value, now: i64) -> Vec<Value> {
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
