//! CSIDriver: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/storage/csidriver`).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::kind::{Generation, Kind, spec};
use crate::shared::cell::{UNSET, age, at, cells, flag, items, join, name, or_none, some, text_or};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Field, Rule, field};
use crate::shared::value::{self, has, if_nil, if_zero, list, object_at};
use crate::shared::warnings::Warnings;

const EXPIRATION: Field = field(
    "expirationSeconds",
    &[
        Rule::Optional,
        Rule::Min(600, "may not specify a duration less than 10 minutes"),
        Rule::Max(1 << 32, "may not specify a duration larger than 2^32 seconds"),
    ],
);
const UPDATE_PERIOD: Field =
    field("nodeAllocatableUpdatePeriodSeconds", &[Rule::Optional, Rule::Min(10, "must be greater than or equal to 10 seconds")]);
const GROUP_POLICY: Field = field("fsGroupPolicy", &[Rule::Optional, Rule::Enum(&["File", "None", "ReadWriteOnceWithFSType"])]);

/// The row.
pub(crate) static KIND: Kind = Kind::new("storage.k8s.io", "CSIDriver")
    .generation(Generation::From0(spec))
    .conditional_update()
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .warn(warn)
    .printer(row)
    .returns_deleted_object();

fn default(_: &Resource, driver: &mut Value) {
    let spec = object_at(driver, "spec");
    if_nil(spec, "attachRequired", true);
    if_nil(spec, "podInfoOnMount", false);
    if_nil(spec, "storageCapacity", false);
    if_nil(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if_zero(spec, "volumeLifecycleModes", json!(["Persistent"]));
    if_nil(spec, "requiresRepublish", false);
    if_nil(spec, "seLinuxMount", false);
}

fn driver_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&[GROUP_POLICY], spec, None, errors);
    let mut audiences: HashSet<&str> = HashSet::new();
    for request in spec.items("tokenRequests") {
        let audience = value::text(request.value, "audience");
        if audiences.contains(&audience) {
            errors.push(apimachinery::field::Error::duplicate(&request.child("audience").path, audience));
            continue;
        }
        audiences.insert(audience);
        rules::check(&[EXPIRATION], &request, None, errors);
    }
    let modes = spec.child("volumeLifecycleModes");
    for mode in spec.items("volumeLifecycleModes").filter(|mode| !matches!(mode.text(), "Persistent" | "Ephemeral")) {
        errors.push(mode.renamed(modes.path.clone()).unsupported(&["Persistent", "Ephemeral"]));
    }
    rules::check(&[UPDATE_PERIOD], spec, None, errors);
    if spec.has("serviceAccountTokenInSecrets") && spec.is_empty("tokenRequests") {
        let at = spec.child("serviceAccountTokenInSecrets");
        errors.push(at.invalid("serviceAccountTokenInSecrets is set but no tokenRequests are specified"));
    }
}

fn driver_name(text: &str, prefix: bool) -> Vec<String> {
    let mut problems = metadata::subdomain(&text.to_lowercase(), prefix);
    if text.len() > 63 {
        problems.insert(0, "must be no more than 63 characters".to_owned());
    }
    problems
}

fn validate(resource: &Resource, driver: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, driver, driver_name, &mut errors);
    driver_spec(&FieldValue::root(driver).child("spec"), &mut errors);
    errors
}

fn validate_update(_: &Resource, driver: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(driver, old, &mut errors);
    let (spec, before) = (FieldValue::root(driver).child("spec"), FieldValue::root(old).child("spec"));
    driver_spec(&spec, &mut errors);
    for (name, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        if spec.child(name).value != before.child(name).value {
            errors.push(spec.child(name).renamed(spec.child(shown).path).invalid(field_value::IMMUTABLE));
        }
    }
    errors
}

/// Tokens that would stand in logs, where an update touches them.
fn warn(driver: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    let spec = &driver["spec"];
    let untouched = old.is_some_and(|old| old["spec"].get("tokenRequests") == spec.get("tokenRequests"));
    if !untouched && !list(spec, "tokenRequests").is_empty() && !has(spec, "serviceAccountTokenInSecrets") {
        warnings.push(
            "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in \
             volume attributes"
                .to_owned(),
        );
    }
}

fn row(driver: &Value, now: i64) -> Vec<Value> {
    let modes = items(driver, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str);
    let audiences =
        some(driver, "/spec/tokenRequests").map(|requests| join(items(requests, "").iter().map(|r| text_or(r, "/audience", "")), ","));
    cells![
        name(driver),
        at(driver, "/spec/attachRequired").as_bool().unwrap_or(true),
        flag(driver, "/spec/podInfoOnMount"),
        flag(driver, "/spec/storageCapacity"),
        audiences.unwrap_or_else(|| UNSET.to_owned()),
        flag(driver, "/spec/requiresRepublish"),
        or_none(join(modes, ",")),
        age(driver, now),
    ]
}
