//! `metadata`, the same for all kinds but for what may be a name.

use std::cell::LazyCell;
use std::collections::HashSet;

use apimachinery::object;
use apimachinery::validation::name::{self, Problems};
use serde_json::Value;

use crate::Resource;
use crate::shared::field_value::{Errors, FieldValue, IMMUTABLE};
use crate::shared::validation::invalid_shown;
use crate::shared::{selector, value};

/// All annotations of an object together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// What may be a name; the flag says that it is the start of one that is generated.
type NameRule = fn(&str, bool) -> Problems;

/// A start may end in what a whole may not.
fn mask_trailing_dash(name: &str) -> std::borrow::Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a").into(),
        _ => name.into(),
    }
}

/// A DNS subdomain: most kinds.
pub(crate) fn subdomain(text: &str, prefix: bool) -> Problems {
    if prefix { name::is_dns1123_subdomain(&mask_trailing_dash(text)) } else { name::is_dns1123_subdomain(text) }
}

/// A DNS label.
pub(crate) fn label(text: &str, prefix: bool) -> Problems {
    if prefix { name::is_dns1123_label(&mask_trailing_dash(text)) } else { name::is_dns1123_label(text) }
}

/// What can stand in a path.
pub(crate) fn path_segment(text: &str, prefix: bool) -> Problems {
    if prefix { name::is_path_segment_prefix(text) } else { name::is_path_segment_name(text) }
}

/// A new object's metadata.
pub(crate) fn validate(resource: &Resource, object: &Value, rule: NameRule, errors: &mut Errors) {
    validate_generic(resource, object, rule, errors);
    known_finalizers(&FieldValue::root(object).child("metadata"), errors);
}

/// The same for the groups that know nothing of the core group's finalizers.
pub(crate) fn validate_generic(resource: &Resource, object: &Value, rule: NameRule, errors: &mut Errors) {
    let at = FieldValue::root(object).child("metadata");
    names(resource, &at, rule, errors);
    common(&at, errors);
}

/// A finalizer without a domain is one of the three that Kubernetes has.
fn known_finalizers(at: &FieldValue<'_>, errors: &mut Errors) {
    for finalizer in at.items("finalizers") {
        if !finalizer.text().contains('/') && !matches!(finalizer.text(), "kubernetes" | "orphan" | "foregroundDeletion") {
            errors.push(finalizer.invalid("name is neither a standard finalizer name nor is it fully qualified"));
        }
    }
}

fn names(resource: &Resource, at: &FieldValue<'_>, rule: NameRule, errors: &mut Errors) {
    let generated = at.child("generateName");
    if !generated.text().is_empty() {
        generated.problems(rule(generated.text(), true), errors);
    }
    let name = at.child("name");
    if name.text().is_empty() {
        errors.push(name.required("name or generateName is required"));
    } else {
        name.problems(rule(name.text(), false), errors);
    }
    let namespace = at.child("namespace");
    match (resource.namespaced(), namespace.text()) {
        (true, "") => errors.push(namespace.required("")),
        (true, text) => namespace.problems(label(text, false), errors),
        (false, "") => {}
        (false, _) => errors.push(namespace.forbidden("not allowed on this type")),
    }
}

fn common(at: &FieldValue<'_>, errors: &mut Errors) {
    at.child("generation").non_negative(errors);
    client_metadata(at, errors);
    finalizers(&at.child("finalizers"), errors);
}

/// What upstream asks of a whole and of a change alike; where a kind asks both, each problem is told twice.
fn client_metadata(at: &FieldValue<'_>, errors: &mut Errors) {
    selector::labels(&at.child("labels"), errors);
    annotations(&at.child("annotations"), errors);
    owner_references(&at.child("ownerReferences"), errors);
}

/// A map of annotations.
pub(crate) fn annotations(at: &FieldValue<'_>, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in at.value.as_object().into_iter().flatten() {
        errors.extend(name::is_qualified_name(&key.to_lowercase()).iter().map(|problem| at.invalid_as(key.as_str(), problem)));
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(apimachinery::field::Error::too_long(&at.path, ANNOTATIONS_BYTES_MAX));
    }
}

/// Bytes of all owners that are shown where two of them are controllers.
const SHOWN_OWNERS_BYTES_MAX: usize = 8 << 10;

fn owner_references(at: &FieldValue<'_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    let all = LazyCell::new(|| {
        let mut all = String::new();
        for reference in at.value.as_array().into_iter().flatten() {
            let separator = if all.is_empty() { "[" } else { "," };
            all.push_str(separator);
            if all.len() > SHOWN_OWNERS_BYTES_MAX {
                return all + "...";
            }
            all.push_str(&shown_reference(reference));
        }
        all + "]"
    });
    for reference in at.value.as_array().into_iter().flatten() {
        let reference = FieldValue { value: reference, path: at.path.clone() };
        let api_version = reference.child("apiVersion");
        let version = match api_version.text().split_once('/') {
            None => api_version.text(),
            Some((_, version)) if version.contains('/') => "",
            Some((_, version)) => version,
        };
        if version.is_empty() {
            errors.push(api_version.invalid_as(api_version.text(), "version must not be empty"));
        }
        for name in ["kind", "name", "uid"] {
            let field = reference.child(name);
            if field.text().is_empty() {
                errors.push(field.invalid_as("", "must not be empty"));
            }
        }
        if reference.text_of("kind") == "Event" && matches!(api_version.text(), "v1" | "events.k8s.io/v1beta1") {
            let group = if api_version.text() == "v1" { "" } else { "events.k8s.io" };
            let detail = format!("{group}/{version}, Kind=Event is disallowed from being an owner");
            errors.push(invalid_shown(&at.path, &shown_reference(reference.value), &detail));
        }
        if reference.flag("controller") {
            let this = format!("{}/{}", reference.text_of("kind"), reference.text_of("name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => {
                    let detail =
                        format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}");
                    errors.push(invalid_shown(&at.path, &all, &detail));
                }
            }
        }
    }
}

/// Fields in the order of upstream's struct.
fn shown_reference(reference: &Value) -> String {
    let mut fields: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .iter()
        .map(|name| format!("\"{name}\":{}", Value::from(value::text(reference, name))))
        .collect();
    for name in ["controller", "blockOwnerDeletion"] {
        if let Some(flag) = reference.get(name).filter(|flag| !flag.is_null()) {
            fields.push(format!("\"{name}\":{flag}"));
        }
    }
    format!("{{{}}}", fields.join(","))
}

fn finalizers(at: &FieldValue<'_>, errors: &mut Errors) {
    let names: Vec<&str> = at.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for finalizer in &names {
        errors.extend(name::is_qualified_name(finalizer).iter().map(|problem| at.invalid_as(*finalizer, problem)));
    }
    if names.contains(&"orphan") && names.contains(&"foregroundDeletion") {
        errors.push(at.invalid("finalizer orphan and foregroundDeletion cannot be both set"));
    }
}

/// `metadata` of a template: labels and annotations, and nothing else.
pub(crate) fn template(at: &FieldValue<'_>, errors: &mut Errors) {
    annotations(&at.child("annotations"), errors);
    selector::labels(&at.child("labels"), errors);
    for (name, value) in at.value.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "labels" | "annotations") && !value.is_null() && *value != "" {
            errors.push(at.child(name).forbidden("cannot be set"));
        }
    }
}

/// What an update may not change of metadata.
pub(crate) fn validate_update(object: &Value, old: &Value, errors: &mut Errors) {
    validate_update_generic(object, old, errors);
    known_finalizers(&FieldValue::root(object).child("metadata"), errors);
}

/// The same for the groups that know nothing of the core group's finalizers.
pub(crate) fn validate_update_generic(object: &Value, old: &Value, errors: &mut Errors) {
    let (at, before) = (FieldValue::root(object).child("metadata"), FieldValue::root(old).child("metadata"));
    let being_deleted = object::is_being_deleted(old);
    if being_deleted {
        let known: HashSet<&str> = before.texts("finalizers").collect();
        let mut added: Vec<&str> = at.texts("finalizers").filter(|finalizer| !known.contains(finalizer)).collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let listed = added.iter().map(|name| apimachinery::field::go_quote(name)).collect::<Vec<_>>().join(", ");
            let detail =
                format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}");
            errors.push(at.child("finalizers").forbidden(&detail));
        }
    }
    let generation = at.child("generation");
    if generation.int() < before.child("generation").int() {
        errors.push(generation.invalid("must not be decremented"));
    }
    for name in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let field = at.child(name);
        if field.value != before.child(name).value {
            errors.push(match name {
                "name" | "namespace" | "uid" => field.invalid_as(field.text(), IMMUTABLE),
                _ => field.invalid(IMMUTABLE),
            });
        }
    }
    client_metadata(&at, errors);
}

/// What the registry checks of every update before the kind does.
pub(crate) fn validate_any_update(resource: &Resource, object: &Value, old: &Value, errors: &mut Errors) {
    validate_generic(resource, object, path_segment, errors);
    validate_update_generic(object, old, errors);
}

/// A DNS subdomain that is not asked of the start of a name.
pub(crate) fn subdomain_once(text: &str, prefix: bool) -> Problems {
    if prefix { Problems::new() } else { name::is_dns1123_subdomain(text) }
}

/// What can stand in a path, asked of the start of a name too.
pub(crate) fn path_segment_name(text: &str, _prefix: bool) -> Problems {
    name::is_path_segment_name(text)
}
