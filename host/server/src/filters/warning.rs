//! `Warning` headers (RFC 7234, 5.5), with upstream's escaping.

use http::HeaderValue;

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

    #[test]
    fn warnings_are_escaped() {
        for (text, expected) in [
            ("plain", Some(r#"299 - "plain""#)),
            ("a \"b\" \\c", Some(r#"299 - "a \"b\" \\c""#)),
            ("é", Some("299 - \"é\"")),
            ("two\nlines", None),
        ] {
            assert_eq!(header(text).map(|value| value.as_bytes().to_vec()).as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }
}
