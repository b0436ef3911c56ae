//! Reads YAML into [`Node`]s as `sigs.k8s.io/yaml` turns it into JSON: YAML 1.1's words for true and false, octal numbers, merge
//! keys; keys sorted, of repeated ones the last; the first document alone.
//!
//! What aliases stand for has a budget, a multiple of the body ([`Budget`]): what is short as text must not be large in memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use super::node::{Node, OBJECT_LEVELS_MAX, OBJECTS_COUNT_MAX, TOO_DEEP, TOO_MANY_OBJECTS};
use crate::field::go_quote;

/// Bytes of memory that anchors and aliases may take for each byte of the body, besides [`ALIASED_BYTES_FREE`]. An object with aliases that
/// people write repeats a few lines a few times.
const ALIASED_BYTES_PER_BODY_BYTE_MAX: usize = 8;
/// Bytes that they may take in a body of any size.
const ALIASED_BYTES_FREE: usize = 1 << 20;
/// Repeated keys that are named, as many as the JSON reader names.
const REPEATED_KEYS_MAX: usize = 100;

/// Upstream's words for a body that is mostly aliases.
const EXCESSIVE_ALIASING: &str = "yaml: document contains excessive aliasing";

/// What a body may still cost.
struct Budget {
    /// Bytes that copies of anchored values may take.
    aliased_bytes: usize,
    /// Objects, those in copies included.
    objects: usize,
    /// Values and keys read so far, and how many of them aliases stood for: upstream refuses by their ratio.
    decoded: usize,
    aliased: usize,
}

/// What a value costs that is copied.
#[derive(Default)]
struct Cost {
    bytes: usize,
    levels: usize,
    objects: usize,
    /// Values and keys.
    decoded: usize,
}

impl Cost {
    fn of(node: &Node<'_>) -> Self {
        let own = Self { bytes: size_of::<Node<'_>>(), decoded: 1, ..Self::default() };
        match node {
            Node::String(text) | Node::Number(text) => Self { bytes: own.bytes + text.len(), ..own },
            Node::Array(items) => items.iter().fold(Self { levels: 1, ..own }, |sum, item| {
                let item = Self::of(item);
                // An item counts as an object, whatever it is.
                sum.and(Self { objects: item.objects.max(1), ..item })
            }),
            Node::Object(pairs) => pairs.iter().fold(Self { levels: 1, objects: 1, ..own }, |sum, (key, value)| {
                let sum = sum.and(Self::of(value));
                Self { bytes: sum.bytes + size_of::<String>() + key.len(), decoded: sum.decoded + 1, ..sum }
            }),
            _ => own,
        }
    }

    fn and(self, inner: Self) -> Self {
        Self {
            bytes: self.bytes + inner.bytes,
            levels: self.levels.max(inner.levels + 1),
            objects: self.objects + inner.objects,
            decoded: self.decoded + inner.decoded,
        }
    }
}

impl Budget {
    fn new(body_bytes: usize) -> Self {
        let aliased_bytes = ALIASED_BYTES_FREE + ALIASED_BYTES_PER_BODY_BYTE_MAX * body_bytes;
        Self { aliased_bytes, objects: OBJECTS_COUNT_MAX, decoded: 0, aliased: 0 }
    }

    fn spend(left: &mut usize, spent: usize, words: &str) -> Result<(), String> {
        *left = left.checked_sub(spent).ok_or_else(|| words.to_owned())?;
        Ok(())
    }

    /// For an anchored value that is kept aside.
    fn anchor(&mut self, node: &Node<'_>) -> Result<(), String> {
        Self::spend(&mut self.aliased_bytes, Cost::of(node).bytes, EXCESSIVE_ALIASING)
    }

    /// For what an alias inside of `open` lists and mappings stands for.
    fn alias(&mut self, node: &Node<'_>, open: usize) -> Result<(), String> {
        let cost = Cost::of(node);
        Self::spend(&mut self.aliased_bytes, cost.bytes, EXCESSIVE_ALIASING)?;
        self.objects(cost.objects)?;
        self.decoded += cost.decoded;
        self.aliased += cost.decoded;
        if open + cost.levels > OBJECT_LEVELS_MAX {
            return Err(format!("yaml: {TOO_DEEP}"));
        }
        let ratio = self.aliased as f64 / self.decoded as f64;
        if self.aliased > 100 && self.decoded > 1000 && ratio > allowed_alias_ratio(self.decoded) {
            return Err(EXCESSIVE_ALIASING.to_owned());
        }
        Ok(())
    }

    fn objects(&mut self, objects: usize) -> Result<(), String> {
        Self::spend(&mut self.objects, objects, &format!("yaml: {TOO_MANY_OBJECTS}"))
    }
}

/// Which part of all values may come from aliases: 99 % of 400,000, falling to 10 % of 4,000,000.
fn allowed_alias_ratio(decoded: usize) -> f64 {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    0.99 - 0.89 * ((decoded as f64 - LOW) / (HIGH - LOW)).clamp(0.0, 1.0)
}

/// A YAML body.
#[derive(Debug)]
pub struct Document<'a> {
    /// What it says.
    pub node: Node<'a>,
    /// Repeated keys, in the words of a strict reader; it is one error of several lines.
    pub strict_error: Option<String>,
}

/// An open list or mapping, and the anchor on it.
enum Frame<'a> {
    List { items: Vec<Node<'a>>, anchor: usize },
    Mapping { pairs: BTreeMap<String, Node<'a>>, key: Option<Key>, anchor: usize, merged: Vec<(String, Node<'a>)> },
}

enum Key {
    Name(String),
    /// `<<`
    Merge,
}

/// Reads the first document.
pub fn parse(text: &str) -> Result<Document<'_>, String> {
    let mut options = Options::default();
    options.emit_comments = false;
    let mut reader = Reader { open: Vec::new(), anchors: HashMap::new(), budget: Budget::new(text.len()), repeated: Vec::new() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| format!("yaml: line {}: {}", error.marker().line(), error.info()))?;
        if let Some(node) = reader.event(event, span)? {
            let strict_error = (!reader.repeated.is_empty()).then(|| format!("yaml: unmarshal errors:\n{}", reader.repeated.join("\n")));
            return Ok(Document { node, strict_error });
        }
    }
    Ok(Document { node: Node::Null, strict_error: None })
}

struct Reader<'a> {
    open: Vec<Frame<'a>>,
    anchors: HashMap<usize, Node<'a>>,
    budget: Budget,
    repeated: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Takes an event; gives back the document where it is complete.
    fn event(&mut self, event: Event<'a>, span: Span) -> Result<Option<Node<'a>>, String> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // As a key, a plain word is what it means: `{on: 1}` has the key `true`.
                if let Some(Frame::Mapping { key: key @ None, .. }) = self.open.last_mut() {
                    *key = Some(key_of(&text, style, tag.as_deref())?);
                    self.budget.decoded += 1;
                    if anchor != 0 {
                        self.anchors.insert(anchor, Node::String(text));
                    }
                    return Ok(None);
                }
                self.budget.decoded += 1;
                let node = scalar(text, style, tag.as_deref())?;
                self.complete(node, anchor, line)
            }
            Event::SequenceStart(_, anchor, _) => self.start(Frame::List { items: Vec::new(), anchor }),
            Event::MappingStart(_, anchor, _) => {
                self.start(Frame::Mapping { pairs: BTreeMap::new(), key: None, anchor, merged: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (node, anchor) = match self.open.pop() {
                    Some(Frame::List { items, anchor }) => (Node::Array(items), anchor),
                    Some(Frame::Mapping { mut pairs, anchor, merged, .. }) => {
                        for (key, value) in merged {
                            pairs.entry(key).or_insert(value);
                        }
                        (Node::Object(pairs.into_iter().map(|(key, value)| (Cow::Owned(key), value)).collect()), anchor)
                    }
                    None => return Err("yaml: did not find expected node content".to_owned()),
                };
                self.complete(node, anchor, line)
            }
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    return Err("yaml: anchor value contains itself".to_owned());
                };
                self.budget.alias(anchored, self.open.len())?;
                let node = anchored.clone();
                if let (Some(Frame::Mapping { key: key @ None, .. }), Node::String(text)) = (self.open.last_mut(), &node) {
                    *key = Some(Key::Name(text.clone().into_owned()));
                    return Ok(None);
                }
                self.complete(node, 0, line)
            }
            // An empty document is null.
            Event::DocumentEnd => Ok(Some(Node::Null)),
            _ => Ok(None),
        }
    }

    fn start(&mut self, frame: Frame<'a>) -> Result<Option<Node<'a>>, String> {
        if self.open.len() >= OBJECT_LEVELS_MAX {
            return Err(format!("yaml: {TOO_DEEP}"));
        }
        if let Some(Frame::Mapping { key: None, .. }) = self.open.last() {
            return Err("yaml: invalid map key".to_owned());
        }
        self.budget.decoded += 1;
        if matches!(frame, Frame::Mapping { .. }) {
            self.budget.objects(1)?;
        }
        self.open.push(frame);
        Ok(None)
    }

    /// Puts a complete value where it belongs.
    fn complete(&mut self, node: Node<'a>, anchor: usize, line: usize) -> Result<Option<Node<'a>>, String> {
        if anchor != 0 {
            self.budget.anchor(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => return Ok(Some(node)),
            Some(Frame::List { items, .. }) => {
                if !matches!(node, Node::Object(_)) {
                    self.budget.objects(1)?;
                }
                items.push(node);
            }
            Some(Frame::Mapping { pairs, key, merged, .. }) => match key.take() {
                Some(Key::Name(name)) => {
                    if pairs.contains_key(&name) && self.repeated.len() < REPEATED_KEYS_MAX {
                        self.repeated.push(format!("  line {line}: key {} already set in map", go_quote(&name)));
                    }
                    pairs.insert(name, node);
                }
                Some(Key::Merge) => merge(node, merged)?,
                None => return Err("yaml: invalid map key".to_owned()),
            },
        }
        Ok(None)
    }
}

/// `<<: *base`, or a list of such: earlier ones win.
fn merge<'a>(node: Node<'a>, merged: &mut Vec<(String, Node<'a>)>) -> Result<(), String> {
    let wanted = || "yaml: map merge requires map or sequence of maps as the value".to_owned();
    match node {
        Node::Object(pairs) => merged.extend(pairs.into_iter().map(|(key, value)| (key.into_owned(), value))),
        Node::Array(items) => {
            for item in items {
                let Node::Object(pairs) = item else { return Err(wanted()) };
                merged.extend(pairs.into_iter().map(|(key, value)| (key.into_owned(), value)));
            }
        }
        _ => return Err(wanted()),
    }
    Ok(())
}

fn key_of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Key, String> {
    if text == "<<" && style == ScalarStyle::Plain && tag.is_none() {
        return Ok(Key::Merge);
    }
    Ok(Key::Name(match scalar(text.into(), style, tag)? {
        Node::String(text) | Node::Number(text) => text.into_owned(),
        Node::Bool(value) => value.to_string(),
        _ => return Err("unsupported map key of type: %!s(<nil>), key: <nil>".to_owned()),
    }))
}

fn scalar<'a>(text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node<'a>, String> {
    let tag = tag.map(|tag| (tag.core_suffix(), tag.suffix()));
    let resolved = match tag {
        None if style != ScalarStyle::Plain => return Ok(Node::String(text)),
        None => resolve(&text),
        Some((Some("str"), _) | (None, _)) => return Ok(Node::String(text)),
        Some((Some(wanted), _)) => {
            let resolved = resolve(&text);
            let (found, fits) = match &resolved {
                Some(Node::Null) => ("null", wanted == "null"),
                Some(Node::Bool(_)) => ("bool", wanted == "bool"),
                Some(Node::Number(number)) if number.contains(['.', 'e']) => ("float", wanted == "float"),
                Some(Node::Number(_)) => ("int", matches!(wanted, "int" | "float")),
                _ => ("str", false),
            };
            if !fits {
                return Err(format!("yaml: cannot decode !!{found} `{text}` as a !!{wanted}"));
            }
            resolved
        }
    };
    match resolved {
        Some(Node::Number(number)) if matches!(&*number, "NaN" | "+Inf" | "-Inf") => Err(format!("json: unsupported value: {number}")),
        Some(node) => Ok(node),
        None => Ok(Node::String(text)),
    }
}

/// What a plain word means by itself; `None`: a string.
fn resolve(text: &str) -> Option<Node<'static>> {
    let number = |number: String| Some(Node::Number(number.into()));
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Node::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Some(Node::Bool(true)),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Some(Node::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return number("NaN".into()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return number("+Inf".into()),
        "-.inf" | "-.Inf" | "-.INF" => return number("-Inf".into()),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => plain_float(text),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).map_or_else(|| plain_float(&plain), number)
        }
        _ => None,
    }
}

/// Go's integers to any base: `0x1f`, `0b11`, `0o17`, and `017`, too.
fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    match sign {
        "-" if magnitude > i64::MIN.unsigned_abs() => None,
        "-" if magnitude == 0 => Some("0".to_owned()),
        sign => Some(format!("{sign}{magnitude}")),
    }
}

/// A decimal number with a point or an exponent, written as Go's JSON writes it.
fn plain_float(text: &str) -> Option<Node<'static>> {
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let magnitude = value.abs();
    let written = if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        format!("{value:e}").replace('e', if magnitude >= 1.0 { "e+" } else { "e" })
    } else {
        format!("{value}")
    };
    Some(Node::Number(written.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match parse(text) {
            Ok(document) => document.node.into_value().map_or_else(|error| format!("err: {error}"), |value| value.to_string()),
            Err(error) => format!("err: {error}"),
        }
    }

    #[test]
    fn values_are_those_of_yaml_1_1() {
        let rows = [
            ("", "null"),
            ("---\n", "null"),
            ("# nothing\n", "null"),
            ("a: yes\nb: off\nc: ~\nd: 'yes'\ne: !!str yes", r#"{"a":true,"b":false,"c":null,"d":"yes","e":"yes"}"#),
            (
                "{a: 1, b: 0777, c: 0o17, d: 0x1F, e: 1_000, f: 0b11, g: -5, h: +5, i: 08}",
                r#"{"a":1,"b":511,"c":15,"d":31,"e":1000,"f":3,"g":-5,"h":5,"i":8}"#,
            ),
            ("{a: 1.0, b: 1e3, c: .5, d: 1.50, e: 1e-9, f: 12e20}", r#"{"a":1,"b":1000,"c":0.5,"d":1.5,"e":1e-9,"f":1.2e+21}"#),
            (
                "{a: 2001-01-01, b: 1.2.3, c: 12:30:00, d: 0x, e: 5G, f: 1e999}",
                r#"{"a":"2001-01-01","b":"1.2.3","c":"12:30:00","d":"0x","e":"5G","f":"1e999"}"#,
            ),
            ("{on: 1, 2: b, 1.5: c}", r#"{"1.5":"c","2":"b","true":1}"#),
            ("a: |\n  x\n  y\nb: >\n  x\n  y\n", r#"{"a":"x\ny\n","b":"x y\n"}"#),
            ("a: &x {k: v}\nb: *x\n", r#"{"a":{"k":"v"},"b":{"k":"v"}}"#),
            ("a: &x {k: v, l: 1}\nb: {<<: *x, l: 2}\n", r#"{"a":{"k":"v","l":1},"b":{"k":"v","l":2}}"#),
            ("a: 1\n---\na: 2\n", r#"{"a":1}"#),
            ("- 1\n- [2, {a: b}]\n", r#"[1,[2,{"a":"b"}]]"#),
            ("{\"apiVersion\":\"v1\",\"x\":[1,true,null,\"a\"]}", r#"{"apiVersion":"v1","x":[1,true,null,"a"]}"#),
            ("a: .nan", "err: json: unsupported value: NaN"),
            ("a: !!int x", "err: yaml: cannot decode !!str `x` as a !!int"),
            ("? [a]\n: b", "err: yaml: invalid map key"),
        ];
        for (text, want) in rows {
            assert_eq!(json(text), want, "{text}");
        }
    }

    #[test]
    fn repeated_keys_are_named_with_their_lines() {
        let document = parse("apiVersion: v1\nmetadata:\n  name: a\n  name: b\ndata:\n  a: \"1\"\n  a: \"2\"\n").expect("well-formed");
        let want = "yaml: unmarshal errors:\n  line 4: key \"name\" already set in map\n  line 7: key \"a\" already set in map";
        assert_eq!(document.strict_error.as_deref(), Some(want));
        let value = document.node.into_value().expect("shallow");
        assert_eq!(value.pointer("/metadata/name"), Some(&"b".into()));
    }

    #[test]
    fn what_is_not_yaml_is_refused() {
        for text in ["a: [", "apiVersion: v1\n kind: ConfigMap\n", "a: *nope", "\t- x: y\n\tz", "a: b: c"] {
            assert!(json(text).starts_with("err: yaml: "), "{text}: {}", json(text));
        }
        assert!(json(&"[".repeat(100_000)).starts_with("err: yaml: "));
        let deep = "[".repeat(OBJECT_LEVELS_MAX + 5) + &"]".repeat(OBJECT_LEVELS_MAX + 5);
        assert!(json(&deep).starts_with("err: "), "{}", json(&deep));
    }

    #[test]
    fn aliases_do_not_explode() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..20 {
            let previous = i - 1;
            text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{previous}"); 10].join(","));
        }
        assert_eq!(json(&text), "err: yaml: document contains excessive aliasing");
        // Large scalars, aliases in a list and as merged mappings, and anchors inside of each other, each of which is kept.
        let scalars = format!("a: &a {}\nb:\n{}", "x".repeat(1000), "- *a\n".repeat(80_000));
        let pairs: String = (0..1000).map(|i| format!("k{i}: v, ")).collect();
        let merged = format!("a: &a {{{pairs}}}\nb:\n{}", "- {<<: *a}\n".repeat(10_000));
        let merged_lists = format!("a: &a {{{pairs}}}\nb: {{<<: [{}]}}\n", "*a,".repeat(10_000));
        let nested = format!("{}[{}]{}", "[&a ".repeat(100), "1234,".repeat(60_000), "]".repeat(100));
        let keys = format!("a: &a {}\nb:\n{}", "x".repeat(1000), "- {*a : 1}\n".repeat(10_000));
        for text in [scalars, merged, merged_lists, nested, keys] {
            assert_eq!(json(&text), "err: yaml: document contains excessive aliasing", "{}", &text[..60]);
        }
        let fair = format!("a: &a {{x: 1, y: [{}]}}\nb:\n{}", "12,".repeat(100), "- *a\n".repeat(100));
        assert!(json(&fair).starts_with(r#"{"a":"#));
        assert!(json("a: &a [*a]").starts_with("err: yaml: "));
        for (open, close) in [("[", "]"), ("{x: ", "}")] {
            let mut nested = "a0: &a0 [x]\n".to_owned();
            for i in 1..300 {
                nested += &format!("a{i}: &a{i} {open}*a{}{close}\n", i - 1);
            }
            assert_eq!(json(&nested), "err: yaml: exceeded max depth", "{open}");
        }
    }

    #[test]
    fn objects_and_repeated_keys_are_bounded() {
        for item in ["{a: 1}", "''", "[]"] {
            let many = format!("- {item}\n").repeat(OBJECTS_COUNT_MAX + 1);
            assert_eq!(json(&many), "err: yaml: exceeded max number of objects");
        }
        let document = parse(&"a: 1\n".repeat(1000)).map(|document| document.strict_error.unwrap_or_default().lines().count());
        assert_eq!(document, Ok(REPEATED_KEYS_MAX + 1));
    }
}
