//! The smaller kinds of the core group: ConfigMap, Secret, ServiceAccount, Namespace, Node, LimitRange, ResourceQuota, Event.

use std::collections::{HashMap, HashSet};

use apimachinery::codec::json;
use apimachinery::codec::node::Node;
use apimachinery::field::ERRORS_COUNT_MAX;
use apimachinery::quantity::{Format, Quantity};
use apimachinery::validation::name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::resources::{quantity_value, resource_name};
use super::{At, Errors, legacy_cidr, metadata, scheduling};
use crate::Resource;
use crate::kinds::value;

/// Of a Secret or ConfigMap.
const DATA_BYTES_MAX: usize = 1024 * 1024;
const WHEN_IMMUTABLE: &str = "field is immutable when `immutable` is set";

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default().as_bytes()).unwrap_or_default()
}

fn decoded_bytes(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    (text.len() / 4 * 3).saturating_sub(text.bytes().rev().take_while(|&b| b == b'=').count())
}

fn config_map(resource: &Resource, object: &Value, errors: &mut Errors) {
    metadata::validate(resource, object, metadata::subdomain, errors);
    let root = At::root(object);
    let mut bytes = 0;
    for (key, entry) in root.entries("data") {
        errors.extend(name::is_config_map_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        if object["binaryData"].get(key).is_some() {
            errors.push(entry.invalid_as(key, "duplicate of key present in binaryData"));
        }
        bytes += entry.text().len();
    }
    for (key, entry) in root.entries("binaryData") {
        errors.extend(name::is_config_map_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        bytes += decoded_bytes(entry.value);
    }
    if bytes > DATA_BYTES_MAX {
        let mut error = apimachinery::field::Error::too_long(&root.path, DATA_BYTES_MAX);
        error.field = String::new();
        errors.push(error);
    }
}

fn immutable_data(object: &Value, old: &Value, names: &[&str], errors: &mut Errors) {
    if !value::flag(old, "immutable") {
        return;
    }
    let root = At::root(object);
    if !root.flag("immutable") {
        errors.push(root.child("immutable").forbidden(WHEN_IMMUTABLE));
    }
    for name in names {
        if object.get(name) != old.get(name) {
            errors.push(root.child(name).forbidden(WHEN_IMMUTABLE));
        }
    }
}

/// `ConfigMap`
pub(crate) fn validate_config_map(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    config_map(resource, object, &mut errors);
    errors
}

/// `ConfigMap`
pub(crate) fn validate_config_map_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    immutable_data(object, old, &["data", "binaryData"], &mut errors);
    config_map(resource, object, &mut errors);
    errors
}

fn secret(resource: &Resource, object: &Value, errors: &mut Errors) {
    metadata::validate(resource, object, metadata::subdomain, errors);
    let root = At::root(object);
    let data = root.child("data");
    let mut bytes = 0;
    for (key, entry) in root.entries("data") {
        errors.extend(name::is_config_map_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        bytes += decoded_bytes(entry.value);
    }
    if bytes > DATA_BYTES_MAX {
        errors.push(apimachinery::field::Error::too_long(&data.path, DATA_BYTES_MAX));
    }
    let of = |key: &str| At { value: data.value.get(key).unwrap_or(super::NULL), path: data.path.key(key) };
    let missing = |key: &str| of(key).value.is_null();
    match root.text_of("type") {
        "kubernetes.io/service-account-token" => {
            let annotations = root.child("metadata").child("annotations");
            let key = "kubernetes.io/service-account.name";
            if annotations.text_of(key).is_empty() {
                errors.push(At { value: super::NULL, path: annotations.path.key(key) }.required(""));
            }
        }
        "kubernetes.io/dockercfg" => docker_config(&of(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => docker_config(&of(".dockerconfigjson"), errors),
        "kubernetes.io/basic-auth" if missing("username") && missing("password") => {
            errors.push(of("username").required(""));
            errors.push(of("password").required(""));
        }
        "kubernetes.io/ssh-auth" if of("ssh-privatekey").text().is_empty() => {
            errors.push(of("ssh-privatekey").required(""));
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if missing(key) {
                    errors.push(of(key).required(""));
                }
            }
        }
        _ => {}
    }
}

fn docker_config(at: &At<'_>, errors: &mut Errors) {
    if at.value.is_null() {
        return errors.push(at.required(""));
    }
    let bytes = decoded(at.value);
    let why = match json::parse(&bytes) {
        Ok(Node::Object(_) | Node::Null) => return,
        Ok(other) => {
            let kind = match other {
                Node::Array(_) => "array",
                Node::Bool(_) => "bool",
                Node::Number(_) => "number",
                _ => "string",
            };
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(why) => why,
    };
    errors.push(at.invalid_as("<secret contents redacted>", &why));
}

/// `Secret`
pub(crate) fn validate_secret(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    secret(resource, object, &mut errors);
    errors
}

/// `Secret`
pub(crate) fn validate_secret_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    At::root(object).child("type").immutable(&At::root(old).child("type"), &mut errors);
    immutable_data(object, old, &["data"], &mut errors);
    secret(resource, object, &mut errors);
    errors
}

/// Kinds whose update repeats what is asked of a new object's metadata: `ServiceAccount`, `LimitRange`.
pub(crate) fn validate_metadata_again(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    errors
}

fn namespace_finalizer(at: &At<'_>, text: &str, errors: &mut Errors) {
    errors.extend(name::is_qualified_name(text).iter().map(|problem| at.invalid_as(text, problem)));
    if !text.contains('/') && text != "kubernetes" {
        errors.push(at.invalid_as(text, "name is neither a standard finalizer name nor is it fully qualified"));
    }
}

/// `Namespace`
pub(crate) fn validate_namespace(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::label, &mut errors);
    let spec = At::root(object).child("spec");
    for finalizer in spec.texts("finalizers") {
        namespace_finalizer(&spec.child("finalizers"), finalizer, &mut errors);
    }
    errors
}

/// `Namespace`: its status, or its end.
pub(crate) fn validate_namespace_subresource(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let root = At::root(object);
    if subresource == "finalize" {
        for finalizer in root.child("spec").items("finalizers") {
            namespace_finalizer(&finalizer, finalizer.text(), &mut errors);
        }
        return errors;
    }
    let status = root.child("status");
    let phase = status.child("phase").renamed(status.path.child("Phase"));
    let (wanted, when) = if apimachinery::object::is_being_deleted(object) { ("Terminating", "not empty") } else { ("Active", "empty") };
    if phase.text() != wanted {
        errors.push(phase.invalid_as(phase.text(), &format!("may only be '{wanted}' if `deletionTimestamp` is {when}")));
    }
    errors
}

fn node_common(root: &At<'_>, errors: &mut Errors) {
    for list in ["capacity", "allocatable"] {
        let status = root.child("status");
        for (resource, entry) in status.entries(list) {
            quantity_value(resource, &entry.renamed(status.path.child(list).child(resource)), errors);
        }
    }
}

/// Taints were an annotation once, which still has to be a list in JSON.
fn taints_annotation(root: &At<'_>, errors: &mut Errors) {
    const KEY: &str = "scheduler.alpha.kubernetes.io/taints";
    let annotations = root.child("metadata").child("annotations");
    let text = annotations.text_of(KEY);
    if text.is_empty() {
        return;
    }
    let kind = match json::parse(text.as_bytes()) {
        Ok(Node::Array(_) | Node::Null) => return,
        Ok(Node::Object(_)) => "object",
        Ok(Node::Bool(_)) => "bool",
        Ok(Node::Number(_)) => "number",
        Ok(_) => "string",
        Err(why) => return errors.push(annotations.invalid_as(KEY, &why)),
    };
    errors.push(annotations.invalid_as(KEY, &format!("json: cannot unmarshal {kind} into Go value of type []core.Taint")));
}

fn taints(root: &At<'_>, errors: &mut Errors) {
    let path = root.child("metadata").child("taints").path;
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for (i, taint) in value::list(&root.value["spec"], "taints").iter().enumerate() {
        let at = At { value: taint, path: path.index(i) };
        let (key, effect) = (at.child("key"), at.child("effect"));
        errors.extend(name::is_label_key(key.text()).iter().map(|problem| key.invalid_as(key.text(), problem)));
        let problems = name::is_label_value(at.text_of("value"));
        if !problems.is_empty() {
            errors.push(at.child("value").invalid(&problems.join(";")));
        }
        if effect.text().is_empty() {
            errors.push(effect.required(""));
        } else {
            scheduling::taint_effect(&effect, errors);
        }
        let pair = (value::text(taint, "key"), value::text(taint, "effect"));
        if seen.contains(&pair) {
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{}}}",
                Value::from(pair.0),
                Value::from(at.text_of("value")),
                Value::from(pair.1),
                at.child("timeAdded").value
            );
            errors.push(apimachinery::field::Error {
                kind: apimachinery::field::ErrorType::Duplicate,
                field: at.path.to_string(),
                body: format!("Duplicate value: {shown}: taints must be unique by key and effect pair"),
                value: None,
            });
        }
        seen.insert(pair);
    }
}

/// `Node`
pub(crate) fn validate_node(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let root = At::root(object);
    taints_annotation(&root, &mut errors);
    taints(&root, &mut errors);
    node_common(&root, &mut errors);
    let spec = root.child("spec");
    for cidr in spec.items("podCIDRs") {
        legacy_cidr(&cidr, &[], &mut errors);
    }
    let cidrs: Vec<&str> = spec.texts("podCIDRs").collect();
    let six = cidrs.iter().filter(|cidr| cidr.contains(':')).count();
    if cidrs.len() > 1 && (six == 0 || six == cidrs.len() || cidrs.len() > 2) {
        errors.push(spec.child("podCIDRs").invalid("may specify no more than one CIDR for each IP family"));
    }
    errors
}

/// `Node`
pub(crate) fn validate_node_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let root = At::root(object);
    taints_annotation(&root, &mut errors);
    node_common(&root, &mut errors);
    let mut seen: HashSet<&Value> = HashSet::new();
    for address in root.child("status").items("addresses") {
        if seen.contains(&address.value) {
            errors.push(address.duplicate());
        }
        seen.insert(address.value);
    }
    let spec = root.child("spec");
    let before = At::root(old).child("spec");
    let (new, was): (Vec<&str>, Vec<&str>) = (spec.texts("podCIDRs").collect(), before.texts("podCIDRs").collect());
    let words = "node updates may not change podCIDR except from \"\" to valid";
    if !was.is_empty() {
        let changes = if was.len() == new.len() { was.iter().zip(&new).filter(|(was, new)| was != new).count() } else { 1 };
        errors.extend((0..changes).map(|_| spec.child("podCIDRs").forbidden(words)));
    }
    if !before.is_empty("providerID") && before.text_of("providerID") != spec.text_of("providerID") {
        errors.push(spec.child("providerID").forbidden("node updates may not change providerID except from \"\" to valid"));
    }
    taints(&root, &mut errors);
    if spec.text_of("externalID") != before.text_of("externalID") {
        errors.push(spec.child("externalID").forbidden("may not be updated"));
    }
    errors
}

/// `Node`
pub(crate) fn validate_node_status(resource: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    validate_node_update(resource, object, old)
}

/// `LimitRange`
pub(crate) fn validate_limit_range(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    let mut types: HashSet<&str> = HashSet::new();
    for (i, item) in value::list(&object["spec"], "limits").iter().enumerate() {
        let at = At { value: item, path: At::root(object).child("spec").child("limits").path.index(i) };
        let kind = at.child("type");
        let problems = name::is_qualified_name(kind.text());
        if !problems.is_empty() {
            errors.extend(problems.iter().map(|problem| kind.invalid_as(kind.text(), problem)));
        } else if !kind.text().contains('/') && !matches!(kind.text(), "Pod" | "Container" | "PersistentVolumeClaim") {
            errors.push(kind.invalid("must be a standard limit type or fully qualified"));
        }
        if types.contains(&value::text(item, "type")) {
            errors.push(kind.duplicate());
        }
        types.insert(value::text(item, "type"));
        limit_range_item(&at, &mut errors);
    }
    errors
}

fn limit_range_item(at: &At<'_>, errors: &mut Errors) {
    let kind = at.text_of("type");
    let (mut keys, mut known): (Vec<&str>, HashSet<&str>) = (Vec::new(), HashSet::new());
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if kind == "Pod" && list.starts_with("default") {
            if !at.is_empty(list) {
                errors.push(at.child(list).forbidden("may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (key, entry) in at.entries(list) {
            if matches!(kind, "Pod" | "Container") {
                super::resources::container_resource_name(key, &entry, errors);
            } else {
                resource_name(key, &entry, errors);
            }
            if known.insert(key) {
                keys.push(key);
            }
        }
    }
    if kind == "PersistentVolumeClaim" && at.child("min").value.get("storage").is_none() && at.child("max").value.get("storage").is_none() {
        errors.push(at.child("limits").required("either minimum or maximum storage value is required, but neither was provided"));
    }
    for key in keys {
        let of = |list: &str| {
            let list = at.child(list);
            let entry = At { value: list.value.get(key).unwrap_or(super::NULL), path: list.path.key(key) };
            entry.quantity().map(|quantity| (entry, quantity))
        };
        let pod = kind == "Pod";
        let (min, max, ratio) = (of("min"), of("max"), of("maxLimitRequestRatio"));
        let (default, request) = if pod { (None, None) } else { (of("default"), of("defaultRequest")) };
        let mut compare =
            |low: &Option<(At<'_>, Quantity)>, high: &Option<(At<'_>, Quantity)>, on_low: bool, shown_low: bool, words: [&str; 2]| {
                if let (Some((low_at, low)), Some((high_at, high))) = (low, high)
                    && low > high
                {
                    let path = if on_low { low_at } else { high_at };
                    let shown = if shown_low { low } else { high };
                    errors.push(path.invalid_as(shown.to_string(), &format!("{} {low} is greater than {} {high}", words[0], words[1])));
                }
            };
        compare(&min, &max, true, true, ["min value", "max value"]);
        compare(&min, &request, false, false, ["min value", "default request value"]);
        compare(&request, &max, true, true, ["default request value", "max value"]);
        compare(&request, &default, true, true, ["default request value", "default limit value"]);
        compare(&min, &default, false, true, ["min value", "default value"]);
        compare(&default, &max, true, false, ["default value", "max value"]);
        let Some((entry, ratio)) = ratio else { continue };
        if ratio < Quantity::new(1, Format::DecimalSi) {
            errors.push(entry.invalid_as(ratio.to_string(), &format!("ratio {ratio} is less than 1")));
        }
        if let (Some((_, min)), Some((_, max))) = (min, max) {
            // In thousandths where they fit, as upstream divides.
            let fine = min.value().max(max.value()) <= i64::MAX / 1000;
            let of = |quantity: &Quantity| if fine { quantity.milli_value() as f64 } else { quantity.value() as f64 };
            let most = of(&max) / of(&min);
            if ratio.milli_value() as f64 / 1000.0 > most {
                errors.push(entry.invalid_as(ratio.to_string(), &format!("ratio {ratio} is greater than max/min = {most:.6}")));
            }
        }
    }
}

/// `LimitRange`
pub(crate) fn validate_limit_range_update(resource: &Resource, object: &Value, _: &Value) -> Errors {
    validate_limit_range(resource, object)
}

fn is_quota_resource(resource: &str) -> bool {
    matches!(
        resource,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.storage"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "persistentvolumeclaims"
            | "configmaps"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || super::resources::is_huge_page(resource)
        || resource.starts_with("requests.hugepages-")
}

fn quota_list(at: &At<'_>, list: &str, errors: &mut Errors) {
    for (resource, entry) in at.entries(list) {
        resource_name(resource, &entry, errors);
        if !resource.contains('/') && !is_quota_resource(resource) {
            errors.push(entry.invalid_as(resource, "must be a standard resource for quota"));
        }
        quantity_value(resource, &entry, errors);
    }
}

/// Which resources a scope can be asked of.
fn scope_fits(scope: &str, resource: &str) -> bool {
    let pods = matches!(
        resource,
        "pods"
            | "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
    );
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => pods,
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

const SCOPES: [&str; 7] =
    ["Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"];

fn conflicting(scopes: &[&str]) -> usize {
    [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]]
        .iter()
        .filter(|pair| pair.iter().all(|scope| scopes.contains(scope)))
        .count()
}

fn quota_spec(spec: &At<'_>, errors: &mut Errors) {
    quota_list(spec, "hard", errors);
    let resources: Vec<&str> = spec.entries("hard").map(|(resource, _)| resource).filter(|resource| is_quota_resource(resource)).collect();
    // Of each scope that there is, the resources that it cannot be of.
    let unfit: HashMap<&str, usize> =
        SCOPES.iter().map(|scope| (*scope, resources.iter().filter(|resource| !scope_fits(scope, resource)).count())).collect();
    let unfit = |scope: &str| unfit.get(scope).copied().unwrap_or(0);
    let scopes: Vec<&str> = spec.texts("scopes").collect();
    let list = spec.child("scopes");
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(list.invalid("unsupported scope"));
        }
        for _ in 0..unfit(scope).min(ERRORS_COUNT_MAX.saturating_sub(errors.len())) {
            errors.push(list.invalid("unsupported scope applied to resource"));
        }
    }
    errors.extend((0..conflicting(&scopes)).map(|_| list.invalid("conflicting scopes")));
    let Some(selector) = spec.some("scopeSelector") else { return };
    let at = selector.child("matchExpressions");
    let mut scopes: Vec<&str> = Vec::new();
    for requirement in selector.items("matchExpressions") {
        let requirement = requirement.renamed(at.path.clone());
        let (scope, operator, values) = (requirement.child("scopeName"), requirement.child("operator"), requirement.child("values"));
        if !SCOPES.contains(&scope.text()) {
            errors.push(scope.invalid("unsupported scope"));
        }
        for _ in 0..unfit(scope.text()).min(ERRORS_COUNT_MAX.saturating_sub(errors.len())) {
            errors.push(At { value: selector.value, path: at.path.clone() }.invalid("unsupported scope applied to resource"));
        }
        let exists_only =
            matches!(scope.text(), "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity");
        if exists_only && operator.text() != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                 ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(operator.invalid(detail));
        }
        match operator.text() {
            "In" | "NotIn" if requirement.is_empty("values") => {
                errors.push(values.required("must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
            }
            "Exists" | "DoesNotExist" if !requirement.is_empty("values") => {
                errors.push(values.invalid("must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.push(operator.invalid("not a valid selector operator")),
        }
        scopes.push(SCOPES.iter().find(|known| **known == scope.text()).copied().unwrap_or_default());
    }
    errors.extend((0..conflicting(&scopes)).map(|_| at.invalid_as(list.value.clone(), "conflicting scopes")));
}

/// `ResourceQuota`
pub(crate) fn validate_quota(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    quota_spec(&At::root(object).child("spec"), &mut errors);
    errors
}

/// `ResourceQuota`
pub(crate) fn validate_quota_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let spec = At::root(object).child("spec");
    quota_spec(&spec, &mut errors);
    let sorted = |spec: &Value| {
        let mut scopes: Vec<String> = value::list(spec, "scopes").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        scopes.sort();
        scopes.dedup();
        scopes
    };
    if sorted(spec.value) != sorted(&old["spec"]) {
        errors.push(spec.child("scopes").invalid(super::IMMUTABLE));
    }
    errors
}

/// `ResourceQuota`
pub(crate) fn validate_quota_status(_: &Resource, _: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    let status = At::root(object).child("status");
    quota_list(&status, "hard", &mut errors);
    quota_list(&status, "used", &mut errors);
    errors
}

fn legacy_event(resource: &Resource, object: &Value, errors: &mut Errors) {
    let root = At::root(object);
    let namespace = apimachinery::object::namespace(object);
    let at = root.child("involvedObject").child("namespace");
    let has_time = !root.child("eventTime").text().is_empty();
    let fits = match (has_time, at.text().is_empty()) {
        (false, true) => matches!(namespace, "" | "default"),
        (false, false) => namespace == at.text(),
        (true, true) => matches!(namespace, "default" | "kube-system"),
        (true, false) => true,
    };
    if !fits {
        errors.push(at.invalid_as(at.text(), "does not match event.namespace"));
    }
    if has_time {
        // The one field whose name in errors is that of the version asked for.
        let name = if resource.gvk.group.is_empty() { "reportingComponent" } else { "reportingController" };
        let reporter = root.child("reportingComponent").renamed(root.child(name).path);
        if reporter.text().is_empty() {
            errors.push(reporter.required(""));
        }
        errors.extend(name::is_qualified_name(reporter.text()).iter().map(|problem| reporter.invalid_as(reporter.text(), problem)));
        for (name, most, required) in
            [("reportingInstance", 128, true), ("action", 128, true), ("reason", 128, true), ("message", 1024, false)]
        {
            let field = root.child(name);
            if required && field.text().is_empty() {
                errors.push(field.required(""));
            }
            if field.text().len() > most {
                errors.push(field.invalid_as("", &format!("can have at most {most} characters")));
            }
        }
    }
    let at = root.child("namespace");
    errors.extend(name::is_dns1123_subdomain(namespace).iter().map(|problem| at.invalid_as(namespace, problem)));
}

fn series(root: &At<'_>, errors: &mut Errors) {
    let Some(series) = root.some("series") else { return };
    if series.child("count").int() < 2 {
        errors.push(series.child("count").invalid_as("", "should be at least 2"));
    }
    if series.child("lastObservedTime").text().is_empty() {
        errors.push(series.child("lastObservedTime").required(""));
    }
}

/// `Event`, in the core group's form, as `resource` was asked for: events.k8s.io is strict, the core group takes what it always took.
pub(crate) fn validate_event(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    legacy_event(resource, object, &mut errors);
    if resource.gvk.group.is_empty() {
        return errors;
    }
    let root = At::root(object);
    metadata::validate(resource, object, metadata::subdomain, &mut errors);
    series(&root, &mut errors);
    if root.child("eventTime").text().is_empty() {
        errors.push(root.child("eventTime").required(""));
    }
    let kind = root.child("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        errors.push(kind.invalid_as("", &format!("has invalid value: {}", kind.text())));
    }
    for field in ["firstTimestamp", "lastTimestamp"] {
        if root.has(field) {
            errors.push(root.child(field).invalid_as("", "needs to be unset"));
        }
    }
    if root.child("count").int() != 0 {
        errors.push(root.child("count").invalid_as("", "needs to be unset"));
    }
    let source = root.child("source");
    if !source.is_empty("component") || !source.is_empty("host") {
        errors.push(source.invalid_as("", "needs to be unset"));
    }
    errors
}

/// `Event`, as above.
pub(crate) fn validate_event_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    legacy_event(resource, object, &mut errors);
    if resource.gvk.group.is_empty() {
        return errors;
    }
    metadata::validate_update(object, old, &mut errors);
    let (root, before) = (At::root(object), At::root(old));
    if object.get("series") != old.get("series") {
        series(&root, &mut errors);
    }
    // Twice the reason, as upstream looks at it twice.
    let first = ["involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type"];
    for field in first.into_iter().chain(["eventTime", "action", "related"]) {
        root.child(field).immutable(&before.child(field), &mut errors);
    }
    let (reporter, shown) = ("reportingComponent", root.child("reportingController").path);
    root.child(reporter).renamed(shown).immutable(&before.child(reporter), &mut errors);
    root.child("reportingInstance").immutable(&before.child("reportingInstance"), &mut errors);
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tables;

    #[test]
    fn events_are_judged_by_the_version_asked_for() {
        let event = |more: Value| {
            let mut event = json!({
                "metadata": { "name": "e", "namespace": "n", "resourceVersion": "1" }, "involvedObject": { "namespace": "n" }, "source": {},
                "eventTime": "2020-01-01T00:00:00.000001Z", "firstTimestamp": null, "reportingComponent": "c", "reportingInstance": "i",
                "action": "A", "reason": "R", "message": "m", "type": "Normal",
            });
            if let Some((event, more)) = event.as_object_mut().zip(more.as_object()) {
                event.extend(more.clone())
            }
            event
        };
        let fields = |errors: Errors| errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>().join(" ");
        let core = tables::find("", "v1", "events").expect("events");
        let strict = tables::find("events.k8s.io", "v1", "events").expect("events");
        for (more, by_core, by_strict) in [
            (json!({}), "", ""),
            (json!({ "reportingComponent": "/" }), "reportingComponent", "reportingController"),
            (json!({ "type": "Odd", "count": 1, "source": { "host": "h" } }), "", "type count source"),
            (json!({ "firstTimestamp": "2020-01-01T00:00:00Z" }), "", "firstTimestamp"),
        ] {
            let dedup = |mut list: Vec<&str>| {
                list.dedup();
                list.join(" ")
            };
            let found = [core, strict].map(|resource| fields(validate_event(resource, &event(more.clone()))));
            assert_eq!(found.each_ref().map(|list| dedup(list.split(' ').collect())), [by_core, by_strict], "{more}");
        }
        for (more, by_strict) in
            [(json!({ "reason": "S" }), "reason reason"), (json!({ "message": "n", "related": {} }), "message related")]
        {
            let (old, new) = (event(json!({})), event(more));
            assert_eq!(fields(validate_event_update(core, &new, &old)), "");
            assert_eq!(fields(validate_event_update(strict, &new, &old)), by_strict);
        }
    }
}
