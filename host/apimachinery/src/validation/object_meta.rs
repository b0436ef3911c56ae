//! `metadata` of every object (`k8s.io/apimachinery/pkg/api/validation`).
//!
//! Upstream checks it twice: each kind with its own rule for names, and then the registry for all of them, with the rule that a
//! name must fit into a path. The built-in kinds add [`validate_kube_finalizers`].

use std::collections::BTreeSet;

use serde_json::Value;

use super::meta::{items, pairs, text, validate_immutable_field, validate_labels, validate_nonnegative_field};
use super::name::{
    Problems, is_dns1035_label, is_dns1123_label, is_dns1123_subdomain, is_label_key, is_path_segment_name, is_path_segment_prefix,
};
use crate::field::{Error, ErrorType, Path, go_quote};
use crate::options::validate_field_manager;

/// Bytes of all annotations of an object.
pub const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a subresource's name in a managed field.
pub const SUBRESOURCE_BYTES_MAX: usize = 256;

/// A kind's rule for names; with `true` for what is the start of a generated one.
pub type NameRule = fn(&str, bool) -> Problems;

/// What is generated never ends in a dash: the start of a name may.
fn masked(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        // Upstream drops the character before the dash, too.
        Some(rest) if prefix && !rest.is_empty() => {
            let mut shorter = rest.to_owned();
            shorter.pop();
            shorter + "a"
        }
        _ => name.to_owned(),
    }
}

/// A DNS subdomain: most kinds.
pub fn name_is_dns_subdomain(name: &str, prefix: bool) -> Problems {
    is_dns1123_subdomain(&masked(name, prefix))
}

/// A DNS label (RFC 1123): namespaces.
pub fn name_is_dns_label(name: &str, prefix: bool) -> Problems {
    is_dns1123_label(&masked(name, prefix))
}

/// A DNS label (RFC 1035): services.
pub fn name_is_dns1035_label(name: &str, prefix: bool) -> Problems {
    is_dns1035_label(&masked(name, prefix))
}

/// Anything that fits into a path: the rule that all kinds share.
pub fn name_is_path_segment(name: &str, prefix: bool) -> Problems {
    if prefix { is_path_segment_prefix(name) } else { is_path_segment_name(name) }
}

/// Everything wrong with the metadata of a new object whose name is generated, where it is.
pub fn validate_object_meta(object: &Value, namespaced: bool, rule: NameRule, path: &Path) -> Vec<Error> {
    let none = Value::Null;
    let meta = object.get("metadata").unwrap_or(&none);
    let mut errors = Vec::new();
    let (name, generate_name) = (text(meta, "name"), text(meta, "generateName"));
    if !generate_name.is_empty() {
        let at = path.child("generateName");
        errors.extend(rule(generate_name, true).iter().map(|problem| Error::invalid(&at, generate_name, problem)));
    }
    let at = path.child("name");
    if name.is_empty() {
        errors.push(Error::required(&at, "name or generateName is required"));
    } else {
        errors.extend(rule(name, false).iter().map(|problem| Error::invalid(&at, name, problem)));
    }
    let (namespace, at) = (text(meta, "namespace"), path.child("namespace"));
    match (namespaced, namespace.is_empty()) {
        (true, true) => errors.push(Error::required(&at, "")),
        (true, false) => errors.extend(name_is_dns_label(namespace, false).iter().map(|problem| Error::invalid(&at, namespace, problem))),
        (false, false) => errors.push(Error::forbidden(&at, "not allowed on this type")),
        (false, true) => {}
    }
    let generation = meta.get("generation").and_then(Value::as_i64).unwrap_or(0);
    errors.extend(validate_nonnegative_field(generation, &path.child("generation")));
    errors.extend(validate_labels(meta.get("labels"), &path.child("labels")));
    errors.extend(validate_annotations(meta.get("annotations"), &path.child("annotations")));
    errors.extend(validate_owner_references(meta.get("ownerReferences"), &path.child("ownerReferences")));
    errors.extend(validate_finalizers(meta.get("finalizers"), &path.child("finalizers")));
    errors.extend(validate_managed_fields(meta.get("managedFields"), &path.child("managedFields")));
    errors
}

/// Everything wrong with a change of metadata.
pub fn validate_object_meta_update(object: &Value, old: &Value, path: &Path) -> Vec<Error> {
    let none = Value::Null;
    let (new, old) = (object.get("metadata").unwrap_or(&none), old.get("metadata").unwrap_or(&none));
    let mut errors = Vec::new();
    if old.get("deletionTimestamp").is_some_and(|time| !time.is_null()) {
        errors.extend(validate_no_new_finalizers(new.get("finalizers"), old.get("finalizers"), &path.child("finalizers")));
    }
    let version = text(new, "resourceVersion");
    if version.is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), version, "must be specified for an update"));
    }
    let generation = |meta: &Value| meta.get("generation").and_then(Value::as_i64).unwrap_or(0);
    if generation(new) < generation(old) {
        errors.push(Error::invalid(&path.child("generation"), generation(new), "must not be decremented"));
    }
    for field in ["name", "namespace", "uid"] {
        let value = |meta: &Value| Value::from(text(meta, field));
        errors.extend(validate_immutable_field(Some(&value(new)), Some(&value(old)), &path.child(field)));
    }
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        errors.extend(validate_immutable_field(new.get(field), old.get(field), &path.child(field)));
    }
    errors.extend(validate_labels(new.get("labels"), &path.child("labels")));
    errors.extend(validate_annotations(new.get("annotations"), &path.child("annotations")));
    errors.extend(validate_owner_references(new.get("ownerReferences"), &path.child("ownerReferences")));
    errors.extend(validate_managed_fields(new.get("managedFields"), &path.child("managedFields")));
    errors
}

/// A map of annotations: keys like those of labels but for their case, and not too much of all.
pub fn validate_annotations(annotations: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in pairs(annotations) {
        errors.extend(is_label_key(&key.to_lowercase()).iter().map(|problem| Error::invalid(path, key.as_str(), problem)));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
    errors
}

/// A list of owners.
pub fn validate_owner_references(references: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for reference in references.and_then(Value::as_array).into_iter().flatten() {
        let (api_version, kind, name) = (text(reference, "apiVersion"), text(reference, "kind"), text(reference, "name"));
        let version = match api_version.split_once('/') {
            None => api_version,
            Some((_, version)) if version.contains('/') => "",
            Some((_, version)) => version,
        };
        if version.is_empty() {
            errors.push(Error::invalid(&path.child("apiVersion"), api_version, "version must not be empty"));
        }
        for (field, value) in [("kind", kind), ("name", name), ("uid", text(reference, "uid"))] {
            if value.is_empty() {
                errors.push(Error::invalid(&path.child(field), value, "must not be empty"));
            }
        }
        if (api_version, kind) == ("v1", "Event") {
            errors.push(Error::invalid(path, reference.clone(), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if reference.get("controller").and_then(Value::as_bool) == Some(true) {
            let found = format!("{kind}/{name}");
            match &controller {
                Some(first) => {
                    let words =
                        format!("Only one reference can have Controller set to true. Found \"true\" in references for {first} and {found}");
                    errors.push(Error::of_value(ErrorType::Invalid, path, references.unwrap_or(&Value::Null), &words));
                }
                None => controller = Some(found),
            }
        }
    }
    errors
}

fn finalizers(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A list of finalizers.
pub fn validate_finalizers(list: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for finalizer in finalizers(list) {
        errors.extend(is_label_key(finalizer).iter().map(|problem| Error::invalid(path, finalizer, problem)));
    }
    let has = |name: &str| finalizers(list).any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let words = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(Error::invalid(path, list.cloned().unwrap_or_default(), words));
    }
    errors
}

/// What the built-in kinds ask of finalizers besides: a domain, or one of upstream's own names.
pub fn validate_kube_finalizers(object: &Value, path: &Path) -> Vec<Error> {
    let path = path.child("finalizers");
    finalizers(object.pointer("/metadata/finalizers"))
        .enumerate()
        .filter(|(_, finalizer)| !finalizer.contains('/') && !matches!(*finalizer, "kubernetes" | "orphan" | "foregroundDeletion"))
        .map(|(i, finalizer)| {
            Error::invalid(&path.index(i), finalizer, "name is neither a standard finalizer name nor is it fully qualified")
        })
        .collect()
}

fn validate_no_new_finalizers(new: Option<&Value>, old: Option<&Value>, path: &Path) -> Vec<Error> {
    let old: BTreeSet<&str> = finalizers(old).collect();
    let extra: BTreeSet<&str> = finalizers(new).filter(|finalizer| !old.contains(finalizer)).collect();
    if extra.is_empty() {
        return Vec::new();
    }
    let listed = extra.into_iter().map(go_quote).collect::<Vec<_>>().join(", ");
    let words = format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}");
    vec![Error::forbidden(path, &words)]
}

/// `metadata.managedFields`.
pub fn validate_managed_fields(entries: Option<&Value>, path: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    for (i, entry) in entries.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = path.index(i);
        let (operation, kind) = (text(entry, "operation"), text(entry, "fieldsType"));
        if !matches!(operation, "Apply" | "Update") {
            errors.push(Error::invalid(&path.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        if !matches!(kind, "" | "FieldsV1") {
            errors.push(Error::invalid(&path.child("fieldsType"), kind, "must be `FieldsV1`"));
        }
        errors.extend(validate_field_manager(text(entry, "manager"), &path.child("manager")));
        if text(entry, "subresource").len() > SUBRESOURCE_BYTES_MAX {
            errors.push(Error::too_long(&path.child("subresource"), SUBRESOURCE_BYTES_MAX));
        }
    }
    errors
}

/// The uids that stand there more than once, for the warning that upstream gives for them.
pub fn duplicate_owner_uids(object: &Value) -> Vec<&str> {
    let (mut seen, mut told, mut repeated) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for reference in object.get("metadata").into_iter().flat_map(|meta| items(meta, "ownerReferences")) {
        let uid = text(reference, "uid");
        if !seen.insert(uid) && told.insert(uid) {
            repeated.push(uid);
        }
    }
    repeated
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(errors: Vec<Error>) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn new_objects() {
        let subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
                         end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        let rows = [
            (json!({"name": "a", "namespace": "n"}), vec![]),
            (json!({"namespace": "n"}), vec!["metadata.name: Required value: name or generateName is required".to_owned()]),
            (json!({"name": "a"}), vec!["metadata.namespace: Required value".to_owned()]),
            (json!({"name": "A", "namespace": "n"}), vec![format!("metadata.name: Invalid value: \"A\": {subdomain}")]),
            (json!({"name": "a", "generateName": "ab-", "namespace": "n"}), vec![]),
            (
                json!({"name": "a", "namespace": "n.o"}),
                vec!["metadata.namespace: Invalid value: \"n.o\": must not contain dots".to_owned()],
            ),
            (
                json!({"name": "a", "namespace": "n", "finalizers": ["orphan", "foregroundDeletion"]}),
                vec![
                    "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion cannot \
                     be both set"
                        .to_owned(),
                ],
            ),
            (
                json!({"name": "a", "namespace": "n", "ownerReferences": [{"apiVersion": "a/b/c", "kind": "Pod", "name": "p"}]}),
                vec![
                    "metadata.ownerReferences.apiVersion: Invalid value: \"a/b/c\": version must not be empty".to_owned(),
                    "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty".to_owned(),
                ],
            ),
            (
                json!({"name": "a", "namespace": "n", "annotations": {"a": "x".repeat(ANNOTATIONS_BYTES_MAX)}}),
                vec!["metadata.annotations: Too long: may not be more than 262144 bytes".to_owned()],
            ),
        ];
        for (meta, want) in rows {
            let object = json!({ "metadata": meta });
            assert_eq!(words(validate_object_meta(&object, true, name_is_dns_subdomain, &Path::new("metadata"))), want);
        }
        let clustered = validate_object_meta(
            &json!({"metadata": {"name": "a/b", "namespace": "n"}}),
            false,
            name_is_path_segment,
            &Path::new("metadata"),
        );
        let want =
            ["metadata.name: Invalid value: \"a/b\": may not contain '/'", "metadata.namespace: Forbidden: not allowed on this type"];
        assert_eq!(words(clustered), want);
    }

    #[test]
    fn changes() {
        let old = json!({"name": "a", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 2});
        let rows = [
            (json!({}), vec![]),
            (json!({"resourceVersion": ""}), vec!["metadata.resourceVersion: Invalid value: \"\": must be specified for an update"]),
            (json!({"generation": 1}), vec!["metadata.generation: Invalid value: 1: must not be decremented"]),
            (json!({"uid": "v"}), vec!["metadata.uid: Invalid value: \"v\": field is immutable"]),
            (json!({"creationTimestamp": null}), vec!["metadata.creationTimestamp: Invalid value: null: field is immutable"]),
            (
                json!({"deletionTimestamp": "2020-01-01T00:00:00Z"}),
                vec!["metadata.deletionTimestamp: Invalid value: \"2020-01-01T00:00:00Z\": field is immutable"],
            ),
        ];
        for (change, want) in rows {
            let mut new = old.clone();
            crate::patch::merge::merge(&mut new, change.clone());
            let got = validate_object_meta_update(&json!({ "metadata": new }), &json!({"metadata": old}), &Path::new("metadata"));
            assert_eq!(words(got), want, "{change}");
        }
        let deleted = |finalizers: Value| json!({"metadata": {"resourceVersion": "1", "deletionTimestamp": "t", "finalizers": finalizers}});
        let got = validate_object_meta_update(&deleted(json!(["a", "c", "b"])), &deleted(json!(["a"])), &Path::new("metadata"));
        let want = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \
                    []string{\"b\", \"c\"}";
        assert_eq!(words(got), [want]);
    }

    #[test]
    fn finalizers_of_the_built_in_kinds() {
        let object = json!({"metadata": {"finalizers": ["orphan", "example.com/x", "nodomain"]}});
        let want =
            "metadata.finalizers[2]: Invalid value: \"nodomain\": name is neither a standard finalizer name nor is it fully qualified";
        assert_eq!(words(validate_kube_finalizers(&object, &Path::new("metadata"))), [want]);
    }
}
