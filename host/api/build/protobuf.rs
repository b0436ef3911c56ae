//! The numbers of fields in protobuf (`data/protobuf.txt`), joined with the definitions.

use std::collections::BTreeMap;

/// A line's fields, by definition.
pub struct Messages<'a> {
    lines: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Messages<'a> {
    /// Reads the data file.
    pub fn parse(text: &'a str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut words = line.split(' ');
            (words.next().expect("a word"), words.collect())
        });
        Self { lines: lines.collect() }
    }

    /// `Some(&Message { … })` of a definition whose fields stand at those places, each with the form of its type.
    pub fn to_rust(&self, definition: &str, place_of: &dyn Fn(&str) -> Option<(usize, &'static str)>) -> String {
        match self.lines.contains_key(definition) {
            true => format!("Some(&{})", self.message(definition, definition, place_of)),
            false => "None".to_owned(),
        }
    }

    fn message(&self, name: &str, outer: &str, place_of: &dyn Fn(&str) -> Option<(usize, &'static str)>) -> String {
        let words = self.lines.get(name).unwrap_or_else(|| panic!("data/protobuf.txt: no line of {name}, embedded in {outer}"));
        let (package, short) = name.rsplit_once('.').expect("a package");
        let parts: Vec<String> = words
            .iter()
            .map(|word| {
                let (field, number) = word.split_once('=').unwrap_or_else(|| panic!("data/protobuf.txt: {name}: no number: {word}"));
                let (number, form) = number.split_once(':').map_or((number, None), |(number, form)| (number, Some(form)));
                let (number, always) = number.strip_suffix('!').map_or((number, false), |number| (number, true));
                let content = match field.strip_prefix('&') {
                    Some(embedded) => {
                        let embedded = if embedded.contains('.') { embedded.to_owned() } else { format!("{package}.{embedded}") };
                        format!("Content::Embedded(&{})", self.message(&embedded, outer, place_of))
                    }
                    None => {
                        let (place, typed) = place_of(field).unwrap_or_else(|| panic!("data/protobuf.txt: {outer} has no field {field}"));
                        let form = if form == Some("items") { "Items" } else { typed };
                        format!("Content::Field({place}, Form::{form})")
                    }
                };
                format!("Part {{ number: {number}, always: {always}, content: {content} }}")
            })
            .collect();
        format!("Message {{ name: {short:?}, parts: &[{}] }}", parts.join(", "))
    }
}

/// The form of a type that is any JSON; `Typed` of all others. `reference` is what the field, its items or its values refer to.
pub fn form(reference: Option<&str>) -> &'static str {
    match reference.and_then(|name| name.rsplit('.').next()) {
        Some("RawExtension" | "FieldsV1" | "JSON") => "Raw",
        Some("JSONSchemaPropsOrArray") => "SchemaOrArray",
        Some("JSONSchemaPropsOrBool") => "SchemaOrBool",
        Some("JSONSchemaPropsOrStringArray") => "SchemaOrStrings",
        _ => "Typed",
    }
}
