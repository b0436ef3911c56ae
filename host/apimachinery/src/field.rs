//! Paths into an object, and the errors that validation finds there, in upstream's words
//! (`k8s.io/apimachinery/pkg/util/validation/field`).

use std::collections::HashSet;
use std::fmt;

use smallvec::SmallVec;

/// Bytes of a path. Keys of maps stand in it, and a client may send a key of a megabyte with a hundred thousand fields below it.
const PATH_BYTES_MAX: usize = 4096;
/// Bytes of a path that need no allocation.
const INLINE_BYTES: usize = 96;
/// Bytes of a list or object that an error repeats. A list that is wrong in ten thousand places would be repeated as often.
const SHOWN_BYTES_MAX: usize = 8 << 10;
/// Errors of which the words stand in the message of one answer.
pub const ERRORS_COUNT_MAX: usize = 10_000;
/// Bytes of words that one answer repeats, once in its message and once in its causes.
pub const ERRORS_BYTES_MAX: usize = 4 << 20;

/// Where in an object: `spec.containers[0].name`, `metadata.labels[app]`.
///
/// Validation makes one for every field that it looks at and shows hardly any: most need no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(SmallVec<[u8; INLINE_BYTES]>);

impl Path {
    /// A path of one or more names.
    pub fn new(name: &str) -> Self {
        Self(SmallVec::from_slice(name.as_bytes()))
    }

    /// A field below this one.
    pub fn child(&self, name: &str) -> Self {
        self.followed_by((!self.0.is_empty()).then_some(b'.'), name.as_bytes(), None)
    }

    /// An item of the list at this path.
    pub fn index(&self, index: usize) -> Self {
        let (mut digits, mut rest) = ([0; 20], index);
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return self.followed_by(Some(b'['), &digits[start..], Some(b']'));
            }
        }
    }

    /// A value of the map at this path.
    pub fn key(&self, key: &str) -> Self {
        self.followed_by(Some(b'['), key.as_bytes(), Some(b']'))
    }

    /// A path that is long already stays as it is.
    fn followed_by(&self, before: Option<u8>, part: &[u8], behind: Option<u8>) -> Self {
        let start = self.0.len() + usize::from(before.is_some());
        let end = start + part.len();
        if self.0.len() + part.len() > PATH_BYTES_MAX {
            return self.clone();
        }
        if end < INLINE_BYTES {
            let mut bytes = [0; INLINE_BYTES];
            bytes[..self.0.len()].copy_from_slice(&self.0);
            if let Some(before) = before {
                bytes[start - 1] = before;
            }
            bytes[start..end].copy_from_slice(part);
            if let Some(behind) = behind {
                bytes[end] = behind;
            }
            return Self(SmallVec::from_buf_and_len(bytes, end + usize::from(behind.is_some())));
        }
        let mut path = SmallVec::with_capacity(end + 1);
        path.extend_from_slice(&self.0);
        path.extend(before);
        path.extend_from_slice(part);
        path.extend(behind);
        Self(path)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(&self.0).expect("made of strings");
        f.write_str(if text.is_empty() { "<nil>" } else { text })
    }
}

/// What is wrong, as it stands in a `StatusCause`'s `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// `FieldValueNotFound`
    NotFound,
    /// `FieldValueRequired`
    Required,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooShort`
    TooShort,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueTooFew`
    TooFew,
    /// `InternalError`
    Internal,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
}

impl ErrorType {
    /// The machine-readable reason of a cause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooShort => "FieldValueTooShort",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooShort => "Too short",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }
}

/// One error at one field. `body` is the message without the path, as it stands in a cause's `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorType,
    /// Where.
    pub field: String,
    /// The words: `Invalid value: "x": must be lower case`.
    pub body: String,
    /// The value in the words, where it is a list or an object: it may have to be shown in another way.
    pub value: Option<Box<serde_json::Value>>,
}

/// A value as upstream prints it inside a message: strings quoted as Go quotes them, numbers and booleans bare,
/// anything else as Go's JSON.
pub fn show(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => go_quote(text),
        other => go_json(other),
    }
}

/// The beginning of a list or object that is longer than an error repeats; nothing of it is written that is not shown.
fn beginning(value: &serde_json::Value) -> Option<String> {
    struct Beginning(Vec<u8>);
    impl std::io::Write for Beginning {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.extend_from_slice(bytes);
            if self.0.len() > SHOWN_BYTES_MAX { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut written = Beginning(Vec::new());
    serde_json::to_writer(&mut written, value).err()?;
    written.0.truncate(SHOWN_BYTES_MAX);
    Some(format!("{}...", String::from_utf8_lossy(&written.0).trim_end_matches(char::REPLACEMENT_CHARACTER)))
}

/// JSON as Go's `encoding/json` writes it: `<`, `>`, `&` and two line separators are escaped.
pub fn go_json(value: &serde_json::Value) -> String {
    let plain = value.to_string();
    if !plain.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match c {
            // Outside of strings JSON has none of these.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols, and the ASCII space.
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Rust prints a string's characters bare where they are printable in the same sense; the letter before it keeps a
    // combining mark from being escaped for being the first.
    !format!("{:?}", format!("a{c}")).contains('\\')
}

/// Go's `%q` of a string.
pub fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if is_print(c) => out.push(c),
            c if (c as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

/// The words of several errors as upstream joins them: repeated ones once, more than one in brackets.
pub fn aggregate(errors: &[Error]) -> String {
    let mut seen = HashSet::new();
    let shown: Vec<String> = errors.iter().map(ToString::to_string).filter(|words| seen.insert(words.clone())).collect();
    match shown.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// As many of the errors, from the first, as one answer tells. Upstream tells all: a body of a few megabytes can be wrong in a hundred
/// thousand places, and would get hundreds of megabytes back.
pub fn told(errors: &[Error]) -> &[Error] {
    let mut bytes = 0;
    let fit = errors.iter().take(ERRORS_COUNT_MAX).take_while(|error| {
        bytes += error.field.len() + error.body.len();
        bytes <= ERRORS_BYTES_MAX
    });
    let count = fit.count();
    &errors[..count.max(1).min(errors.len())]
}

impl Error {
    fn with(kind: ErrorType, field: &Path, detail: String) -> Self {
        let words = kind.words();
        let body = if detail.is_empty() { words.to_owned() } else { format!("{words}: {detail}") };
        Self { kind, field: field.to_string(), body, value: None }
    }

    /// About a value that is shown; of a long list or object the beginning.
    pub fn of_value(kind: ErrorType, field: &Path, value: &serde_json::Value, detail: &str) -> Self {
        let part = (value.is_object() || value.is_array()).then(|| beginning(value)).flatten();
        let is_whole = part.is_none();
        let shown = part.unwrap_or_else(|| show(value));
        let error = Self::with(kind, field, if detail.is_empty() { shown } else { format!("{shown}: {detail}") });
        let value = (is_whole && (value.is_object() || value.is_array())).then(|| Box::new(value.clone()));
        Self { value, ..error }
    }

    /// Shows the value in another way.
    pub fn show_as(&mut self, shown: &str) {
        let words = self.kind.words();
        let Some(value) = self.value.take() else { return };
        if let Some(rest) = self.body.strip_prefix(&format!("{words}: {}", show(&value))) {
            self.body = format!("{words}: {shown}{rest}");
        }
    }

    /// The value is not acceptable; `detail` says what would be.
    pub fn invalid(field: &Path, value: impl Into<serde_json::Value>, detail: &str) -> Self {
        Self::of_value(ErrorType::Invalid, field, &value.into(), detail)
    }

    /// The value has the wrong type.
    pub fn type_invalid(field: &Path, value: impl Into<serde_json::Value>, detail: &str) -> Self {
        Self::of_value(ErrorType::TypeInvalid, field, &value.into(), detail)
    }

    /// The value is missing.
    pub fn required(field: &Path, detail: &str) -> Self {
        Self::with(ErrorType::Required, field, detail.to_owned())
    }

    /// The value stands there twice.
    pub fn duplicate(field: &Path, value: impl Into<serde_json::Value>) -> Self {
        Self::of_value(ErrorType::Duplicate, field, &value.into(), "")
    }

    /// The value names something that is not there.
    pub fn not_found(field: &Path, value: impl Into<serde_json::Value>) -> Self {
        Self::of_value(ErrorType::NotFound, field, &value.into(), "")
    }

    /// The field must not be set.
    pub fn forbidden(field: &Path, detail: &str) -> Self {
        Self::with(ErrorType::Forbidden, field, detail.to_owned())
    }

    /// The value is none of the values that are known. They are listed as given: sort them where upstream does.
    pub fn not_supported(field: &Path, value: impl Into<serde_json::Value>, valid: &[&str]) -> Self {
        let listed = valid.iter().map(|v| go_quote(v)).collect::<Vec<_>>().join(", ");
        let detail = if valid.is_empty() { String::new() } else { format!("supported values: {listed}") };
        Self::of_value(ErrorType::NotSupported, field, &value.into(), &detail)
    }

    /// The value is longer than `max` bytes; upstream does not repeat it.
    pub fn too_long(field: &Path, max: usize) -> Self {
        Self::with(ErrorType::TooLong, field, format!("may not be more than {max} {}", if max == 1 { "byte" } else { "bytes" }))
    }

    /// The value is longer than `max` characters.
    pub fn too_long_characters(field: &Path, max: usize) -> Self {
        Self::with(ErrorType::TooLong, field, format!("may not be more than {max} {}", if max == 1 { "character" } else { "characters" }))
    }

    /// The value is shorter than `min` characters.
    pub fn too_short(field: &Path, min: usize) -> Self {
        Self::with(ErrorType::TooShort, field, format!("must be at least {min} {}", if min == 1 { "character" } else { "characters" }))
    }

    /// The list has fewer than `min` items.
    pub fn too_few(field: &Path, actual: usize, min: usize) -> Self {
        let noun = if min == 1 { "item" } else { "items" };
        Self::with(ErrorType::TooFew, field, format!("{actual}: must have at least {min} {noun}"))
    }

    /// The list has more than `max` items.
    pub fn too_many(field: &Path, actual: usize, max: usize) -> Self {
        let noun = if max == 1 { "item" } else { "items" };
        Self::with(ErrorType::TooMany, field, format!("{actual}: must have at most {max} {noun}"))
    }

    /// A fault of ours while validating.
    pub fn internal(field: &Path, detail: &str) -> Self {
        Self::with(ErrorType::Internal, field, detail.to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_every_length() {
        assert_eq!(Path::default().child("a").child("b").key("x.y/z").index(0).to_string(), "a.b[x.y/z][0]");
        assert_eq!(Path::new("a").index(10).index(usize::MAX).to_string(), format!("a[10][{}]", usize::MAX));
        for length in 0..2 * INLINE_BYTES {
            let start = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let path = Path::new(&start);
            let dot = if start.is_empty() { "" } else { "." };
            assert_eq!(path.child("name").to_string(), format!("{start}{dot}name"));
            assert_eq!(path.key("key").to_string(), format!("{start}[key]"));
            assert_eq!(path.index(120).to_string(), format!("{start}[120]"));
        }
    }

    #[test]
    fn paths_are_bounded() {
        let path = Path::new("spec").key(&"k".repeat(PATH_BYTES_MAX)).child("x");
        assert_eq!(path.to_string(), "spec.x");
        let deep = (0..10_000).fold(Path::new("spec"), |path, i| path.child("field").index(i).key("key"));
        assert!(deep.to_string().len() < PATH_BYTES_MAX + 32, "{}", deep.to_string().len());
    }

    #[test]
    fn repeated_errors_are_told_once() {
        let path = Path::new("spec");
        let errors = [Error::required(&path, ""), Error::required(&path, "x"), Error::required(&path, "")];
        assert_eq!(aggregate(&errors), "[spec: Required value, spec: Required value: x]");
        assert_eq!(aggregate(&errors[..1]), "spec: Required value");
    }

    #[test]
    fn of_a_long_value_the_beginning_is_shown() {
        let list = |items: usize| serde_json::Value::from(vec!["é"; items]);
        let error = Error::invalid(&Path::new("spec"), list(100_000), "no");
        assert!(error.body.starts_with("Invalid value: [\"é\",\"é\"") && error.body.ends_with("...: no") && error.body.len() < 9_000);
        assert!(error.value.is_none());
        assert_eq!(Error::invalid(&Path::new("spec"), list(1), "no").body, "Invalid value: [\"é\"]: no");
    }

    #[test]
    fn an_answer_tells_so_many_errors() {
        let many: Vec<Error> = (0..200_000).map(|i| Error::required(&Path::new("spec").index(i), "")).collect();
        assert_eq!(told(&many).len(), ERRORS_COUNT_MAX);
        let large = vec![Error::invalid(&Path::new("spec"), "x".repeat(1 << 20), "y"); 100];
        assert_eq!(told(&large).len(), 3);
        let huge = [Error::invalid(&Path::new("spec"), "x".repeat(5 << 20), "y")];
        assert_eq!((told(&huge).len(), told(&[]).len()), (1, 0));
    }
}
