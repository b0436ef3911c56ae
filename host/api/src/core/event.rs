//! Event: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/event`).

use std::time::Duration;

use apimachinery::validation::name;
use serde_json::{Map, Value};

use crate::Resource;
use crate::kinds::kind::{Conversion, Kind};
use crate::shared::cell::{self, at, cells, int, seconds, since, some, text, text_or};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Field, Rule, immutable};

/// Always there in `v1`, and left out where empty in `events.k8s.io/v1`.
const TEXTS: [(&str, &str); 2] = [("reportingComponent", "reportingController"), ("reportingInstance", "reportingInstance")];

/// What no update of an Event of `events.k8s.io` changes. Twice the reason, as upstream looks at it twice.
const FIXED: [Field; 12] = [
    immutable("involvedObject"),
    immutable("reason"),
    immutable("message"),
    immutable("source"),
    immutable("firstTimestamp"),
    immutable("lastTimestamp"),
    immutable("count"),
    immutable("reason"),
    immutable("type"),
    immutable("eventTime"),
    immutable("action"),
    immutable("related"),
];

/// How long an Event is kept; kube-apiserver's `--event-ttl`.
const TIME_TO_LIVE: Duration = Duration::from_secs(3600);

/// What field selectors of `events.k8s.io` may name, and what it is called in the stored version.
const STORED_FIELDS: [(&str, &str); 8] = [
    ("regarding.kind", "involvedObject.kind"),
    ("regarding.namespace", "involvedObject.namespace"),
    ("regarding.name", "involvedObject.name"),
    ("regarding.uid", "involvedObject.uid"),
    ("regarding.apiVersion", "involvedObject.apiVersion"),
    ("regarding.resourceVersion", "involvedObject.resourceVersion"),
    ("regarding.fieldPath", "involvedObject.fieldPath"),
    ("reportingController", "reportingComponent"),
];

/// The row.
pub(crate) static KIND: Kind = Kind::new("", "Event")
    .create_on_update()
    .validate(validate)
    .validate_update(validate_update)
    .printer(row)
    .converts_from(&[Conversion { from: ("events.k8s.io", "v1"), to: "v1", convert: to_core }])
    .without_dependents()
    .time_to_live(TIME_TO_LIVE)
    .stored_paths(&[("source", &["source.component", "reportingComponent"])]);

/// The row of `events.k8s.io`. Refusals name the core group: events of both groups are one type to upstream.
pub(crate) static KIND_OF_EVENTS: Kind = Kind::new("events.k8s.io", "Event")
    .create_on_update()
    .validate(validate)
    .validate_update(validate_update)
    .printer(row)
    .converts_from(&[Conversion { from: ("", "v1"), to: "v1", convert: to_events }])
    .without_dependents()
    .time_to_live(TIME_TO_LIVE)
    .group_in_refusals("")
    .stored_fields(&STORED_FIELDS);

fn legacy_event(resource: &Resource, object: &Value, errors: &mut Errors) {
    let root = FieldValue::root(object);
    let namespace = apimachinery::object::namespace(object);
    let at = root.child("involvedObject").child("namespace");
    let has_time = !root.child("eventTime").text().is_empty();
    let fits = match (has_time, at.text().is_empty()) {
        (false, true) => matches!(namespace, "" | "default"),
        (false, false) => namespace == at.text(),
        (true, true) => matches!(namespace, "default" | "kube-system"),
        (true, false) => true,
    };
    if !fits {
        errors.push(at.invalid_as(at.text(), "does not match event.namespace"));
    }
    if has_time {
        // The one field whose name in errors is that of the version asked for.
        let name = if resource.gvk.group.is_empty() { "reportingComponent" } else { "reportingController" };
        let reporter = root.child("reportingComponent").renamed(root.child(name).path);
        rules::check_value(&[Rule::Required], &reporter, None, errors);
        errors.extend(name::is_qualified_name(reporter.text()).iter().map(|problem| reporter.invalid_as(reporter.text(), problem)));
        for (name, most, required) in
            [("reportingInstance", 128, true), ("action", 128, true), ("reason", 128, true), ("message", 1024, false)]
        {
            let field = root.child(name);
            if required && field.text().is_empty() {
                errors.push(field.required(""));
            }
            if field.text().len() > most {
                errors.push(field.invalid_as("", &format!("can have at most {most} characters")));
            }
        }
    }
    let at = root.child("namespace");
    errors.extend(name::is_dns1123_subdomain(namespace).iter().map(|problem| at.invalid_as(namespace, problem)));
}

fn series(root: &FieldValue<'_>, errors: &mut Errors) {
    let Some(series) = root.some("series") else { return };
    if series.child("count").int() < 2 {
        errors.push(series.child("count").invalid_as("", "should be at least 2"));
    }
    if series.child("lastObservedTime").text().is_empty() {
        errors.push(series.child("lastObservedTime").required(""));
    }
}

/// `Event`, in the core group's form, as `resource` was asked for: events.k8s.io is strict, the core group takes what it always took.
fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    legacy_event(resource, object, &mut errors);
    if resource.gvk.group.is_empty() {
        return errors;
    }
    let root = FieldValue::root(object);
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    series(&root, &mut errors);
    if root.child("eventTime").text().is_empty() {
        errors.push(root.child("eventTime").required(""));
    }
    let kind = root.child("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        errors.push(kind.invalid_as("", &format!("has invalid value: {}", kind.text())));
    }
    for field in ["firstTimestamp", "lastTimestamp"] {
        if root.has(field) {
            errors.push(root.child(field).invalid_as("", "needs to be unset"));
        }
    }
    if root.child("count").int() != 0 {
        errors.push(root.child("count").invalid_as("", "needs to be unset"));
    }
    let source = root.child("source");
    if !source.is_empty("component") || !source.is_empty("host") {
        errors.push(source.invalid_as("", "needs to be unset"));
    }
    errors
}

/// `Event`, as above.
fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    legacy_event(resource, object, &mut errors);
    if resource.gvk.group.is_empty() {
        return errors;
    }
    metadata::validate_update(object, old, &mut errors);
    let (root, before) = (FieldValue::root(object), FieldValue::root(old));
    if object.get("series") != old.get("series") {
        series(&root, &mut errors);
    }
    rules::check(&FIXED, &root, Some(&before), &mut errors);
    let (reporter, shown) = ("reportingComponent", root.child("reportingController").path);
    root.child(reporter).renamed(shown).immutable(&before.child(reporter), &mut errors);
    rules::check(&[immutable("reportingInstance")], &root, Some(&before), &mut errors);
    errors
}

/// Of both groups: `events.k8s.io` calls the same fields by other names.
fn row(event: &Value, now: i64) -> Vec<Value> {
    let new = event["apiVersion"] == "events.k8s.io/v1";
    let field = |old: &'static str, renamed: &'static str| if new { renamed } else { old };
    let first = match seconds(at(event, field("/firstTimestamp", "/deprecatedFirstTimestamp"))) {
        Some(_) => since(event, field("/firstTimestamp", "/deprecatedFirstTimestamp"), now),
        None => since(event, "/eventTime", now),
    };
    let mut last = match seconds(at(event, field("/lastTimestamp", "/deprecatedLastTimestamp"))) {
        Some(_) => since(event, field("/lastTimestamp", "/deprecatedLastTimestamp"), now),
        None => first.clone(),
    };
    // An event that happened once has no count.
    let mut count = int(event, field("/count", "/deprecatedCount")).max(1);
    if some(event, "/series").is_some() {
        last = since(event, "/series/lastObservedTime", now);
        count = int(event, "/series/count");
    }
    let object = at(event, field("/involvedObject", "/regarding"));
    let kind = text(object, "/kind").to_lowercase();
    let target = match name_of(object) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source = at(event, field("/source", "/deprecatedSource"));
    let component = text_or(source, "/component", text(event, field("/reportingComponent", "/reportingController")));
    let instance = text_or(source, "/host", text(event, "/reportingInstance"));
    cells![
        last,
        text(event, "/type"),
        text(event, "/reason"),
        target,
        text(object, "/fieldPath"),
        if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") },
        text(event, field("/message", "/note")).trim(),
        first,
        count,
        cell::name(event),
    ]
}

fn name_of(reference: &Value) -> &str {
    text(reference, "/name")
}

/// What is named differently: in `v1`, and in `events.k8s.io/v1`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("source", "deprecatedSource"),
    ("message", "note"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// `v1` to `events.k8s.io/v1`.
fn to_events(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for (core, events) in NAMES {
        rename(fields, core, events);
    }
    for (_, name) in TEXTS {
        if fields.get(name).is_some_and(|text| text == "") {
            fields.remove(name);
        }
    }
}

/// `events.k8s.io/v1` to `v1`.
fn to_core(event: &mut Value) {
    let Some(fields) = event.as_object_mut() else { return };
    for (core, events) in NAMES {
        rename(fields, events, core);
    }
    for (name, _) in TEXTS {
        fields.entry(name).or_insert_with(|| Value::String(String::new()));
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tables;

    #[test]
    fn events_are_judged_by_the_version_asked_for() {
        let event = |more: Value| {
            let mut event = json!({
                "metadata": { "name": "e", "namespace": "n", "resourceVersion": "1" }, "involvedObject": { "namespace": "n" }, "source": {},
                "eventTime": "2020-01-01T00:00:00.000001Z", "firstTimestamp": null, "reportingComponent": "c", "reportingInstance": "i",
                "action": "A", "reason": "R", "message": "m", "type": "Normal",
            });
            if let Some((event, more)) = event.as_object_mut().zip(more.as_object()) {
                event.extend(more.clone())
            }
            event
        };
        let fields = |errors: Errors| errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>().join(" ");
        let core = tables::find("", "v1", "events").expect("events");
        let strict = tables::find("events.k8s.io", "v1", "events").expect("events");
        for (more, by_core, by_strict) in [
            (json!({}), "", ""),
            (json!({ "reportingComponent": "/" }), "reportingComponent", "reportingController"),
            (json!({ "type": "Odd", "count": 1, "source": { "host": "h" } }), "", "type count source"),
            (json!({ "firstTimestamp": "2020-01-01T00:00:00Z" }), "", "firstTimestamp"),
        ] {
            let dedup = |mut list: Vec<&str>| {
                list.dedup();
                list.join(" ")
            };
            let found = [core, strict].map(|resource| fields(validate(resource, &event(more.clone()))));
            assert_eq!(found.each_ref().map(|list| dedup(list.split(' ').collect())), [by_core, by_strict], "{more}");
        }
        for (more, by_strict) in
            [(json!({ "reason": "S" }), "reason reason"), (json!({ "message": "n", "related": {} }), "message related")]
        {
            let (old, new) = (event(json!({})), event(more));
            assert_eq!(fields(validate_update(core, &new, &old)), "");
            assert_eq!(fields(validate_update(strict, &new, &old)), by_strict);
        }
    }
}
