//! Tags, varints and lengths, with the words of Go's generated readers for what is wrong.

/// The wire type of integers and booleans.
pub(super) const VARINT: u8 = 0;
/// The wire type of doubles.
pub(super) const FIXED64: u8 = 1;
/// The wire type of everything that has a length.
pub(super) const DELIMITED: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// Go's `io.ErrUnexpectedEOF`.
const UNEXPECTED_EOF: &str = "unexpected EOF";
/// Go's `ErrInvalidLengthGenerated`.
const NEGATIVE_LENGTH: &str = "proto: negative length found during unmarshaling";

/// Reads one message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next number and wire type; `None` at the end.
    pub(super) fn tag(&mut self, message: &str) -> Result<Option<(u32, u8)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        // As Go converts: the upper bits are cut off.
        let (number, wire) = ((tag >> 3) as i32, (tag & 7) as u8);
        if wire == GROUP_END {
            return Err(format!("proto: {message}: wiretype end group for non-group"));
        }
        match u32::try_from(number) {
            Ok(number) if number > 0 => Ok(Some((number, wire))),
            _ => Err(format!("proto: {message}: illegal tag {number} (wire type {tag})")),
        }
    }

    pub(super) fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { UNEXPECTED_EOF.to_owned() } else { "proto: integer overflow".to_owned() })
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        if bytes > self.rest.len() {
            return Err(UNEXPECTED_EOF.to_owned());
        }
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize, String> {
        let length = self.varint()?;
        if length > i64::MAX as u64 {
            return Err(NEGATIVE_LENGTH.to_owned());
        }
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The bytes of what has a length. `field` is named where it is something else.
    pub(super) fn delimited(&mut self, wire: u8, field: &str) -> Result<&'a [u8], String> {
        expect(wire, DELIMITED, field)?;
        let length = self.length()?;
        self.take(length)
    }

    /// An integer or a boolean.
    pub(super) fn integer(&mut self, wire: u8, field: &str) -> Result<u64, String> {
        expect(wire, VARINT, field)?;
        self.varint()
    }

    /// A double.
    pub(super) fn double(&mut self, wire: u8, field: &str) -> Result<f64, String> {
        expect(wire, FIXED64, field)?;
        let bytes = self.take(8)?;
        Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }

    /// Passes over what has no meaning to us.
    pub(super) fn skip(&mut self, wire: u8) -> Result<(), String> {
        let mut groups = 0usize;
        let mut wire = wire;
        loop {
            match wire {
                VARINT => drop(self.varint()?),
                FIXED64 => drop(self.take(8)?),
                DELIMITED => {
                    let length = self.length()?;
                    self.take(length)?;
                }
                GROUP_START => groups += 1,
                GROUP_END if groups == 0 => return Err("proto: unexpected end of group".to_owned()),
                GROUP_END => groups -= 1,
                FIXED32 => drop(self.take(4)?),
                other => return Err(format!("proto: illegal wireType {other}")),
            }
            if groups == 0 {
                return Ok(());
            }
            if self.rest.is_empty() {
                return Err(UNEXPECTED_EOF.to_owned());
            }
            wire = (self.varint()? & 7) as u8;
        }
    }
}

fn expect(found: u8, wanted: u8, field: &str) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("proto: wrong wireType = {found} for field {}", go_name(field))) }
}

/// Go's name of a field, by its JSON name.
fn go_name(field: &str) -> String {
    for initials in ["api", "uid", "ip"] {
        if let Some(rest) = field.strip_prefix(initials).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase())) {
            return initials.to_ascii_uppercase() + rest;
        }
    }
    let mut letters = field.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
