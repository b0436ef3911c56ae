//! Field selectors: the grammar of `?fieldSelector=` (`k8s.io/apimachinery/pkg/fields`).
//!
//! Which fields a resource knows is the resource's to say, by [`FieldSelector::transform`].

use std::fmt;

use super::Operator;
use crate::field::go_quote;

/// One condition. All conditions of a selector must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The field's path: `metadata.name`.
    pub field: String,
    /// [`Operator::Equals`] or [`Operator::NotEquals`].
    pub operator: Operator,
    /// The value.
    pub value: String,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.field, self.operator.as_str(), escape_value(&self.value))
    }
}

/// A field selector: everything by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Requirement>);

impl FieldSelector {
    /// Selects every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Parses `?fieldSelector=`; the error is in upstream's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let (field, operator, value) =
                split_term(term).ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
            let value = unescape_value(value)?;
            // A term without a field and a value says nothing.
            if !(field.is_empty() && value.is_empty()) {
                requirements.push(Requirement { field: field.to_owned(), operator, value });
            }
        }
        Ok(Self(requirements))
    }

    /// The field has this value.
    pub fn equals(field: &str, value: &str) -> Self {
        Self(vec![Requirement { field: field.to_owned(), operator: Operator::Equals, value: value.to_owned() }])
    }

    /// Whether it selects every object.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Its conditions.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// Passes every field and value through `map`, which may rename, refuse, or drop one by giving back two empty strings.
    pub fn transform<E>(self, mut map: impl FnMut(&str, &str) -> Result<(String, String), E>) -> Result<Self, E> {
        let mut requirements = Vec::with_capacity(self.0.len());
        for requirement in self.0 {
            let (field, value) = map(&requirement.field, &requirement.value)?;
            if !(field.is_empty() && value.is_empty()) {
                requirements.push(Requirement { field, value, ..requirement });
            }
        }
        Ok(Self(requirements))
    }

    /// Refuses fields that are none of `known` (and not `metadata.name` or, for a namespaced resource, `metadata.namespace`),
    /// in the words of a resource that has no field labels of its own.
    pub fn check_default_fields(&self) -> Result<(), String> {
        match self.0.iter().find(|requirement| !matches!(requirement.field.as_str(), "metadata.name" | "metadata.namespace")) {
            None => Ok(()),
            Some(requirement) => {
                let field = go_quote(&requirement.field);
                Err(format!("{field} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""))
            }
        }
    }

    /// Whether an object is selected; `value_of` gives a field's value, empty where it has none.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|requirement| (value_of(&requirement.field) == requirement.value) == (requirement.operator == Operator::Equals))
    }

    /// The one value that the selector asks of the field, where it asks for one.
    pub fn requires_exact_match(&self, field: &str) -> Option<&str> {
        let exact = |requirement: &&Requirement| requirement.operator == Operator::Equals && requirement.field == field;
        self.0.iter().find(exact).map(|requirement| requirement.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// A value as it stands in a selector: `\`, `,` and `=` behind a backslash.
pub fn escape_value(value: &str) -> String {
    value.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=")
}

fn unescape_value(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                next => {
                    let next = next.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{next}"));
                }
            },
            // Upstream prints the character as a number.
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {}", c as u32)),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Splits at commas that have no backslash before them.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, Operator, &str)> {
    const OPERATORS: [(&str, Operator); 3] = [("!=", Operator::NotEquals), ("==", Operator::Equals), ("=", Operator::Equals)];
    term.char_indices()
        .find_map(|(i, _)| OPERATORS.iter().find_map(|(text, operator)| Some((&term[..i], *operator, term[i..].strip_prefix(text)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_and_printing() {
        let rows = [
            ("", ""),
            (",", ""),
            ("metadata.name=x", "metadata.name=x"),
            ("b==2,a!=1", "a!=1,b=2"),
            ("a=", "a="),
            (r"a=x\,y\=z\\", r"a=x\,y\=z\\"),
            ("=a", "=a"),
            ("=,!=,a=1", "a=1"),
            ("foo", "err: invalid selector: 'foo'; can't understand 'foo'"),
            ("a=1,foo", "err: invalid selector: 'a=1,foo'; can't understand 'foo'"),
            ("a=b=c", "err: invalid field selector: unescaped character in value: 61"),
            (r"a=b\c", r"err: invalid field selector: invalid escape sequence: \c"),
            (r"a=b\", r"err: invalid field selector: invalid escape sequence: \"),
        ];
        for (text, want) in rows {
            let got = FieldSelector::parse(text).map_or_else(|error| format!("err: {error}"), |selector| selector.to_string());
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn matching() {
        let value = |field: &str| if field == "spec.nodeName" { "n1" } else { "" };
        let rows = [("", true), ("spec.nodeName=n1", true), ("spec.nodeName!=n1", false), ("x=", true), ("x!=y,spec.nodeName=n2", false)];
        for (text, want) in rows {
            assert_eq!(FieldSelector::parse(text).expect(text).matches(value), want, "{text}");
        }
    }

    #[test]
    fn exact_matches_and_transforms() {
        let selector = FieldSelector::parse("metadata.name=a,spec.x!=b").expect("valid");
        assert_eq!(selector.requires_exact_match("metadata.name"), Some("a"));
        assert_eq!(selector.requires_exact_match("spec.x"), None);
        let error = selector.check_default_fields().expect_err("spec.x is not known");
        assert_eq!(error, r#""spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#);
        let renamed = selector.transform(|field, value| Ok::<_, ()>((field.replace("spec.x", "y"), value.to_owned())));
        assert_eq!(renamed.expect("renamed").to_string(), "metadata.name=a,y!=b");
    }
}
