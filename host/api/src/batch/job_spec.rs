//! What a job is to do, in a Job and in the template of a CronJob.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::validation::validate_template;
use crate::shared::pod::warnings;
use crate::shared::rules::{self, Field, Rule, count};
use crate::shared::selector::{self, label_selector};
use crate::shared::validation::domain_prefixed_path;
use crate::shared::value::{self, has, if_nil, if_zero, list_mut, object_mut, set};
use crate::shared::warnings::Warnings;

/// A job's spec, which a cron job's template does not get.
pub(crate) fn default_job_spec(spec: &mut Value) {
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

pub(crate) fn default_failure_policy(spec: &mut Value) {
    let Some(policy) = object_mut(spec, "podFailurePolicy") else { return };
    for rule in list_mut(policy, "rules") {
        for pattern in list_mut(rule, "onPodConditions") {
            if_zero(pattern, "status", "True");
        }
    }
}

pub(crate) fn warn_of_job_spec(spec: &FieldValue<'_>, warnings: &mut Warnings) {
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
    warnings::template(&spec.child("template"), warnings);
}

const COMPLETIONS_SOFT_MAX: i64 = 100_000;
const PARALLELISM_INDEXED_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
const HIGH_COMPLETIONS_MAX: i64 = 10_000;
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const MANAGED_BY_BYTES_MAX: usize = 63;

pub(crate) fn job_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
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

const COUNTS: [Field; 7] = [
    count("parallelism"),
    count("completions"),
    count("activeDeadlineSeconds"),
    count("backoffLimit"),
    count("ttlSecondsAfterFinished"),
    count("backoffLimitPerIndex"),
    count("maxFailedIndexes"),
];

pub(crate) fn common_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&COUNTS, spec, None, errors);
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        errors.push(spec.child("backoffLimitPerIndex").required("when maxFailedIndexes is specified"));
    }
    if let Some(manager) = spec.some("managedBy") {
        domain_prefixed_path(&manager, errors);
        rules::check_value(&[Rule::MaxBytes(MANAGED_BY_BYTES_MAX)], &manager, None, errors);
    }
    let mode = spec.child("completionMode");
    let indexed = mode.text() == "Indexed";
    rules::check_value(&[Rule::Optional, Rule::Enum(&["NonIndexed", "Indexed"])], &mode, None, errors);
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

fn indexed_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
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

pub(crate) fn omitted(at: &FieldValue<'_>, detail: &str) -> apimachinery::field::Error {
    apimachinery::field::Error {
        kind: apimachinery::field::ErrorType::Invalid,
        field: at.path.to_string(),
        body: format!("Invalid value: {detail}"),
        value: None,
    }
}

fn failure_policy(spec: &FieldValue<'_>, errors: &mut Errors) {
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

fn exit_codes(at: &FieldValue<'_>, containers: &HashSet<&str>, errors: &mut Errors) {
    let (operator, values) = (at.child("operator"), at.child("values"));
    match operator.text() {
        "" => errors.push(operator.required("valid values: [\"In\" \"NotIn\"]")),
        "In" | "NotIn" => {}
        _ => errors.push(operator.unsupported(&["In", "NotIn"])),
    }
    if let Some(container) = at.some("containerName").filter(|container| !containers.contains(container.text())) {
        errors.push(container.invalid("must be one of the container or initContainer names in the pod template"));
    }
    let codes: Vec<FieldValue<'_>> = at.items("values").collect();
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

fn success_policy(spec: &FieldValue<'_>, at: &FieldValue<'_>, errors: &mut Errors) {
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
