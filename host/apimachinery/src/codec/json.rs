//! Reads JSON text into [`Node`]s, with the words of Go's `encoding/json` for what is wrong.
//!
//! Not recursive: nesting costs a frame on the heap, and below [`OBJECT_LEVELS_MAX`] not even that is kept.

use std::borrow::Cow;

use serde_json::Value;

use super::node::{Node, OBJECT_LEVELS_MAX, OBJECTS_COUNT_MAX, TOO_MANY_OBJECTS};
use crate::field::go_quote;

/// Levels that are read at all, as upstream has it.
const TEXT_LEVELS_MAX: usize = 10_000;

/// An open list or object.
enum Frame<'a> {
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>, Cow<'a, str>),
}

/// Reads one JSON value and nothing behind it.
pub fn parse(data: &[u8]) -> Result<Node<'_>, String> {
    Parser { data, position: 0, objects: 0 }.document()
}

/// Reads one JSON value as untyped JSON, with the bounds of a body.
pub fn value(data: &[u8]) -> Result<Value, String> {
    parse(data)?.into_value()
}

struct Parser<'a> {
    data: &'a [u8],
    position: usize,
    /// Objects so far.
    objects: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.data.get(self.position).copied()
    }

    /// Go's words for the next byte, or for there being none: at the end Go's scanner looks whether a space would do.
    fn unexpected(&self, context: &str) -> String {
        let inside = ["in literal", "in numeric", "after decimal", "in exponent", "in string escape", "in \\u"];
        match self.peek() {
            None if inside.iter().any(|start| context.starts_with(start)) => format!("invalid character ' ' {context}"),
            None => "unexpected end of JSON input".to_owned(),
            Some(b'\'') => format!("invalid character '\\'' {context}"),
            Some(b'"') => format!("invalid character '\"' {context}"),
            Some(byte) => {
                let quoted = go_quote(&char::from(byte).to_string());
                format!("invalid character '{}' {context}", &quoted[1..quoted.len() - 1])
            }
        }
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
    }

    /// One more object, or item of a list.
    fn count(&mut self) -> Result<(), String> {
        self.objects += 1;
        if self.objects > OBJECTS_COUNT_MAX { Err(TOO_MANY_OBJECTS.to_owned()) } else { Ok(()) }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn document(mut self) -> Result<Node<'a>, String> {
        let mut open: Vec<Frame<'a>> = Vec::new();
        loop {
            self.space();
            let mut node = match self.peek() {
                Some(b'{' | b'[') if open.len() >= TEXT_LEVELS_MAX => return Err(self.unexpected("exceeded max depth")),
                Some(b'{') => {
                    self.count()?;
                    self.position += 1;
                    self.space();
                    if !self.eat(b'}') {
                        let key = self.key()?;
                        open.push(Frame::Object(Vec::new(), key));
                        continue;
                    }
                    if open.len() < OBJECT_LEVELS_MAX { Node::Object(Vec::new()) } else { Node::TooDeep }
                }
                Some(b'[') => {
                    self.position += 1;
                    self.space();
                    if !self.eat(b']') {
                        open.push(Frame::Array(Vec::new()));
                        continue;
                    }
                    if open.len() < OBJECT_LEVELS_MAX { Node::Array(Vec::new()) } else { Node::TooDeep }
                }
                _ => self.scalar()?,
            };
            // The value is complete: put it where it belongs, and close what it completes.
            loop {
                self.space();
                let kept = open.len() <= OBJECT_LEVELS_MAX;
                match open.last_mut() {
                    None if self.peek().is_none() => return Ok(node),
                    None => return Err(self.unexpected("after top-level value")),
                    Some(Frame::Array(items)) => {
                        if !matches!(node, Node::Object(_)) {
                            self.count()?;
                        }
                        if kept {
                            items.push(node);
                        }
                        if self.eat(b',') {
                            break;
                        }
                        if !self.eat(b']') {
                            return Err(self.unexpected("after array element"));
                        }
                    }
                    Some(Frame::Object(pairs, key)) => {
                        if kept {
                            pairs.push((std::mem::take(key), node));
                        }
                        if self.eat(b',') {
                            self.space();
                            let next = self.key()?;
                            if let Some(Frame::Object(_, key)) = open.last_mut() {
                                *key = next;
                            }
                            break;
                        }
                        if !self.eat(b'}') {
                            return Err(self.unexpected("after object key:value pair"));
                        }
                    }
                }
                node = match open.pop() {
                    _ if !kept => Node::TooDeep,
                    Some(Frame::Array(items)) => Node::Array(items),
                    Some(Frame::Object(pairs, _)) => Node::Object(pairs),
                    None => Node::Null,
                };
            }
        }
    }

    /// A key and the colon behind it.
    fn key(&mut self) -> Result<Cow<'a, str>, String> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let key = self.string()?;
        self.space();
        if self.eat(b':') { Ok(key) } else { Err(self.unexpected("after object key")) }
    }

    fn scalar(&mut self) -> Result<Node<'a>, String> {
        match self.peek() {
            Some(b'"') => Ok(Node::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Node::Bool(true)),
            Some(b'f') => self.literal("false", Node::Bool(false)),
            Some(b'n') => self.literal("null", Node::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, String> {
        for expected in word.bytes() {
            if !self.eat(expected) {
                return Err(self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
        }
        Ok(node)
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        let start = self.position;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        if self.position > start { Ok(()) } else { Err(self.unexpected(context)) }
    }

    fn number(&mut self) -> Result<Node<'a>, String> {
        let start = self.position;
        self.eat(b'-');
        // A leading zero stands alone.
        if !self.eat(b'0') {
            self.digits("in numeric literal")?;
        }
        if self.eat(b'.') {
            self.digits("after decimal point in numeric literal")?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.data[start..self.position]).expect("digits and signs are ASCII");
        Ok(Node::Number(text.into()))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.position += 1;
        let start = self.position;
        let special = self.data[start..].iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ');
        self.position = special.map_or(self.data.len(), |length| start + length);
        match self.peek() {
            Some(b'"') => {
                let text = String::from_utf8_lossy(&self.data[start..self.position]);
                self.position += 1;
                Ok(text)
            }
            Some(b'\\') => self.escaped_string(start),
            _ => Err(self.unexpected("in string literal")),
        }
    }

    /// The rest of a string that has an escape in it.
    fn escaped_string(&mut self, start: usize) -> Result<Cow<'a, str>, String> {
        let mut text = self.data[start..self.position].to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    let lossy = |error: std::string::FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
                    return Ok(String::from_utf8(text).unwrap_or_else(lossy).into());
                }
                Some(b'\\') => {
                    self.position += 1;
                    let escaped = match self.peek() {
                        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
                        Some(b'b') => '\u{8}',
                        Some(b'f') => '\u{c}',
                        Some(b'n') => '\n',
                        Some(b'r') => '\r',
                        Some(b't') => '\t',
                        Some(b'u') => {
                            self.position += 1;
                            let escaped = self.unicode()?;
                            text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                            continue;
                        }
                        _ => return Err(self.unexpected("in string escape code")),
                    };
                    self.position += 1;
                    text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte @ b' '..) => {
                    text.push(byte);
                    self.position += 1;
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    /// What `\u` stands for; half of a pair alone is replaced.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) || !self.data[self.position..].starts_with(b"\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let behind_first = self.position;
        self.position += 2;
        let second = self.hex()?;
        if (0xdc00..0xe000).contains(&second) {
            let combined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok(char::from_u32(combined).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.position = behind_first;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            value = value << 4 | digit.ok_or_else(|| self.unexpected("in \\u hexadecimal character escape"))?;
            self.position += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let rows = [
            ("null", "null"),
            (" { } ", "{}"),
            (
                "[1, -2.5e3,\"x\\n\\u00e9\\ud83d\\ude00\\ud83d\",true ,[],{\"a\":{\"b\":null}}]",
                "[1,-2500.0,\"x\\né😀\u{fffd}\",true,[],{\"a\":{\"b\":null}}]",
            ),
            ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
            ("18446744073709551615", "18446744073709551615"),
        ];
        for (text, want) in rows {
            let value = parse(text.as_bytes()).expect(text).into_value().expect("shallow");
            assert_eq!(value.to_string(), want, "{text}");
        }
    }

    #[test]
    fn errors_have_go_s_words() {
        let rows = [
            ("", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("{\"metadata\":", "unexpected end of JSON input"),
            ("hello", "invalid character 'h' looking for beginning of value"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\":1}{", "invalid character '{' after top-level value"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[01]", "invalid character '1' after array element"),
            ("[1.]", "invalid character ']' after decimal point in numeric literal"),
            ("[1e]", "invalid character ']' in exponent of numeric literal"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("tr", "invalid character ' ' in literal true (expecting 'u')"),
            ("[1.", "invalid character ' ' after decimal point in numeric literal"),
            ("\"a", "unexpected end of JSON input"),
            ("trux", "invalid character 'x' in literal true (expecting 'e')"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
            ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
            ("\0", "invalid character '\\x00' looking for beginning of value"),
        ];
        for (text, want) in rows {
            assert_eq!(parse(text.as_bytes()), Err(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(nested(OBJECT_LEVELS_MAX).as_bytes()).is_ok_and(|node| node.into_value().is_ok()));
        for levels in [OBJECT_LEVELS_MAX + 2, TEXT_LEVELS_MAX] {
            assert!(parse(nested(levels).as_bytes()).is_ok_and(|node| node.into_value().is_err()), "{levels}");
        }
        let error = "invalid character '[' exceeded max depth".to_owned();
        assert_eq!(parse(nested(TEXT_LEVELS_MAX + 1).as_bytes()), Err(error.clone()));
        assert_eq!(parse("[".repeat(3 << 20).as_bytes()), Err(error));
    }

    #[test]
    fn objects_are_bounded() {
        for item in ["{\"a\":1}", "\"\"", "1", "[]"] {
            let list = |items: usize| format!("[{}{item}]", format!("{item},").repeat(items - 1));
            assert!(parse(list(OBJECTS_COUNT_MAX).as_bytes()).is_ok(), "{item}");
            assert_eq!(parse(list(OBJECTS_COUNT_MAX + 1).as_bytes()), Err("exceeded max number of objects".to_owned()), "{item}");
        }
    }
}
