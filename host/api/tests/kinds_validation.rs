//! The recorded cases, driven through preparation and validation against the object that upstream answered last: what it refused with
//! 422 must be refused with the same causes, and what it took must be taken and look alike. Runs where the recordings are present.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_api::strategy::Context;
use wasmgate_api::{Resource, convert, kinds, tables};

#[path = "../../../tests/skipped.rs"]
mod skipped;
use skipped::skipped;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle/cases");
const NOW: &str = "2026-01-01T00:00:00Z";

struct Target {
    resource: &'static Resource,
    namespace: Option<String>,
    name: String,
    subresource: String,
}

fn target_of(path: &str) -> Option<Target> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version, mut rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let mut namespace = None;
    if let ["namespaces", name, plural, ..] = rest
        && !matches!(*plural, "status" | "finalize")
    {
        namespace = Some((*name).to_owned());
        rest = &rest[2..];
    }
    let resource = tables::find(group, version, rest.first()?)?;
    let at = |i: usize| rest.get(i).copied().unwrap_or_default().to_owned();
    (rest.len() <= 3 && !resource.storage_prefix.is_empty()).then(|| Target { resource, namespace, name: at(1), subresource: at(2) })
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let map = target.as_object_mut().expect("made an object above");
    for (name, value) in patch {
        if value.is_null() {
            map.remove(name);
        } else {
            merge(map.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

fn has_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(map) => map.values().any(has_list),
        _ => false,
    }
}

/// The request's object, where this test can make it.
fn requested(step: &Value, target: &Target, old: Option<&Value>) -> Option<Value> {
    let body = step.get("body").filter(|body| body.is_object())?;
    if body.to_string().contains("\"$") {
        return None;
    }
    let mut object = match (step["method"].as_str()?, old) {
        ("POST", None) => body.clone(),
        ("PUT", Some(_)) => body.clone(),
        ("PATCH", Some(old)) => {
            let kind = step.pointer("/headers/Content-Type").and_then(Value::as_str).unwrap_or_default();
            if !(kind.starts_with("application/merge-patch") || kind.starts_with("application/strategic-merge-patch") && !has_list(body)) {
                return None;
            }
            let mut object = old.clone();
            merge(&mut object, body);
            object
        }
        _ => return None,
    };
    let resource = target.resource;
    if object.get("kind").is_some_and(|kind| *kind != *resource.gvk.kind) {
        return None;
    }
    object["apiVersion"] = resource.gvk.api_version().into();
    object["kind"] = (*resource.gvk.kind).into();
    let strategy = kinds::strategy(resource);
    strategy.default(resource, &mut object);
    if let Some(namespace) = &target.namespace {
        object["metadata"]["namespace"] = namespace.clone().into();
    }
    match old {
        None => {
            object["metadata"]["uid"] = "11111111-1111-1111-1111-111111111111".into();
            object["metadata"]["creationTimestamp"] = NOW.into();
            if object["metadata"]["name"].is_null()
                && let Some(start) = object["metadata"]["generateName"].as_str().map(|start| format!("{start}bcdfg"))
            {
                object["metadata"]["name"] = start.into();
            }
            if &*resource.gvk.kind == "Pod" && object["spec"]["serviceAccountName"].is_null() {
                object["spec"]["serviceAccountName"] = "default".into();
            }
        }
        Some(old) => {
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            for name in ["uid", "creationTimestamp", "resourceVersion", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"]
            {
                if metadata.get(name).is_none() || name != "uid" {
                    match old["metadata"].get(name) {
                        Some(value) => metadata.insert(name.to_owned(), value.clone()),
                        None => metadata.remove(name),
                    };
                }
            }
        }
    }
    Some(object)
}

/// Validation is shown the version that is stored.
fn as_stored(resource: &'static Resource, object: &Value) -> Value {
    let stored = tables::stored(resource);
    if std::ptr::eq(stored, resource) {
        return object.clone();
    }
    let mut object = convert::convert(object.clone(), &stored.gvk).expect("a version of the kind");
    kinds::strategy(stored).default(stored, &mut object);
    object
}

fn causes(status: &Value) -> Vec<(String, String, String)> {
    let text = |cause: &Value, name: &str| cause[name].as_str().unwrap_or_default().to_owned();
    let list = status.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten();
    list.map(|cause| (text(cause, "field"), text(cause, "reason"), text(cause, "message"))).collect()
}

#[derive(Default)]
struct Totals {
    refused: usize,
    core: usize,
    exact: usize,
    taken: usize,
    wrongly_refused: usize,
}

fn run(file: &str, verbose: bool, totals: &mut Totals) {
    let mut text = fs::read_to_string(format!("{CASES}/{file}.json")).expect("a file of cases");
    for (from, to) in [
        ("\"<nodeport>\"", "30001"),
        ("$NS", "ns-1"),
        ("$ID", "id-1"),
        ("<uid>", "11111111-1111-1111-1111-111111111111"),
        ("<time>", NOW),
        ("<rv>", "7"),
        ("<ip>", "10.9.8.7"),
        ("<rand>", "bcdfg"),
        ("<ns>", "ns-1"),
        ("<id>", "id-1"),
    ] {
        text = text.replace(from, to);
    }
    let cases: Value = serde_json::from_str(&text).expect("JSON");
    for case in cases["cases"].as_array().expect("cases") {
        let mut objects: BTreeMap<String, Value> = BTreeMap::new();
        let steps = case["steps"].as_array().expect("steps").iter().zip(case["answers"].as_array().expect("answers"));
        for (step, answer) in steps {
            let path = step["path"].as_str().unwrap_or_default();
            let Some(target) = target_of(path) else { continue };
            let status = answer["status"].as_u64().unwrap_or_default();
            let key = |name: &str| format!("{}/{:?}/{name}", target.resource.gvr, target.namespace);
            let old = (!target.name.is_empty()).then(|| objects.get(&key(&target.name)).cloned()).flatten();
            if (status == 422 || status < 300)
                && let Some(object) = requested(step, &target, old.as_ref())
            {
                check(case["name"].as_str().unwrap_or_default(), &target, object, old.as_ref(), answer, verbose, totals);
            }
            if status < 300 && answer["body"]["kind"] == *target.resource.gvk.kind && step.pointer("/query/dryRun").is_none() {
                let name = answer["body"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let mut object = answer["body"].clone();
                kinds::strategy(target.resource).default(target.resource, &mut object);
                objects.insert(key(&name), object);
            }
        }
    }
}

fn check(case: &str, target: &Target, mut object: Value, old: Option<&Value>, answer: &Value, verbose: bool, totals: &mut Totals) {
    let resource = target.resource;
    let strategy = kinds::strategy(resource);
    let context = Context {
        now: NOW,
        username: "kubernetes-admin",
        subresource: Some(&*target.subresource).filter(|name| !name.is_empty()),
        ..Context::default()
    };
    let errors = match (old, target.subresource.as_str()) {
        (None, "") => {
            strategy.prepare_for_create(resource, &mut object);
            strategy.stamp(resource, &mut object, None, &context);
            strategy.validate(resource, &as_stored(resource, &object))
        }
        (Some(old), "") => {
            strategy.prepare_for_update(resource, &mut object, old);
            strategy.stamp(resource, &mut object, Some(old), &context);
            strategy.validate_update(resource, &as_stored(resource, &object), &as_stored(resource, old))
        }
        (Some(old), subresource) if resource.subresource(subresource).is_some_and(|sub| sub.gvk == resource.gvk) => {
            strategy.prepare_for_subresource_update(resource, subresource, &mut object, old);
            strategy.stamp(resource, &mut object, Some(old), &context);
            strategy.validate_subresource_update(resource, subresource, &as_stored(resource, &object), &as_stored(resource, old))
        }
        _ => return,
    };
    let ours: Vec<(String, String, String)> =
        errors.iter().map(|error| (error.field.clone(), error.kind.reason().to_owned(), error.body.clone())).collect();
    let kind = &resource.gvk.kind;
    if answer["status"] == 422 {
        let theirs = causes(&answer["body"]);
        let sorted = |list: &[(String, String, String)]| {
            let mut list: Vec<(String, String)> = list.iter().map(|(field, reason, _)| (field.clone(), reason.clone())).collect();
            list.sort();
            list
        };
        totals.refused += 1;
        let core = sorted(&ours) == sorted(&theirs);
        totals.core += usize::from(core);
        let exact = {
            let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
            ours.sort();
            theirs.sort();
            ours == theirs
        };
        totals.exact += usize::from(exact);
        if verbose && !exact {
            println!("{} {case} {kind} {}", if core { "words" } else { "CORE" }, target.subresource);
            for (field, _, message) in theirs.iter().filter(|cause| !ours.contains(cause)) {
                println!("      theirs {field} | {}", message.chars().take(260).collect::<String>());
            }
            for (field, _, message) in ours.iter().filter(|cause| !theirs.contains(cause)) {
                println!("      ours   {field} | {}", message.chars().take(260).collect::<String>());
            }
        }
    } else {
        totals.taken += 1;
        if !errors.is_empty() {
            totals.wrongly_refused += 1;
            println!(
                "REFUSED {case} {kind} {}: {}",
                target.subresource,
                errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            );
        }
    }
}

#[test]
fn what_upstream_refuses_is_refused_and_what_it_takes_is_taken() {
    if !Path::new(CASES).is_dir() {
        return skipped(&format!("no recordings in {CASES}"));
    }
    let verbose = std::env::var_os("KINDS_VERBOSE").is_some();
    let mut files: Vec<String> = fs::read_dir(CASES)
        .expect("a folder")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    files.sort();
    let mut all = Totals::default();
    for file in files {
        let mut totals = Totals::default();
        run(&file, verbose, &mut totals);
        println!(
            "{file}: of {} refused {} core, {} exact; of {} taken {} refused here",
            totals.refused, totals.core, totals.exact, totals.taken, totals.wrongly_refused
        );
        all.refused += totals.refused;
        all.core += totals.core;
        all.wrongly_refused += totals.wrongly_refused;
    }
    println!("all: of {} refused {} core; {} refused only here", all.refused, all.core, all.wrongly_refused);
    assert_eq!(all.wrongly_refused, 0, "what upstream takes must be taken");
}
