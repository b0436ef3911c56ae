//! JSON to YAML, letter for letter as upstream's writer (sigs.k8s.io/yaml over libyaml's emitter): block style, keys in natural order,
//! sequences not indented below their key, scalars folded after 80 columns, strings quoted where YAML 1.1 would read something else.
//!
//! Where in the flow: the response writers, for clients that ask for `application/yaml`. Pure.

use std::cmp::Ordering;

use serde_json::Value;

/// A scalar is folded at the first space behind this column.
const WIDTH_COLUMNS: usize = 80;
/// Columns of one level.
const INDENT_COLUMNS: usize = 2;
/// Longer keys are written with `?`.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// The document.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    writer.node(value, 0, Place::Root);
    writer.out.push('\n');
    writer.out
}

/// What stands before a node on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// `- `
    Item,
    /// `key:`
    Value,
}

struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    /// Writes a node whose block begins at `indent`.
    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort_by(|a, b| natural_order(a, b));
                for (at, key) in keys.into_iter().enumerate() {
                    if at > 0 || place == Place::Value {
                        self.line(indent);
                    }
                    self.entry(key, &map[key], indent);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 || place == Place::Value {
                        self.line(indent);
                    }
                    self.put("- ");
                    self.node(item, indent + INDENT_COLUMNS, Place::Item);
                }
            }
            scalar => {
                if place == Place::Value {
                    self.put(" ");
                }
                // Continuation lines stand one level deeper than the key or the dash.
                let parent = if place == Place::Item { indent - INDENT_COLUMNS } else { indent };
                self.scalar(scalar, parent + INDENT_COLUMNS);
            }
        }
    }

    fn entry(&mut self, key: &str, value: &Value, indent: usize) {
        // A block in a mapping is indented, but for a sequence.
        let inner = match value {
            Value::Object(map) if !map.is_empty() => indent + INDENT_COLUMNS,
            _ => indent,
        };
        if key.len() <= SIMPLE_KEY_BYTES_MAX && !key.contains('\n') {
            self.text(key, indent, true);
            self.put(":");
            self.node(value, inner, Place::Value);
        } else {
            self.put("? ");
            self.text(key, indent + INDENT_COLUMNS, false);
            self.line(indent);
            self.put(":");
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.put(" ");
                    self.node(value, inner, Place::Item);
                }
                _ => self.node(value, inner, Place::Value),
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(bool) => self.put(if *bool { "true" } else { "false" }),
            Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(float) => self.put(&go_float(float)),
                None => self.put(&number.to_string()),
            },
            Value::String(text) => self.text(text, indent, false),
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
        }
    }

    fn text(&mut self, text: &str, indent: usize, key: bool) {
        let shape = Shape::of(text);
        if text.contains('\n') && shape.block_allowed && !key {
            self.literal(text, indent);
        } else if text.contains('\n') || !reads_as_string(text) || !shape.single_quotes_allowed {
            self.double_quoted(text, indent, key);
        } else if shape.plain_allowed {
            self.folded(text, indent, key, None);
        } else {
            self.folded(text, indent, key, Some('\''));
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put(&INDENT_COLUMNS.to_string());
        }
        if !text.ends_with('\n') {
            self.put("-");
        } else if text.len() == 1 || text.ends_with("\n\n") {
            self.put("+");
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            if line.is_empty() {
                self.out.push('\n');
            } else {
                self.line(indent);
                self.put(line);
            }
        }
        self.column = WIDTH_COLUMNS;
    }

    /// Plain, or in single quotes: folded at single spaces.
    fn folded(&mut self, text: &str, indent: usize, key: bool, quote: Option<char>) {
        let quote_text = quote.map(String::from).unwrap_or_default();
        self.put(&quote_text);
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (at, &c) in chars.iter().enumerate() {
            let last = at + 1 == chars.len();
            let inside = quote.is_none() || (at > 0 && !last);
            if c == ' ' && !key && !after_space && self.column > WIDTH_COLUMNS && inside && chars.get(at + 1) != Some(&' ') {
                self.line(indent);
            } else {
                if Some(c) == quote {
                    self.put(&quote_text);
                }
                self.put(c.encode_utf8(&mut [0; 4]));
            }
            after_space = c == ' ';
        }
        self.put(&quote_text);
    }

    fn double_quoted(&mut self, text: &str, indent: usize, key: bool) {
        self.put("\"");
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (at, &c) in chars.iter().enumerate() {
            let fold = c == ' ' && !key && !after_space && self.column > WIDTH_COLUMNS && at > 0 && at + 1 < chars.len();
            if fold {
                self.line(indent);
                if chars.get(at + 1) == Some(&' ') {
                    self.put("\\");
                }
            } else if let Some(escaped) = escape(c) {
                self.put(&escaped);
            } else {
                self.put(c.encode_utf8(&mut [0; 4]));
            }
            after_space = c == ' ';
        }
        self.put("\"");
    }
}

fn escape(c: char) -> Option<String> {
    if c != '"' && c != '\\' && c != '\n' && is_printable(c) {
        return None;
    }
    Some(match c {
        '\0' => "\\0".into(),
        '\u{7}' => "\\a".into(),
        '\u{8}' => "\\b".into(),
        '\t' => "\\t".into(),
        '\n' => "\\n".into(),
        '\u{b}' => "\\v".into(),
        '\u{c}' => "\\f".into(),
        '\r' => "\\r".into(),
        '\u{1b}' => "\\e".into(),
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\u{85}' => "\\N".into(),
        '\u{2028}' => "\\L".into(),
        '\u{2029}' => "\\P".into(),
        c if u32::from(c) <= 0xff => format!("\\x{:02X}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("\\u{:04X}", u32::from(c)),
        c => format!("\\U{:08X}", u32::from(c)),
    })
}

/// libyaml's idea of it, which knows nothing beyond the basic plane but takes it.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
        || matches!(c, '\u{ff00}'..)
}

/// Which styles a string can be written in.
struct Shape {
    plain_allowed: bool,
    single_quotes_allowed: bool,
    block_allowed: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let is_space = |at: usize| chars.get(at) == Some(&' ');
        let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let is_blank_or_end = |at: usize| chars.get(at).is_none_or(|c| matches!(c, ' ' | '\t' | '\0') || is_break(*c));
        let (Some(&first), Some(&last)) = (chars.first(), chars.last()) else {
            return Self { plain_allowed: false, single_quotes_allowed: true, block_allowed: false };
        };
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut line_breaks, mut space_break, mut break_space) = (false, false, false, false);
        for (at, &c) in chars.iter().enumerate() {
            indicators |= match (at, c) {
                (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => true,
                (0, '?' | '-') | (_, ':') => is_blank_or_end(at + 1),
                (_, '#') => is_blank_or_end(at - 1),
                _ => false,
            };
            special |= !is_printable(c);
            line_breaks |= is_break(c);
            space_break |= is_break(c) && at > 0 && is_space(at - 1);
            break_space |= c == ' ' && at > 0 && is_break(chars[at - 1]);
        }
        let blank_ends = first == ' ' || last == ' ' || is_break(first) || is_break(last);
        let hard = space_break || special;
        Self {
            plain_allowed: !(blank_ends || break_space || hard || line_breaks || indicators),
            single_quotes_allowed: !(break_space || hard),
            block_allowed: !(last == ' ' || hard),
        }
    }
}

/// Whether YAML 1.1, as go-yaml reads it, takes the unquoted text for a string.
fn reads_as_string(text: &str) -> bool {
    const WORDS: [&str; 41] = [
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO", "false", "False", "FALSE",
        "off", "Off", "OFF", "", "~", "null", "Null", "NULL", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF",
        "-.inf", "-.Inf", "-.INF", "=", "<<",
    ];
    // `=` and `<<` are in the table, and are never looked up by their first letter.
    if WORDS[..39].contains(&text) {
        return false;
    }
    match text.as_bytes().first() {
        Some(b'.') => text.parse::<f64>().is_err(),
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let plain = text.replace('_', "");
            !(is_timestamp(text) || is_integer(&plain) || is_float(&plain) || is_base60(text))
        }
        _ => true,
    }
}

fn is_integer(text: &str) -> bool {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return false;
    }
    match u64::from_str_radix(digits, base) {
        Ok(value) if negative => value <= 1 << 63,
        Ok(value) => !text.starts_with('+') || value < 1 << 63,
        Err(_) => false,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_at(unsigned.find(['e', 'E']).unwrap_or(unsigned.len()));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && all_digits(fraction),
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent_ok = exponent.is_empty() || {
        let digits = exponent[1..].strip_prefix(['-', '+']).unwrap_or(&exponent[1..]);
        !digits.is_empty() && all_digits(digits)
    };
    mantissa_ok && exponent_ok
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`: old numbers to the base of 60 are quoted although they are not read.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let head = parts.next().unwrap_or_default();
    let head_ok = head.starts_with(|c: char| c.is_ascii_digit()) && head.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let sixtieth = |part: &str| match part.as_bytes() {
        [b'0'..=b'9'] => true,
        [tens, units] => (b'0'..=b'5').contains(tens) && units.is_ascii_digit(),
        _ => false,
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    head_ok && middle.iter().all(|part| sixtieth(part)) && sixtieth(last) && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// `2006-1-2`, or that with a time: `T15:4:5.9Z`, `T15:4:5+01:00`, or after a space without a zone.
fn is_timestamp(text: &str) -> bool {
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>, range: std::ops::RangeInclusive<u32>| {
        digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && text.parse().is_ok_and(|n| range.contains(&n))
    };
    let (date, time) = text.split_at(text.find(['T', 't', ' ']).unwrap_or(text.len()));
    let mut fields = date.split('-');
    let (Some(year), Some(month), Some(day), None) = (fields.next(), fields.next(), fields.next(), fields.next()) else { return false };
    if !(number(year, 4..=4, 0..=9999) && number(month, 1..=2, 1..=12) && number(day, 1..=2, 1..=31)) {
        return false;
    }
    let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse()) else { return false };
    if jiff::civil::Date::new(year, month, day).is_err() {
        return false;
    }
    if time.is_empty() {
        return true;
    }
    let (separator, time) = time.split_at(1);
    let (clock, zone) = time.split_at(time.find(['Z', '+', '-']).unwrap_or(time.len()));
    let zone_ok = match (separator, zone) {
        (" ", "") | ("T" | "t", "Z") => true,
        ("T" | "t", zone) => {
            zone.get(1..).and_then(|z| z.split_once(':')).is_some_and(|(h, m)| number(h, 2..=2, 0..=24) && number(m, 2..=2, 0..=60))
        }
        _ => false,
    };
    let mut fields = clock.split(':');
    let (Some(hour), Some(minute), Some(second), None) = (fields.next(), fields.next(), fields.next(), fields.next()) else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let fraction_ok = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    zone_ok && number(hour, 1..=2, 0..=23) && number(minute, 1..=2, 0..=59) && number(second, 1..=2, 0..=59) && fraction_ok
}

/// Go's `strconv.FormatFloat(f, 'g', -1, 64)`.
fn go_float(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{float}"),
    }
}

/// go-yaml's order of keys: numbers in them by value, letters behind everything else.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a[at], b[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Where one of them is a zero within a longer number, both count as if they had a digit before.
    let within = (x == '0' || y == '0') && a[..at].iter().rev().take_while(|c| c.is_numeric()).any(|c| *c != '0');
    let number = |chars: &[char]| {
        let digits: Vec<u32> = chars[at..].iter().map_while(|c| c.to_digit(10)).collect();
        let value = digits.iter().fold(i64::from(within), |value, digit| value.wrapping_mul(10).wrapping_add(i64::from(*digit)));
        (value, digits.len())
    };
    number(&a).cmp(&number(&b)).then(x.cmp(&y))
}

#[cfg(test)]
#[path = "../../../tests/skipped.rs"]
mod skipped;

#[cfg(test)]
mod tests {
    use super::skipped::skipped;
    use super::*;
    use apimachinery::codec::node::Node;
    use serde_json::json;

    #[test]
    fn documents_are_written_as_upstream_does() {
        let long =
            "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
        let rows = [
            (json!({}), "{}\n"),
            (
                json!([1, "a", [], {}, null, true, [[1], 2], {"a": 1, "b": [2]}]),
                "- 1\n- a\n- []\n- {}\n- null\n- true\n- - - 1\n  - 2\n- a: 1\n  b:\n  - 2\n",
            ),
            (json!({"a": {"b": {"c": [{"d": 1, "e": {"f": 2}}]}}}), "a:\n  b:\n    c:\n    - d: 1\n      e:\n        f: 2\n"),
            (json!({"m": "l1\nl2\n"}), "m: |\n  l1\n  l2\n"),
            (json!({"m": "l1\nl2", "n": "a\n\n"}), "m: |-\n  l1\n  l2\n\"n\": |+\n  a\n\n"),
            (json!({"m": " l1\n"}), "m: |2\n   l1\n"),
            (json!({"m": "a \nb"}), "m: \"a \\nb\"\n"),
            (json!({"m": [{"x": "a\nb", "z": 1}]}), "m:\n- x: |-\n    a\n    b\n  z: 1\n"),
            (
                json!({"message": long}),
                "message: 'only the following media types are accepted: application/json;stream=watch,\n  application/vnd.kubernetes.protobuf;stream=watch'\n",
            ),
            (json!({"a10": 1, "a9": 2, "aB": 3, "a-b": 4, "B": 5, "a": 6}), "B: 5\na: 6\na-b: 4\na9: 2\na10: 1\naB: 3\n"),
            (json!(1.5), "1.5\n"),
            (json!(1e21), "1e+21\n"),
        ];
        for (value, want) in rows {
            assert_eq!(to_yaml(&value), want, "{value}");
        }
    }

    #[test]
    fn strings_are_quoted_where_they_would_be_something_else() {
        let plain =
            ["a", "a b", "a:b", "f:metadata", ".", "1.2.3.4", "10m", "1Gi", "é", "-a", "k:{\"a\":1}", "=", "2021-13-01", "a#b", "v1", "0x"];
        let single = ["a: b", " lead", "#x", "- a", "{a", "a #b", "@x", "'a", "a:", "*", "a'b\": c"];
        let double = [
            "",
            "true",
            "y",
            "No",
            "null",
            "~",
            "1",
            "0x1F",
            "1_000",
            "1.5",
            ".5",
            "1e3",
            "2021-01-02",
            "2026-07-23T14:47:51Z",
            "12:30",
            "a\tb",
            "+1",
        ];
        let written = |text: &str| to_yaml(&json!(text)).trim_end().to_owned();
        for text in plain {
            assert_eq!(written(text), text);
        }
        for text in single {
            assert_eq!(written(text), format!("'{}'", text.replace('\'', "''")));
        }
        for text in double {
            assert_eq!(written(text), format!("\"{}\"", text.replace('\t', "\\t")));
        }
    }

    fn value_of(node: Node<'_>) -> Value {
        match node {
            Node::Null | Node::TooDeep => Value::Null,
            Node::Bool(bool) => bool.into(),
            Node::Number(text) => serde_json::from_str(&text).unwrap(),
            Node::String(text) => text.into(),
            Node::Array(items) => items.into_iter().map(value_of).collect(),
            Node::Object(pairs) => pairs.into_iter().map(|(key, value)| (key.into_owned(), value_of(value))).collect(),
        }
    }

    /// What upstream answered, where the recordings are at hand: the same value gives the same text.
    #[test]
    fn recorded_answers_come_out_the_same() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle/cases");
        let Ok(files) = std::fs::read_dir(folder) else { return skipped(&format!("no recordings in {folder}")) };
        let mut seen = 0;
        for file in files.flatten() {
            let Ok(cases) = serde_json::from_slice::<Value>(&std::fs::read(file.path()).unwrap_or_default()) else { continue };
            for answer in cases["cases"].as_array().into_iter().flatten().flat_map(|case| case["answers"].as_array().into_iter().flatten())
            {
                // Recordings are cut at 4,000 letters, and what differs from run to run was replaced in them.
                let Some(text) = answer["text"].as_str().filter(|text| answer["type"] == "application/yaml" && text.len() < 3900) else {
                    continue;
                };
                let document = apimachinery::codec::yaml::parse(text).expect("upstream writes YAML");
                let plain =
                    ["time", "rv"].iter().fold(text.to_owned(), |text, word| text.replace(&format!("\"<{word}>\""), &format!("<{word}>")));
                assert_eq!(to_yaml(&value_of(document.node)), plain);
                seen += 1;
            }
        }
        assert!(seen > 0, "there are recordings of YAML");
    }
}
