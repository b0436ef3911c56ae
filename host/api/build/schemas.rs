//! The shapes that decoding, patching and applying need: the definitions without their words, as Rust statics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Map, Value};

use crate::definitions::{Definition, Definitions};
use crate::protobuf::{self, Messages};
use crate::resources::{GroupVersion, Gvk};

/// Definitions that are any JSON: their Go types decode themselves.
const RAW: [&str; 7] = [
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
];

/// Defaults that only say that a field is always there.
const ZERO: [&str; 4] = ["\"\"", "0", "false", "{}"];

/// The definitions that served kinds are made of, sorted by name.
pub struct Schemas<'a> {
    definitions: Vec<(&'a str, &'a Definition)>,
    /// Kinds that are whole objects, sorted.
    kinds: BTreeMap<(String, String, String), usize>,
}

impl<'a> Schemas<'a> {
    /// All that the kinds of the table's group versions lead to, and the kinds that are stored only.
    pub fn reachable(all: &'a Definitions, groups: &[GroupVersion]) -> Self {
        let served = |kind: &Gvk| {
            groups.iter().any(|g| (g.group == kind.group && g.version == kind.version) || g.resources.iter().any(|r| r.stored == *kind))
        };
        let kinds_of = |definition: &Definition| kinds(&definition.schema).into_iter().filter(served).collect::<Vec<_>>();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = all.iter().filter(|(_, d)| !kinds_of(d).is_empty()).map(|(name, _)| name.as_str()).collect();
        while let Some(name) = open.pop() {
            let definition = all.get(name).unwrap_or_else(|| panic!("no definition of {name}"));
            if names.insert(name) {
                references(&Value::Object(definition.schema.clone())).iter().for_each(|to| {
                    open.push(all.get_key_value(to).unwrap_or_else(|| panic!("no definition of {to}")).0);
                });
            }
        }
        let definitions: Vec<(&str, &Definition)> =
            names.into_iter().filter(|name| is_object(name, &all[*name])).map(|name| (name, &all[name])).collect();
        let mut by_kind = BTreeMap::new();
        for (i, (_, definition)) in definitions.iter().enumerate() {
            for kind in kinds_of(definition) {
                by_kind.insert((kind.group, kind.version, kind.kind), i);
            }
        }
        Self { definitions, kinds: by_kind }
    }

    /// Where in `SCHEMAS` a kind's shape is.
    pub fn index_of_kind(&self, gvk: &Gvk) -> Option<usize> {
        self.kinds.get(&(gvk.group.clone(), gvk.version.clone(), gvk.kind.clone())).copied()
    }

    /// `SCHEMAS`, sorted by name, and `KINDS`, sorted by group, version and kind.
    pub fn to_rust(&self, messages: &Messages<'_>) -> String {
        let mut types = Types { schemas: self, statics: String::new(), known: BTreeMap::new() };
        let mut fields = String::new();
        let mut schemas = format!("pub(super) static SCHEMAS: [Schema; {}] = [\n", self.definitions.len());
        for (i, (name, definition)) in self.definitions.iter().enumerate() {
            let schema = &definition.schema;
            let empty = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
            let required: Vec<&str> = strings(schema.get("required"));
            let _ = writeln!(fields, "static FIELDS_{i}: [Field; {}] = [", properties.len());
            // serde_json's map is sorted, as binary searches want it.
            for (field, property) in properties {
                let property = property.as_object().expect("a property is a schema");
                let default = definition.defaults.get(field).map(String::as_str).filter(|default| !ZERO.contains(default));
                let _ = writeln!(fields, "    {},", types.field(field, property, required.contains(&field.as_str()), default));
            }
            let _ = writeln!(fields, "];");
            let atomic = schema.get("x-kubernetes-map-type").is_some_and(|kind| kind == "atomic");
            let place_of = |field: &str| {
                let place = properties.keys().position(|name| name == field)?;
                Some((place, protobuf::form(references(&properties[field]).first().map(String::as_str))))
            };
            let message = messages.to_rust(name, &place_of);
            let _ = writeln!(
                schemas,
                "    Schema {{ name: Text::Borrowed({name:?}), fields: Cow::Borrowed(&FIELDS_{i}), atomic: {atomic}, \
                 preserve_unknown: false, message: {message} }},"
            );
        }
        schemas.push_str("];\n");
        let mut kinds = format!("pub(super) static KINDS: [(&str, &str, &str, u16); {}] = [\n", self.kinds.len());
        for ((group, version, kind), i) in &self.kinds {
            let _ = writeln!(kinds, "    ({group:?}, {version:?}, {kind:?}, {i}),");
        }
        kinds.push_str("];\n");
        types.statics + &fields + &schemas + &kinds
    }
}

/// What `x-kubernetes-group-version-kind` lists.
pub fn kinds(schema: &Map<String, Value>) -> Vec<Gvk> {
    let listed = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    listed.map(|gvk| Gvk { group: text(&gvk["group"]), version: text(&gvk["version"]), kind: text(&gvk["kind"]) }).collect()
}

/// The definitions that a schema names.
pub fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => match map.get("$ref").and_then(Value::as_str) {
            Some(reference) => vec![target(reference).to_owned()],
            None => map.values().flat_map(references).collect(),
        },
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn target(reference: &str) -> &str {
    reference.strip_prefix("#/definitions/").unwrap_or_else(|| panic!("not a reference: {reference}"))
}

fn is_object(name: &str, definition: &Definition) -> bool {
    !RAW.contains(&name) && definition.schema.get("type").is_some_and(|kind| kind == "object")
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Writes types of fields; those inside of lists and maps become statics, one for each that is different.
struct Types<'a> {
    schemas: &'a Schemas<'a>,
    statics: String,
    known: BTreeMap<String, usize>,
}

impl Types<'_> {
    fn field(&mut self, name: &str, property: &Map<String, Value>, required: bool, default: Option<&str>) -> String {
        let kind = self.kind(property);
        let text = |key: &str| property.get(key).and_then(Value::as_str);
        let strategy = text("x-kubernetes-patch-strategy").unwrap_or_default();
        let strategies: Vec<&str> = strategy.split(',').collect();
        let merge_key = text("x-kubernetes-patch-merge-key");
        let is_list = text("type") == Some("array");
        let mut keys = strings(property.get("x-kubernetes-list-map-keys"));
        // A list without a type has the one that its patch strategy implies, as upstream's schema conversion for apply reads it.
        let list_type = match (text("x-kubernetes-list-type"), merge_key) {
            (Some("map"), _) => "Map",
            (Some("set"), _) => "Set",
            (None, Some(key)) if is_list && strategies.contains(&"merge") => {
                keys = vec![key];
                "Map"
            }
            (None, None) if is_list && strategies.contains(&"merge") => "Set",
            _ => "Atomic",
        };
        let atomic = text("x-kubernetes-map-type") == Some("atomic");
        let keys: Vec<String> = keys.iter().map(|key| format!("Text::Borrowed({key:?})")).collect();
        let option = |value: Option<&str>| value.map_or("None".to_owned(), |value| format!("Some(Text::Borrowed({value:?}))"));
        format!(
            "Field {{ name: Text::Borrowed({name:?}), kind: {kind}, required: {required}, list_type: ListType::{list_type}, \
             list_map_keys: Cow::Borrowed(&[{}]), patch_merge_key: {}, patch_merge: {}, patch_replace: {}, patch_retain_keys: {}, atomic: {atomic}, default: {} }}",
            keys.join(", "),
            option(merge_key),
            strategies.contains(&"merge"),
            strategies.contains(&"replace"),
            strategies.contains(&"retainKeys"),
            option(default),
        )
    }

    /// A `FieldType`.
    fn kind(&mut self, schema: &Map<String, Value>) -> String {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.named(target(reference));
        }
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        match (text("type").unwrap_or_default(), text("format")) {
            ("boolean", _) => "FieldType::Bool".to_owned(),
            ("integer", Some("int64")) => "FieldType::Int64".to_owned(),
            ("integer", _) => "FieldType::Int32".to_owned(),
            ("number", _) => "FieldType::Float".to_owned(),
            ("string", Some("byte")) => "FieldType::Bytes".to_owned(),
            ("string", None) => "FieldType::String".to_owned(),
            ("array", _) => format!("FieldType::List(&TYPE_{})", self.inner(&schema["items"])),
            ("object", _) if schema.contains_key("additionalProperties") => {
                format!("FieldType::Map(&TYPE_{})", self.inner(&schema["additionalProperties"]))
            }
            other => panic!("an unknown type: {other:?}"),
        }
    }

    fn named(&self, name: &str) -> String {
        let simple = match name.rsplit('.').next().unwrap_or_default() {
            _ if RAW.contains(&name) => "Any",
            "Quantity" => "Quantity",
            "IntOrString" => "IntOrString",
            "Time" => "Time",
            "MicroTime" => "MicroTime",
            "Duration" => "Duration",
            _ => {
                let found = self.schemas.definitions.binary_search_by(|(known, _)| (*known).cmp(name));
                let i = found.unwrap_or_else(|_| panic!("neither an object nor a known type: {name}"));
                return format!("FieldType::Object(SchemaRef::Static(&SCHEMAS[{i}]))");
            }
        };
        format!("FieldType::{simple}")
    }

    fn inner(&mut self, schema: &Value) -> usize {
        let kind = self.kind(schema.as_object().expect("items are a schema"));
        if let Some(&i) = self.known.get(&kind) {
            return i;
        }
        let i = self.known.len();
        let _ = writeln!(self.statics, "static TYPE_{i}: FieldType = {kind};");
        self.known.insert(kind, i);
        i
    }
}
