//! The schemas of custom resources: what may stand in them, and that they are structural. Rules in CEL, patterns and whether a default
//! fits its own schema are for whoever has the means.

use std::collections::HashSet;

use apimachinery::field::Path;
use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::value::{entries, flag, has, list, some, text};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const METADATA: &[&str] = &["metadata", "kind", "apiVersion"];
const REASONS: &[&str] = &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const NESTED: &[&str] = &["allOf", "oneOf", "anyOf"];
const LIST_TYPE: &str = "x-kubernetes-list-type";
const MAP_TYPE: &str = "x-kubernetes-map-type";
const MAP_KEYS: &str = "x-kubernetes-list-map-keys";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const RULES: &str = "x-kubernetes-validations";

/// What is asked for. What an old definition already broke is not asked of its successor.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) types: bool,
    pub(crate) structural: bool,
    pub(crate) pruned: bool,
    pub(crate) atomic_sets: bool,
    pub(crate) map_keys: bool,
}

impl Asked {
    /// Of a new definition.
    pub(crate) const ALL: Self = Self { types: true, structural: true, pruned: true, atomic_sets: true, map_keys: true };

    /// Of the successor of a definition with these schemas.
    pub(crate) fn of_successor(schemas: &[&Value]) -> Self {
        let none = |found: &dyn Fn(&Value) -> bool| !schemas.iter().any(|schema| any(schema, found));
        let whole = |found: &dyn Fn(&Value) -> bool| !schemas.iter().any(|schema| found(schema));
        Self {
            types: none(&|schema| !text(schema, "type").is_empty() && !TYPES.contains(&text(schema, "type"))),
            structural: whole(&|schema| unsupported(schema) || !structural(&FieldValue::root(schema)).is_empty()),
            pruned: whole(&|schema| {
                let mut errors = Errors::new();
                pruned_defaults(&FieldValue::root(schema), true, false, &mut errors);
                !errors.is_empty()
            }),
            atomic_sets: none(&|schema| {
                let mut errors = Errors::new();
                atomic_set(&FieldValue::root(schema), &mut errors);
                !errors.is_empty()
            }),
            map_keys: none(&|schema| {
                let mut errors = Errors::new();
                map_keys(&FieldValue::root(schema), &mut errors);
                !errors.is_empty()
            }),
        }
    }
}

/// Whether a schema, or one inside of it, is so.
fn any(schema: &Value, found: &dyn Fn(&Value) -> bool) -> bool {
    found(schema)
        || ["not", "items", "additionalProperties", "additionalItems"].iter().any(|name| match schema.get(name) {
            Some(Value::Array(schemas)) => schemas.iter().any(|schema| any(schema, found)),
            Some(inner @ Value::Object(_)) => any(inner, found),
            _ => false,
        })
        || NESTED.iter().any(|name| list(schema, name).iter().any(|schema| any(schema, found)))
        || ["properties", "patternProperties", "definitions", "dependencies"]
            .iter()
            .any(|name| entries(schema, name).any(|(_, schema)| schema.is_object() && any(schema, found)))
}

/// Whether a schema has what only structural ones may have.
pub(crate) fn has_extensions(schema: &Value) -> bool {
    any(schema, &|schema| schema.as_object().is_some_and(|map| map.keys().any(|key| key.starts_with("x-kubernetes-"))))
}

/// Whether a schema has defaults.
pub(crate) fn has_defaults(schema: &Value) -> bool {
    any(schema, &|schema| has(schema, "default"))
}

/// The schema of a version, at `openAPIV3Schema`.
pub(crate) fn validate(at: &FieldValue<'_>, with_status: bool, asked: Asked, errors: &mut Errors) {
    if with_status {
        root_with_status(at, errors);
    }
    if flag(at.value, "nullable") {
        errors.push(at.renamed(Path::new(&format!("{}.nullable", at.path))).forbidden("nullable cannot be true at the root"));
    }
    if asked.structural && !unsupported(at.value) {
        let mut found = structural(at);
        if found.is_empty() && asked.pruned {
            pruned_defaults(at, true, false, &mut found);
        }
        errors.append(&mut found);
    }
    open_api(at, &Place { root: true, defaults: Ok(()), metadata: false }, asked, errors);
}

/// With a status of its own, a root says nothing that would have to hold for both halves.
fn root_with_status(at: &FieldValue<'_>, errors: &mut Errors) {
    const FORBIDDEN: &[&str] = &[
        "id",
        "$schema",
        "$ref",
        "nullable",
        "default",
        "enum",
        "maxProperties",
        "minProperties",
        "allOf",
        "oneOf",
        "anyOf",
        "not",
        "additionalProperties",
        "patternProperties",
        "dependencies",
        "additionalItems",
        "definitions",
        EMBEDDED,
        INT_OR_STRING,
        MAP_KEYS,
        LIST_TYPE,
        MAP_TYPE,
    ];
    const WORDS: &str = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled";
    let kind = at.child("type");
    if !kind.text().is_empty() && kind.text() != "object" {
        const OBJECT: &str = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(kind.invalid(OBJECT));
    } else if FORBIDDEN.iter().any(|name| at.has(name) && at.value[*name] != false) {
        errors.push(at.invalid(WORDS));
    }
}

/// What keeps a schema from being taken as a structural one at all.
fn unsupported(schema: &Value) -> bool {
    const NAMES: &[&str] = &["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"];
    any(schema, &|schema| {
        NAMES.iter().any(|name| some(schema, name).is_some_and(|value| *value != "" && *value != serde_json::json!({})))
            || schema.get("items").is_some_and(Value::is_array)
    })
}

/// Where in a schema.
#[derive(Clone)]
struct Place {
    root: bool,
    /// Whether defaults may be set, and why not.
    defaults: Result<(), String>,
    metadata: bool,
}

/// A schema inside of another one.
fn inner<'a>(at: &FieldValue<'a>, name: &str) -> Option<FieldValue<'a>> {
    at.some(name).filter(|at| at.value.is_object())
}

fn open_api(at: &FieldValue<'_>, place: &Place, asked: Asked, errors: &mut Errors) {
    standard(at, place, asked, errors);
    let nested = Place { root: false, ..place.clone() };
    if at.flag("uniqueItems") {
        let words = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(at.child("uniqueItems").forbidden(words));
    }
    if let Some(additional) = at.some("additionalProperties") {
        if !at.is_empty("properties") && *additional.value != true {
            errors.push(additional.forbidden("additionalProperties and properties are mutual exclusive"));
        }
        if additional.value.is_object() {
            let mut place = nested.clone();
            if place.metadata {
                place.defaults = Err(" inside additionalProperties applying to object metadata".to_owned());
            }
            open_api(&additional, &place, asked, errors);
        }
    }
    for (name, property) in at.entries("properties") {
        let mut inside = nested.clone();
        if (place.root || at.flag(EMBEDDED)) && METADATA.contains(&name) {
            inside.metadata = true;
            if place.root {
                inside.defaults = Err(format!(" in top-level {name}"));
            }
        }
        open_api(&property, &inside, asked, errors);
    }
    if let Some(not) = inner(at, "not") {
        open_api(&not, &nested, asked, errors);
    }
    for name in NESTED {
        at.items(name).for_each(|schema| open_api(&schema, &nested, asked, errors));
    }
    at.entries("definitions").for_each(|(_, schema)| open_api(&schema, &nested, asked, errors));
    match at.value.get("items") {
        Some(Value::Object(_)) => open_api(&at.child("items"), &nested, asked, errors),
        Some(Value::Array(_)) => at.items("items").for_each(|schema| open_api(&schema, &nested, asked, errors)),
        _ => {}
    }
    for (_, schema) in at.entries("dependencies").filter(|(_, schema)| schema.value.is_object()) {
        open_api(&schema, &nested, asked, errors);
    }
    if let Some(preserve) = at.some(PRESERVE).filter(|preserve| *preserve.value != true) {
        errors.push(preserve.invalid("must be true or undefined"));
    }
    let kind = at.child("type");
    let typed = |name: &str, wanted: &str, errors: &mut Errors| {
        let wrong = at.has(name) && kind.text() != wanted;
        if wrong {
            let words = format!("must be {wanted} if {name} is specified");
            errors.push(if kind.text().is_empty() { kind.required(&words) } else { kind.invalid(&words) });
        }
        wrong
    };
    typed(MAP_TYPE, "object", errors);
    let map_type = at.child(MAP_TYPE);
    if at.has(MAP_TYPE) && !["atomic", "granular"].contains(&map_type.text()) {
        errors.push(map_type.unsupported(&["atomic", "granular"]));
    }
    if !typed(LIST_TYPE, "array", errors) && asked.atomic_sets {
        atomic_set(at, errors);
    }
    let list_type = at.child(LIST_TYPE);
    if at.has(LIST_TYPE) && !["atomic", "set", "map"].contains(&list_type.text()) {
        errors.push(list_type.unsupported(&["atomic", "set", "map"]));
    }
    if !at.is_empty(MAP_KEYS) && list_type.text() != "map" {
        let words = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(if at.has(LIST_TYPE) { list_type.invalid(words) } else { list_type.required(words) });
    }
    if list_type.text() == "map" {
        map_list(at, errors);
    }
    if asked.map_keys {
        map_keys(at, errors);
    }
    at.items(RULES).for_each(|rule| validation_rule(at, &rule, errors));
}

/// What no schema may have.
fn standard(at: &FieldValue<'_>, place: &Place, asked: Asked, errors: &mut Errors) {
    let kind = at.child("type");
    if asked.types && !kind.text().is_empty() && !TYPES.contains(&kind.text()) {
        errors.push(kind.unsupported(TYPES));
    }
    if let (true, Err(why)) = (at.has("default"), &place.defaults) {
        errors.push(at.child("default").forbidden(&format!("must not be set{why}")));
    }
    let present = |name: &str| at.some(name).is_some_and(|at| *at.value != "" && *at.value != serde_json::json!({}));
    for (name, found) in [
        ("id", present("id")),
        ("additionalItems", at.has("additionalItems")),
        ("patternProperties", present("patternProperties")),
        ("definitions", present("definitions")),
        ("dependencies", at.has("dependencies")),
        ("$ref", at.has("$ref")),
    ] {
        if found {
            errors.push(at.child(name).forbidden(&format!("{name} is not supported")));
        }
    }
    if kind.text() == "null" {
        errors.push(kind.forbidden("type cannot be set to null, use nullable as an alternative"));
    }
    if !list(at.value, "items").is_empty() {
        errors.push(at.child("items").forbidden("items must be a schema object and not an array"));
    }
    if place.metadata && at.flag(EMBEDDED) {
        errors.push(at.child(EMBEDDED).forbidden("must not be used inside of resource meta"));
    }
}

/// The items of a set are compared as wholes.
fn atomic_set(at: &FieldValue<'_>, errors: &mut Errors) {
    const WORDS: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let Some(items) = inner(at, "items").filter(|_| at.text_of(LIST_TYPE) == "set") else { return };
    let list_type = items.child(LIST_TYPE);
    match items.text_of("type") {
        "array" if items.has(LIST_TYPE) && list_type.text() != "atomic" => errors.push(list_type.invalid(WORDS)),
        // The list's type is what upstream shows here.
        "object" if items.text_of(MAP_TYPE) != "atomic" => errors.push(list_type.renamed(items.path.child(MAP_TYPE)).invalid(WORDS)),
        _ => {}
    }
}

/// A list with keys has objects with those keys.
fn map_list(at: &FieldValue<'_>, errors: &mut Errors) {
    let keys = at.child(MAP_KEYS);
    if at.is_empty(MAP_KEYS) {
        errors.push(keys.required("must not be empty if x-kubernetes-list-type is map"));
    }
    if !at.has("items") {
        errors.push(at.child("items").required("must have a schema if x-kubernetes-list-type is map"));
    }
    if at.value["items"].is_array() {
        errors.push(at.child("items").invalid("must only have a single schema if x-kubernetes-list-type is map"));
    }
    let Some(items) = inner(at, "items") else { return };
    let kind = items.child("type");
    if kind.text() != "object" {
        errors.push(kind.invalid_as(kind.text(), "must be object if parent array's x-kubernetes-list-type is map"));
        return;
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for key in at.texts(MAP_KEYS) {
        match items.value["properties"].get(key) {
            None => errors.push(keys.invalid("entries must all be names of item properties")),
            Some(property) if ["array", "object"].contains(&text(property, "type")) => {
                let place = kind.renamed(items.path.child("properties").key(key).child("type"));
                errors.push(place.invalid("must be a scalar type if parent array's x-kubernetes-list-type is map"));
            }
            Some(_) => {}
        }
        if seen.contains(&key) {
            errors.push(keys.invalid("must not contain duplicate entries"));
        }
        seen.insert(key);
    }
}

/// What tells items apart is always there.
fn map_keys(at: &FieldValue<'_>, errors: &mut Errors) {
    let kind = at.text_of(LIST_TYPE);
    let Some(items) = inner(at, "items").filter(|_| matches!(kind, "set" | "map")) else { return };
    if items.flag("nullable") {
        errors.push(items.child("nullable").forbidden(&format!("cannot be nullable when x-kubernetes-list-type is {kind}")));
    }
    if kind != "map" {
        return;
    }
    let required: HashSet<&str> = items.texts("required").collect();
    let properties = items.child("properties");
    for key in at.texts(MAP_KEYS) {
        let Some(property) = properties.value.get(key) else { continue };
        let property = FieldValue { value: property, path: properties.path.key(key) };
        if !required.contains(key) && !property.has("default") {
            let words = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(property.child("default").required(words));
        }
        if property.flag("nullable") {
            let words = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(property.child("nullable").forbidden(words));
        }
    }
}

fn has_newlines(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

/// What a rule says around its expression.
fn validation_rule(schema: &FieldValue<'_>, rule: &FieldValue<'_>, errors: &mut Errors) {
    let expression = rule.text_of("rule").trim();
    let (message, trimmed) = (rule.child("message"), rule.text_of("message").trim());
    if expression.is_empty() {
        errors.push(rule.child("rule").required("rule is not specified"));
    } else if !message.text().is_empty() && trimmed.is_empty() {
        errors.push(message.invalid("must be non-empty if specified"));
    } else if has_newlines(trimmed) {
        errors.push(message.invalid("must not contain line breaks"));
    } else if has_newlines(expression) && trimmed.is_empty() {
        errors.push(message.required("message must be specified if rule contains line breaks"));
    }
    let computed = rule.child("messageExpression");
    if !computed.text().is_empty() && computed.text().trim().is_empty() {
        errors.push(computed.required("messageExpression must be non-empty if specified"));
    }
    if let Some(reason) = rule.some("reason").filter(|reason| !REASONS.contains(&reason.text())) {
        errors.push(reason.unsupported(REASONS));
    }
    let path = rule.child("fieldPath");
    if path.text().is_empty() {
        return;
    }
    if path.text().trim().is_empty() {
        errors.push(path.invalid("must be non-empty if specified"));
    }
    if has_newlines(path.text()) {
        errors.push(path.invalid("must not contain line breaks"));
    }
    if !unsupported(schema.value) && field_at(schema.value, path.text(), true).is_err() {
        errors.push(path.invalid("must be a valid path"));
    }
}

/// A dot, a bracket, a quoted string, or what is between them.
fn token(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    let end = match first {
        '\'' => {
            let bytes = text.as_bytes();
            let close = (1..bytes.len()).find(|&i| bytes[i] == b'\'' && bytes[i - 1] != b'\\');
            close.map_or(text.len(), |close| close + 1)
        }
        '.' | '[' | ']' => 1,
        _ => text.find(['.', '[', ']']).unwrap_or(text.len()),
    };
    Some(text.split_at(end))
}

/// The schema that a path leads to, with the names on the way; or why it leads nowhere.
pub(crate) fn field_at<'a>(schema: &'a Value, path: &str, brackets: bool) -> Result<(Vec<String>, &'a Value), String> {
    const NOWHERE: &str = "does not refer to a valid field";
    const END: &str = "unexpected end of JSON path";
    let (mut names, mut schema, mut rest) = (Vec::new(), schema, path);
    while let Some((first, tail)) = token(rest) {
        let (name, tail) = match first {
            "[" if !brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let (name, tail) = token(tail).ok_or(END)?;
                let inner = name.strip_prefix('\'').and_then(|name| name.strip_suffix('\''));
                let inner = inner.ok_or_else(|| format!("expected single quoted string but got {name}"))?;
                match token(tail) {
                    Some(("]", tail)) => (inner.replace("\\'", "'"), tail),
                    Some((other, _)) => return Err(format!("expected ] but got {other}")),
                    None => return Err(END.to_owned()),
                }
            }
            "." => match token(tail) {
                Some((name, tail)) => (name.to_owned(), tail),
                None => (".".to_owned(), ""),
            },
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        schema = match (some(schema, "properties"), some(schema, "additionalProperties")) {
            (Some(properties), _) => properties.get(&name).ok_or(NOWHERE)?,
            (None, Some(additional)) if additional.is_object() => additional,
            _ => return Err(NOWHERE.to_owned()),
        };
        names.push(name);
        rest = tail;
    }
    Ok((names, schema))
}

/// Why a schema is not structural, sorted.
fn structural(at: &FieldValue<'_>) -> Errors {
    let mut errors = Errors::new();
    invariants(at, "at the root", &mut errors);
    complete(at.value, Some(at.value), &at.path, &at.path, &mut errors);
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

const ROOT: &str = "at the root";
const ITEM: &str = "for specified array items";
const FIELD: &str = "for specified object fields";

fn invariants(at: &FieldValue<'_>, level: &str, errors: &mut Errors) {
    let kind = at.child("type");
    let (embedded, preserve, either) = (at.flag(EMBEDDED), at.flag(PRESERVE), at.flag(INT_OR_STRING));
    match inner(at, "items") {
        Some(items) => invariants(&items, ITEM, errors),
        None if kind.text() == "array" => errors.push(at.child("items").required("must be specified")),
        None => {}
    }
    at.entries("properties").for_each(|(_, property)| invariants(&property, FIELD, errors));
    if let Some(additional) = at.some("additionalProperties") {
        if level == ROOT {
            errors.push(additional.forbidden("must not be used at the root"));
        }
        if additional.value.is_object() {
            invariants(&additional, FIELD, errors);
        }
    }
    if either && preserve {
        errors.push(at.child(PRESERVE).invalid("must be false if x-kubernetes-int-or-string is true"));
    }
    if either && embedded {
        errors.push(at.child(EMBEDDED).invalid("must be false if x-kubernetes-int-or-string is true"));
    }
    let either_of = serde_json::json!([{ "type": "integer" }, { "type": "string" }]);
    let first = list(at.value, "allOf").first();
    values(at, at.value["anyOf"] == either_of, first.is_some_and(|first| first["anyOf"] == either_of), errors);
    if embedded && kind.text() != "object" {
        let words = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.text().is_empty() { kind.required(words) } else { kind.invalid(words) });
    } else if kind.text().is_empty() && !either && !preserve {
        errors.push(kind.required(&format!("must not be empty {level}")));
    }
    if embedded && at.has("additionalProperties") {
        let words = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(at.child("additionalProperties").forbidden(words));
    }
    if level == ROOT && !kind.text().is_empty() && kind.text() != "object" {
        errors.push(kind.invalid("must be object at the root"));
    }
    let resource = level == ROOT || embedded;
    for (name, property) in at.entries("properties").filter(|_| resource) {
        let kind = property.child("type");
        match name {
            "kind" | "apiVersion" if kind.text() != "string" => errors.push(kind.invalid_as(kind.text(), "must be string")),
            "metadata" if kind.text() != "object" => errors.push(kind.invalid_as(kind.text(), "must be object")),
            _ => {}
        }
        if name == "metadata" && level == ROOT && !names_only(property.value) {
            let words = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(property.forbidden(words));
        }
    }
    if embedded && !preserve && at.is_empty("properties") {
        let words = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(at.child("properties").required(words));
    }
}

/// Whether a root's metadata restricts nothing but the names.
fn names_only(metadata: &Value) -> bool {
    let restrains = |name: &str, value: &Value| match name {
        "type" | "default" => false,
        "properties" => entries(metadata, "properties").any(|(name, _)| name != "name" && name != "generateName"),
        _ => !value.is_null() && *value != false && *value != "",
    };
    !metadata.as_object().is_some_and(|map| map.iter().any(|(name, value)| restrains(name, value)))
}

/// What is nested in a schema says nothing about structure.
fn values(at: &FieldValue<'_>, skip_any: bool, skip_first_any: bool, errors: &mut Errors) {
    if !skip_any {
        at.items("anyOf").for_each(|schema| nested(&schema, false, errors));
    }
    for (i, schema) in at.items("allOf").enumerate() {
        nested(&schema, skip_first_any && i == 0, errors);
    }
    at.items("oneOf").for_each(|schema| nested(&schema, false, errors));
    if let Some(not) = inner(at, "not") {
        nested(&not, false, errors);
    }
}

fn nested(at: &FieldValue<'_>, skip_any: bool, errors: &mut Errors) {
    values(at, skip_any, false, errors);
    if let Some(items) = inner(at, "items") {
        nested(&items, false, errors);
    }
    at.entries("properties").for_each(|(_, property)| nested(&property, false, errors));
    for (name, words) in [
        ("type", "empty"),
        ("additionalProperties", "undefined"),
        ("default", "undefined"),
        ("title", "empty"),
        ("description", "empty"),
        ("nullable", "false"),
        (PRESERVE, "false"),
        (EMBEDDED, "false"),
        (INT_OR_STRING, "false"),
        (MAP_KEYS, "empty"),
        (LIST_TYPE, "undefined"),
        (MAP_TYPE, "undefined"),
        (RULES, "empty"),
    ] {
        let found = match words {
            "empty" => !at.is_empty(name),
            "false" => at.flag(name),
            _ => at.has(name),
        };
        if found {
            errors.push(at.child(name).forbidden(&format!("must be {words} to be structural")));
        }
    }
    if at.value["properties"].get("metadata").is_some() {
        let path = at.path.child("properties").key("metadata");
        errors.push(at.renamed(path).forbidden("must not be specified in a nested context"));
    }
}

/// What is nested in a schema is about fields that the schema has.
fn complete(nested: &Value, schema: Option<&Value>, at: &Path, nested_at: &Path, errors: &mut Errors) {
    let inside = |nested: &Value, nested_at: Path, errors: &mut Errors| {
        complete(nested, schema, at, &nested_at, errors);
        if let Some(items) = some(nested, "items") {
            let inner = schema.and_then(|schema| some(schema, "items"));
            complete_nested(items, inner, &at.child("items"), &nested_at.child("items"), errors);
        }
        for (name, property) in entries(nested, "properties") {
            let (path, nested_path) = (at.child("properties").key(name), nested_at.child("properties").key(name));
            let inner = schema.and_then(|schema| some(&schema["properties"], name));
            complete_nested(property, inner, &path, &nested_path, errors);
        }
    };
    if let Some(not) = some(nested, "not") {
        inside(not, nested_at.child("not"), errors);
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (i, nested) in list(nested, name).iter().enumerate() {
            inside(nested, nested_at.child(name).index(i), errors);
        }
    }
}

fn complete_nested(nested: &Value, schema: Option<&Value>, at: &Path, nested_at: &Path, errors: &mut Errors) {
    let Some(schema) = schema else {
        errors.push(FieldValue { value: nested, path: at.clone() }.required(&format!("because it is defined in {nested_at}")));
        return;
    };
    let wrapped = serde_json::json!({ "allOf": [nested] });
    // One step down without a name of its own in the path.
    let mut found = Errors::new();
    complete(&wrapped, Some(schema), at, nested_at, &mut found);
    let (long, short) = (format!("{}.allOf[0]", nested_at), nested_at.to_string());
    for error in &mut found {
        error.body = error.body.replace(&long, &short);
    }
    errors.append(&mut found);
}

/// Defaults hold nothing that would be pruned from them.
fn pruned_defaults(at: &FieldValue<'_>, root: bool, metadata: bool, errors: &mut Errors) {
    let embedded = root || at.flag(EMBEDDED);
    let metadata = metadata && !embedded;
    if let Some(default) = at.some("default").filter(|_| !metadata)
        && prunes(default.value, Some(at.value), embedded)
    {
        errors.push(default.invalid("must not have unknown fields"));
    }
    if let Some(items) = inner(at, "items") {
        pruned_defaults(&items, false, metadata, errors);
    }
    for (name, property) in at.entries("properties") {
        pruned_defaults(&property, false, metadata || embedded && METADATA.contains(&name), errors);
    }
}

/// Whether pruning takes anything away.
fn prunes(value: &Value, schema: Option<&Value>, resource: bool) -> bool {
    let preserve = schema.is_some_and(|schema| flag(schema, PRESERVE));
    match value {
        Value::Object(map) => map.iter().any(|(name, value)| {
            let Some(schema) = schema else { return true };
            if resource && METADATA.contains(&name.as_str()) {
                return false;
            }
            if let Some(property) = schema["properties"].get(name) {
                return prunes(value, Some(property), flag(property, EMBEDDED));
            }
            match some(schema, "additionalProperties") {
                Some(additional @ Value::Object(_)) => prunes(value, Some(additional), flag(additional, EMBEDDED)),
                Some(_) => value.is_object() && !preserve && prunes(value, None, false),
                None => !preserve,
            }
        }),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| some(schema, "items"));
            !preserve && items.iter().any(|item| prunes(item, schema, schema.is_some_and(|schema| flag(schema, EMBEDDED))))
        }
        _ => false,
    }
}
