//! OpenAPI v2 in protobuf: google's message `openapi.v2.Document` (gnostic), written from the JSON by a table (`data/gnostic.txt`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

const TABLE: &str = include_str!("../../data/gnostic.txt");
const EXTENSIONS: &str = "x-*";
const OTHERS: &str = "*";
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;

/// The document's bytes. What the messages have no place for is an error, and never left out.
pub fn encode(document: &Value) -> Result<Vec<u8>, String> {
    let table = Table::parse(TABLE);
    let mut out = Vec::new();
    table.form("Document", document, &mut out).map_err(|Unfit { at, problem }| format!("{at}: {problem}"))?;
    Ok(out)
}

/// A value that a form cannot have, and where.
struct Unfit {
    at: String,
    problem: &'static str,
}

impl Unfit {
    fn new(problem: &'static str) -> Self {
        Self { at: String::new(), problem }
    }

    fn below(self, key: &str) -> Self {
        Self { at: format!("/{key}{}", self.at), ..self }
    }
}

/// A field of a message, or an alternative of a choice.
struct Field<'t> {
    /// Its name in JSON, or the alternative's condition.
    name: &'t str,
    number: u32,
    form: &'t str,
    is_list: bool,
}

impl<'t> Field<'t> {
    fn parse(word: &'t str) -> Self {
        let (name, rest) = word.rsplit_once('=').expect("name=number");
        let (rest, is_list) = rest.strip_suffix("[]").map_or((rest, false), |rest| (rest, true));
        let (number, form) = rest.split_once(':').unwrap_or((rest, "string"));
        Self { name, number: number.parse().expect("a number"), form, is_list }
    }

    /// Whether an alternative is the one for a value.
    fn holds(&self, value: &Value) -> bool {
        match self.name {
            "_" => true,
            "bool" => value.is_boolean(),
            condition => match condition.split_once(':') {
                Some((key, text)) => value[key] == text,
                None => value.get(condition).is_some(),
            },
        }
    }
}

enum Line<'t> {
    Message(Vec<Field<'t>>),
    Choice(Vec<Field<'t>>),
}

struct Table<'t>(BTreeMap<&'t str, Line<'t>>);

impl<'t> Table<'t> {
    fn parse(text: &'t str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
            let (name, fields) = line.split_once(' ').expect("a name and fields");
            let fields = fields.split(' ').map(Field::parse).collect();
            match name.strip_suffix('?') {
                Some(name) => (name, Line::Choice(fields)),
                None => (name, Line::Message(fields)),
            }
        });
        Self(lines.collect())
    }

    /// The content of a message in that form.
    fn form(&self, form: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), Unfit> {
        match form {
            // JSON is YAML. Gnostic writes the same value in blocks, and whoever reads it parses it.
            "any" => text(2, &format!("{value}\n"), out),
            "strings" => match value {
                Value::Array(list) => list.iter().try_for_each(|one| self.field(1, "string", one, out))?,
                one => self.field(1, "string", one, out)?,
            },
            name => match self.0.get(name).unwrap_or_else(|| panic!("data/gnostic.txt has no {name}")) {
                Line::Message(fields) => self.message(fields, value.as_object().ok_or(Unfit::new("no object"))?, out)?,
                Line::Choice(fields) => {
                    let chosen = fields.iter().find(|field| field.holds(value)).ok_or(Unfit::new("of no known type"))?;
                    self.field(chosen.number, chosen.form, value, out)?;
                }
            },
        }
        Ok(())
    }

    fn message(&self, fields: &[Field<'_>], object: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        let is_extension = |key: &str| key.starts_with("x-") && has(EXTENSIONS);
        // A property may be called `*`, too.
        let is_other = |key: &str| !is_extension(key) && (key == OTHERS || !has(key));
        if !has(OTHERS)
            && let Some(key) = object.keys().find(|key| is_other(key))
        {
            return Err(Unfit::new("no such field").below(key));
        }
        for field in fields {
            match field.name {
                EXTENSIONS => self.entries(field, object.iter().filter(|(key, _)| is_extension(key)), out)?,
                OTHERS => self.entries(field, object.iter().filter(|(key, _)| is_other(key)), out)?,
                name => {
                    if let Some(value) = object.get(name) {
                        self.named(field, value, out).map_err(|unfit| unfit.below(name))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Keys and values as a list of messages.
    fn entries<'v>(
        &self,
        field: &Field<'_>,
        entries: impl Iterator<Item = (&'v String, &'v Value)>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        for (key, value) in entries {
            let mut entry = Vec::new();
            text(1, key, &mut entry);
            self.field(2, field.form, value, &mut entry).map_err(|unfit| unfit.below(key))?;
            delimited(field.number, &entry, out);
        }
        Ok(())
    }

    fn named(&self, field: &Field<'_>, value: &Value, out: &mut Vec<u8>) -> Result<(), Unfit> {
        if field.is_list {
            let list = value.as_array().ok_or(Unfit::new("no list"))?;
            return list.iter().try_for_each(|item| self.field(field.number, field.form, item, out));
        }
        // What reads the same where it is not there is not written.
        let is_zero = match field.form {
            "string" => *value == "",
            "bool" => *value == false,
            "int" | "double" => value.as_f64() == Some(0.0),
            _ => false,
        };
        if is_zero {
            return Ok(());
        }
        self.field(field.number, field.form, value, out)
    }

    /// A field that is written whatever it is: an item of a list, the one field of a choice.
    fn field(&self, number: u32, form: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), Unfit> {
        match form {
            "string" => text(number, value.as_str().ok_or(Unfit::new("no string"))?, out),
            "bool" => {
                tag(number, VARINT, out);
                varint(value.as_bool().ok_or(Unfit::new("no boolean"))?.into(), out);
            }
            "int" => {
                tag(number, VARINT, out);
                varint(value.as_i64().ok_or(Unfit::new("no integer"))?.cast_unsigned(), out);
            }
            "double" => {
                tag(number, FIXED64, out);
                out.extend(value.as_f64().ok_or(Unfit::new("no number"))?.to_le_bytes());
            }
            form => {
                let mut content = Vec::new();
                self.form(form, value, &mut content)?;
                delimited(number, &content, out);
            }
        }
        Ok(())
    }
}

fn text(number: u32, text: &str, out: &mut Vec<u8>) {
    delimited(number, text.as_bytes(), out);
}

fn delimited(number: u32, content: &[u8], out: &mut Vec<u8>) {
    tag(number, DELIMITED, out);
    varint(content.len() as u64, out);
    out.extend(content);
}

fn tag(number: u32, wire: u32, out: &mut Vec<u8>) {
    varint(((number << 3) | wire).into(), out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
