//! Webhook configurations and admission policies.

use serde_json::{Value, json};

use super::value::{if_nil, list_mut, object_at, object_mut};
use super::warnings::Warnings;
use crate::Resource;

/// `ValidatingWebhookConfiguration`
pub(super) fn default_validating_webhooks(_: &Resource, object: &mut Value) {
    list_mut(object, "webhooks").for_each(default_webhook);
}

/// `MutatingWebhookConfiguration`
pub(super) fn default_mutating_webhooks(_: &Resource, object: &mut Value) {
    for webhook in list_mut(object, "webhooks") {
        default_webhook(webhook);
        if_nil(webhook, "reinvocationPolicy", "Never");
    }
}

fn default_webhook(webhook: &mut Value) {
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

fn default_selectors(matcher: &mut Value) {
    if_nil(matcher, "matchPolicy", "Equivalent");
    if_nil(matcher, "namespaceSelector", json!({}));
    if_nil(matcher, "objectSelector", json!({}));
}

fn default_match_resources(spec: &mut Value, name: &str) {
    let Some(matcher) = object_mut(spec, name) else { return };
    default_selectors(matcher);
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in list_mut(matcher, rules) {
            if_nil(rule, "scope", "*");
        }
    }
}

/// `ValidatingAdmissionPolicy`, `MutatingAdmissionPolicy`
pub(super) fn default_policy(_: &Resource, policy: &mut Value) {
    let spec = object_at(policy, "spec");
    if_nil(spec, "failurePolicy", "Fail");
    default_match_resources(spec, "matchConstraints");
}

/// The bindings of both.
pub(super) fn default_binding(_: &Resource, binding: &mut Value) {
    default_match_resources(object_at(binding, "spec"), "matchResources");
}

/// All of them: names that belong to configurations in files.
pub(super) fn warn_of_name(object: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    const SUFFIX: &str = ".static.k8s.io";
    if apimachinery::object::name(object).ends_with(SUFFIX) {
        warnings.push(format!(
            "metadata.name: names ending with \"{SUFFIX}\" are reserved for static manifest-based configurations and cannot be managed via the API"
        ));
    }
}

/// `ValidatingAdmissionPolicy`: its status is as its spec in this.
pub(super) fn warn_of_policy_status(policy: &Value, warnings: &mut Warnings) {
    warn_of_name(policy, None, warnings);
}
