//! What is wrong with a definition, in upstream's order and words. Upstream looks at an older form, in which what all versions have alike
//! stands once for all of them; that is where its paths come from.

use std::collections::HashSet;

use apimachinery::field::{Path, go_json, is_print, show};
use apimachinery::validation::name;
use serde_json::{Value, json};

use crate::Resource;
use crate::apiextensions::custom_resource_definition::schema;
use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::rules::{self, Field, Rule, field, immutable};
use crate::shared::validation::invalid_shown;
use crate::shared::value::{entries, flag, has, list, set, some, text};
use crate::shared::{metadata, webhook_client};

const SELECTABLE_MAX: usize = 8;
const APPROVED: &str = "api-approved.kubernetes.io";
const COLUMN_TYPES: &str = "boolean,date,integer,number,string";
const COLUMN_FORMATS: &str = "byte,date,date-time,double,float,int32,int64,password";

const SHARED: &[(&str, &str)] = &[
    ("subresources", "subresources"),
    ("schema", "validation"),
    ("additionalPrinterColumns", "additionalPrinterColumns"),
    ("selectableFields", "selectableFields"),
];

/// What is asked for.
struct Asked {
    schema: schema::Asked,
    every_schema: bool,
    known_review: bool,
    many_selectable: bool,
}

pub(crate) fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_generic(resource, object, metadata::subdomain, &mut errors);
    let root = FieldValue::root(object);
    let name = root.child("metadata").child("name");
    let spec = &object["spec"];
    if !name.text().is_empty() && name.text() != format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group")) {
        errors.push(name.invalid("must be spec.names.plural+\".\"+spec.group"));
    }
    let asked = Asked { schema: schema::Asked::ALL, every_schema: true, known_review: true, many_selectable: false };
    rest(object, None, &asked, &mut errors);
    errors
}

pub(crate) fn validate_update(_: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update_generic(object, old, &mut errors);
    let versions = list(&old["spec"], "versions");
    let schemas: Vec<&Value> = versions.iter().filter_map(schema_of).collect();
    let reviews = list(&old["spec"]["conversion"]["webhook"], "conversionReviewVersions");
    let selectable = |object: &Value| list(&object["spec"], "versions").iter().map(|v| v["selectableFields"].clone()).collect::<Vec<_>>();
    let asked = Asked {
        schema: schema::Asked::of_successor(&schemas),
        every_schema: schemas.len() == versions.len(),
        known_review: reviews.is_empty() || reviews.iter().any(|version| *version == "v1" || *version == "v1beta1"),
        many_selectable: selectable(object) == selectable(old),
    };
    rest(object, Some(old), &asked, &mut errors);
    errors
}

/// Its status
pub(crate) fn validate_status(_: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    if subresource == "status" {
        metadata::validate_update_generic(object, old, &mut errors);
        names(&FieldValue::root(object).child("status").child("acceptedNames"), &mut errors);
    }
    errors
}

fn schema_of(version: &Value) -> Option<&Value> {
    some(version, "schema").and_then(|schema| some(schema, "openAPIV3Schema"))
}

const FIXED_WHEN_ESTABLISHED: [Field; 2] = [immutable("scope"), field("names", &[Rule::Fields(&[immutable("kind")])])];
const FIXED: [Field; 2] = [immutable("group"), field("names", &[Rule::Fields(&[immutable("plural")])])];

fn rest(object: &Value, old: Option<&Value>, asked: &Asked, errors: &mut Errors) {
    let spec = shared_form(&object["spec"]);
    let at = FieldValue { value: &spec, path: Path::new("spec") };
    validate_spec(&at, asked, errors);
    let root = FieldValue::root(object);
    if let Some(old) = old {
        let old_spec = FieldValue::root(&old["spec"]);
        let established = list(&old["status"], "conditions").iter().any(|c| c["type"] == "Established" && c["status"] == "True");
        if established {
            rules::check(&FIXED_WHEN_ESTABLISHED, &at, Some(&old_spec), errors);
        }
        rules::check(&FIXED, &at, Some(&old_spec), errors);
    }
    let status = root.child("status");
    names(&status.child("acceptedNames"), errors);
    stored_versions(&status.child("storedVersions"), list(&spec, "versions"), errors);
    approval(object, old, errors);
    let preserve = at.child("preserveUnknownFields");
    if *preserve.value == true && !old.is_some_and(|old| flag(&old["spec"], "preserveUnknownFields")) {
        let words = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(preserve.invalid(words));
    }
}

/// What all versions have alike moves out of them; the conversion's webhook moves up.
fn shared_form(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(webhook) = some(&spec["conversion"], "webhook").cloned() {
        let conversion = &mut spec["conversion"];
        set(conversion, "webhookClientConfig", webhook["clientConfig"].clone());
        set(conversion, "conversionReviewVersions", webhook["conversionReviewVersions"].clone());
    }
    let versions = list(&spec, "versions").to_vec();
    let Some(first) = versions.first().cloned() else { return spec };
    set(&mut spec, "version", first["name"].clone());
    for (name, shared) in SHARED {
        if versions.iter().all(|version| version[*name] == first[*name]) {
            set(&mut spec, shared, first[*name].clone());
            let versions = spec["versions"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
            versions.for_each(|version| {
                version.remove(*name);
            });
        }
    }
    spec
}

/// The versions as upstream shows them; what is inside of them only roughly.
fn show_versions(versions: &[Value]) -> String {
    let shown: Vec<String> = versions
        .iter()
        .map(|version| {
            let part = |name: &str| go_json(&version[name]);
            format!(
                "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
                show(&text(version, "name").into()),
                flag(version, "served"),
                flag(version, "storage"),
                flag(version, "deprecated"),
                part("deprecationWarning"),
                part("schema"),
                part("subresources"),
                part("additionalPrinterColumns"),
                part("selectableFields"),
            )
        })
        .collect();
    format!("[{}]", shown.join(","))
}

fn dns1035(at: &FieldValue<'_>, errors: &mut Errors) {
    let problems = name::is_dns1035_label(at.text());
    if !problems.is_empty() {
        errors.push(at.invalid_as(at.text(), &problems.join(",")));
    }
}

fn validate_spec(at: &FieldValue<'_>, asked: &Asked, errors: &mut Errors) {
    let group = at.child("group");
    let problems = name::is_dns1123_subdomain(group.text());
    if group.text().is_empty() {
        errors.push(group.required(""));
    } else if !problems.is_empty() {
        errors.push(group.invalid(&problems.join(",")));
    } else if !group.text().contains('.') {
        errors.push(group.invalid("should be a domain with at least one dot"));
    }
    at.child("scope").one_of(&["Cluster", "Namespaced"], errors);
    let preserve = at.flag("preserveUnknownFields");
    let schemas: Vec<&Value> = at.some("validation").and_then(|shared| some(shared.value, "openAPIV3Schema")).into_iter().collect();
    if schemas.is_empty() {
        for version in at.items("versions").filter(|version| schema_of(version.value).is_none()) {
            let place = version.child("schema").child("openAPIV3Schema");
            if asked.every_schema {
                errors.push(place.required(""));
            } else if !preserve && version.flag("served") {
                errors.push(place.required("because otherwise all fields are pruned"));
            }
        }
    }
    let all: Vec<&Value> = list(at.value, "versions").iter().filter_map(schema_of).chain(schemas).collect();
    let mut structural = asked.schema;
    structural.structural |= !preserve || all.iter().any(|all| schema::has_defaults(all) || schema::has_extensions(all));
    if preserve && all.iter().any(|all| schema::has_defaults(all)) {
        let words = "must be false in order to use defaults in the schema";
        errors.push(at.child("preserveUnknownFields").invalid(words));
    }
    let status_of = |value: &Value| has(&value["subresources"], "status");
    let mut seen: Vec<&str> = Vec::new();
    for version in at.items("versions") {
        seen.push(version.text_of("name"));
        dns1035(&version.child("name"), errors);
        let with_status = if version.has("subresources") { status_of(version.value) } else { status_of(at.value) };
        deprecation(&version, errors);
        shared_parts(&version, "schema", with_status, structural, errors);
        if !version.is_empty("selectableFields") {
            match schema_of(version.value) {
                Some(schema) => selectable(&version, schema, asked, errors),
                None => {
                    let words = "may only be set when `version.schema.openAPIV3Schema` is not included";
                    errors.push(version.child("selectableFields").invalid_as("", words));
                }
            }
        }
    }
    let versions = at.child("versions");
    let all = list(at.value, "versions");
    let mut refuse = |words: &str| errors.push(invalid_shown(&versions.path, &show_versions(all), words));
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        refuse("must contain unique version names");
    }
    if all.iter().filter(|version| flag(version, "storage")).count() != 1 {
        refuse("must have exactly one version marked as storage version");
    }
    if !at.is_empty("version") {
        dns1035(&at.child("version"), errors);
    }
    let given = at.child("names");
    for name in ["plural", "singular", "kind", "listKind"] {
        if given.is_empty(name) {
            errors.push(given.child(name).required(""));
        }
    }
    names(&given, errors);
    let any_status = status_of(at.value) || all.iter().any(status_of);
    shared_parts(at, "validation", any_status, structural, errors);
    if !at.is_empty("selectableFields") {
        match at.some("validation") {
            Some(shared) => selectable(at, shared.child("openAPIV3Schema").value, asked, errors),
            None => {
                let words = "may only be set when validations.schema is included";
                errors.push(at.child("selectableFields").invalid_as("", words));
            }
        }
    }
    if let Some(conversion) = at.some("conversion") {
        let strategy = conversion.child("strategy");
        if preserve && strategy.text() != "None" {
            errors.push(strategy.invalid_as(strategy.text(), "must be None if spec.preserveUnknownFields is true"));
        }
        validate_conversion(&conversion, asked, errors);
    }
}

/// What a version may have of its own, or all of them together.
fn shared_parts(at: &FieldValue<'_>, schema_name: &str, with_status: bool, asked: schema::Asked, errors: &mut Errors) {
    if let Some(schema) = at.child(schema_name).some("openAPIV3Schema") {
        schema::validate(&schema, with_status, asked, errors);
    }
    if let Some(scale) = at.child("subresources").some("scale") {
        let place = |name: &str| scale.child(name);
        for (name, start, words) in [
            ("specReplicasPath", ".spec.", "should be a json path under .spec"),
            ("statusReplicasPath", ".status.", "should be a json path under .status"),
        ] {
            let path = place(name);
            match path.text() {
                "" => errors.push(path.required("")),
                text if !text.starts_with('.') => errors.push(path.invalid("must be a simple json path starting with .")),
                text if !text.starts_with(start) => errors.push(path.invalid(words)),
                _ => {}
            }
        }
        let path = place("labelSelectorPath");
        match path.text() {
            "" => {}
            text if !text.starts_with('.') => errors.push(path.invalid("must be a simple json path starting with .")),
            text if !text.starts_with(".spec.") && !text.starts_with(".status.") => {
                errors.push(path.invalid("should be a json path under either .spec or .status"));
            }
            _ => {}
        }
    }
    for column in at.items("additionalPrinterColumns") {
        if column.is_empty("name") {
            errors.push(column.child("name").required(""));
        }
        let kind = column.child("type");
        if kind.text().is_empty() {
            errors.push(kind.required(&format!("must be one of {COLUMN_TYPES}")));
        } else if !COLUMN_TYPES.split(',').any(|known| known == kind.text()) {
            errors.push(kind.invalid(&format!("must be one of {COLUMN_TYPES}")));
        }
        let format = column.child("format");
        if !format.text().is_empty() && !COLUMN_FORMATS.split(',').any(|known| known == format.text()) {
            errors.push(format.invalid(&format!("must be one of {COLUMN_FORMATS}")));
        }
        let path = column.child("jsonPath").renamed(column.path.child("JSONPath"));
        if path.text().is_empty() {
            errors.push(path.required(""));
        } else if !path.text().starts_with('.') {
            errors.push(path.invalid("must be a simple json path starting with ."));
        }
    }
}

fn deprecation(version: &FieldValue<'_>, errors: &mut Errors) {
    let Some(warning) = version.some("deprecationWarning") else { return };
    if !version.flag("deprecated") {
        errors.push(warning.invalid("can only be set for deprecated versions"));
        return;
    }
    if warning.text().len() > 256 {
        errors.push(warning.invalid("must be <= 256 characters long"));
    }
    if warning.text().is_empty() {
        errors.push(warning.invalid("must not be an empty string"));
    }
    if let Some((i, _)) = warning.text().char_indices().find(|(_, c)| !is_print(*c)) {
        let words = format!("must only contain printable UTF-8 characters; non-printable character found at index {i}");
        errors.push(warning.invalid(&words));
    }
}

fn selectable(at: &FieldValue<'_>, schema: &Value, asked: &Asked, errors: &mut Errors) {
    let mut seen: HashSet<Vec<String>> = HashSet::new();
    for field in at.items("selectableFields") {
        let path = field.child("jsonPath");
        if path.text().is_empty() {
            errors.push(path.required(""));
            continue;
        }
        match schema::field_at(schema, path.text(), false) {
            Err(why) => errors.push(path.invalid(&format!("is an invalid path: {why}"))),
            Ok((names, found)) => {
                if names.first().is_some_and(|name| name == "metadata") {
                    errors.push(path.invalid("must not point to fields in metadata"));
                }
                if !["string", "boolean", "integer"].contains(&text(found, "type")) {
                    let words = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                    errors.push(path.invalid(words));
                }
                if seen.contains(&names) {
                    errors.push(path.duplicate());
                } else {
                    seen.insert(names);
                }
            }
        }
    }
    if seen.len() > SELECTABLE_MAX && !asked.many_selectable {
        errors.push(apimachinery::field::Error::too_many(&at.path.child("selectableFields"), seen.len(), SELECTABLE_MAX));
    }
}

/// The names that are there.
fn names(at: &FieldValue<'_>, errors: &mut Errors) {
    for name in ["plural", "singular"] {
        if !at.is_empty(name) {
            dns1035(&at.child(name), errors);
        }
    }
    for name in ["kind", "listKind"] {
        let kind = at.child(name);
        let problems = name::is_dns1035_label(&kind.text().to_lowercase());
        if !kind.text().is_empty() && !problems.is_empty() {
            errors.push(kind.invalid(&format!("may have mixed case, but should otherwise match: {}", problems.join(","))));
        }
    }
    at.items("shortNames").for_each(|name| dns1035(&name, errors));
    let list_kind = at.child("listKind");
    if !list_kind.text().is_empty() && list_kind.text() == at.text_of("kind") {
        errors.push(list_kind.invalid("kind and listKind may not be the same"));
    }
    at.items("categories").for_each(|name| dns1035(&name, errors));
}

fn validate_conversion(at: &FieldValue<'_>, asked: &Asked, errors: &mut Errors) {
    at.child("strategy").one_of(&["None", "Webhook"], errors);
    let (config, reviews) = (at.child("webhookClientConfig"), at.child("conversionReviewVersions"));
    if at.text_of("strategy") != "Webhook" {
        for (found, place) in [(!config.value.is_null(), &config), (!at.is_empty("conversionReviewVersions"), &reviews)] {
            if found {
                errors.push(place.forbidden("should not be set when strategy is not set to Webhook"));
            }
        }
        return;
    }
    if config.value.is_null() {
        errors.push(config.required("required when strategy is set to Webhook"));
    } else {
        webhook_client::client_config(&config, "exactly one of url or service is required", errors);
    }
    if at.is_empty("conversionReviewVersions") {
        errors.push(reviews.required(""));
        return;
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for version in at.items("conversionReviewVersions") {
        if seen.contains(&version.text()) {
            errors.push(version.invalid("duplicate version"));
            continue;
        }
        seen.insert(version.text());
        version.problems(name::is_dns1035_label(version.text()), errors);
    }
    if asked.known_review && !seen.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        errors.push(reviews.invalid("must include at least one of v1, v1beta1"));
    }
}

fn stored_versions(at: &FieldValue<'_>, versions: &[Value], errors: &mut Errors) {
    let stored: Vec<&str> = at.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if stored.is_empty() {
        errors.push(at.invalid("must have at least one stored version"));
        return;
    }
    let known: HashSet<&str> = stored.iter().copied().collect();
    for version in versions.iter().filter(|version| flag(version, "storage")) {
        let name = text(version, "name");
        if !known.contains(name) {
            errors.push(at.invalid(&format!("must have the storage version {name}")));
        }
    }
    let served: HashSet<&str> = versions.iter().map(|version| text(version, "name")).collect();
    for (i, name) in stored.iter().enumerate() {
        if !served.contains(name) {
            let words = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(FieldValue { value: &json!(name), path: at.path.index(i) }.invalid(&words));
        }
    }
}

/// A group of the community says that it was approved.
fn approval(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let group = text(&object["spec"], "group");
    if !["k8s.io", "kubernetes.io"].iter().any(|domain| group == *domain || group.ends_with(&format!(".{domain}"))) {
        return;
    }
    let state = |object: &Value| {
        let annotation = entries(&object["metadata"], "annotations").find(|(name, _)| *name == APPROVED);
        let annotation = annotation.and_then(|(_, value)| value.as_str()).unwrap_or("");
        let url = annotation.split_once("://").filter(|(scheme, rest)| {
            let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
            scheme_ok && !rest.is_empty() && !rest.starts_with('/')
        });
        match annotation {
            "" => 'm',
            text if text.starts_with("unapproved") => 'b',
            _ if url.is_some() => 'a',
            _ => 'i',
        }
    };
    let new = state(object);
    if old.is_some_and(|old| state(old) == new) {
        return;
    }
    let at = FieldValue::root(object).child("metadata").child("annotations");
    let at = FieldValue { value: at.value.get(APPROVED).unwrap_or(&Value::Null), path: at.path.key(APPROVED) };
    let words = format!("protected groups must have approval annotation \"{APPROVED}\"");
    const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";
    match new {
        'm' => errors.push(at.required(&format!("{words}, {SEE}"))),
        'i' => errors.push(at.invalid(&format!("{words} with either a URL or a reason starting with \"unapproved\", {SEE}"))),
        _ => {}
    }
}
