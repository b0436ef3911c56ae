//! `Warning` headers (RFC 7234, 5.5), with upstream's escaping and limits: repeated ones are dropped; past 4 Ki characters all are cut
//! to 256 each.

use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;

use crate::limits::{WARNING_CHARS_TRUNCATED, WARNINGS_CHARS_MAX};

/// Collects a request's warnings. Clones add to the same answer.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    ordered: Vec<String>,
    headers: Vec<HeaderValue>,
    written_chars: usize,
    truncating: bool,
}

impl Warnings {
    /// Adds one; empty, repeated and malformed ones are dropped.
    pub fn add(&self, text: &str) {
        if !text.is_empty() {
            self.0.lock().add(text);
        }
    }

    /// Every header, in order.
    pub fn headers(&self) -> Vec<HeaderValue> {
        std::mem::take(&mut self.0.lock().headers)
    }
}

impl Recorded {
    fn add(&mut self, text: &str) {
        if (self.truncating && self.written_chars >= WARNINGS_CHARS_MAX) || self.ordered.iter().any(|seen| seen == text) {
            return;
        }
        self.ordered.push(text.to_owned());
        if !self.truncating && self.written_chars + text.chars().count() > WARNINGS_CHARS_MAX {
            // From here on every warning is cut, those before as well.
            self.truncating = true;
            self.written_chars = 0;
            self.headers.clear();
            for text in self.ordered.clone() {
                self.write(&text);
            }
        } else {
            self.write(text);
        }
    }

    fn write(&mut self, text: &str) {
        let chars = if self.truncating { WARNING_CHARS_TRUNCATED } else { usize::MAX };
        let cut = text.char_indices().nth(chars).map_or(text, |(at, _)| &text[..at]);
        if let Some(value) = header(cut) {
            self.written_chars += cut.chars().count();
            self.headers.push(value);
        }
    }
}

/// `299 - "text"`, quotes and backslashes escaped. `None` where the text has control characters, which upstream does not send.
pub fn header(text: &str) -> Option<HeaderValue> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let escaped = text.replace('\\', r"\\").replace('"', "\\\"");
    HeaderValue::from_bytes(format!("299 - \"{escaped}\"").as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(warnings: &Warnings) -> Vec<String> {
        warnings.headers().iter().map(|h| String::from_utf8_lossy(h.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn warnings_are_escaped_and_not_repeated() {
        let warnings = Warnings::default();
        for text in ["plain", "a \"b\" \\c", "plain", "", "two\nlines", "é"] {
            warnings.add(text);
        }
        assert_eq!(texts(&warnings), [r#"299 - "plain""#, r#"299 - "a \"b\" \\c""#, "299 - \"é\""]);
    }

    #[test]
    fn many_warnings_are_cut() {
        let warnings = Warnings::default();
        for letter in 'a'..='z' {
            warnings.add(&letter.to_string().repeat(1000));
        }
        let texts = texts(&warnings);
        assert_eq!(texts.len(), WARNINGS_CHARS_MAX / WARNING_CHARS_TRUNCATED);
        assert!(texts.iter().all(|t| t.len() == WARNING_CHARS_TRUNCATED + 8));
    }
}
