//! What is wrong with a Job, in upstream's order and words (`pkg/apis/batch/validation`).

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::batch::job_spec::{job_spec, omitted};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::{metadata, selector, value};

fn has_label(job: &Value, name: &str, expected: &str, errors: &mut Errors) {
    let meta = FieldValue::root(job).child("spec").child("template").child("metadata");
    let labels = meta.child("labels");
    let at = FieldValue { value: labels.value, path: labels.path.key(name) };
    match labels.value.get(name).and_then(Value::as_str) {
        None => errors.push(at.required(&format!("must be '{expected}'"))),
        Some(actual) if actual != expected => errors.push(at.invalid(&format!("must be '{expected}'"))),
        Some(_) => {}
    }
}

fn generated_selector(job: &Value, prefixed: bool, errors: &mut Errors) {
    let spec = FieldValue::root(job).child("spec");
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
    let spec = FieldValue::root(job).child("spec");
    job_spec(&spec, errors);
    let completions = spec.child("completions").int();
    if spec.text_of("completionMode") == "Indexed" && completions > 0 {
        let at = FieldValue::root(job).child("metadata").child("name");
        let hostname = format!("{}-{}", at.text(), completions - 1);
        if !name::is_dns1123_label(&hostname).is_empty() {
            errors.push(at.invalid(&format!("will not able to create pod with invalid DNS label: {hostname}")));
        }
    }
}

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

pub(crate) fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let old_labels = old.pointer("/spec/template/metadata/labels").unwrap_or(field_value::NULL);
    let prefixed = value::has(old_labels, "batch.kubernetes.io/job-name") && value::has(old_labels, "batch.kubernetes.io/controller-uid");
    job(resource, object, prefixed, &mut errors);
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    let before = FieldValue::root(old).child("spec");
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
fn template_update(spec: &FieldValue<'_>, before: &FieldValue<'_>, old: &Value, errors: &mut Errors) {
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
        errors.push(template.invalid(field_value::IMMUTABLE));
    }
}

fn has_condition(job: &Value, kind: &str) -> bool {
    value::list(&job["status"], "conditions")
        .iter()
        .any(|condition| value::text(condition, "type") == kind && value::text(condition, "status") == "True")
}

/// A changed status of a job: some things never go back.
pub(crate) fn validate_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let at = FieldValue::root(object).child("status");
    let before = FieldValue::root(old).child("status");
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
    let spec = FieldValue::root(object).child("spec");
    if !before.child("startTime").value.is_null() && changed("startTime") && !spec.flag("suspend") {
        errors.push(start.invalid("field is immutable for unsuspended job once set"));
    }
    if has_condition(old, "SuccessCriteriaMet") && !met {
        errors.push(omitted(&conditions, "cannot disable the SuccessCriteriaMet=True condition"));
    }
    errors
}
