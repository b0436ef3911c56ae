//! The smaller kinds of the core group: Secret, ServiceAccount, Namespace, Node, LimitRange, ResourceQuota, Endpoints.

use apimachinery::quantity::Quantity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::key_pair;
use super::pod_template::round_up_quantities;
use super::validation::At;
use super::value::{entries, has, if_zero, list, list_mut, object_at, object_mut, remove, restore, set, text};
use super::warnings::{self, Warnings};
use crate::Resource;

/// `Secret`: plain data joins the encoded.
pub(super) fn default_secret(_: &Resource, secret: &mut Value) {
    if_zero(secret, "type", "Opaque");
    if let Some(Value::Object(plain)) = remove(secret, "stringData") {
        let data = object_at(secret, "data");
        for (key, value) in plain {
            set(data, &key, STANDARD.encode(value.as_str().unwrap_or_default()));
        }
    }
}

/// `Secret`: the type stays where an update does not say it.
pub(super) fn prepare_secret(_: &Resource, secret: &mut Value, old: Option<&Value>) {
    if let Some(old) = old.filter(|_| text(secret, "type").is_empty()) {
        restore(secret, old, "type");
    }
}

/// `ServiceAccount`: references to secrets are names.
pub(super) fn prepare_service_account(_: &Resource, account: &mut Value, _: Option<&Value>) {
    for secret in list_mut(account, "secrets") {
        let name = text(secret, "name").to_owned();
        *secret = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
    }
}

/// `Namespace`: a label with its name.
pub(super) fn default_namespace(_: &Resource, namespace: &mut Value) {
    if_zero(object_at(namespace, "status"), "phase", "Active");
    let metadata = object_at(namespace, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        set(object_at(metadata, "labels"), "kubernetes.io/metadata.name", name);
    }
}

/// `Namespace`: active, and ended by a finalizer that only the `finalize` subresource takes away.
pub(super) fn prepare_namespace(_: &Resource, namespace: &mut Value, old: Option<&Value>) {
    let spec = object_at(namespace, "spec");
    match old {
        Some(old) => restore(spec, &old["spec"], "finalizers"),
        None => {
            let mut finalizers = list(spec, "finalizers").to_vec();
            if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
                finalizers.push("kubernetes".into());
            }
            set(spec, "finalizers", finalizers);
            set(namespace, "status", json!({ "phase": "Active" }));
            default_namespace_name(namespace);
        }
    }
}

/// The name of a namespace may have been generated after it was decoded.
fn default_namespace_name(namespace: &mut Value) {
    let metadata = object_at(namespace, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        set(object_at(metadata, "labels"), "kubernetes.io/metadata.name", name);
    }
}

/// `Namespace`: `finalize` does not touch the status.
pub(super) fn prepare_namespace_subresource(_: &Resource, subresource: &str, namespace: &mut Value, old: &Value) {
    if subresource == "finalize" {
        restore(namespace, old, "status");
    }
}

/// `Node`: all that it has can be given away.
pub(super) fn default_node(_: &Resource, node: &mut Value) {
    if let Some(status) = object_mut(node, "status") {
        if let (false, Some(capacity)) = (has(status, "allocatable"), status.get("capacity").cloned()) {
            set(status, "allocatable", capacity);
        }
        round_up_quantities(status, "capacity");
        round_up_quantities(status, "allocatable");
    }
    let Some(spec) = object_mut(node, "spec") else { return };
    let single = text(spec, "podCIDR").to_owned();
    let first = list(spec, "podCIDRs").first().and_then(Value::as_str).map(str::to_owned);
    match first {
        Some(first) if single.is_empty() => set(spec, "podCIDR", first),
        Some(first) if first != single => set(spec, "podCIDRs", json!([single])),
        None if !single.is_empty() => set(spec, "podCIDRs", json!([single])),
        _ => {}
    }
}

/// `Node`: configuration by the API server is no more.
pub(super) fn prepare_node(_: &Resource, node: &mut Value, old: Option<&Value>) {
    let in_use = old.is_some_and(|old| has(&old["spec"], "configSource"));
    if let Some(spec) = object_mut(node, "spec").filter(|_| !in_use) {
        remove(spec, "configSource");
    }
    if let Some(status) = object_mut(node, "status").filter(|_| old.is_none()) {
        remove(status, "config");
    }
}

/// `LimitRange`: one without a name is given one, which is as random as its uid.
pub(super) fn prepare_limit_range(_: &Resource, range: &mut Value, old: Option<&Value>) {
    let uid = apimachinery::object::uid(range).to_owned();
    if old.is_none() {
        if_zero(object_at(range, "metadata"), "name", uid);
    }
}

/// `LimitRange`: of a container's limits, one follows from the other.
pub(super) fn default_limit_range(_: &Resource, object: &mut Value) {
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

/// `ResourceQuota`
pub(super) fn default_resource_quota(_: &Resource, object: &mut Value) {
    for (part, name) in [("spec", "hard"), ("status", "hard"), ("status", "used")] {
        if let Some(part) = object_mut(object, part) {
            round_up_quantities(part, name);
        }
    }
}

/// `Endpoints`
pub(super) fn default_endpoints(_: &Resource, object: &mut Value) {
    for subset in list_mut(object, "subsets") {
        for port in list_mut(subset, "ports") {
            if_zero(port, "protocol", "TCP");
        }
    }
}

/// `Node`: fields without effect, and networks.
pub(super) fn warn_of_node(node: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let spec = At::root(node).child("spec");
    if spec.has("configSource") {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if !spec.is_empty("externalID") {
        warnings.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    spec.items("podCIDRs").for_each(|network| warnings::network(&network, warnings));
}

/// `ResourceQuota`: as it is made, requests that may be more than the limits.
pub(super) fn warn_of_quota(quota: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    if old.is_some() {
        return;
    }
    let hard = &quota["spec"]["hard"];
    let amount = |name: &str| hard.get(name).and_then(Quantity::of_json);
    for resource in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (mut request, limit) = (format!("requests.{resource}"), format!("limits.{resource}"));
        if matches!(resource, "cpu" | "memory") && !has(hard, &request) {
            resource.clone_into(&mut request);
        }
        if let (Some(asked), Some(most)) = (amount(&request), amount(&limit))
            && asked > most
        {
            warnings.push(format!("ResourceQuota {request} ({asked}) should be less than {limit} ({most})"));
        }
    }
}

/// `ServiceAccount`: an annotation that is newly set.
pub(super) fn warn_of_service_account(account: &Value, old: Option<&Value>, warnings: &mut Warnings) {
    const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
    let has = |account: &Value| account.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(ENFORCE).is_some());
    if has(account) && !old.is_some_and(has) {
        warnings.push(format!(
            "metadata.annotations[{ENFORCE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        ));
    }
}

/// `Secret`: a key that is not the certificate's.
pub(super) fn warn_of_secret(secret: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    if text(secret, "type") != "kubernetes.io/tls" {
        return;
    }
    let bytes = |name: &str| STANDARD.decode(text(&secret["data"], name)).unwrap_or_default();
    if let Err(problem) = key_pair::check(&bytes("tls.crt"), &bytes("tls.key")) {
        warnings.push(problem);
    }
}

/// `Endpoints`: addresses. The controller's own are well-formed.
pub(super) fn warn_of_endpoints(endpoints: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    let manager = endpoints.pointer("/metadata/labels").map_or("", |labels| text(labels, "endpoints.kubernetes.io/managed-by"));
    if manager == "endpoint-controller" {
        return;
    }
    for subset in At::root(endpoints).items("subsets") {
        for list in ["addresses", "notReadyAddresses"] {
            subset.items(list).for_each(|address| warnings::address(&address.child("ip"), warnings));
        }
    }
}
