//! CSINode: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storage/csinode`).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::cell::{age, cells, len, name};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::pod::volume;
use crate::shared::rules::{self, Rule};
use crate::shared::{metadata, value};

/// The row.
pub(crate) static KIND: Kind = Kind::new("storage.k8s.io", "CSINode")
    .conditional_update()
    .validate(validate)
    .validate_update(validate_update)
    .printer(row)
    .returns_deleted_object();

fn validate(resource: &Resource, node: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, node, metadata::subdomain, &mut errors);
    let mut names: HashSet<&str> = HashSet::new();
    for driver in FieldValue::root(node).child("spec").items("drivers") {
        let (name, id) = (driver.child("name"), driver.child("nodeID"));
        volume::csi_driver_name(&name, &mut errors);
        rules::check_value(&[Rule::Required], &id, None, &mut errors);
        if id.text().len() > 192 {
            errors.push(id.invalid("must be 192 characters or less"));
        }
        driver.child("allocatable").child("count").non_negative(&mut errors);
        let text = value::text(driver.value, "name");
        if names.contains(&text) {
            errors.push(name.duplicate());
        }
        names.insert(text);
        let mut keys: HashSet<&str> = HashSet::new();
        for key in driver.texts("topologyKeys") {
            if key.is_empty() {
                errors.push(driver.required(""));
            }
            if keys.contains(&key) {
                errors.push(apimachinery::field::Error::duplicate(&driver.path, key));
            }
            keys.insert(key);
            errors.extend(apimachinery::validation::name::is_qualified_name(key).iter().map(|problem| driver.invalid_as(key, problem)));
        }
    }
    errors
}

/// A driver stays as it is.
fn validate_update(resource: &Resource, node: &Value, old: &Value) -> Errors {
    let mut errors = validate(resource, node);
    let spec = FieldValue::root(node).child("spec");
    let bare = |driver: &Value| {
        let mut driver = driver.clone();
        value::remove(&mut driver, "allocatable");
        driver
    };
    let mut by_name: HashMap<&str, Vec<&Value>> = HashMap::new();
    for new in value::list(spec.value, "drivers") {
        by_name.entry(value::text(new, "name")).or_default().push(new);
    }
    // Names in what is stored are unique, so that each is looked up once.
    for old in value::list(&old["spec"], "drivers") {
        for new in by_name.remove(value::text(old, "name")).into_iter().flatten() {
            if bare(new) != bare(old) {
                errors.push(spec.child("drivers").invalid_as(bare(new), field_value::IMMUTABLE));
            }
        }
    }
    errors
}

fn row(node: &Value, now: i64) -> Vec<Value> {
    cells![name(node), len(node, "/spec/drivers"), age(node, now)]
}
