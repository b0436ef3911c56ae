//! What the two configurations of webhooks have in common. Expressions are checked where they are compiled, not here.

use std::collections::HashSet;

use apimachinery::validation::name;
use serde_json::Value;

use crate::Resource;
use crate::admissionregistration::matching::{self, FAILURE_POLICIES, MATCH_POLICIES, default_selectors, match_conditions, one_of, rule};
use crate::kinds::kind::{Generation, Kind};
use crate::shared::cell::{self, age, cells, len};
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::selector::label_selector;
use crate::shared::value::{self, if_nil, list_mut, object_at, object_mut};
use crate::shared::webhook_client::client_config;

/// The row of either configuration; they differ in the defaults of their webhooks.
pub(crate) const fn configuration(kind: &'static str, default: fn(&Resource, &mut Value)) -> Kind {
    Kind::new("admissionregistration.k8s.io", kind)
        .generation(Generation::From1(webhooks))
        .conditional_update()
        .default(default)
        .validate(validate_webhooks)
        .validate_update(validate_webhooks_update)
        .warn(matching::warn_of_name)
        .printer(webhook_configuration)
        .unenforced("no webhook is called")
}

fn webhooks(new: &Value, old: &Value) -> bool {
    new.get("webhooks") != old.get("webhooks")
}

pub(crate) fn default_webhook(webhook: &mut Value) {
    if_nil(webhook, "failurePolicy", "Fail");
    default_selectors(webhook);
    if_nil(webhook, "timeoutSeconds", 10);
    if let Some(service) = object_mut(object_at(webhook, "clientConfig"), "service") {
        if_nil(service, "port", 443);
    }
    for rule in list_mut(webhook, "rules") {
        if_nil(rule, "scope", "*");
    }
}

/// Three labels at least.
fn fully_qualified_name(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    let problems = name::is_dns1123_subdomain(at.text());
    if !problems.is_empty() {
        at.problems(problems, errors);
    } else if at.text().split('.').count() < 3 {
        errors.push(at.invalid("should be a domain with at least three segments separated by dots"));
    }
}

fn webhook(hook: &FieldValue<'_>, errors: &mut Errors) {
    fully_qualified_name(&hook.child("name"), errors);
    for at in hook.items("rules") {
        rule(&at, errors);
    }
    one_of(&hook.child("failurePolicy"), &FAILURE_POLICIES, errors);
    one_of(&hook.child("matchPolicy"), &MATCH_POLICIES, errors);
    let effects = hook.child("sideEffects");
    if effects.value.is_null() {
        errors.push(effects.required("must specify one of None, NoneOnDryRun"));
    }
    one_of(&effects, &["None", "NoneOnDryRun"], errors);
    if let Some(timeout) = hook.some("timeoutSeconds").filter(|timeout| !(1..=30).contains(&timeout.int())) {
        errors.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    label_selector(&hook.child("namespaceSelector"), errors);
    label_selector(&hook.child("objectSelector"), errors);
    one_of(&hook.child("reinvocationPolicy"), &["IfNeeded", "Never"], errors);
    client_config(&hook.child("clientConfig"), "exactly one of url or service is required", errors);
    match_conditions(hook, errors);
    review_versions(hook, errors);
}

fn review_versions(hook: &FieldValue<'_>, errors: &mut Errors) {
    let list = hook.child("admissionReviewVersions");
    if hook.is_empty("admissionReviewVersions") {
        return errors.push(list.required("must specify one of v1, v1beta1"));
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for version in hook.items("admissionReviewVersions") {
        let text = version.value.as_str().unwrap_or_default();
        if seen.contains(&text) {
            errors.push(version.invalid("duplicate version"));
            continue;
        }
        seen.insert(text);
        version.problems(name::is_dns1035_label(text), errors);
    }
    if !seen.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        errors.push(list.invalid("must include at least one of v1, v1beta1"));
    }
}

/// `ValidatingWebhookConfiguration`, `MutatingWebhookConfiguration`
fn validate_webhooks(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let mut names: HashSet<&str> = HashSet::new();
    for hook in FieldValue::root(object).items("webhooks") {
        webhook(&hook, &mut errors);
        let text = value::text(hook.value, "name");
        if !text.is_empty() && names.contains(&text) {
            errors.push(hook.child("name").duplicate());
        }
        names.insert(text);
    }
    errors
}

/// `ValidatingWebhookConfiguration`, `MutatingWebhookConfiguration`
fn validate_webhooks_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_webhooks(resource, object)
}

fn webhook_configuration(configuration: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(configuration), len(configuration, "/webhooks"), age(configuration, now)]
}
