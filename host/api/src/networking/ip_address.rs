//! IPAddress: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/networking/ipaddress`).

use apimachinery::validation::{ip, name};
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{self, NONE, age, cells, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Format, Rule};

/// The row.
pub(crate) static KIND: Kind = Kind::new("networking.k8s.io", "IPAddress").validate(validate).validate_update(validate_update).printer(row);

fn ip_name(text: &str, _prefix: bool) -> Vec<String> {
    let lead = format!("Invalid value: {}: ", apimachinery::field::go_quote(text));
    let errors = ip::is_valid_ip(&apimachinery::field::Path::default(), text);
    errors.into_iter().map(|error| error.body.strip_prefix(&lead).unwrap_or(&error.body).to_owned()).collect()
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, ip_name, &mut errors);
    let parent = FieldValue::root(object).child("spec").child("parentRef");
    if parent.value.is_null() {
        errors.push(parent.required(""));
        return errors;
    }
    let (group, namespace) = (parent.child("group"), parent.child("namespace"));
    if !group.text().is_empty() {
        group.dns_subdomain(&mut errors);
    }
    for name in ["resource", "name"] {
        let field = parent.child(name);
        rules::check_value(&[Rule::Required, Rule::Format(Format::PathSegment)], &field, None, &mut errors);
    }
    if !namespace.text().is_empty() {
        namespace.problems(name::is_path_segment_name(namespace.text()), &mut errors);
    }
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let parent = |object| FieldValue::root(object).child("spec").child("parentRef");
    let (new, was) = (parent(object), parent(old));
    new.immutable(&was, &mut errors);
    errors
}

/// The age has no column: upstream's slip, which clients can see.
fn row(address: &Value, now: i64) -> Vec<Value> {
    let parent = some(address, "/spec/parentRef").map_or_else(
        || NONE.to_owned(),
        |parent| {
            let mut shown = text(parent, "/resource").to_owned();
            for (before, part) in [(".", "/group"), ("/", "/namespace")] {
                match text(parent, part) {
                    "" => {}
                    part => shown = format!("{shown}{before}{part}"),
                }
                if part == "/group" {
                    shown = shown.to_lowercase();
                }
            }
            format!("{shown}/{}", text(parent, "/name"))
        },
    );
    cells![cell::name(address), parent, age(address, now)]
}
