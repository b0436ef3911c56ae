//! Label selectors: the grammar of `?labelSelector=` and the `LabelSelector` objects in specs
//! (`k8s.io/apimachinery/pkg/labels`).
//!
//! A parsed selector is sorted by key, so that equal selectors print equally.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::Operator;
use crate::field::{self, Path, aggregate, go_quote};
use crate::validation::name::{is_label_key, is_label_value};

/// Something that has labels.
pub trait Labels {
    /// The label's value; `None` where there is no such label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl<K: AsRef<str>, V: AsRef<str>> Labels for [(K, V)] {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| k.as_ref() == key).map(|(_, value)| value.as_ref())
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// `metadata.labels` as it stands in an object.
impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

impl<L: Labels + ?Sized> Labels for Option<&L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.and_then(|labels| labels.label(key))
    }
}

/// One condition. All conditions of a selector must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
    /// The values are sorted, as those of a parsed selector are: thousands of them are compared with thousands of objects.
    sorted: bool,
}

impl Requirement {
    /// A valid requirement, or all that is wrong with it in upstream's words.
    pub fn new(key: impl Into<String>, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let key = key.into();
        let mut errors = Vec::new();
        errors.extend(key_error(&key, &Path::new("key")));
        let path = Path::new("values");
        let mut refuse = |words: &str| errors.push(field::Error::invalid(&path, values.clone(), words));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => refuse("for 'in', 'notin' operators, values set can't be empty"),
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                refuse("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                refuse("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    refuse("for 'Gt', 'Lt' operators, exactly one value is required");
                }
                for (i, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
                    let words = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.push(field::Error::invalid(&path.index(i), value.as_str(), words));
                }
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            let problems = is_label_value(value);
            if !problems.is_empty() {
                errors.push(field::Error::invalid(&path.index(i).key(&key), value.as_str(), &problems.join("; ")));
            }
        }
        let sorted = values.is_sorted();
        if errors.is_empty() { Ok(Self { key, operator, values, sorted }) } else { Err(aggregate(&errors)) }
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values, as they were given (sorted where the selector was parsed from text).
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the labels satisfy it.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let value = labels.label(&self.key);
        let listed = |value: &str| match self.sorted {
            true => self.values.binary_search_by(|known| known.as_str().cmp(value)).is_ok(),
            false => self.values.iter().any(|known| known == value),
        };
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let (Some(Ok(value)), Some(Ok(bound))) = (value.map(str::parse::<i64>), self.values.first().map(|v| v.parse::<i64>()))
                else {
                    return false;
                };
                if self.operator == Operator::GreaterThan { value > bound } else { value < bound }
            }
        }
    }
}

fn key_error(key: &str, path: &Path) -> Option<field::Error> {
    let problems = is_label_key(key);
    (!problems.is_empty()).then(|| field::Error::invalid(path, key, &problems.join("; ")))
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.values.clone();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A label selector: everything by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Selects every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects no object: what a missing `LabelSelector` object means.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Parses `?labelSelector=`; the error is in upstream's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::of(Parser::new(text).parse()?))
    }

    /// From requirements.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// All of these labels with these values (`spec.selector` of a Service); none given: everything. Not validated.
    pub fn from_set<'a>(set: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let equals = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: vec![value.to_owned()],
            sorted: true,
        };
        Self::of(set.into_iter().map(equals).collect())
    }

    /// From a `LabelSelector` object (`matchLabels`, `matchExpressions`): missing selects nothing, empty everything.
    pub fn from_object(object: Option<&Value>) -> Result<Self, String> {
        let Some(object) = object.filter(|object| !object.is_null()) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in object.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.as_str().unwrap_or_default().to_owned()])?);
        }
        for expression in object.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or_default();
            let operator = match text("operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", go_quote(other))),
            };
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(Requirement::new(text("key"), operator, values)?);
        }
        Ok(Self::of(requirements))
    }

    /// Whether it selects every object.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether it can select no object.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Its conditions, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether this object is selected by its `metadata.labels`.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(&crate::object::meta(object, "labels").and_then(Value::as_object))
    }

    /// The one value that the selector asks of the label, where it asks for one.
    pub fn requires_exact_match(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Identifier,
    Comma,
    Open,
    Close,
    Not,
    Operator(Operator),
    End,
}

/// The tokens of a selector; the last is `End`, and stays the last however often it is taken.
struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        // A NUL ends the text, as upstream's lexer has it.
        let mut rest = text.split('\0').next().unwrap_or_default();
        let mut tokens = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let special = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<');
            let (token, length) = match rest.as_bytes() {
                [] => break,
                [b'=', b'=', ..] => (Token::Operator(Operator::DoubleEquals), 2),
                [b'!', b'=', ..] => (Token::Operator(Operator::NotEquals), 2),
                [b'=', ..] => (Token::Operator(Operator::Equals), 1),
                [b'>', ..] => (Token::Operator(Operator::GreaterThan), 1),
                [b'<', ..] => (Token::Operator(Operator::LessThan), 1),
                [b'!', ..] => (Token::Not, 1),
                [b'(', ..] => (Token::Open, 1),
                [b')', ..] => (Token::Close, 1),
                [b',', ..] => (Token::Comma, 1),
                _ => {
                    let end = rest.find(|c| special(c) || matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(rest.len());
                    let token = match &rest[..end] {
                        "in" => Token::Operator(Operator::In),
                        "notin" => Token::Operator(Operator::NotIn),
                        _ => Token::Identifier,
                    };
                    (token, end)
                }
            };
            tokens.push((token, &rest[..length]));
            rest = &rest[length..];
        }
        tokens.push((Token::End, ""));
        Self { tokens, position: 0 }
    }

    /// The next token; where no operator may stand, `in` and `notin` are ordinary words.
    fn peek(&self) -> (Token, &'a str) {
        match self.tokens[self.position.min(self.tokens.len() - 1)] {
            (Token::Operator(Operator::In | Operator::NotIn), word) => (Token::Identifier, word),
            token => token,
        }
    }

    fn take(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn parse(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (Token::End, _) => return Ok(requirements),
                (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
            }
            requirements.push(self.requirement().map_err(|error| format!("unable to parse requirement: {error}"))?);
            match self.take() {
                (Token::End, _) => return Ok(requirements),
                (Token::Comma, _) => match self.peek() {
                    (Token::Identifier | Token::Not, _) => {}
                    (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
                },
                (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.take();
        let absent = token == Token::Not;
        if absent {
            (token, key) = self.take();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(error) = key_error(key, &Path::default()) {
            return Err(error.to_string());
        }
        if absent {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let (token, found) = self.tokens[self.position];
        self.position += 1;
        let Token::Operator(operator) = token else {
            return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"));
        };
        let mut values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        values.sort_unstable();
        values.dedup();
        Requirement::new(key, operator, values.into_iter().map(str::to_owned).collect())
    }

    fn exact_value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("");
        }
        match self.take() {
            (Token::Identifier, value) => Ok(value),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<&'a str>, String> {
        match self.take() {
            (Token::Open, _) => {}
            (_, found) => return Err(format!("found '{found}' expected: '('")),
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, _) => {
                let values = self.listed_values()?;
                self.take();
                Ok(values)
            }
            (Token::Close, _) => {
                self.take();
                Ok(vec![""])
            }
            (_, found) => Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
    }

    /// Up to the closing parenthesis; a value may be empty: `(,a)`, `(a,)`, `(a,,b)`.
    fn listed_values(&mut self) -> Result<Vec<&'a str>, String> {
        let mut values = Vec::new();
        loop {
            match self.take() {
                (Token::Identifier, value) => {
                    values.push(value);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    let next = self.peek().0;
                    if values.is_empty() || next == Token::Close || next == Token::Comma {
                        values.push("");
                    }
                    if next == Token::Close {
                        return Ok(values);
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parsing_and_printing() {
        let rows = [
            ("", ""),
            ("  ", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("z=c, y == b ,x!=a", "x!=a,y==b,z=c"),
            ("x in (c,a,b)", "x in (a,b,c)"),
            ("x in ()", "x in ()"),
            ("x notin (a,,b)", "x notin (,a,b)"),
            ("x in (,a)", "x in (,a)"),
            ("x in (a,)", "x in (,a)"),
            ("x in (in,notin)", "x in (in,notin)"),
            ("in in (a)", "in in (a)"),
            ("!x", "!x"),
            ("! x,y", "!x,y"),
            ("x=", "x="),
            ("x=,y", "x=,y"),
            (
                "x>1,y<-2",
                "err: unable to parse requirement: values[0][y]: Invalid value: \"-2\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
            ("x>1", "x>1"),
            ("a b", "err: unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in (b", "err: unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in (b,", "err: unable to parse requirement: found '', expected: ',', or identifier"),
            ("a in (", "err: unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("a=b c", "err: found 'c', expected: ',' or 'end of string'"),
            (
                "a>x",
                "err: unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            ("app=x=y", "err: found '=', expected: ',' or 'end of string'"),
            ("=x", "err: found '=', expected: !, identifier, or 'end of string'"),
            ("app in x", "err: unable to parse requirement: found 'x' expected: '('"),
            ("app,,tier", "err: found ',', expected: identifier after ','"),
            ("!app=x", "err: found '=', expected: ',' or 'end of string'"),
            ("app=x,", "err: found '', expected: identifier after ','"),
            ("app = = x", "err: unable to parse requirement: found '=', expected: identifier"),
            ("!", "err: unable to parse requirement: found '', expected: identifier"),
            ("/a", "err: unable to parse requirement: <nil>: Invalid value: \"/a\": prefix part must be non-empty"),
        ];
        for (text, want) in rows {
            let got = LabelSelector::parse(text).map_or_else(|error| format!("err: {error}"), |selector| selector.to_string());
            assert_eq!(got, want, "{text}");
        }
        let long = "v".repeat(64);
        let error = LabelSelector::parse(&format!("app={long}")).expect_err("too long");
        assert_eq!(error, format!("unable to parse requirement: values[0][app]: Invalid value: \"{long}\": must be no more than 63 bytes"));
    }

    #[test]
    fn matching() {
        let labels = json!({"app": "x", "n": "5", "empty": ""});
        let rows = [
            ("", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("app=x", true),
            ("app==y", false),
            ("app!=y", true),
            ("other!=y", true),
            ("app in (x,y)", true),
            ("app notin (x,y)", false),
            ("other notin (x)", true),
            ("other in (x)", false),
            ("n>4", true),
            ("n>5", false),
            ("n<6,app=x", true),
            ("app>1", false),
            ("empty=", true),
            ("other=", false),
        ];
        for (text, want) in rows {
            let selector = LabelSelector::parse(text).expect(text);
            assert_eq!(selector.matches(labels.as_object().expect("labels")), want, "{text}");
            let pairs = [("app", "x"), ("n", "5"), ("empty", "")];
            assert_eq!(selector.matches(&pairs[..]), want, "{text}");
        }
    }

    #[test]
    fn selector_objects() {
        let rows = [
            (json!(null), "nothing"),
            (json!({}), ""),
            (json!({"matchLabels": {"b": "1", "a": "2"}}), "a=2,b=1"),
            (
                json!({"matchLabels": {"z": "1"}, "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["y", "x"]},
                    {"key": "b", "operator": "Exists"},
                    {"key": "c", "operator": "DoesNotExist"}]}),
                "a in (x,y),b,!c,z=1",
            ),
            (json!({"matchExpressions": [{"key": "a", "operator": "Has"}]}), "err: \"Has\" is not a valid label selector operator"),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
                "err: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
            ),
        ];
        for (object, want) in rows {
            let got = match LabelSelector::from_object(Some(&object)) {
                Ok(selector) if selector.is_nothing() => "nothing".to_owned(),
                Ok(selector) => selector.to_string(),
                Err(error) => format!("err: {error}"),
            };
            assert_eq!(got, want, "{object}");
        }
        assert!(!LabelSelector::nothing().matches_object(&json!({})));
    }

    #[test]
    fn exact_matches() {
        let selector = LabelSelector::parse("a=1,b in (2),c in (3,4),d!=5").expect("valid");
        let got = ["a", "b", "c", "d", "e"].map(|key| selector.requires_exact_match(key));
        assert_eq!(got, [Some("1"), Some("2"), None, None, None]);
    }
}
