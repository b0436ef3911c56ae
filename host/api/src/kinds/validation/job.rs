//! Jobs and cron jobs.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use super::pod::validate_template;
use super::selector::{self, label_selector};
use super::{At, Errors, metadata, schedule};
use crate::Resource;
use crate::kinds::value;

const COMPLETIONS_SOFT_MAX: i64 = 100_000;
const PARALLELISM_INDEXED_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
const HIGH_COMPLETIONS_MAX: i64 = 10_000;
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const MANAGED_BY_BYTES_MAX: usize = 63;
/// Room for what a cron job adds to its jobs' names.
const CRON_JOB_NAME_BYTES_MAX: usize = 52;

fn has_label(job: &Value, name: &str, expected: &str, errors: &mut Errors) {
    let meta = At::root(job).child("spec").child("template").child("metadata");
    let labels = meta.child("labels");
    let at = At { value: labels.value, path: labels.path.key(name) };
    match labels.value.get(name).and_then(Value::as_str) {
        None => errors.push(at.required(&format!("must be '{expected}'"))),
        Some(actual) if actual != expected => errors.push(at.invalid(&format!("must be '{expected}'"))),
        Some(_) => {}
    }
}

fn generated_selector(job: &Value, prefixed: bool, errors: &mut Errors) {
    let spec = At::root(job).child("spec");
    let selector = spec.child("selector");
    if spec.flag("manualSelector") || selector.value.is_null() {
        return;
    }
    let (uid, name) = (apimachinery::object::uid(job), apimachinery::object::name(job));
    let mut expected = serde_json::json!({ "controller-uid": uid, "job-name": name });
    has_label(job, "controller-uid", uid, errors);
    has_label(job, "job-name", name, errors);
    if prefixed {
        has_label(job, "batch.kubernetes.io/controller-uid", uid, errors);
        has_label(job, "batch.kubernetes.io/job-name", name, errors);
        value::set(&mut expected, "batch.kubernetes.io/controller-uid", uid);
        value::set(&mut expected, "batch.kubernetes.io/job-name", name);
    }
    if selector::selects(selector.value, &expected) == Some(false) {
        errors.push(selector.invalid("`selector` not auto-generated"));
    }
}

fn job(resource: &Resource, job: &Value, prefixed: bool, errors: &mut Errors) {
    metadata::validate(resource, job, metadata::subdomain, errors);
    generated_selector(job, prefixed, errors);
    let spec = At::root(job).child("spec");
    job_spec(&spec, errors);
    let completions = spec.child("completions").int();
    if spec.text_of("completionMode") == "Indexed" && completions > 0 {
        let at = At::root(job).child("metadata").child("name");
        let hostname = format!("{}-{}", at.text(), completions - 1);
        if !name::is_dns1123_label(&hostname).is_empty() {
            errors.push(at.invalid(&format!("will not able to create pod with invalid DNS label: {hostname}")));
        }
    }
}

fn job_spec(spec: &At<'_>, errors: &mut Errors) {
    common_spec(spec, errors);
    let selector = spec.child("selector");
    if selector.value.is_null() {
        errors.push(selector.required(""));
    } else {
        label_selector(&selector, errors);
    }
    let labels = spec.child("template").child("metadata").child("labels");
    let selected = if selector.value.is_null() { Some(false) } else { selector::selects(selector.value, labels.value) };
    if selected == Some(false) {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
}

fn common_spec(spec: &At<'_>, errors: &mut Errors) {
    for name in ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex"] {
        spec.child(name).non_negative(errors);
    }
    if let Some(failed) = spec.some("maxFailedIndexes") {
        failed.non_negative(errors);
        if !spec.has("backoffLimitPerIndex") {
            errors.push(spec.child("backoffLimitPerIndex").required("when maxFailedIndexes is specified"));
        }
    }
    if let Some(manager) = spec.some("managedBy") {
        domain_prefixed_path(&manager, errors);
        if manager.text().len() > MANAGED_BY_BYTES_MAX {
            errors.push(apimachinery::field::Error::too_long(&manager.path, MANAGED_BY_BYTES_MAX));
        }
    }
    let mode = spec.child("completionMode");
    let indexed = mode.text() == "Indexed";
    if !mode.value.is_null() && !matches!(mode.text(), "NonIndexed" | "Indexed") {
        errors.push(mode.unsupported(&["NonIndexed", "Indexed"]));
    }
    if indexed {
        indexed_spec(spec, errors);
    } else if mode.value.is_null() || mode.text() == "NonIndexed" {
        for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(at) = spec.some(name) {
                errors.push(at.invalid("requires indexed completion mode"));
            }
        }
    }
    failure_policy(spec, errors);
    if let Some(policy) = spec.some("successPolicy") {
        if indexed {
            success_policy(spec, &policy, errors);
        } else {
            errors.push(policy.invalid("requires indexed completion mode"));
        }
    }
    if let Some(replacement) = spec.some("podReplacementPolicy") {
        let valid: &[&str] = if spec.has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        if !valid.contains(&replacement.text()) {
            errors.push(replacement.unsupported(valid));
        }
    }
    let template = spec.child("template");
    validate_template(&template, errors);
    let restart = template.child("spec").child("restartPolicy");
    match restart.text() {
        "Always" | "" => errors.push(restart.required("valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if spec.has("podFailurePolicy") => {
            errors.push(restart.invalid("only \"Never\" is supported when podFailurePolicy is specified"));
        }
        "OnFailure" | "Never" => {}
        _ => errors.push(restart.unsupported(&["OnFailure", "Never"])),
    }
}

/// `example.com/controller`
pub(crate) fn domain_prefixed_path(at: &At<'_>, errors: &mut Errors) {
    let Some((domain, path)) = at.text().split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty()) else {
        if at.text().is_empty() {
            errors.push(at.required(""));
        } else {
            errors.push(at.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"));
        }
        return;
    };
    for problem in name::is_dns1123_subdomain(domain) {
        errors.push(at.invalid_as(domain, &problem));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/%:@-._~!$&'()*+,;=".contains(c);
    if !path.chars().all(allowed) {
        let words = name::regex_error("Invalid path", r"^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$", &[]);
        errors.push(at.invalid_as(path, &words));
    }
}

fn indexed_spec(spec: &At<'_>, errors: &mut Errors) {
    let (completions, parallelism, failed) = (spec.child("completions"), spec.child("parallelism"), spec.child("maxFailedIndexes"));
    if completions.value.is_null() {
        errors.push(completions.required("when completion mode is Indexed"));
    }
    if parallelism.int() > PARALLELISM_INDEXED_MAX {
        let detail = format!("must be less than or equal to {PARALLELISM_INDEXED_MAX} when completion mode is Indexed");
        errors.push(parallelism.invalid(&detail));
    }
    if !completions.value.is_null() && !failed.value.is_null() && failed.int() > completions.int() {
        errors.push(failed.invalid("must be less than or equal to completions"));
    }
    if failed.int() > FAILED_INDEXES_MAX {
        errors.push(failed.invalid(&format!("must be less than or equal to {FAILED_INDEXES_MAX}")));
    }
    if completions.int() > COMPLETIONS_SOFT_MAX && spec.has("backoffLimitPerIndex") {
        if failed.value.is_null() {
            errors.push(failed.required(&format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}")));
        }
        for at in [parallelism, failed].iter().filter(|at| at.int() > HIGH_COMPLETIONS_MAX) {
            let detail = format!(
                "must be less than or equal to {HIGH_COMPLETIONS_MAX} when completions are above {COMPLETIONS_SOFT_MAX} and used with backoff \
                 limit per index"
            );
            errors.push(at.invalid(&detail));
        }
    }
}

fn omitted(at: &At<'_>, detail: &str) -> apimachinery::field::Error {
    apimachinery::field::Error {
        kind: apimachinery::field::ErrorType::Invalid,
        field: at.path.to_string(),
        body: format!("Invalid value: {detail}"),
        value: None,
    }
}

fn failure_policy(spec: &At<'_>, errors: &mut Errors) {
    let Some(policy) = spec.some("podFailurePolicy") else { return };
    let count = policy.items("rules").count();
    if count > RULES_MAX {
        errors.push(apimachinery::field::Error::too_many(&policy.child("rules").path, count, RULES_MAX));
    }
    let pod = spec.child("template").child("spec");
    let containers: HashSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| value::list(pod.value, list))
        .map(|container| value::text(container, "name"))
        .collect();
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    for rule in policy.items("rules") {
        let action = rule.child("action");
        match action.text() {
            "" => errors.push(action.required("valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]")),
            "FailIndex" if !spec.has("backoffLimitPerIndex") => errors.push(action.invalid("requires the backoffLimitPerIndex to be set")),
            text if !ACTIONS.contains(&text) => errors.push(action.unsupported(&ACTIONS)),
            _ => {}
        }
        if let Some(codes) = rule.some("onExitCodes") {
            exit_codes(&codes, &containers, errors);
        }
        let conditions = rule.items("onPodConditions").count();
        if conditions > RULES_MAX {
            errors.push(apimachinery::field::Error::too_many(&rule.child("onPodConditions").path, conditions, RULES_MAX));
        }
        for pattern in rule.items("onPodConditions") {
            let (kind, status) = (pattern.child("type"), pattern.child("status"));
            errors.extend(name::is_qualified_name(kind.text()).iter().map(|problem| kind.invalid_as(kind.text(), problem)));
            if status.text().is_empty() {
                errors.push(status.required("valid values: [\"False\" \"True\" \"Unknown\"]"));
            } else if !matches!(status.text(), "False" | "True" | "Unknown") {
                errors.push(status.unsupported(&["False", "True", "Unknown"]));
            }
        }
        match (rule.has("onExitCodes"), conditions > 0) {
            (true, true) => errors.push(omitted(&rule, "specifying both OnExitCodes and OnPodConditions is not supported")),
            (false, false) => errors.push(omitted(&rule, "specifying one of OnExitCodes and OnPodConditions is required")),
            _ => {}
        }
    }
}

fn exit_codes(at: &At<'_>, containers: &HashSet<&str>, errors: &mut Errors) {
    let (operator, values) = (at.child("operator"), at.child("values"));
    match operator.text() {
        "" => errors.push(operator.required("valid values: [\"In\" \"NotIn\"]")),
        "In" | "NotIn" => {}
        _ => errors.push(operator.unsupported(&["In", "NotIn"])),
    }
    if let Some(container) = at.some("containerName").filter(|container| !containers.contains(container.text())) {
        errors.push(container.invalid("must be one of the container or initContainer names in the pod template"));
    }
    let codes: Vec<At<'_>> = at.items("values").collect();
    if codes.is_empty() {
        errors.push(values.invalid("at least one value is required"));
    } else if codes.len() > EXIT_CODES_MAX {
        errors.push(apimachinery::field::Error::too_many(&values.path, codes.len(), EXIT_CODES_MAX));
    }
    let mut seen = HashSet::new();
    for code in &codes {
        if operator.text() == "In" && code.int() == 0 {
            errors.push(code.invalid("must not be 0 for the In operator"));
        }
        if !seen.insert(code.int()) {
            errors.push(code.duplicate());
        }
    }
    if codes.windows(2).any(|pair| pair[0].int() > pair[1].int()) {
        errors.push(values.invalid("must be ordered"));
    }
}

fn success_policy(spec: &At<'_>, at: &At<'_>, errors: &mut Errors) {
    let rules = at.items("rules").count();
    if rules == 0 {
        errors.push(at.child("rules").required("at least one rules must be specified when the successPolicy is specified"));
    }
    if rules > RULES_MAX {
        errors.push(apimachinery::field::Error::too_many(&at.child("rules").path, rules, RULES_MAX));
    }
    let completions = spec.child("completions").int();
    for rule in at.items("rules") {
        let (count, indexes) = (rule.child("succeededCount"), rule.child("succeededIndexes"));
        if count.value.is_null() && indexes.value.is_null() {
            errors.push(rule.required("at least one of succeededCount or succeededIndexes must be specified"));
        }
        let mut total = 0;
        if !indexes.value.is_null() {
            match count_indexes(indexes.text(), completions) {
                Ok(found) => total = found,
                Err(why) => errors.push(indexes.invalid(&format!("error parsing succeededIndexes: {why}"))),
            }
        }
        if count.value.is_null() {
            continue;
        }
        count.non_negative(errors);
        if count.int() > completions {
            errors.push(count.invalid(&format!("must be less than or equal to {completions} (the number of specified completions)")));
        }
        if !indexes.value.is_null() && count.int() > total {
            let detail = format!("must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)");
            errors.push(count.invalid(&detail));
        }
    }
}

/// How many indexes `1,3-5` names.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let mut last: Option<i64> = None;
    let mut total = 0;
    for part in text.split(',') {
        let bounds: Vec<&str> = part.split('-').collect();
        if bounds.len() > 2 {
            return Err(format!(
                "the fragment \"{part}\" violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let parse = |text: &str| text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: \"{text}\""));
        let first = parse(bounds[0])?;
        if first >= completions {
            return Err(format!("too large index: \"{}\"", bounds[0]));
        }
        if last.is_some_and(|last| last >= first) {
            return Err(format!("non-increasing order, previous: {}, current: {first}", last.unwrap_or_default()));
        }
        let mut end = first;
        if let Some(text) = bounds.get(1) {
            end = parse(text)?;
            if end >= completions {
                return Err(format!("too large index: \"{text}\""));
            }
            if first >= end {
                return Err(format!("non-increasing order, previous: {first}, current: {end}"));
            }
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// `Job`
pub(crate) fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    // Labels that come from the template are there once the job is read back: what is wrong with them is said of the template.
    let labels = object.pointer("/metadata/labels");
    if labels.is_some() && labels == object.pointer("/spec/template/metadata/labels") {
        let mut bare = object.clone();
        value::remove(value::object_at(&mut bare, "metadata"), "labels");
        job(resource, &bare, true, &mut errors);
    } else {
        job(resource, object, true, &mut errors);
    }
    errors
}

/// `Job`
pub(crate) fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let old_labels = old.pointer("/spec/template/metadata/labels").unwrap_or(super::NULL);
    let prefixed = value::has(old_labels, "batch.kubernetes.io/job-name") && value::has(old_labels, "batch.kubernetes.io/controller-uid");
    job(resource, object, prefixed, &mut errors);
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    let before = At::root(old).child("spec");
    job_spec(&spec, &mut errors);
    let completions = spec.child("completions");
    if spec.text_of("completionMode") != "Indexed" {
        completions.immutable(&before.child("completions"), &mut errors);
    } else if completions.value != before.child("completions").value
        && !completions.value.is_null()
        && completions.int() != spec.child("parallelism").int()
    {
        errors.push(completions.invalid("can only be modified in tandem with spec.parallelism"));
    }
    spec.child("selector").immutable(&before.child("selector"), &mut errors);
    template_update(&spec, &before, old, &mut errors);
    for name in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        spec.child(name).immutable(&before.child(name), &mut errors);
    }
    errors
}

/// Of a job that waits, where its pods run and what they need may still change.
fn template_update(spec: &At<'_>, before: &At<'_>, old: &Value, errors: &mut Errors) {
    let mut kept = before.child("template").value.clone();
    let template = spec.child("template");
    let waits = before.flag("suspend") && old.pointer("/status/startTime").is_none();
    let rests = before.flag("suspend") && has_condition(old, "Suspended") && old.pointer("/status/active").is_none();
    if (waits || rests) && kept.is_object() {
        let new = template.value;
        let meta = value::object_at(&mut kept, "metadata");
        value::restore(meta, &new["metadata"], "labels");
        value::restore(meta, &new["metadata"], "annotations");
        let pod = value::object_at(&mut kept, "spec");
        for name in ["nodeSelector", "tolerations", "schedulingGates"] {
            value::restore(pod, &new["spec"], name);
        }
        if let Some(affinity) = new.pointer("/spec/affinity/nodeAffinity") {
            value::set(value::object_at(pod, "affinity"), "nodeAffinity", affinity.clone());
        } else if let Some(affinity) = pod.get_mut("affinity") {
            value::remove(affinity, "nodeAffinity");
            if affinity.as_object().is_some_and(|affinity| affinity.is_empty()) && new.pointer("/spec/affinity").is_none() {
                value::remove(pod, "affinity");
            }
        }
        for list in ["containers", "initContainers"] {
            let new = value::list(&new["spec"], list);
            if value::list(pod, list).len() == new.len() {
                for (old, new) in value::list_mut(pod, list).zip(new) {
                    if value::text(old, "name") == value::text(new, "name") {
                        value::restore(old, new, "resources");
                    }
                }
            }
        }
    }
    if *template.value != kept {
        errors.push(template.invalid(super::IMMUTABLE));
    }
}

fn has_condition(job: &Value, kind: &str) -> bool {
    value::list(&job["status"], "conditions")
        .iter()
        .any(|condition| value::text(condition, "type") == kind && value::text(condition, "status") == "True")
}

/// `CronJob`: its status is not looked at, beyond what all updates are.
pub(crate) fn validate_cron_job_status(_: &Resource, _: &str, _: &Value, _: &Value) -> Errors {
    Errors::new()
}

/// A changed status of a job: some things never go back.
pub(crate) fn validate_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let at = At::root(object).child("status");
    let before = At::root(old).child("status");
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        at.child(name).non_negative(&mut errors);
    }
    let (complete, failed) = (has_condition(object, "Complete"), has_condition(object, "Failed"));
    let finished = complete || failed;
    let changed = |name: &str| at.child(name).value != before.child(name).value;
    let complete_changed = complete != has_condition(old, "Complete");
    let failed_changed = failed != has_condition(old, "Failed");
    let finished_changed = finished != (has_condition(old, "Complete") || has_condition(old, "Failed"));
    let target = has_condition(object, "FailureTarget");
    let met = has_condition(object, "SuccessCriteriaMet");
    let conditions = at.child("conditions");
    if (complete_changed || failed_changed) && complete && failed {
        errors.push(omitted(&conditions, "cannot set Complete=True and Failed=true conditions"));
    }
    if complete && target && (complete_changed || target != has_condition(old, "FailureTarget")) {
        errors.push(omitted(&conditions, "cannot set Complete=True and FailureTarget=true conditions"));
    }
    let (start, end) = (at.child("startTime"), at.child("completionTime"));
    if complete_changed || changed("completionTime") {
        if !end.value.is_null() && !complete {
            errors.push(end.invalid("cannot set completionTime when there is no Complete=True condition"));
        }
        if end.value.is_null() && complete {
            errors.push(end.required("completionTime is required for Complete jobs"));
        }
    }
    if (changed("startTime") || changed("completionTime"))
        && !start.text().is_empty()
        && !end.text().is_empty()
        && end.text() < start.text()
    {
        errors.push(end.invalid("must be equal to or after `startTime`"));
    }
    if (failed_changed || changed("failedIndexes")) && failed && !target {
        errors.push(omitted(&conditions, "cannot set Failed=True condition without the FailureTarget=true condition"));
    }
    if (complete_changed || met != has_condition(old, "SuccessCriteriaMet")) && complete && !met {
        errors.push(omitted(&conditions, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"));
    }
    let active = at.child("active");
    if (finished_changed || changed("active")) && active.int() > 0 && finished {
        errors.push(active.invalid("active>0 is invalid for finished job"));
    }
    if (finished_changed || changed("startTime")) && start.value.is_null() && finished {
        errors.push(start.required("startTime is required for finished job"));
    }
    let ready = at.child("ready");
    if (changed("ready") || changed("active")) && ready.int() > active.int() {
        errors.push(ready.invalid("cannot set more ready pods than active"));
    }
    if met && failed {
        errors.push(omitted(&conditions, "cannot set SuccessCriteriaMet=True and Failed=true conditions"));
    }
    if met && target {
        errors.push(omitted(&conditions, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"));
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if has_condition(old, kind) && !has_condition(object, kind) {
            errors.push(omitted(&conditions, &format!("cannot disable the terminal {kind}=True condition")));
        }
    }
    for (name, words) in [("failed", "cannot decrease the failed counter"), ("succeeded", "cannot decrease the succeeded counter")] {
        let count = at.child(name);
        if count.int() < before.child(name).int() {
            errors.push(count.invalid_as(count.int(), words));
        }
    }
    let spec = At::root(object).child("spec");
    if !before.child("startTime").value.is_null() && changed("startTime") && !spec.flag("suspend") {
        errors.push(start.invalid("field is immutable for unsuspended job once set"));
    }
    if has_condition(old, "SuccessCriteriaMet") && !met {
        errors.push(omitted(&conditions, "cannot disable the SuccessCriteriaMet=True condition"));
    }
    errors
}

fn cron_job_spec(spec: &At<'_>, old: Option<&Value>, errors: &mut Errors) {
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
    spec.child("startingDeadlineSeconds").non_negative(errors);
    if let Some(zone) = spec.some("timeZone").filter(|zone| old.is_none_or(|old| old.get("timeZone") != Some(zone.value))) {
        schedule::time_zone(&zone, errors);
    }
    spec.child("concurrencyPolicy").one_of(&["Allow", "Forbid", "Replace"], errors);
    let job = spec.child("jobTemplate").child("spec");
    common_spec(&job, errors);
    if let Some(selector) = job.some("selector") {
        errors.push(selector.invalid("`selector` will be auto-generated"));
    }
    if job.flag("manualSelector") {
        errors.push(job.child("manualSelector").unsupported(&["nil", "false"]));
    }
    spec.child("successfulJobsHistoryLimit").non_negative(errors);
    spec.child("failedJobsHistoryLimit").non_negative(errors);
}

/// `CronJob`
pub(crate) fn validate_cron_job(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    cron_job_spec(&At::root(object).child("spec"), None, &mut errors);
    let name = At::root(object).child("metadata").child("name");
    if name.text().len() > CRON_JOB_NAME_BYTES_MAX {
        errors.push(name.invalid(&format!("must be no more than {CRON_JOB_NAME_BYTES_MAX} characters")));
    }
    errors
}

/// `CronJob`
pub(crate) fn validate_cron_job_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    cron_job_spec(&At::root(object).child("spec"), Some(&old["spec"]), &mut errors);
    errors
}
