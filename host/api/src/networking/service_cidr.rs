//! ServiceCIDR: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/networking/servicecidr`).

use apimachinery::validation::ip::{self, parse_cidr_sloppy};
use serde_json::Value;

use crate::Resource;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::shared::cell::{age, cells, items, join, name};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::validation;
use crate::shared::{metadata, value};

/// The row.
pub(crate) static KIND: Kind = Kind::new("networking.k8s.io", "ServiceCIDR")
    .status(StatusMetadata::Reset)
    .validate(validate)
    .validate_update(validate_update)
    .printer(row);

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    let list = spec.child("cidrs");
    let cidrs: Vec<&str> = spec.texts("cidrs").collect();
    if cidrs.is_empty() {
        errors.push(list.required("at least one CIDR required"));
        return errors;
    }
    if cidrs.len() > 2 {
        errors.push(validation::invalid_shown(&list.path, &format!("{{\"CIDRs\":{}}}", list.value), "may only hold up to 2 values"));
        return errors;
    }
    for cidr in spec.items("cidrs") {
        errors.extend(ip::is_valid_cidr(&cidr.path, cidr.text()));
    }
    if cidrs.len() == 2 && cidrs.iter().all(|cidr| parse_cidr_sloppy(cidr).is_some()) && cidrs[0].contains(':') == cidrs[1].contains(':') {
        errors.push(list.invalid("may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"));
    }
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = FieldValue::root(object).child("spec");
    let list = spec.child("cidrs");
    let (new, was): (Vec<&str>, Vec<&str>) =
        (spec.texts("cidrs").collect(), value::list(&old["spec"], "cidrs").iter().filter_map(Value::as_str).collect());
    if new.len() == was.len() || (was.len() == 1 && new.len() == 2) {
        for (i, item) in spec.items("cidrs").enumerate().take(was.len()) {
            if item.text() != was[i] {
                errors.push(item.invalid(field_value::IMMUTABLE));
            }
        }
        if new.len() > was.len() {
            let mut fresh = Errors::new();
            fresh.extend(validate(resource, object));
            errors.extend(fresh.into_iter().filter(|error| error.field.starts_with("spec")));
        }
    } else {
        errors.push(list.invalid(field_value::IMMUTABLE));
    }
    errors
}

fn row(range: &Value, now: i64) -> Vec<Value> {
    cells![name(range), join(items(range, "/spec/cidrs").iter().filter_map(Value::as_str), ","), age(range, now)]
}
