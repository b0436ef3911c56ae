//! Indents JSON as its bytes go by, as Go's `MarshalIndent`: no parsing, no more memory than a piece, pieces cut anywhere.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Where in the document it is.
#[derive(Debug, Default)]
pub(crate) struct Indenter {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// An object or a list was opened, and nothing has come yet: it may stay empty.
    opened: bool,
}

impl Indenter {
    /// The next piece, indented.
    pub(crate) fn indent(&mut self, piece: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(piece.len() + piece.len() / 2);
        for &byte in piece {
            if self.in_string {
                out.put_u8(byte);
                self.in_string = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
                continue;
            }
            if byte.is_ascii_whitespace() {
                continue;
            }
            let closes = matches!(byte, b'}' | b']');
            if closes {
                self.depth = self.depth.saturating_sub(1);
            }
            if closes != self.opened {
                // A first member, or an end behind members.
                self.line(&mut out);
            }
            self.opened = false;
            out.put_u8(byte);
            match byte {
                b'"' => self.in_string = true,
                b':' => out.put_u8(b' '),
                b',' => self.line(&mut out),
                b'{' | b'[' => {
                    self.depth += 1;
                    self.opened = true;
                }
                _ => {}
            }
        }
        out.freeze()
    }

    fn line(&self, out: &mut BytesMut) {
        out.put_u8(b'\n');
        out.put_bytes(b' ', 2 * self.depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pieces_are_indented_as_the_whole_would_be() {
        let value = json!({"a": [1, {"b": "x\"{,}[\\"}, [], {}, [[]], null], "c": {}, "d": {"e": true, "f": "\\\""}, "g": "", "h": -1.5e3});
        let (compact, want) = (serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap());
        for size in [1, 2, 3, 7, 1000] {
            let mut indenter = Indenter::default();
            let got: Vec<u8> = compact.as_bytes().chunks(size).flat_map(|piece| indenter.indent(piece)).collect();
            assert_eq!(String::from_utf8(got).unwrap(), want, "in pieces of {size}");
        }
        let mut indenter = Indenter::default();
        assert_eq!(indenter.indent(b"{ \"a\" : [ ] }\n"), "{\n  \"a\": []\n}");
    }
}
