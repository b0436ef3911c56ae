//! What is said about a request beside yes and no: warnings for the client, annotations for the audit log.
//!
//! A recorder is made with the request and handed along, so that what was said before a refusal reaches the client with the refusal. Some
//! of a request's stages run more than once; what is said again is not kept again.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// Characters of all warnings together, beyond which each is cut; upstream's `truncateAtTotalRunes`.
pub const WARNINGS_CHARS_MAX: usize = 4 * 1024;
/// What is left of a warning then; upstream's `truncateItemRunes`.
pub const WARNING_CHARS_TRUNCATED: usize = 256;
/// Audit annotations of one request.
pub const AUDIT_ANNOTATIONS_MAX: usize = 256;
/// Bytes of all their keys and values.
pub const AUDIT_ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

const _: () = assert!(WARNING_CHARS_TRUNCATED < WARNINGS_CHARS_MAX);

/// Where a request's warnings and audit annotations go. Clones record for the same request.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// For the client.
    pub warnings: Warnings,
    /// For the audit log.
    pub annotations: AuditAnnotations,
}

/// The texts of a request's `Warning` headers, within upstream's limits (`pkg/endpoints/filters/warning.go`): repeated ones are dropped;
/// past 4 Ki characters all are cut to 256 each. Clones add to the same answer.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    seen: HashSet<String>,
    /// In order, as long as they are given.
    ordered: Vec<String>,
    /// The characters of what is sent.
    chars: usize,
    /// Every one is cut, those before as well.
    truncating: bool,
}

impl Warnings {
    /// Adds one. Upstream does not send empty ones and those with control characters.
    pub fn add(&self, text: &str) {
        if !text.is_empty() && !text.chars().any(char::is_control) {
            // One character more than fits tells that it does not fit.
            self.0.lock().add(start(text, WARNINGS_CHARS_MAX + 1));
        }
    }

    /// All of them, in order.
    pub fn texts(&self) -> Vec<String> {
        self.0.lock().ordered.clone()
    }
}

impl Recorded {
    fn add(&mut self, text: &str) {
        if (self.truncating && self.chars >= WARNINGS_CHARS_MAX) || !self.seen.insert(text.to_owned()) {
            return;
        }
        if !self.truncating && self.chars + text.chars().count() > WARNINGS_CHARS_MAX {
            self.truncating = true;
            self.ordered.iter_mut().for_each(|text| text.truncate(start(text, WARNING_CHARS_TRUNCATED).len()));
            self.chars = self.ordered.iter().map(|text| text.chars().count()).sum();
        }
        let text = if self.truncating { start(text, WARNING_CHARS_TRUNCATED) } else { text };
        self.chars += text.chars().count();
        self.ordered.push(text.to_owned());
    }
}

fn start(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}

/// Annotations of a request's audit event, bounded in number and size. Clones add to the same event.
#[derive(Clone, Debug, Default)]
pub struct AuditAnnotations(Arc<Mutex<Vec<(String, String)>>>);

impl AuditAnnotations {
    /// Sets a key. The first value stays, as upstream has it; what goes beyond the bounds is dropped.
    pub fn add(&self, key: String, value: String) {
        let mut all = self.0.lock();
        let bytes: usize = all.iter().map(|(key, value)| key.len() + value.len()).sum();
        let fits = all.len() < AUDIT_ANNOTATIONS_MAX && bytes + key.len() + value.len() <= AUDIT_ANNOTATIONS_BYTES_MAX;
        if fits && all.iter().all(|(known, _)| *known != key) {
            all.push((key, value));
        }
    }

    /// All of them, in order.
    pub fn list(&self) -> Vec<(String, String)> {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_not_repeated() {
        let warnings = Warnings::default();
        for text in ["plain", "a \"b\" \\c", "plain", "", "two\nlines", "\u{7f}", "é"] {
            warnings.clone().add(text);
        }
        assert_eq!(warnings.texts(), ["plain", "a \"b\" \\c", "é"]);
    }

    #[test]
    fn many_warnings_are_cut() {
        let warnings = Warnings::default();
        warnings.add("short");
        for letter in 'a'..='z' {
            warnings.add(&letter.to_string().repeat(1000));
        }
        let texts = warnings.texts();
        assert_eq!(texts[0], "short");
        assert!(texts[1..].iter().all(|text| text.len() == WARNING_CHARS_TRUNCATED));
        // The one that reaches the limit is still sent.
        assert_eq!(texts.len(), 1 + WARNINGS_CHARS_MAX / WARNING_CHARS_TRUNCATED);
    }

    #[test]
    fn a_long_one_alone_is_cut_at_a_character() {
        let warnings = Warnings::default();
        warnings.add(&"é".repeat(WARNINGS_CHARS_MAX));
        assert_eq!(warnings.texts()[0].chars().count(), WARNINGS_CHARS_MAX);
        warnings.add("x");
        assert_eq!(warnings.texts(), ["é".repeat(WARNING_CHARS_TRUNCATED), "x".into()]);
    }

    #[test]
    fn what_is_never_sent_takes_no_memory() {
        let warnings = Warnings::default();
        (0..10_000).for_each(|i| warnings.add(&format!("line {i}\n")));
        assert!(warnings.0.lock().seen.is_empty());
    }

    #[test]
    fn annotations_are_bounded_and_the_first_value_stays() {
        let annotations = AuditAnnotations::default();
        annotations.add("a/b".into(), "1".into());
        annotations.add("a/b".into(), "2".into());
        annotations.add("long".into(), "x".repeat(AUDIT_ANNOTATIONS_BYTES_MAX));
        assert_eq!(annotations.list(), [("a/b".to_owned(), "1".to_owned())]);
        (0..1000).for_each(|i| annotations.add(format!("key-{i}"), String::new()));
        assert_eq!(annotations.list().len(), AUDIT_ANNOTATIONS_MAX);
    }
}
