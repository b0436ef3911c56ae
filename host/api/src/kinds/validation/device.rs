//! Dynamic resources: claims, their templates, classes of devices, taint rules. Slices have a file of their own.
//!
//! Selectors and opaque parameters are looked at for their form and size; whether a selector compiles is not known here.

use std::collections::{HashMap, HashSet};

use apimachinery::field::Error;
use apimachinery::validation::ip::is_valid_interface_address;
use apimachinery::validation::name;
use serde_json::Value;

use super::resources::is_extended;
use super::scheduling::node_selector;
use super::volume::csi_driver_name as driver_name;
use super::{At, Errors, metadata};
use crate::Resource;
use crate::kinds::value;

const REQUESTS_COUNT_MAX: usize = 32;
const SUBREQUESTS_COUNT_MAX: usize = 8;
const CONSTRAINTS_COUNT_MAX: usize = 32;
const CONFIGS_COUNT_MAX: usize = 32;
const SELECTORS_COUNT_MAX: usize = 32;
const EXPRESSION_BYTES_MAX: usize = 10 * 1024;
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;
const RESULTS_COUNT_MAX: usize = 32;
const RESERVATIONS_COUNT_MAX: usize = 256;
const CONDITIONS_COUNT_MAX: usize = 8;
const BINDING_CONDITIONS_COUNT_MAX: usize = 4;
const NETWORK_IPS_COUNT_MAX: usize = 16;
const INTERFACE_NAME_BYTES_MAX: usize = 256;
const HARDWARE_ADDRESS_BYTES_MAX: usize = 128;
const POOL_NAME_BYTES_MAX: usize = 253;
const IDENTIFIER_BYTES_MAX: usize = 32;

const ONE_REQUEST: &str = "exactly one of `exactly` or `firstAvailable` is required";
const NO_REQUEST: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// A list of limited length. One that is too long is not looked at any further.
pub(super) fn each(at: &At<'_>, list: &str, most: usize, errors: &mut Errors, mut item: impl FnMut(&At<'_>, &mut Errors)) -> bool {
    let count = value::list(at.value, list).len();
    if count > most {
        errors.push(Error::too_many(&at.child(list).path, count, most));
        return false;
    }
    at.items(list).for_each(|at| item(&at, errors));
    true
}

/// The same, of items that are told apart by a key.
pub(super) fn each_once(
    at: &At<'_>,
    list: &str,
    most: usize,
    key: impl Fn(&At<'_>) -> String,
    errors: &mut Errors,
    item: impl FnMut(&At<'_>, &mut Errors),
) {
    if !each(at, list, most, errors, item) {
        return;
    }
    let mut seen: HashSet<String> = HashSet::new();
    for at in at.items(list) {
        let key = key(&at);
        if seen.contains(&key) {
            errors.push(Error::duplicate(&at.path, key));
        } else {
            seen.insert(key);
        }
    }
}

type RequestNames<'a> = HashMap<&'a str, HashSet<&'a str>>;

/// The names of a claim's requests; a request of alternatives has theirs.
fn request_names<'a>(claim: &At<'a>) -> RequestNames<'a> {
    let mut names = RequestNames::new();
    for request in value::list(claim.value, "requests") {
        let subs = value::list(request, "firstAvailable").iter().map(|sub| value::text(sub, "name"));
        names.entry(value::text(request, "name")).or_default().extend(subs);
    }
    names
}

fn request_reference(at: &At<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    let parts: Vec<&str> = at.text().split('/').collect();
    if parts.len() <= 2 {
        for part in &parts {
            errors.extend(name::is_dns1123_label(part).iter().map(|problem| at.invalid_as(*part, problem)));
        }
    }
    let found = match parts.as_slice() {
        [request] => known.contains_key(request),
        [request, sub] => known.get(request).is_some_and(|subs| subs.contains(sub)),
        _ => false,
    };
    if !found {
        errors.push(at.invalid(NO_REQUEST));
    }
}

fn request_references(at: &At<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    each_once(
        at,
        "requests",
        REQUESTS_COUNT_MAX,
        |item| item.text().to_owned(),
        errors,
        |item, errors| {
            request_reference(item, known, errors);
        },
    );
}

fn claim_spec(spec: &At<'_>, errors: &mut Errors) {
    let devices = spec.child("devices");
    let known = request_names(&devices);
    each_once(&devices, "requests", REQUESTS_COUNT_MAX, |request| request.text_of("name").to_owned(), errors, request);
    each(&devices, "constraints", CONSTRAINTS_COUNT_MAX, errors, |constraint, errors| {
        request_references(constraint, &known, errors);
        match (constraint.some("matchAttribute"), constraint.some("distinctAttribute")) {
            (Some(attribute), _) | (None, Some(attribute)) => fully_qualified_name(&attribute, errors),
            (None, None) => {
                let detail = r#"exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#;
                errors.push(constraint.required(detail));
            }
        }
    });
    each(&devices, "config", CONFIGS_COUNT_MAX, errors, |config, errors| {
        request_references(config, &known, errors);
        configuration(config, errors);
    });
}

fn request(at: &At<'_>, errors: &mut Errors) {
    at.child("name").dns_label(errors);
    match (at.some("exactly"), !at.is_empty("firstAvailable")) {
        (None, false) => errors.push(at.required(ONE_REQUEST)),
        (Some(_), true) => errors.push(at.invalid_as(Value::Null, &format!("{ONE_REQUEST}, but multiple fields are set"))),
        (Some(exactly), false) => wanted(&exactly, errors),
        (None, true) => {
            each_once(
                at,
                "firstAvailable",
                SUBREQUESTS_COUNT_MAX,
                |sub| sub.text_of("name").to_owned(),
                errors,
                |sub, errors| {
                    sub.child("name").dns_label(errors);
                    wanted(sub, errors);
                },
            );
        }
    }
}

/// What a request or an alternative asks for.
fn wanted(at: &At<'_>, errors: &mut Errors) {
    let class = at.child("deviceClassName");
    if class.text().is_empty() {
        errors.push(class.required(""));
    } else {
        class.dns_subdomain(errors);
    }
    each(at, "selectors", SELECTORS_COUNT_MAX, errors, selector);
    let (mode, count) = (at.child("allocationMode"), at.child("count"));
    match mode.text() {
        "All" if count.int() != 0 => errors.push(count.invalid("must not be specified when allocationMode is 'All'")),
        "ExactCount" => count.positive(errors),
        "All" => {}
        _ => errors.push(mode.unsupported(&["All", "ExactCount"])),
    }
    at.items("tolerations").for_each(|at| toleration(&at, errors));
}

fn selector(at: &At<'_>, errors: &mut Errors) {
    match at.some("cel") {
        None => errors.push(at.child("cel").required("")),
        Some(cel) if cel.text_of("expression").len() > EXPRESSION_BYTES_MAX => {
            errors.push(Error::too_long(&cel.child("expression").path, EXPRESSION_BYTES_MAX));
        }
        Some(_) => {}
    }
}

fn configuration(at: &At<'_>, errors: &mut Errors) {
    let opaque = at.child("opaque");
    if opaque.value.is_null() {
        return errors.push(opaque.required(""));
    }
    driver_name(&opaque.child("driver"), errors);
    raw_object(&opaque.child("parameters"), PARAMETERS_BYTES_MAX, errors);
}

/// An object that is somebody else's to understand.
fn raw_object(at: &At<'_>, bytes_max: usize, errors: &mut Errors) {
    if at.value.is_null() {
        errors.push(at.required(""));
    } else if at.value.to_string().len() > bytes_max {
        errors.push(Error::too_long(&at.path, bytes_max));
    } else if !at.value.is_object() {
        errors.push(at.invalid_as("<value omitted>", "must be a valid JSON object"));
    }
}

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

fn toleration(at: &At<'_>, errors: &mut Errors) {
    let (key, operator, value) = (at.child("key"), at.child("operator"), at.child("value"));
    if !key.text().is_empty() {
        key.label_key(errors);
    }
    match operator.text() {
        "Exists" if !value.text().is_empty() => errors.push(value.invalid("must be empty for operator `Exists`")),
        "Equal" => errors.extend(name::is_label_value(value.text()).iter().map(|problem| value.invalid_as(value.text(), problem))),
        "Exists" => {}
        _ => operator.one_of(&["Equal", "Exists"], errors),
    }
    let effect = at.child("effect");
    if !effect.text().is_empty() {
        effect.one_of(&EFFECTS, errors);
    }
}

/// A taint; an effect that it had before is not asked about again.
pub(super) fn taint(at: &At<'_>, old: Option<&Value>, errors: &mut Errors) {
    let (key, value, effect) = (at.child("key"), at.child("value"), at.child("effect"));
    errors.extend(name::is_label_key(key.text()).iter().map(|problem| key.invalid_as(key.text(), problem)));
    if !value.text().is_empty() {
        value.problems(name::is_label_value(value.text()), errors);
    }
    if old.is_none_or(|old| value::text(old, "effect") != effect.text()) {
        effect.one_of(&EFFECTS, errors);
    }
}

/// `domain/name`, or `name`.
pub(super) fn qualified_name(text: &str, at: &At<'_>, errors: &mut Errors) {
    let identifier = |text: &str, errors: &mut Errors| {
        if text.len() > IDENTIFIER_BYTES_MAX {
            errors.push(Error::too_long(&at.path, IDENTIFIER_BYTES_MAX));
        }
        errors.extend(name::is_c_identifier(text).iter().map(|problem| at.invalid_as(text, problem)));
    };
    // Upstream does not look at names of more than two parts.
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] => identifier(name, errors),
        [domain, name] => {
            if domain.is_empty() {
                errors.push(at.invalid_as("", "the domain must not be empty"));
            } else {
                driver_name(&At { value: &Value::from(*domain), path: at.path.clone() }, errors);
            }
            if name.is_empty() {
                errors.push(at.invalid_as("", "the name must not be empty"));
            } else {
                identifier(name, errors);
            }
        }
        _ => {}
    }
}

fn fully_qualified_name(at: &At<'_>, errors: &mut Errors) {
    qualified_name(at.text(), at, errors);
    if !at.text().contains('/') {
        errors.push(at.invalid("a fully qualified name must be a domain and a name separated by a slash"));
    }
}

/// Subdomains between slashes.
pub(super) fn pool_name(at: &At<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    if at.text().len() > POOL_NAME_BYTES_MAX {
        errors.push(Error::too_long(&at.path, POOL_NAME_BYTES_MAX));
    }
    for part in at.text().split('/') {
        errors.extend(name::is_dns1123_subdomain(part).iter().map(|problem| at.invalid_as(part, problem)));
    }
}

/// What has to be so before a pod is bound, and what says that it will not be.
pub(super) fn binding_conditions(at: &At<'_>, errors: &mut Errors) {
    const WANTED: &str = "bindingConditions";
    const FAILED: &str = "bindingFailureConditions";
    for list in [WANTED, FAILED] {
        let key = |item: &At<'_>| item.text().to_owned();
        each_once(at, list, BINDING_CONDITIONS_COUNT_MAX, key, errors, |item, errors| item.label_key(errors));
    }
    let wanted: HashSet<&str> = at.texts(WANTED).collect();
    for failure in at.items(FAILED).filter(|failure| wanted.contains(failure.text())) {
        errors.push(failure.invalid("bindingFailureConditions must not overlap with bindingConditions"));
    }
    for (missing, given) in [(WANTED, FAILED), (FAILED, WANTED)] {
        if at.is_empty(missing) && !at.is_empty(given) {
            errors.push(at.child(missing).invalid(&format!("{missing} are required to use {given}")));
        }
    }
}

/// `ResourceClaim`
pub(crate) fn validate_claim(resource: &Resource, claim: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, claim, metadata::subdomain, &mut errors);
    claim_spec(&At::root(claim).child("spec"), &mut errors);
    errors
}

/// `ResourceClaim`: its spec stays as it is.
pub(crate) fn validate_claim_update(resource: &Resource, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, claim, metadata::subdomain, &mut errors);
    metadata::validate_update(claim, old, &mut errors);
    At::root(claim).child("spec").immutable(&At::root(old).child("spec"), &mut errors);
    errors
}

/// `ResourceClaimTemplate`
pub(crate) fn validate_template(resource: &Resource, template: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, template, metadata::subdomain, &mut errors);
    let spec = At::root(template).child("spec");
    metadata::template(&spec.child("metadata"), &mut errors);
    claim_spec(&spec.child("spec"), &mut errors);
    errors
}

/// `ResourceClaimTemplate`: its spec stays as it is.
pub(crate) fn validate_template_update(_: &Resource, template: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(template, old, &mut errors);
    At::root(template).child("spec").immutable(&At::root(old).child("spec"), &mut errors);
    errors
}

/// `DeviceClass`
pub(crate) fn validate_class(resource: &Resource, class: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, class, metadata::subdomain, &mut errors);
    let spec = At::root(class).child("spec");
    each(&spec, "selectors", SELECTORS_COUNT_MAX, &mut errors, selector);
    each(&spec, "config", CONFIGS_COUNT_MAX, &mut errors, configuration);
    if let Some(extended) = spec.some("extendedResourceName").filter(|extended| !is_extended(extended.text())) {
        errors.push(extended.invalid("must be a valid extended resource name"));
    }
    errors
}

/// `DeviceClass`
pub(crate) fn validate_class_update(resource: &Resource, class: &Value, old: &Value) -> Errors {
    let mut errors = validate_class(resource, class);
    metadata::validate_update(class, old, &mut errors);
    errors
}

fn taint_rule_spec(rule: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::root(rule).child("spec");
    let devices = spec.child("deviceSelector");
    if let Some(driver) = devices.some("driver") {
        driver_name(&driver, errors);
    }
    if let Some(pool) = devices.some("pool") {
        pool_name(&pool, errors);
    }
    if let Some(device) = devices.some("device") {
        device.dns_label(errors);
    }
    taint(&spec.child("taint"), old.and_then(|old| old.pointer("/spec/taint")), errors);
}

/// `DeviceTaintRule`
pub(crate) fn validate_taint_rule(resource: &Resource, rule: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, rule, metadata::subdomain, &mut errors);
    taint_rule_spec(rule, None, &mut errors);
    errors
}

/// `DeviceTaintRule`
pub(crate) fn validate_taint_rule_update(_: &Resource, rule: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(rule, old, &mut errors);
    taint_rule_spec(rule, Some(old), &mut errors);
    errors
}

/// Which device of which driver's pool, as claims tell devices apart.
fn device_of(at: &At<'_>) -> [String; 4] {
    ["driver", "pool", "device", "shareID"].map(|name| at.text_of(name).to_owned())
}

/// `ResourceClaim`: what it was given, who uses it, how the devices are.
pub(crate) fn validate_claim_status(_: &Resource, _: &str, claim: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(claim, old, &mut errors);
    let status = At::root(claim).child("status");
    each_once(
        &status,
        "reservedFor",
        RESERVATIONS_COUNT_MAX,
        |user| user.text_of("uid").to_owned(),
        &mut errors,
        |user, errors| {
            for name in ["resource", "name", "uid"] {
                if user.is_empty(name) {
                    errors.push(user.child(name).required(""));
                }
            }
        },
    );
    let allocation = status.child("allocation");
    let given: HashSet<[String; 4]> = allocation.child("devices").items("results").map(|result| device_of(&result)).collect();
    each_once(
        &status,
        "devices",
        usize::MAX,
        |device| device_of(device).join("/"),
        &mut errors,
        |device, errors| {
            device_status(device, &given, errors);
        },
    );
    if !status.is_empty("reservedFor") {
        let reserved = status.child("reservedFor");
        let before: HashSet<&Value> = value::list(&old["status"], "reservedFor").iter().collect();
        if allocation.value.is_null() {
            errors.push(reserved.forbidden("may not be specified when `allocated` is not set"));
        } else if apimachinery::object::is_being_deleted(claim) && status.items("reservedFor").any(|user| !before.contains(user.value)) {
            errors.push(reserved.forbidden("new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"));
        }
    }
    let before = At::root(old).child("status").child("allocation");
    match (before.value.is_null(), allocation.value.is_null()) {
        (false, false) => allocation.immutable(&before, &mut errors),
        (true, false) => allocated(&allocation, &request_names(&At::root(claim).child("spec").child("devices")), &mut errors),
        (_, true) => {}
    }
    errors
}

fn allocated(at: &At<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
    let devices = at.child("devices");
    each(&devices, "results", RESULTS_COUNT_MAX, errors, |result, errors| {
        request_reference(&result.child("request"), known, errors);
        device_name(result, errors);
        binding_conditions(result, errors);
        share_id(result, errors);
    });
    // The class's and the claim's.
    each(&devices, "config", 2 * CONFIGS_COUNT_MAX, errors, |config, errors| {
        config.child("source").one_of(&["FromClaim", "FromClass"], errors);
        request_references(config, known, errors);
        configuration(config, errors);
    });
    if let Some(selector) = at.some("nodeSelector") {
        node_selector(&selector, errors);
    }
}

fn device_name(at: &At<'_>, errors: &mut Errors) {
    driver_name(&at.child("driver"), errors);
    pool_name(&at.child("pool"), errors);
    let device = at.child("device");
    errors.extend(name::is_dns1123_label(device.text()).iter().map(|problem| device.invalid_as(device.text(), problem)));
}

fn share_id(at: &At<'_>, errors: &mut Errors) {
    let Some(id) = at.some("shareID") else { return };
    let form = |text: &str| {
        text.len() == 36 && text.char_indices().all(|(i, c)| if [8, 13, 18, 23].contains(&i) { c == '-' } else { c.is_ascii_hexdigit() })
    };
    if !form(id.text()) {
        errors.push(id.invalid(&format!("error validating uid: invalid UUID length: {}", id.text().len())));
    } else if id.text() != id.text().to_lowercase() {
        let detail =
            "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.push(id.invalid(detail));
    }
}

fn device_status(at: &At<'_>, given: &HashSet<[String; 4]>, errors: &mut Errors) {
    device_name(at, errors);
    share_id(at, errors);
    if !given.contains(&device_of(at)) {
        errors.push(at.invalid_as(device_of(at).join("/"), "must be an allocated device in the claim"));
    }
    conditions(at, errors);
    if let Some(data) = at.some("data") {
        raw_object(&data, PARAMETERS_BYTES_MAX, errors);
    }
    let network = at.child("networkData");
    for (name, most) in [("interfaceName", INTERFACE_NAME_BYTES_MAX), ("hardwareAddress", HARDWARE_ADDRESS_BYTES_MAX)] {
        if network.text_of(name).len() > most {
            errors.push(Error::too_long(&network.child(name).path, most));
        }
    }
    each_once(
        &network,
        "ips",
        NETWORK_IPS_COUNT_MAX,
        |ip| ip.text().to_owned(),
        errors,
        |ip, errors| {
            errors.extend(is_valid_interface_address(&ip.path, ip.text()));
        },
    );
}

/// `DeviceTaintRule`
pub(crate) fn validate_taint_rule_status(_: &Resource, _: &str, rule: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(rule, old, &mut errors);
    conditions(&At::root(rule).child("status"), &mut errors);
    errors
}

/// `metav1.Condition`s.
fn conditions(at: &At<'_>, errors: &mut Errors) {
    const REASON_BYTES_MAX: usize = 1024;
    const MESSAGE_BYTES_MAX: usize = 32 * 1024;
    let count = value::list(at.value, "conditions").len();
    if count > CONDITIONS_COUNT_MAX {
        errors.push(Error::too_many(&at.child("conditions").path, count, CONDITIONS_COUNT_MAX));
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for condition in at.items("conditions") {
        let (kind, status, reason) = (condition.child("type"), condition.child("status"), condition.child("reason"));
        if seen.contains(&kind.text()) {
            errors.push(kind.duplicate());
        }
        seen.insert(kind.text());
        errors.extend(name::is_label_key(kind.text()).iter().map(|problem| kind.invalid_as(kind.text(), problem)));
        if !matches!(status.text(), "True" | "False" | "Unknown") {
            errors.push(status.unsupported(&["False", "True", "Unknown"]));
        }
        if condition.child("observedGeneration").int() < 0 {
            errors.push(condition.child("observedGeneration").invalid("must be greater than or equal to zero"));
        }
        for name in ["lastTransitionTime", "reason"] {
            if condition.is_empty(name) {
                errors.push(condition.child(name).required(""));
            }
        }
        if reason.text().len() > REASON_BYTES_MAX {
            errors.push(Error::too_long(&reason.path, REASON_BYTES_MAX));
        }
        if condition.text_of("message").len() > MESSAGE_BYTES_MAX {
            errors.push(Error::too_long(&condition.child("message").path, MESSAGE_BYTES_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(errors: &Errors) -> String {
        errors
            .iter()
            .map(|error| format!("{} {}", error.field, error.kind.reason().trim_start_matches("FieldValue")))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn claims() {
        let exactly = json!({ "deviceClassName": "c", "allocationMode": "ExactCount", "count": 1 });
        let named = |name: &str| json!({ "name": name, "exactly": exactly });
        let rows = [
            (json!({ "requests": [named("a"), named("b")] }), ""),
            (json!({ "requests": [named("a"), named("a")] }), "devices.requests[1] Duplicate"),
            (json!({ "requests": [{ "name": "a" }] }), "devices.requests[0] Required"),
            (json!({ "requests": [{ "name": "a", "exactly": exactly, "firstAvailable": [exactly] }] }), "devices.requests[0] Invalid"),
            (
                json!({ "requests": [named("a")], "constraints": [{ "requests": ["b"], "matchAttribute": "x.y/z" }] }),
                "devices.constraints[0].requests[0] Invalid",
            ),
            (
                json!({ "requests": [named("a")], "constraints": [{ "matchAttribute": "z" }] }),
                "devices.constraints[0].matchAttribute Invalid",
            ),
            (json!({ "config": [{ "opaque": { "driver": "d", "parameters": 1 } }] }), "devices.config[0].opaque.parameters Invalid"),
            (json!({ "config": [{}] }), "devices.config[0].opaque Required"),
            (
                json!({ "requests": [{ "name": "a", "exactly": { "allocationMode": "All", "count": 2, "selectors": [{}] } }] }),
                "devices.requests[0].exactly.deviceClassName Required; devices.requests[0].exactly.selectors[0].cel Required; \
                 devices.requests[0].exactly.count Invalid",
            ),
        ];
        for (devices, want) in rows {
            let spec = json!({ "devices": devices });
            let mut errors = Errors::new();
            claim_spec(&At::root(&spec), &mut errors);
            assert_eq!(fields(&errors), want, "{spec}");
        }
    }

    #[test]
    fn an_allocation_is_of_the_claims_requests() {
        let known = RequestNames::from([("a", HashSet::new()), ("b", HashSet::from(["x"]))]);
        for (name, found) in [("a", true), ("b", true), ("b/x", true), ("a/x", false), ("c", false), ("b/x/y", false)] {
            let mut errors = Errors::new();
            request_reference(&At::root(&json!(name)), &known, &mut errors);
            assert_eq!(errors.is_empty(), found, "{name}");
        }
    }
}
