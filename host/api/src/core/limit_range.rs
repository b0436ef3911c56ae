//! LimitRange: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/core/limitrange`).

use std::collections::HashSet;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::validation::name;
use serde_json::{Map, Value};

use crate::Resource;
use crate::kinds::kind::Kind;
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::resources::round_up_quantities;
use crate::shared::resources::{self, resource_name};
use crate::shared::value::{self, entries, has, if_zero, list_mut, object_at, set, text};

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("", "LimitRange").create_on_update().default(default).prepare(prepare).validate(validate).validate_update(validate_update);

/// Of a container's limits, one follows from the other.
fn default(_: &Resource, object: &mut Value) {
    for item in list_mut(object_at(object, "spec"), "limits") {
        if text(item, "type") == "Container" {
            fill(item, "default", "max");
            fill(item, "defaultRequest", "default");
            fill(item, "defaultRequest", "min");
        }
        for name in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            round_up_quantities(item, name);
        }
    }
}

fn fill(item: &mut Value, to: &str, from: &str) {
    let values: Map<String, Value> = entries(item, from).map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in values {
        let to = object_at(item, to);
        if !has(to, &name) {
            set(to, &name, value);
        }
    }
}

/// One without a name is given one, which is as random as its uid.
fn prepare(_: &Resource, range: &mut Value, old: Option<&Value>) {
    let uid = apimachinery::object::uid(range).to_owned();
    if old.is_none() {
        if_zero(object_at(range, "metadata"), "name", uid);
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let mut types: HashSet<&str> = HashSet::new();
    for (i, item) in value::list(&object["spec"], "limits").iter().enumerate() {
        let at = FieldValue { value: item, path: FieldValue::root(object).child("spec").child("limits").path.index(i) };
        let kind = at.child("type");
        let problems = name::is_qualified_name(kind.text());
        if !problems.is_empty() {
            errors.extend(problems.iter().map(|problem| kind.invalid_as(kind.text(), problem)));
        } else if !kind.text().contains('/') && !matches!(kind.text(), "Pod" | "Container" | "PersistentVolumeClaim") {
            errors.push(kind.invalid("must be a standard limit type or fully qualified"));
        }
        if types.contains(&value::text(item, "type")) {
            errors.push(kind.duplicate());
        }
        types.insert(value::text(item, "type"));
        limit_range_item(&at, &mut errors);
    }
    errors
}

fn limit_range_item(at: &FieldValue<'_>, errors: &mut Errors) {
    let kind = at.text_of("type");
    let (mut keys, mut known): (Vec<&str>, HashSet<&str>) = (Vec::new(), HashSet::new());
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if kind == "Pod" && list.starts_with("default") {
            if !at.is_empty(list) {
                errors.push(at.child(list).forbidden("may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (key, entry) in at.entries(list) {
            if matches!(kind, "Pod" | "Container") {
                resources::container_resource_name(key, &entry, errors);
            } else {
                resource_name(key, &entry, errors);
            }
            if known.insert(key) {
                keys.push(key);
            }
        }
    }
    if kind == "PersistentVolumeClaim" && at.child("min").value.get("storage").is_none() && at.child("max").value.get("storage").is_none() {
        errors.push(at.child("limits").required("either minimum or maximum storage value is required, but neither was provided"));
    }
    for key in keys {
        let of = |list: &str| {
            let list = at.child(list);
            let entry = FieldValue { value: list.value.get(key).unwrap_or(field_value::NULL), path: list.path.key(key) };
            entry.quantity().map(|quantity| (entry, quantity))
        };
        let pod = kind == "Pod";
        let (min, max, ratio) = (of("min"), of("max"), of("maxLimitRequestRatio"));
        let (default, request) = if pod { (None, None) } else { (of("default"), of("defaultRequest")) };
        let mut compare = |low: &Option<(FieldValue<'_>, Quantity)>,
                           high: &Option<(FieldValue<'_>, Quantity)>,
                           on_low: bool,
                           shown_low: bool,
                           words: [&str; 2]| {
            if let (Some((low_at, low)), Some((high_at, high))) = (low, high)
                && low > high
            {
                let path = if on_low { low_at } else { high_at };
                let shown = if shown_low { low } else { high };
                errors.push(path.invalid_as(shown.to_string(), &format!("{} {low} is greater than {} {high}", words[0], words[1])));
            }
        };
        compare(&min, &max, true, true, ["min value", "max value"]);
        compare(&min, &request, false, false, ["min value", "default request value"]);
        compare(&request, &max, true, true, ["default request value", "max value"]);
        compare(&request, &default, true, true, ["default request value", "default limit value"]);
        compare(&min, &default, false, true, ["min value", "default value"]);
        compare(&default, &max, true, false, ["default value", "max value"]);
        let Some((entry, ratio)) = ratio else { continue };
        if ratio < Quantity::new(1, Format::DecimalSi) {
            errors.push(entry.invalid_as(ratio.to_string(), &format!("ratio {ratio} is less than 1")));
        }
        if let (Some((_, min)), Some((_, max))) = (min, max) {
            // In thousandths where they fit, as upstream divides.
            let fine = min.value().max(max.value()) <= i64::MAX / 1000;
            let of = |quantity: &Quantity| if fine { quantity.milli_value() as f64 } else { quantity.value() as f64 };
            let most = of(&max) / of(&min);
            if ratio.milli_value() as f64 / 1000.0 > most {
                errors.push(entry.invalid_as(ratio.to_string(), &format!("ratio {ratio} is greater than max/min = {most:.6}")));
            }
        }
    }
}

fn validate_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate(resource, object)
}
