//! FlowSchema: its row of the table of kinds, and what it does of its own (upstream: `pkg/registry/flowcontrol/flowschema`).

use serde_json::{Value, json};

use crate::Resource;
use crate::flowcontrol::shared::{self, status_conditions};
use crate::kinds::kind::{Kind, SPEC, StatusMetadata};
use crate::shared::cell::{NONE, age, cells, condition, int, name, some, text};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::validation;
use crate::shared::value::{self, if_zero, object_at};

const PRECEDENCE_MAX: i64 = 10_000;
const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// The row.
pub(crate) static KIND: Kind = Kind::new("flowcontrol.apiserver.k8s.io", "FlowSchema")
    .status(StatusMetadata::KeepAll)
    .generation(SPEC)
    .default(default)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(shared::validate_status)
    .printer(row)
    .order_rows(in_order)
    .unenforced("requests are not ordered by it");

fn default(_: &Resource, schema: &mut Value) {
    if_zero(object_at(schema, "spec"), "matchingPrecedence", 1000);
}

fn has_wildcard(at: &FieldValue<'_>, name: &str) -> bool {
    at.texts(name).any(|text| text == "*")
}

fn flow_schema_spec(name: &str, spec: &FieldValue<'_>, errors: &mut Errors) {
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
            errors.push(field_value::unsupported(&kind.path, &shown, &["ByNamespace", "ByUser"]));
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

fn validate_subject(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn verbs(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn resource_rule(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn non_resource_rule(at: &FieldValue<'_>, errors: &mut Errors) {
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

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let name = apimachinery::object::name(object);
    let spec = FieldValue::root(object).child("spec");
    flow_schema_spec(name, &spec, &mut errors);
    if mandatory_schema(name).is_some_and(|mandatory| mandatory != *spec.value) {
        let field = |name: &str| spec.value.get(name).unwrap_or(field_value::NULL);
        let shown = format!(
            "{{\"PriorityLevelConfiguration\":{{\"Name\":{}}},\"MatchingPrecedence\":{},\"DistinguisherMethod\":{},\"Rules\":{}}}",
            Value::from(value::text(field("priorityLevelConfiguration"), "name")),
            field("matchingPrecedence"),
            field("distinguisherMethod"),
            field("rules")
        );
        errors.push(validation::invalid_shown(&spec.path, &shown, &format!("spec of '{name}' must equal the fixed value")));
    }
    status_conditions(object, &mut errors);
    errors
}

fn validate_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate(resource, object)
}

/// Flow schemas come in the order in which they are tried, whatever the list's order is.
fn in_order(rows: &mut [&Value]) {
    rows.sort_by_key(|schema| (int(schema, "/spec/matchingPrecedence"), name(schema)));
}

fn row(schema: &Value, now: i64) -> Vec<Value> {
    let dangling = condition(schema, "/status/conditions", "Dangling");
    cells![
        name(schema),
        text(schema, "/spec/priorityLevelConfiguration/name"),
        int(schema, "/spec/matchingPrecedence"),
        some(schema, "/spec/distinguisherMethod").map_or(NONE, |method| text(method, "/type")),
        age(schema, now),
        dangling.map_or("?", |condition| text(condition, "/status")),
    ]
}
