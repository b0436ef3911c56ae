//! Compares tables with what upstream's server answers, where the recorded answers are at hand.

use std::path::PathBuf;

use serde_json::{Value, json};
use wasmgate_api::printers::{self, IncludeObject};
use wasmgate_api::{Resource, tables};

#[path = "../../../tests/skipped.rs"]
mod skipped;
use skipped::skipped;

/// What recorded times are replaced by, and the time at which the tables are made.
const TIME: &str = "2026-11-21T10:00:00Z";
const UID: &str = "5c2a9f0e-0000-4000-8000-000000000000";
const NOW: i64 = 1_795_255_200;

/// A recorded document; `None` where the records are not there.
fn recorded(name: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        skipped(&format!("no recording {}", path.display()));
        return None;
    };
    // In labels a uid must be one, and a port is a number: that of the only table that shows one.
    let text = text.replace("<time>", TIME).replace("<uid>", UID).replace("\"<nodePort>\"", "32685");
    Some(serde_json::from_str(&text).expect("a recorded document is JSON"))
}

/// `apps.v1.deployments`, `v1.pods`.
fn resource(name: &str) -> Option<&'static Resource> {
    let (rest, plural) = name.rsplit_once('.')?;
    let (group, version) = rest.rsplit_once('.').unwrap_or(("", rest));
    tables::find(group, version, plural)
}

/// Ages differ from moment to moment.
fn without_ages(cell: &Value) -> Value {
    let is_age = |text: &str| {
        let mut letters = text.chars().filter(|c| !c.is_ascii_digit()).peekable();
        text.starts_with(|c: char| c.is_ascii_digit()) && letters.peek().is_some() && letters.all(|c| "smhdy".contains(c))
    };
    match cell {
        Value::String(text) if is_age(text) => "<age>".into(),
        Value::Array(cells) => cells.iter().map(without_ages).collect(),
        other => other.clone(),
    }
}

/// Addresses that the server gave are left out of the recorded objects, but not of the tables.
fn without_allocated(cells: &Value, ours: &Value) -> Value {
    let is_left_out = |ours: &Value| ours.as_str().is_some_and(|text| text.contains("<ip>"));
    let cells = cells.as_array().into_iter().flatten().zip(ours.as_array().into_iter().flatten());
    cells.map(|(cell, ours)| if is_left_out(ours) { Value::Null } else { cell.clone() }).collect()
}

#[test]
fn columns_are_upstreams() {
    let Some(Value::Object(all)) = recorded("facts/table-columns.json") else { return };
    for (name, theirs) in all {
        let resource = resource(&name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let ours = printers::table(resource, &[], json!({}), IncludeObject::None, NOW)["columnDefinitions"].clone();
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn tables_of_a_fresh_server_are_upstreams() {
    let Some(Value::Object(all)) = recorded("facts/table-columns.json") else { return };
    let mut rows_compared = 0;
    for name in all.keys() {
        let (Some(list), Some(theirs)) = (recorded(&format!("facts/lists/{name}.json")), recorded(&format!("facts/tables/{name}.json")))
        else {
            continue;
        };
        let resource = resource(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let mut objects = list["items"].as_array().expect("a list").clone();
        for object in &mut objects {
            object["apiVersion"] = resource.gvk.api_version().into();
            object["kind"] = (*resource.gvk.kind).into();
        }
        let ours = printers::table(resource, &objects, json!({}), IncludeObject::Metadata, NOW + 24 * 3600);
        let rows = |table: &Value| table["rows"].as_array().cloned().unwrap_or_default();
        assert_eq!(ours["rows"].is_null(), theirs["rows"].is_null(), "{name}");
        for (ours, theirs) in rows(&ours).iter().zip(&rows(&theirs)) {
            // The two were recorded one after the other: the server renews its leases in between.
            if name != "coordination.k8s.io.v1.leases" {
                assert_eq!(without_ages(&ours["cells"]), without_ages(&theirs["cells"]), "{name}");
            }
            assert_eq!(ours["object"]["metadata"]["name"], theirs["object"]["metadata"]["name"], "{name}");
            rows_compared += 1;
        }
    }
    assert!(rows_compared > 100, "only {rows_compared} rows");
}

/// Every table of an object of which an earlier answer of the case shows the whole.
#[test]
fn tables_in_cases_are_upstreams() {
    let Some(cases) = recorded("cases/table.json") else { return };
    let mut compared = 0;
    for case in cases["cases"].as_array().expect("cases") {
        let mut whole: Vec<Value> = Vec::new();
        let steps = case["steps"].as_array().into_iter().flatten();
        for (step, answer) in steps.zip(case["answers"].as_array().into_iter().flatten()) {
            let body = &answer["body"];
            if body["kind"] != "Table" {
                // Later answers show the object as it then is.
                whole.retain(|object| object["metadata"]["name"] != body["metadata"]["name"] || object["kind"] != body["kind"]);
                whole.push(body.clone());
                continue;
            }
            // The table of a change shows an object that no other answer does.
            if step["method"] != "GET" {
                whole.clear();
                continue;
            }
            let columns = &body["columnDefinitions"];
            for theirs in body["rows"].as_array().into_iter().flatten() {
                let name = &theirs["object"]["metadata"]["name"];
                for object in whole.iter().filter(|object| object["metadata"]["name"] == *name) {
                    let Some((group, version)) = object["apiVersion"].as_str().map(|v| v.rsplit_once('/').unwrap_or(("", v))) else {
                        continue;
                    };
                    let kind = object["kind"].as_str().unwrap_or_default();
                    let of_kind =
                        tables::resources().iter().find(|r| r.gvk.group == group && r.gvk.version == version && r.gvk.kind == kind);
                    let Some(resource) = of_kind else { continue };
                    let ours = printers::table(resource, std::slice::from_ref(object), json!({}), IncludeObject::Metadata, NOW);
                    // Upstream's server has by then looked at a flow schema, and said so in its status.
                    if ours["columnDefinitions"] != *columns || kind == "FlowSchema" {
                        continue;
                    }
                    let (ours_shown, theirs_shown) = (without_ages(&ours["rows"][0]["cells"]), without_ages(&theirs["cells"]));
                    assert_eq!(
                        without_allocated(&ours_shown, &ours_shown),
                        without_allocated(&theirs_shown, &ours_shown),
                        "{}: {object}",
                        case["name"]
                    );
                    assert_eq!(ours["rows"][0]["object"]["metadata"], theirs["object"]["metadata"], "{}", case["name"]);
                    assert_eq!(ours["rows"][0]["conditions"], theirs["conditions"], "{}", case["name"]);
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 100, "only {compared} rows");
}
