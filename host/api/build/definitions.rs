//! Kubernetes' published definitions, as upstream's server would show them.
//!
//! The package that carries them made three edits for validators' sake, which are undone here; and what a running server
//! adds (`data/fields.txt`) is added.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

/// The definition of a quantity.
pub const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
/// The definition of a number or a string.
pub const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

/// The package leaves these two out.
const QUANTITY_DESCRIPTION: &str = "A number with a suffix, exact: 100m, 1.5, 1Gi, 2e3. Suffixes are powers of ten (n, u, m, k, M, G, T, P, E) or \
     of 1024 (Ki, Mi, Gi, Ti, Pi, Ei), or an exponent. At most 2^63-1, at most three decimals: what is finer is rounded up. It is shown in a \
     canonical form, with the largest suffix of its kind that needs no fraction: 1500m rather than 1.5, 1536Mi rather than 1.5Gi.";
const INT_OR_STRING_DESCRIPTION: &str = "A 32-bit integer or a string: for example a port's number or name, or a count or percentage.";

/// By name, each an OpenAPI v2 schema.
pub type Definitions = BTreeMap<String, Definition>;

pub struct Definition {
    pub schema: Map<String, Value>,
    /// By field, as JSON text. Not in `schema`: OpenAPI v2 does not show them. Zero values among them are no defaults but
    /// say that the field is always there.
    pub defaults: BTreeMap<String, String>,
}

/// Reads the definitions, and the facts that they leave out.
pub fn load(path: &Path, fields: &str, serialization: &str) -> Definitions {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Value::Object(all) = file["$defs"].take() else { panic!("{}: no $defs: not the expected package", path.display()) };
    let mut definitions: Definitions =
        all.into_iter().map(|(name, schema)| (name, Definition { schema: restore(schema), defaults: BTreeMap::new() })).collect();
    for (name, format, description) in
        [(QUANTITY, None, QUANTITY_DESCRIPTION), (INT_OR_STRING, Some("int-or-string"), INT_OR_STRING_DESCRIPTION)]
    {
        let definition = definitions.get_mut(name).unwrap_or_else(|| panic!("no definition of {name}"));
        definition.schema.remove("oneOf");
        definition.schema.insert("description".to_owned(), json!(description));
        definition.schema.insert("type".to_owned(), json!("string"));
        if let Some(format) = format {
            definition.schema.insert("format".to_owned(), json!(format));
        }
    }
    for line in serialization.lines().filter(|line| !line.starts_with('#')) {
        add_zero_values(&mut definitions, line);
    }
    add_list_metadata(&mut definitions);
    for line in fields.lines().filter(|line| !line.starts_with('#')) {
        add_facts(&mut definitions, line);
    }
    definitions
}

/// Undoes the edits: a type is not a list with "null", references have another root, and `apiVersion` and `kind` of a kind
/// are not limited to its own.
fn restore(schema: Value) -> Map<String, Value> {
    let Value::Object(mut schema) = schema else { panic!("a definition is an object") };
    if schema.contains_key("x-kubernetes-group-version-kind") {
        for field in ["apiVersion", "kind"] {
            if let Some(Value::Object(field)) = schema.get_mut("properties").and_then(|properties| properties.get_mut(field)) {
                field.remove("enum");
            }
        }
    }
    restore_in(&mut schema);
    schema
}

fn restore_in(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get("type") {
        let one = types.iter().find(|name| *name != "null").cloned().expect("a type besides null");
        schema.insert("type".to_owned(), one);
    }
    if let Some(Value::String(reference)) = schema.get_mut("$ref") {
        *reference = reference.replace("#/$defs/", "#/definitions/");
    }
    for part in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(part) {
            restore_in(inner);
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            restore_in(property.as_object_mut().expect("a property is a schema"));
        }
    }
}

/// One line of `data/serialization.txt`: a field that is always there is shown with its zero value as default.
fn add_zero_values(definitions: &mut Definitions, line: &str) {
    let mut words = line.split_whitespace();
    let Some(definition) = words.next().and_then(|name| definitions.get_mut(name)) else { return };
    for (field, presence) in words.filter_map(|word| word.split_once(':')) {
        let reference = definition.schema.get("properties").and_then(|p| p.get(field)).is_some_and(|field| field.get("$ref").is_some());
        let default = match presence {
            "text" if !reference => "\"\"",
            "zero" if !reference => "0",
            "false" if !reference => "false",
            "object" => "{}",
            _ => continue,
        };
        definition.defaults.insert(field.to_owned(), default.to_owned());
    }
}

/// Metadata of lists is always there, too.
fn add_list_metadata(definitions: &mut Definitions) {
    for definition in definitions.values_mut() {
        let metadata =
            definition.schema.get("properties").and_then(|properties| properties.get("metadata")).and_then(|metadata| metadata.get("$ref"));
        if metadata.and_then(Value::as_str).is_some_and(|reference| reference.ends_with(".ListMeta")) {
            definition.defaults.insert("metadata".to_owned(), "{}".to_owned());
        }
    }
}

/// One line of `data/fields.txt`.
fn add_facts(definitions: &mut Definitions, line: &str) {
    let (facts, values) = line.split_once(" enum=").map_or((line, None), |(facts, values)| (facts, Some(values)));
    let mut words = facts.split(' ');
    let (name, field) = (words.next().expect("a word"), words.next().unwrap_or_else(|| panic!("no field: {line}")));
    let definition = definitions.get_mut(name).unwrap_or_else(|| panic!("no such definition: {line}"));
    let property = definition.schema.get_mut("properties").and_then(|p| p.get_mut(field)).and_then(Value::as_object_mut);
    let property = property.unwrap_or_else(|| panic!("no such field: {line}"));
    if let Some(default) = words.next().and_then(|word| word.strip_prefix("default=")) {
        definition.defaults.insert(field.to_owned(), default.to_owned());
    }
    let Some(values) = values else { return };
    let values: Vec<&str> = values.split(',').collect();
    let inner = match property["type"].as_str() {
        Some("array") => property.get_mut("items"),
        Some("object") => property.get_mut("additionalProperties"),
        _ => None,
    };
    match inner {
        Some(inner) => inner["enum"] = json!(values),
        None => {
            let mut described = property.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
            described.push_str("\n\nPossible enum values:");
            for value in &values {
                described.push_str(&format!("\n - `\"{value}\"`"));
            }
            property.insert("description".to_owned(), Value::String(described));
            property.insert("enum".to_owned(), json!(values));
        }
    }
}
