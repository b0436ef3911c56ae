//! APIService: its row of the table of kinds, and what it does of its own (upstream: kube-aggregator, `pkg/registry/apiservice`).

use apimachinery::field::show;
use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::Resource;
use crate::kinds::kind::{Kind, StatusMetadata};
use crate::kinds::strategy::Context;
use crate::shared::cell::{self, age, cells, condition, some, text};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, Rule};
use crate::shared::value::{has, if_nil, object_at, object_mut, set};

/// The row.
pub(crate) static KIND: Kind = Kind::new("apiregistration.k8s.io", "APIService")
    .status(StatusMetadata::KeepClients)
    .conditional_update()
    .default(default)
    .stamp(stamp)
    .validate(validate)
    .validate_update(validate_update)
    .validate_subresource(validate_status)
    .printer(row)
    .unenforced("no request is passed on to it")
    .unenforced_if(leads_elsewhere)
    .status_without_table();

fn default(_: &Resource, service: &mut Value) {
    if let Some(service) = object_mut(object_at(service, "spec"), "service") {
        if_nil(service, "port", 443);
    }
}

/// What this server serves itself is there.
fn stamp(service: &mut Value, old: Option<&Value>, context: &Context<'_>) {
    if old.is_none() && !has(&service["spec"], "service") {
        let condition = json!({
            "type": "Available",
            "status": "True",
            "reason": "Local",
            "message": "Local APIServices are always available",
            "lastTransitionTime": context.now,
        });
        set(object_at(service, "status"), "conditions", json!([condition]));
    }
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::path_segment_name, &mut errors);
    api_service(object, &mut errors);
    errors
}

fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    api_service(object, &mut errors);
    errors
}

/// Its status
fn validate_status(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if subresource == "status" {
        metadata::validate_update(object, old, &mut errors);
        for condition in FieldValue::root(object).child("status").items("conditions") {
            let status = condition.child("status");
            rules::check_value(&[Rule::Enum(&["True", "False", "Unknown"])], &status, None, &mut errors);
        }
    }
    errors
}

fn api_service(object: &Value, errors: &mut Errors) {
    let (root, spec) = (FieldValue::root(object), FieldValue::root(object).child("spec"));
    let (group, version) = (spec.child("group"), spec.child("version"));
    let name = root.child("metadata").child("name");
    let required = format!("{}.{}", version.text(), group.text());
    if !name.text().is_empty() && name.text() != required {
        errors.push(name.invalid(&format!("must be `spec.version+\".\"+spec.group`: {}", show(&required.into()))));
    }
    if !group.text().is_empty() {
        group.dns_subdomain(errors);
    } else if version.text() != "v1" {
        errors.push(group.required("only v1 may have an empty group and it better be legacy kube"));
    }
    let problems = name::is_dns1035_label(version.text());
    errors.extend(problems.iter().map(|problem| version.invalid_as(version.text(), problem)));
    for (name, most) in [("groupPriorityMinimum", 20000), ("versionPriority", 1000)] {
        let priority = spec.child(name);
        if !(1..=most).contains(&priority.int()) {
            errors.push(priority.invalid_as(priority.int(), &format!("must be positive and less than {most}")));
        }
    }
    let (insecure, bundle) = (spec.child("insecureSkipTLSVerify"), spec.child("caBundle"));
    let Some(service) = spec.some("service") else {
        if !bundle.text().is_empty() {
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bundle.text()).map_or(0, |bytes| bytes.len());
            errors.push(bundle.invalid_as(format!("{bytes} bytes"), "local APIServices may not have a caBundle"));
        }
        if *insecure.value == true {
            errors.push(insecure.invalid("local APIServices may not have insecureSkipTLSVerify"));
        }
        return;
    };
    for name in ["namespace", "name"] {
        if service.is_empty(name) {
            errors.push(service.child(name).required(""));
        }
    }
    let port = service.child("port");
    let problems = name::is_valid_port_num(port.int());
    if !problems.is_empty() {
        errors.push(port.invalid_as(port.int(), &format!("port is not valid: {}", problems.join(", "))));
    }
    if *insecure.value == true && !bundle.text().is_empty() {
        errors.push(insecure.invalid("may not be true if caBundle is present"));
    }
}

fn row(service: &Value, now: i64) -> Vec<Value> {
    let served_by = some(service, "/spec/service").map(|by| format!("{}/{}", text(by, "/namespace"), text(by, "/name")));
    let available = match condition(service, "/status/conditions", "Available") {
        None => "Unknown".to_owned(),
        Some(condition) => match (text(condition, "/status"), text(condition, "/reason")) {
            (status @ "True", _) | (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        },
    };
    cells![cell::name(service), served_by.unwrap_or_else(|| "Local".to_owned()), available, age(service, now)]
}

/// One without a service is about what this server serves itself.
fn leads_elsewhere(service: &Value) -> bool {
    service.pointer("/spec/service").is_some_and(|service| !service.is_null())
}
