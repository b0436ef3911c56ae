//! Flow schemas and priority levels.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{At, Errors, metadata};
use crate::Resource;
use crate::kinds::value;

const PRECEDENCE_MAX: i64 = 10_000;
const QUEUES_MAX: i64 = 10_000_000;
const HASH_BITS_MAX: u32 = 60;
const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

fn has_wildcard(at: &At<'_>, name: &str) -> bool {
    at.texts(name).any(|text| text == "*")
}

fn flow_schema_spec(name: &str, spec: &At<'_>, errors: &mut Errors) {
    let precedence = spec.child("matchingPrecedence");
    if precedence.int() <= 0 {
        errors.push(precedence.invalid("must be a positive value"));
    }
    if precedence.int() > PRECEDENCE_MAX {
        errors.push(precedence.invalid(&format!("must not be greater than {PRECEDENCE_MAX}")));
    }
    if precedence.int() == 1 && name != "exempt" {
        errors.push(precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1"));
    }
    if let Some(method) = spec.some("distinguisherMethod") {
        let kind = method.child("type");
        if !matches!(kind.text(), "ByNamespace" | "ByUser") {
            let shown = json!({ "Type": kind.text() });
            errors.push(super::unsupported(&kind.path, &shown, &["ByNamespace", "ByUser"]));
        }
    }
    let level = spec.child("priorityLevelConfiguration").child("name");
    if level.text().is_empty() {
        errors.push(level.required("must reference a priority level"));
    } else {
        level.problems(metadata::subdomain(level.text(), false), errors);
    }
    for rule in spec.items("rules") {
        if rule.is_empty("subjects") {
            errors.push(rule.child("subjects").required("subjects must contain at least one value"));
        }
        for subject in rule.items("subjects") {
            validate_subject(&subject, errors);
        }
        if rule.is_empty("resourceRules") && rule.is_empty("nonResourceRules") {
            errors.push(rule.required("at least one of resourceRules and nonResourceRules has to be non-empty"));
        }
        for at in rule.items("resourceRules") {
            resource_rule(&at, errors);
        }
        for at in rule.items("nonResourceRules") {
            non_resource_rule(&at, errors);
        }
    }
}

fn validate_subject(at: &At<'_>, errors: &mut Errors) {
    const KINDS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = at.child("kind");
    let Some((name, field)) = KINDS.iter().find(|(name, _)| *name == kind.text()) else {
        return errors.push(kind.unsupported(&["Group", "ServiceAccount", "User"]));
    };
    match at.some(field) {
        None => errors.push(at.child(field).required(&format!("{field} is required when subject kind is '{name}'"))),
        Some(subject) => {
            let who = subject.child("name");
            if who.text().is_empty() {
                errors.push(who.required(""));
            } else if *name == "ServiceAccount" && who.text() != "*" {
                who.problems(metadata::subdomain(who.text(), false), errors);
            }
            if *name == "ServiceAccount" {
                let namespace = subject.child("namespace");
                if namespace.text().is_empty() {
                    errors.push(namespace.required("must specify namespace for service account"));
                } else {
                    namespace.problems(metadata::label(namespace.text(), false), errors);
                }
            }
        }
    }
    for (other, field) in KINDS.iter().filter(|(other, _)| other != name) {
        if at.has(field) {
            errors.push(at.child(field).forbidden(&format!("{field} is forbidden when subject kind is not '{other}'")));
        }
    }
}

fn verbs(at: &At<'_>, errors: &mut Errors) {
    let verbs = at.child("verbs");
    if at.is_empty("verbs") {
        errors.push(verbs.required("verbs must contain at least one value"));
    } else if has_wildcard(at, "verbs") {
        if at.texts("verbs").count() > 1 {
            errors.push(verbs.invalid("if '*' is present, must not specify other verbs"));
        }
    } else if at.texts("verbs").any(|verb| !VERBS.contains(&verb)) {
        errors.push(verbs.unsupported(&VERBS));
    }
}

fn resource_rule(at: &At<'_>, errors: &mut Errors) {
    verbs(at, errors);
    for (name, missing, other) in [
        ("apiGroups", "resource rules must supply at least one api group", "api groups"),
        ("resources", "resource rules must supply at least one resource", "resources"),
    ] {
        if at.is_empty(name) {
            errors.push(at.child(name).required(missing));
        } else if at.texts(name).count() > 1 && has_wildcard(at, name) {
            errors.push(at.child(name).invalid(&format!("if '*' is present, must not specify other {other}")));
        }
    }
    let namespaces = at.child("namespaces");
    if at.is_empty("namespaces") && !at.flag("clusterScope") {
        errors.push(namespaces.required("resource rules that are not cluster scoped must supply at least one namespace"));
    } else if has_wildcard(at, "namespaces") {
        if at.texts("namespaces").count() > 1 {
            errors.push(namespaces.invalid("if '*' is present, must not specify other namespaces"));
        }
    } else {
        for namespace in at.items("namespaces") {
            for problem in metadata::label(namespace.text(), false) {
                errors.push(namespace.invalid(&format!("each member of this list must be '*' or a DNS-1123 label; {problem}")));
            }
        }
    }
}

fn non_resource_rule(at: &At<'_>, errors: &mut Errors) {
    verbs(at, errors);
    let urls = at.child("nonResourceURLs");
    if at.is_empty("nonResourceURLs") {
        errors.push(urls.required("nonResourceURLs must contain at least one value"));
    } else if has_wildcard(at, "nonResourceURLs") {
        if at.texts("nonResourceURLs").count() > 1 {
            errors.push(urls.invalid("if '*' is present, must not specify other non-resource URLs"));
        }
    } else {
        for url in at.items("nonResourceURLs") {
            let text = url.text();
            let stars = text.matches('*').count();
            let why = match text {
                "" => "must not be empty",
                "/" => continue,
                _ if !text.starts_with('/') => "must start with slash",
                _ if text.contains(' ') => "must not contain white-space",
                _ if text.contains("//") => "must not contain double slash",
                _ if stars > 1 || (stars == 1 && !text.ends_with("/*")) => "wildcard can only do suffix matching",
                _ => continue,
            };
            errors.push(url.invalid(why));
        }
    }
}

fn status_conditions(object: &Value, errors: &mut Errors) {
    let mut seen: HashSet<&str> = HashSet::new();
    for condition in At::root(object).child("status").items("conditions") {
        let kind = value::text(condition.value, "type");
        if seen.contains(&kind) {
            errors.push(condition.child("type").duplicate());
        }
        seen.insert(kind);
        if kind.is_empty() {
            errors.push(condition.child("type").required(""));
        }
    }
}

/// What the two mandatory schemas look like.
fn mandatory_schema(name: &str) -> Option<Value> {
    let subjects =
        |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({ "kind": "Group", "group": { "name": name } })).collect() };
    let everything = |subjects: Vec<Value>| {
        json!([{
            "subjects": subjects,
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
        }])
    };
    match name {
        "exempt" => Some(json!({
            "priorityLevelConfiguration": { "name": "exempt" },
            "matchingPrecedence": 1,
            "rules": everything(subjects(&["system:masters"])),
        })),
        "catch-all" => Some(json!({
            "priorityLevelConfiguration": { "name": "catch-all" },
            "matchingPrecedence": 10_000,
            "distinguisherMethod": { "type": "ByUser" },
            "rules": everything(subjects(&["system:unauthenticated", "system:authenticated"])),
        })),
        _ => None,
    }
}

/// `FlowSchema`
pub(crate) fn validate_flow_schema(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let name = apimachinery::object::name(object);
    let spec = At::root(object).child("spec");
    flow_schema_spec(name, &spec, &mut errors);
    if mandatory_schema(name).is_some_and(|mandatory| mandatory != *spec.value) {
        let field = |name: &str| spec.value.get(name).unwrap_or(super::NULL);
        let shown = format!(
            "{{\"PriorityLevelConfiguration\":{{\"Name\":{}}},\"MatchingPrecedence\":{},\"DistinguisherMethod\":{},\"Rules\":{}}}",
            Value::from(value::text(field("priorityLevelConfiguration"), "name")),
            field("matchingPrecedence"),
            field("distinguisherMethod"),
            field("rules")
        );
        errors.push(super::invalid_shown(&spec.path, &shown, &format!("spec of '{name}' must equal the fixed value")));
    }
    status_conditions(object, &mut errors);
    errors
}

/// `FlowSchema`
pub(crate) fn validate_flow_schema_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_flow_schema(resource, object)
}

/// The status of both kinds.
pub(crate) fn validate_status(_: &Resource, _: &str, object: &Value, _: &Value) -> Errors {
    let mut errors = Errors::new();
    status_conditions(object, &mut errors);
    errors
}

/// `PriorityLevelConfiguration`
pub(crate) fn validate_priority_level(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = At::root(object);
    let name = apimachinery::object::name(object);
    const PRESERVE: &str = "flowcontrol.k8s.io/concurrency-shares-defaults-to-zero";
    let annotations = root.child("metadata").child("annotations");
    if annotations.has(PRESERVE) {
        errors.push(annotations.forbidden(&format!("annotation '{PRESERVE}' is forbidden")));
    }
    let spec = root.child("spec");
    let kind = spec.child("type");
    if (name == "exempt") != (kind.text() == "Exempt") {
        errors.push(kind.invalid("must be 'Exempt' if and only if `name` is 'exempt'"));
    }
    match kind.text() {
        "Exempt" => {
            if spec.has("limited") {
                errors.push(spec.child("limited").forbidden("must be nil if the type is not Limited"));
            }
            if let Some(exempt) = spec.some("exempt") {
                shares(&exempt, &mut errors);
            }
        }
        "Limited" => {
            if spec.has("exempt") {
                errors.push(spec.child("exempt").forbidden("must be nil if the type is Limited"));
            }
            match spec.some("limited") {
                None => errors.push(spec.child("limited").required("must not be empty when type is Limited")),
                Some(limited) => limited_level(&limited, &mut errors),
            }
        }
        _ => errors.push(kind.unsupported(&["Exempt", "Limited"])),
    }
    if name == "catch-all" {
        let fixed = json!({
            "type": "Limited",
            "limited": { "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": { "type": "Reject" } },
        });
        if *spec.value != fixed {
            errors.push(spec.invalid("spec of 'catch-all' must equal the fixed value"));
        }
    }
    status_conditions(object, &mut errors);
    errors
}

fn shares(at: &At<'_>, errors: &mut Errors) {
    let shares = at.child("nominalConcurrencyShares");
    if shares.int() < 0 {
        errors.push(shares.invalid("must be a non-negative integer"));
    }
    let lendable = at.child("lendablePercent");
    if !(0..=100).contains(&lendable.int()) {
        errors.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
}

fn limited_level(at: &At<'_>, errors: &mut Errors) {
    let count = at.child("nominalConcurrencyShares");
    if count.int() < 0 {
        errors.push(count.invalid("must be a non-negative integer"));
    }
    let response = at.child("limitResponse");
    let (kind, queuing) = (response.child("type"), response.child("queuing"));
    match kind.text() {
        "Reject" if !queuing.value.is_null() => errors.push(queuing.forbidden("must be nil if limited.limitResponse.type is not Limited")),
        "Queue" if queuing.value.is_null() => {
            errors.push(queuing.required("must not be empty if limited.limitResponse.type is Limited"));
        }
        "Queue" => queues(&queuing, errors),
        "Reject" => {}
        _ => errors.push(kind.unsupported(&["Queue", "Reject"])),
    }
    let lendable = at.child("lendablePercent");
    if !(0..=100).contains(&lendable.int()) {
        errors.push(lendable.invalid("must be between 0 and 100, inclusive"));
    }
    let borrowing = at.child("borrowingLimitPercent");
    if borrowing.int() < 0 {
        errors.push(borrowing.invalid("if specified, must be a non-negative integer"));
    }
}

fn queues(at: &At<'_>, errors: &mut Errors) {
    let (length, queues, hand) = (at.child("queueLengthLimit"), at.child("queues"), at.child("handSize"));
    if length.int() <= 0 {
        errors.push(length.invalid("must be positive"));
    }
    if queues.int() <= 0 {
        errors.push(queues.invalid("must be positive"));
    } else if queues.int() > QUEUES_MAX {
        errors.push(queues.invalid(&format!("must not be greater than {QUEUES_MAX}")));
    }
    if hand.int() <= 0 {
        errors.push(hand.invalid("must be positive"));
    } else if hand.int() > queues.int() {
        errors.push(hand.invalid(&format!("should not be greater than queues ({})", queues.int())));
    } else {
        let bits = entropy_bits(queues.int(), hand.int());
        if bits > HASH_BITS_MAX {
            let detail = format!(
                "required entropy bits of deckSize {} and handSize {} should not be greater than {HASH_BITS_MAX}",
                queues.int(),
                hand.int()
            );
            errors.push(hand.invalid(&detail));
        }
    }
}

fn entropy_bits(deck: i64, hand: i64) -> u32 {
    let bits = (deck as f64).log2() * hand as f64;
    bits.ceil() as u32
}

/// `PriorityLevelConfiguration`
pub(crate) fn validate_priority_level_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_priority_level(resource, object)
}
