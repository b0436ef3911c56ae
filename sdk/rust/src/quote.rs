//! Text in quotation marks, as upstream's messages have it.

/// As Go's `%q` does it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0b' => quoted.push_str("\\v"),
            '\x0c' => quoted.push_str("\\f"),
            '\0'..' ' | '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c != ' ' && (c.is_control() || c.is_whitespace()) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// As Go's `%q` does a list: `["a" "b"]`.
pub fn quote_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(quote).collect();
    format!("[{}]", texts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_the_quotation_is_escaped() {
        for (text, want) in [("a/b", r#""a/b""#), ("a\"\\b", r#""a\"\\b""#), ("a\nb\0", r#""a\nb\x00""#), ("é", r#""é""#), ("", r#""""#)]
        {
            assert_eq!(quote(text), want);
        }
        assert_eq!(quote_all(["a", "b c"]), r#"["a" "b c"]"#);
    }
}
