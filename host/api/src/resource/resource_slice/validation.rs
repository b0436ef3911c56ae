//! What is wrong with a ResourceSlice, in upstream's order and words (`pkg/apis/resource/validation`).

use std::collections::HashMap;

use apimachinery::field::Error;
use apimachinery::quantity::Quantity;
use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::resource::shared::{binding_conditions, each, each_once, pool_name, qualified_name, taint};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::volume;
use crate::shared::resources::is_native;
use crate::shared::rules::{self, Format, Rule};
use crate::shared::scheduling::node_selector;
use crate::shared::{metadata, value};

const DEVICES_COUNT_MAX: usize = 128;

/// Of devices with taints, counters or lists.
const ADVANCED_DEVICES_COUNT_MAX: usize = 64;

const COUNTER_SETS_COUNT_MAX: usize = 8;
const COUNTERS_COUNT_MAX: usize = 32;
const CONSUMPTIONS_COUNT_MAX: usize = 2;
const ATTRIBUTES_AND_CAPACITIES_COUNT_MAX: usize = 32;
const ATTRIBUTE_VALUES_COUNT_MAX: usize = 48;
const ATTRIBUTE_BYTES_MAX: usize = 64;
const TAINTS_COUNT_MAX: usize = 16;
const POLICY_VALUES_COUNT_MAX: usize = 10;

/// A domain, a slash, and a name.
const ATTRIBUTE_KEY_BYTES_MAX: usize = 63 + 1 + 32;

const ATTRIBUTE_LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

pub(crate) fn validate(resource: &Resource, slice: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, slice, metadata::subdomain, &mut errors);
    spec(&FieldValue::root(slice).child("spec"), None, &mut errors);
    errors
}

pub(crate) fn validate_update(_: &Resource, slice: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(slice, old, &mut errors);
    spec(&FieldValue::root(slice).child("spec"), Some(&FieldValue::root(old).child("spec")), &mut errors);
    errors
}

fn spec(spec: &FieldValue<'_>, old: Option<&FieldValue<'_>>, errors: &mut Errors) {
    let pool = spec.child("pool");
    volume::csi_driver_name(&spec.child("driver"), errors);
    pool_name(&pool.child("name"), errors);
    pool.child("resourceSliceCount").positive(errors);
    if pool.child("generation").int() < 0 {
        errors.push(pool.child("generation").invalid("must be greater than or equal to zero"));
    }
    if let Some(old) = old {
        pool.child("name").immutable(&old.child("pool").child("name"), errors);
        spec.child("driver").immutable(&old.child("driver"), errors);
        spec.child("nodeName").immutable(&old.child("nodeName"), errors);
    }
    nodes(spec, errors);
    if spec.has("sharedCounters") && spec.has("devices") {
        errors.push(spec.invalid_as("", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let name = |item: &FieldValue<'_>| item.text_of("name").to_owned();
    let most = if spec.items("devices").any(|device| is_advanced(&device)) { ADVANCED_DEVICES_COUNT_MAX } else { DEVICES_COUNT_MAX };
    let by_device = spec.flag("perDeviceNodeSelection");
    let mut before: HashMap<&str, &Value> = HashMap::new();
    for device in old.map_or(&[][..], |old| value::list(old.value, "devices")) {
        before.entry(value::text(device, "name")).or_insert(device);
    }
    each_once(spec, "devices", most, name, errors, |at, errors| {
        device(at, before.get(at.text_of("name")).copied(), by_device, errors);
    });
    each_once(spec, "sharedCounters", COUNTER_SETS_COUNT_MAX, name, errors, |set, errors| counters(set, "name", errors));
}

fn is_advanced(device: &FieldValue<'_>) -> bool {
    let listed = |attribute: &FieldValue<'_>| ATTRIBUTE_LISTS.iter().any(|list| attribute.has(list));
    !device.is_empty("taints") || !device.is_empty("consumesCounters") || device.entries("attributes").any(|(_, at)| listed(&at))
}

/// The fields that say where devices can be reached, of those that are set; each must say something.
fn places(at: &FieldValue<'_>, flags: &[&str], empty: &str, errors: &mut Errors) -> Vec<String> {
    let mut set = Vec::new();
    if let Some(node) = at.some("nodeName") {
        if node.text().is_empty() {
            errors.push(node.invalid(empty));
        } else {
            set.push("`nodeName`".to_owned());
            node.dns_subdomain(errors);
        }
    }
    if let Some(selector) = at.some("nodeSelector") {
        set.push("`nodeSelector`".to_owned());
        node_selector(&selector, errors);
    }
    for flag in flags {
        match at.some(flag) {
            Some(flag) if flag.value == &Value::Bool(false) => errors.push(flag.invalid("must be either unset or set to true")),
            Some(_) => set.push(format!("`{flag}`")),
            None => {}
        }
    }
    set
}

fn nodes(spec: &FieldValue<'_>, errors: &mut Errors) {
    const ONE: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let flags = ["allNodes", "perDeviceNodeSelection"];
    let set = places(spec, &flags, "must be either unset or set to a non-empty string", errors);
    if let Some(selector) = spec.some("nodeSelector").filter(|selector| value::list(selector.value, "nodeSelectorTerms").len() != 1) {
        errors.push(selector.child("nodeSelectorTerms").invalid("must have exactly one node selector term"));
    }
    match set.len() {
        0 => errors.push(spec.required(ONE)),
        1 => {}
        _ => errors.push(spec.invalid_as(format!("{{{}}}", set.join(", ")), &format!("{ONE}, but multiple fields are set"))),
    }
}

fn device_nodes(at: &FieldValue<'_>, by_device: bool, errors: &mut Errors) {
    if !by_device {
        if ["nodeName", "nodeSelector", "allNodes"].iter().any(|name| at.has(name)) {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the \
                          ResourceSlice spec";
            errors.push(at.invalid_as(Value::Null, detail));
        }
        return;
    }
    let set = places(at, &["allNodes"], "must not be empty", errors);
    let one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the \
               ResourceSlice spec";
    match set.len() {
        0 => errors.push(at.required(one)),
        1 => {}
        _ => errors.push(at.invalid_as(format!("{{{}}}", set.join(", ")), one)),
    }
}

fn counters(at: &FieldValue<'_>, name: &str, errors: &mut Errors) {
    let name = at.child(name);
    rules::check_value(&[Rule::Required, Rule::Format(Format::DnsLabel)], &name, None, errors);
    let counters = at.child("counters");
    let count = at.entries("counters").count();
    if count == 0 {
        errors.push(counters.required(""));
    } else if count > COUNTERS_COUNT_MAX {
        errors.push(Error::too_many(&counters.path, count, COUNTERS_COUNT_MAX));
    } else {
        for (key, _) in at.entries("counters") {
            errors.extend(name::is_dns1123_label(key).iter().map(|problem| counters.invalid_as(key, problem)));
        }
    }
}

fn device(at: &FieldValue<'_>, old: Option<&Value>, by_device: bool, errors: &mut Errors) {
    let name = at.child("name");
    errors.extend(name::is_dns1123_label(name.text()).iter().map(|problem| name.invalid_as(name.text(), problem)));
    let count = at.entries("attributes").count() + at.entries("capacity").count();
    if count > ATTRIBUTES_AND_CAPACITIES_COUNT_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_AND_CAPACITIES_COUNT_MAX}");
        errors.push(at.invalid_as(count, &detail));
    }
    let values = |at: FieldValue<'_>| ATTRIBUTE_LISTS.iter().map(|list| value::list(at.value, list).len()).sum::<usize>().max(1);
    let count: usize = at.entries("attributes").map(|(_, attribute)| values(attribute)).sum();
    if count > ATTRIBUTE_VALUES_COUNT_MAX {
        errors.push(at.invalid_as(count, &format!("the total number of attribute values must not exceed {ATTRIBUTE_VALUES_COUNT_MAX}")));
    }
    keyed(at, "attributes", errors, attribute);
    let shared = at.flag("allowMultipleAllocations");
    keyed(at, "capacity", errors, |capacity, errors| match capacity.some("requestPolicy") {
        Some(policy) if shared => request_policy(&policy, &capacity.child("value"), errors),
        Some(policy) => errors.push(policy.forbidden("allowMultipleAllocations must be true")),
        None => {}
    });
    if old.is_none_or(|old| old.get("taints") != at.value.get("taints")) {
        each(at, "taints", TAINTS_COUNT_MAX, errors, |at, errors| taint(at, None, errors));
    }
    let set = |consumption: &FieldValue<'_>| consumption.text_of("counterSet").to_owned();
    each_once(at, "consumesCounters", CONSUMPTIONS_COUNT_MAX, set, errors, |at, errors| counters(at, "counterSet", errors));
    device_nodes(at, by_device, errors);
    binding_conditions(at, errors);
    node_allocatable(at, errors);
}

/// The entries of a map whose keys are qualified names; long keys are cut in paths.
fn keyed(at: &FieldValue<'_>, map: &str, errors: &mut Errors, mut item: impl FnMut(&FieldValue<'_>, &mut Errors)) {
    let whole = at.child(map);
    for (key, entry) in at.entries(map) {
        qualified_name(key, &whole, errors);
        item(&entry.renamed(whole.path.key(&shortened(key))), errors);
    }
}

fn shortened(key: &str) -> String {
    const GAP: &str = "...";
    if key.len() <= ATTRIBUTE_KEY_BYTES_MAX || !key.is_ascii() {
        return key.to_owned();
    }
    let left = ATTRIBUTE_KEY_BYTES_MAX - GAP.len();
    format!("{}{GAP}{}", &key[..left.div_ceil(2)], &key[key.len() - left / 2..])
}

fn attribute(at: &FieldValue<'_>, errors: &mut Errors) {
    let text = |at: &FieldValue<'_>, errors: &mut Errors| {
        if at.text().len() > ATTRIBUTE_BYTES_MAX {
            errors.push(Error::too_long(&at.path, ATTRIBUTE_BYTES_MAX));
        }
    };
    let version = |at: &FieldValue<'_>, errors: &mut Errors| {
        if !is_semantic_version(at.text()) {
            errors.push(at.invalid("must be a string compatible with semver.org spec 2.0.0"));
        }
        text(at, errors);
    };
    if let Some(one) = at.some("string") {
        text(&one, errors);
    }
    if let Some(one) = at.some("version") {
        version(&one, errors);
    }
    for list in ATTRIBUTE_LISTS {
        if at.has(list) && at.is_empty(list) {
            errors.push(at.child(list).invalid("must not be empty if specified"));
        }
    }
    at.items("strings").for_each(|item| text(&item, errors));
    at.items("versions").for_each(|item| version(&item, errors));
    match ["bool", "int", "string", "version"].iter().chain(&ATTRIBUTE_LISTS).filter(|name| at.has(name)).count() {
        0 => errors.push(at.invalid_as("", "exactly one value must be specified")),
        1 => {}
        _ => errors.push(at.invalid("exactly one value must be specified")),
    }
}

/// `1.2.3-alpha.1+build.7`
fn is_semantic_version(text: &str) -> bool {
    let of = |text: &str, allowed: fn(u8) -> bool| !text.is_empty() && text.bytes().all(allowed);
    let numeric = |text: &str| of(text, |b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let word = |text: &str| of(text, |b| b.is_ascii_alphanumeric() || b == b'-');
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    core.split('.').count() == 3
        && core.split('.').all(numeric)
        && pre.is_none_or(|pre| pre.split('.').all(|part| numeric(part) || word(part) && !of(part, |b| b.is_ascii_digit())))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn request_policy(at: &FieldValue<'_>, capacity: &FieldValue<'_>, errors: &mut Errors) {
    let most = capacity.quantity().unwrap_or(Quantity::ZERO);
    let default = at.child("default");
    match (!at.is_empty("validValues"), at.some("validRange")) {
        (true, Some(_)) => {
            let detail = r#"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#;
            errors.push(at.forbidden(detail));
        }
        (true, None) => match default.quantity() {
            None => errors.push(default.required("required when validValues is defined")),
            Some(default) => policy_values(at, &default, &most, errors),
        },
        (false, Some(range)) => match default.quantity() {
            None => errors.push(default.required("required when validRange is defined")),
            Some(default) => policy_range(&range, &default, &most, errors),
        },
        (false, None) => {}
    }
}

fn policy_values(at: &FieldValue<'_>, default: &Quantity, most: &Quantity, errors: &mut Errors) {
    let quantity = |item: &FieldValue<'_>| item.quantity().unwrap_or(Quantity::ZERO);
    let items: Vec<FieldValue<'_>> = at.items("validValues").collect();
    for pair in items.windows(2).filter(|pair| quantity(&pair[0]) > quantity(&pair[1])) {
        errors.push(pair[1].invalid("values must be sorted in ascending order"));
    }
    each_once(
        at,
        "validValues",
        POLICY_VALUES_COUNT_MAX,
        |item| quantity(item).value().to_string(),
        errors,
        |item, errors| {
            if quantity(item) > *most {
                errors.push(item.invalid(&format!("option is larger than capacity value: {most}")));
            }
        },
    );
    if items.len() > POLICY_VALUES_COUNT_MAX || !items.iter().any(|item| quantity(item) == *default) {
        let detail = "default value is not valid according to the requestPolicy";
        errors.push(at.child("validValues").invalid_as(default.to_string(), detail));
    }
}

fn policy_range(at: &FieldValue<'_>, default: &Quantity, most: &Quantity, errors: &mut Errors) {
    let Some(low) = at.child("min").quantity() else { return errors.push(at.child("min").required("required when validRange is defined")) };
    let mut refuse = |name: &str, shown: &Quantity, detail: String| errors.push(at.child(name).invalid_as(shown.to_string(), &detail));
    if low > *most {
        refuse("min", &low, format!("min is larger than capacity value: {most}"));
    }
    if *default < low {
        refuse("min", default, format!("default is less than min: {low}"));
    }
    let high = at.child("max").quantity();
    if let Some(high) = &high {
        if low > *high {
            refuse("max", &low, format!("min is larger than max: {high}"));
        }
        if high > most {
            refuse("max", high, format!("max is larger than capacity value: {most}"));
        }
        if default > high {
            refuse("max", default, format!("default is more than max: {high}"));
        }
    }
    let Some(step) = at.child("step").quantity() else { return };
    let mut first = low.clone();
    first.add(&step);
    if first > *most {
        refuse("step", &step, format!("one step {first} is larger than capacity value: {most}"));
    }
    for reached in std::iter::once(default).chain(&high) {
        if reached.value().saturating_sub(low.value()).checked_rem(step.value()).is_none_or(|rest| rest != 0) {
            refuse("step", reached, format!("value is not a multiple of a given step ({step}) from ({low})"));
        }
    }
}

/// Resources of the node that a device takes from.
fn node_allocatable(at: &FieldValue<'_>, errors: &mut Errors) {
    for (resource, mapping) in at.entries("nodeAllocatableResourceMappings") {
        if !is_native(resource) {
            errors.push(mapping.invalid_as(resource, "must be a node allocatable resource name"));
        }
        let (multiplier, key) = (mapping.some("allocationMultiplier"), mapping.some("capacityKey"));
        if multiplier.is_none() && key.is_none() {
            errors.push(mapping.invalid_as("", "at least one of allocationMultiplier or capacityKey must be set"));
        }
        if let Some(multiplier) = multiplier.filter(|at| at.quantity().is_some_and(|quantity| quantity.sign() <= 0)) {
            errors.push(multiplier.invalid("must be positive"));
        }
        match key {
            Some(key) if key.text().is_empty() => errors.push(key.invalid_as("", "capacityKey must not be an empty string")),
            Some(key) if at.value["capacity"].get(key.text()).is_none() => errors.push(key.not_found()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slices() {
        let base = |more: Value| {
            let mut spec = json!({ "driver": "d", "pool": { "name": "p", "resourceSliceCount": 1 } });
            if let Some((spec, more)) = spec.as_object_mut().zip(more.as_object()) {
                spec.extend(more.clone())
            }
            spec
        };
        let device = |more: Value| {
            let mut device = json!({ "name": "a" });
            if let Some((device, more)) = device.as_object_mut().zip(more.as_object()) {
                device.extend(more.clone())
            }
            json!({ "allNodes": true, "devices": [device] })
        };
        let policy = |policy: Value| {
            device(json!({ "allowMultipleAllocations": true, "capacity": { "c": { "value": "10", "requestPolicy": policy } } }))
        };
        let rows = [
            (json!({ "allNodes": true }), ""),
            (json!({}), "spec"),
            (json!({ "allNodes": true, "nodeName": "n" }), "spec"),
            (json!({ "allNodes": false, "nodeName": "n" }), "spec.allNodes"),
            (json!({ "nodeName": "" }), "spec.nodeName spec"),
            (
                json!({ "nodeSelector": { "nodeSelectorTerms": [] } }),
                "spec.nodeSelector.nodeSelectorTerms spec.nodeSelector.nodeSelectorTerms",
            ),
            (json!({ "allNodes": true, "devices": [{ "name": "a" }, { "name": "a" }] }), "spec.devices[1]"),
            (device(json!({ "attributes": { "x": {} } })), "spec.devices[0].attributes[x]"),
            (device(json!({ "attributes": { "x": { "int": 1, "bool": true } } })), "spec.devices[0].attributes[x]"),
            (device(json!({ "attributes": { "x": { "version": "1.2" } } })), "spec.devices[0].attributes[x].version"),
            (device(json!({ "attributes": { "/x": { "int": 1 } } })), "spec.devices[0].attributes"),
            (device(json!({ "nodeName": "n" })), "spec.devices[0]"),
            (device(json!({ "bindingConditions": ["a"] })), "spec.devices[0].bindingFailureConditions"),
            (device(json!({ "capacity": { "c": { "value": "1", "requestPolicy": {} } } })), "spec.devices[0].capacity[c].requestPolicy"),
            (policy(json!({ "default": "2", "validValues": ["1", "2"] })), ""),
            (
                policy(json!({ "default": "3", "validValues": ["1", "11"] })),
                "spec.devices[0].capacity[c].requestPolicy.validValues[1] spec.devices[0].capacity[c].requestPolicy.validValues",
            ),
            (policy(json!({ "default": "3", "validRange": { "min": "1", "max": "9", "step": "2" } })), ""),
            (
                policy(json!({ "default": "4", "validRange": { "min": "1", "step": "2" } })),
                "spec.devices[0].capacity[c].requestPolicy.validRange.step",
            ),
        ];
        for (more, want) in rows {
            let slice = json!({ "spec": base(more) });
            let mut errors = Errors::new();
            spec(&FieldValue::root(&slice).child("spec"), None, &mut errors);
            assert_eq!(errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>().join(" "), want, "{slice}");
        }
    }

    #[test]
    fn semantic_versions() {
        for text in ["1.2.3", "0.0.0", "1.0.0-alpha.1", "1.0.0-0a", "1.0.0+01", "1.0.0-x-y+b.c"] {
            assert!(is_semantic_version(text), "{text}");
        }
        for text in ["", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3.4", "1.2.3-a..b"] {
            assert!(!is_semantic_version(text), "{text}");
        }
    }
}
