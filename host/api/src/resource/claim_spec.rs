//! What is asked for of devices, in a claim and in a template of claims.

use std::collections::{HashMap, HashSet};

use apimachinery::validation::name;
use serde_json::Value;

use crate::resource::shared::{CONFIGS_COUNT_MAX, EFFECTS, SELECTORS_COUNT_MAX, configuration, each, each_once, qualified_name, selector};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::value::{self, if_zero, list_mut, object_mut, text};

fn default_request(request: &mut Value) {
    if_zero(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" {
        if_zero(request, "count", 1);
    }
    for toleration in list_mut(request, "tolerations") {
        if_zero(toleration, "operator", "Equal");
    }
}

pub(crate) fn default_claim_spec(spec: &mut Value) {
    let Some(devices) = object_mut(spec, "devices") else { return };
    for request in list_mut(devices, "requests") {
        if let Some(exactly) = object_mut(request, "exactly") {
            default_request(exactly);
        }
        list_mut(request, "firstAvailable").for_each(default_request);
    }
}

const REQUESTS_COUNT_MAX: usize = 32;
const SUBREQUESTS_COUNT_MAX: usize = 8;
const CONSTRAINTS_COUNT_MAX: usize = 32;
const ONE_REQUEST: &str = "exactly one of `exactly` or `firstAvailable` is required";
const NO_REQUEST: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
pub(crate) type RequestNames<'a> = HashMap<&'a str, HashSet<&'a str>>;

/// The names of a claim's requests; a request of alternatives has theirs.
pub(crate) fn request_names<'a>(claim: &FieldValue<'a>) -> RequestNames<'a> {
    let mut names = RequestNames::new();
    for request in value::list(claim.value, "requests") {
        let subs = value::list(request, "firstAvailable").iter().map(|sub| value::text(sub, "name"));
        names.entry(value::text(request, "name")).or_default().extend(subs);
    }
    names
}

pub(crate) fn request_reference(at: &FieldValue<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
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

pub(crate) fn request_references(at: &FieldValue<'_>, known: &RequestNames<'_>, errors: &mut Errors) {
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

pub(crate) fn claim_spec(spec: &FieldValue<'_>, errors: &mut Errors) {
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

fn request(at: &FieldValue<'_>, errors: &mut Errors) {
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
fn wanted(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn toleration(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn fully_qualified_name(at: &FieldValue<'_>, errors: &mut Errors) {
    qualified_name(at.text(), at, errors);
    if !at.text().contains('/') {
        errors.push(at.invalid("a fully qualified name must be a domain and a name separated by a slash"));
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
            claim_spec(&FieldValue::root(&spec), &mut errors);
            assert_eq!(fields(&errors), want, "{spec}");
        }
    }

    #[test]
    fn an_allocation_is_of_the_claims_requests() {
        let known = RequestNames::from([("a", HashSet::new()), ("b", HashSet::from(["x"]))]);
        for (name, found) in [("a", true), ("b", true), ("b/x", true), ("a/x", false), ("c", false), ("b/x/y", false)] {
            let mut errors = Errors::new();
            request_reference(&FieldValue::root(&json!(name)), &known, &mut errors);
            assert_eq!(errors.is_empty(), found, "{name}");
        }
    }
}
