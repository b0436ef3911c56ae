//! Protobuf over the built-in kinds: the numbers are complete, small vectors of our own hold, and upstream's golden files where they
//! are present (`WASMGATE_K8S_TESTDATA`: the folder `testdata/HEAD` of the repository kubernetes/api).

use std::collections::BTreeSet;
use std::path::PathBuf;

use apimachinery::GroupVersionKind;
use apimachinery::codec::protobuf;
use apimachinery::codec::{self, MediaType};
use apimachinery::message::{Content, Message};
use serde_json::Value;
use wasmgate_api::kinds::shape;
use wasmgate_api::tables;

#[path = "../../../tests/skipped.rs"]
mod skipped;
use skipped::skipped;

fn fields_of(message: &Message, places: &mut Vec<u16>) {
    assert!(message.parts.windows(2).all(|pair| pair[0].number < pair[1].number), "{}", message.name);
    for part in message.parts {
        match &part.content {
            Content::Field(place, _) => places.push(*place),
            Content::Embedded(inner) => fields_of(inner, places),
        }
    }
}

#[test]
fn every_field_of_every_kind_has_a_number() {
    let mut names = BTreeSet::new();
    let mut open: Vec<_> = tables::resources().iter().map(|resource| resource.schema.clone()).collect();
    while let Some(schema) = open.pop() {
        if !names.insert(schema.name.to_string()) {
            continue;
        }
        let mut places = Vec::new();
        fields_of(schema.message.unwrap_or_else(|| panic!("{} has no message", schema.name)), &mut places);
        for (i, field) in schema.fields.iter().enumerate() {
            let times = places.iter().filter(|place| usize::from(**place) == i).count();
            let is_type = schema.field("metadata").is_some() && matches!(&*field.name, "apiVersion" | "kind");
            assert!(times == 1 || (times == 0 && is_type), "{}.{}: {times} numbers", schema.name, field.name);
            let kind = [field.kind.items(), field.kind.values()].into_iter().flatten().next().unwrap_or(&field.kind);
            if let apimachinery::schema::FieldType::Object(inner) = kind {
                open.push(inner.clone());
            }
        }
    }
    assert!(names.len() > 400, "{}", names.len());
}

/// The body as an object in the form that upstream shows.
fn decode(gvk: &GroupVersionKind, body: &[u8]) -> Result<Value, String> {
    let schema = tables::schema_of(gvk).ok_or("not served")?;
    let decoded = codec::decode(body, MediaType::Protobuf, gvk, &schema, &tables::schema_of).map_err(|error| error.message)?;
    let mut object = decoded.value;
    shape::normalize(&schema, &mut object);
    Ok(object)
}

fn encode(gvk: &GroupVersionKind, object: &Value) -> Vec<u8> {
    let schema = tables::schema_of(gvk).expect("a schema");
    protobuf::enveloped(&gvk.api_version(), &gvk.kind, &protobuf::encode(object, &schema).expect("an object of the kind"))
}

#[test]
fn golden_files() {
    let Some(folder) = std::env::var_os("WASMGATE_K8S_TESTDATA").map(PathBuf::from) else {
        return skipped("no golden files of Kubernetes' protobuf; WASMGATE_K8S_TESTDATA names their folder");
    };
    let (mut same, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(&folder).expect("the folder of golden files") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pb")) else { continue };
        // `admissionregistration.k8s.io.v1.ValidatingWebhookConfiguration`, `core.v1.Pod`
        let mut parts = name.rsplitn(3, '.');
        let (kind, version, group) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let gvk = GroupVersionKind::new(if group == "core" { "" } else { group }.to_owned(), version.to_owned(), kind.to_owned());
        // An event of a stream is no object: it has no kind.
        if tables::schema_of(&gvk).is_none() || kind == "WatchEvent" {
            continue;
        }
        let body = std::fs::read(&path).expect("a golden file");
        let shown: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).expect("a golden file")).expect("JSON");
        match decode(&gvk, &body) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(object) if object != shown => wrong.push(format!("{name}: read as\n{object}\nnot\n{shown}")),
            Ok(object) if encode(&gvk, &object) != body => wrong.push(format!("{name}: not written as it was read")),
            Ok(_) if encode(&gvk, &shown) != body => wrong.push(format!("{name}: not written as golden")),
            Ok(_) => same += 1,
        }
    }
    assert!(wrong.is_empty(), "{same} files agree, {} do not:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(same > 70, "{same} files only");
    println!("{same} golden files agree");
}
