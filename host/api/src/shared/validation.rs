//! What is wrong with an object, in upstream's order and words (`pkg/apis/*/validation`).
//!
//! A function looks at one place of an object ([`At`]) and appends what it finds. Values are in upstream's form and defaulted.

use apimachinery::field::{Error, ErrorType, Path, go_quote, show};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{ip, name};
use serde_json::Value;

use super::rules::{self, Format, Rule};
use crate::shared::value;

/// `example.com/controller`
pub(crate) fn domain_prefixed_path(at: &At<'_>, errors: &mut Errors) {
    let Some((domain, path)) = at.text().split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty()) else {
        if at.text().is_empty() {
            errors.push(at.required(""));
        } else {
            errors.push(at.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"));
        }
        return;
    };
    for problem in name::is_dns1123_subdomain(domain) {
        errors.push(at.invalid_as(domain, &problem));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/%:@-._~!$&'()*+,;=".contains(c);
    if !path.chars().all(allowed) {
        let words = name::regex_error("Invalid path", r"^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$", &[]);
        errors.push(at.invalid_as(path, &words));
    }
}

/// What was found.
pub(crate) type Errors = Vec<Error>;

pub(crate) const NULL: &Value = &Value::Null;

/// A place in an object: the value there, null where there is none, and its path.
#[derive(Clone)]
pub(crate) struct At<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: Path,
}

impl<'a> At<'a> {
    /// The whole object.
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, path: Path::default() }
    }

    /// A field.
    pub(crate) fn child(&self, name: &str) -> Self {
        Self { value: self.value.get(name).unwrap_or(NULL), path: self.path.child(name) }
    }

    /// A field, where it is there and not null.
    pub(crate) fn some(&self, name: &str) -> Option<Self> {
        self.value.get(name).filter(|value| !value.is_null()).map(|value| Self { value, path: self.path.child(name) })
    }

    /// The same value under another path.
    pub(crate) fn renamed(&self, path: Path) -> Self {
        Self { value: self.value, path }
    }

    /// The items of the list at a field.
    pub(crate) fn items(&self, name: &str) -> impl Iterator<Item = At<'a>> + use<'a> {
        let items = value::list(self.value, name);
        let path = if items.is_empty() { Path::default() } else { self.path.child(name) };
        items.iter().enumerate().map(move |(i, value)| At { value, path: path.index(i) })
    }

    /// The entries of the map at a field, each under its key.
    pub(crate) fn entries(&self, name: &str) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
        let path = self.path.child(name);
        value::entries(self.value, name).map(move |(key, value)| (key.as_str(), At { value, path: path.key(key) }))
    }

    /// The strings of the list at a field.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        value::list(self.value, name).iter().filter_map(Value::as_str)
    }

    /// The value as a string; empty where it is none.
    pub(crate) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or("")
    }

    /// The field as a string; empty where it is missing.
    pub(crate) fn text_of(&self, name: &str) -> &'a str {
        value::text(self.value, name)
    }

    /// The value as a number; 0 where it is none.
    pub(crate) fn int(&self) -> i64 {
        self.value.as_i64().unwrap_or(0)
    }

    /// The field as a number, where it is there.
    pub(crate) fn int_of(&self, name: &str) -> Option<i64> {
        value::int(self.value, name)
    }

    /// The field as a flag; false where it is missing.
    pub(crate) fn flag(&self, name: &str) -> bool {
        value::flag(self.value, name)
    }

    /// Whether the field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        value::has(self.value, name)
    }

    /// Whether the list or map at the field has anything.
    pub(crate) fn is_empty(&self, name: &str) -> bool {
        match self.value.get(name) {
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::String(text)) => text.is_empty(),
            _ => true,
        }
    }

    /// The value as a quantity.
    pub(crate) fn quantity(&self) -> Option<Quantity> {
        Quantity::of_json(self.value)
    }

    /// `Required value`
    pub(crate) fn required(&self, detail: &str) -> Error {
        Error::required(&self.path, detail)
    }

    /// `Invalid value: …`
    pub(crate) fn invalid(&self, detail: &str) -> Error {
        Error::of_value(ErrorType::Invalid, &self.path, self.value, detail)
    }

    /// `Invalid value: …` of a value that is shown as given.
    pub(crate) fn invalid_as(&self, shown: impl Into<Value>, detail: &str) -> Error {
        Error::invalid(&self.path, shown, detail)
    }

    /// `Forbidden: …`
    pub(crate) fn forbidden(&self, detail: &str) -> Error {
        Error::forbidden(&self.path, detail)
    }

    /// `Duplicate value: …`
    pub(crate) fn duplicate(&self) -> Error {
        Error::of_value(ErrorType::Duplicate, &self.path, self.value, "")
    }

    /// `Not found: …`
    pub(crate) fn not_found(&self) -> Error {
        Error::of_value(ErrorType::NotFound, &self.path, self.value, "")
    }

    /// `Unsupported value: …: supported values: …`, in the order given.
    pub(crate) fn unsupported(&self, valid: &[&str]) -> Error {
        unsupported(&self.path, self.value, valid)
    }

    /// One error for each problem.
    pub(crate) fn problems(&self, problems: Vec<String>, errors: &mut Errors) {
        errors.extend(problems.iter().map(|problem| self.invalid(problem)));
    }

    /// Required, and one of some values.
    pub(crate) fn one_of(&self, valid: &'static [&'static str], errors: &mut Errors) {
        rules::check_value(&[Rule::Required, Rule::Enum(valid)], self, None, errors);
    }

    /// Not below zero.
    pub(crate) fn non_negative(&self, errors: &mut Errors) {
        rules::check_value(&[Rule::NON_NEGATIVE], self, None, errors);
    }

    /// Above zero.
    pub(crate) fn positive(&self, errors: &mut Errors) {
        rules::check_value(&[Rule::POSITIVE], self, None, errors);
    }

    /// Between two numbers.
    pub(crate) fn within(&self, low: i64, high: i64, errors: &mut Errors) {
        rules::check_value(&[Rule::Range(low, high)], self, None, errors);
    }

    /// A DNS label.
    pub(crate) fn dns_label(&self, errors: &mut Errors) {
        rules::check_value(&[Rule::Format(Format::DnsLabel)], self, None, errors);
    }

    /// A DNS subdomain.
    pub(crate) fn dns_subdomain(&self, errors: &mut Errors) {
        rules::check_value(&[Rule::Format(Format::DnsSubdomain)], self, None, errors);
    }

    /// A label's key.
    pub(crate) fn label_key(&self, errors: &mut Errors) {
        rules::check_value(&[Rule::Format(Format::LabelKey)], self, None, errors);
    }

    /// What it was before.
    pub(crate) fn immutable(&self, old: &At<'_>, errors: &mut Errors) {
        rules::check_value(&[Rule::Immutable], self, Some(old), errors);
    }
}

/// `field is immutable`
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// `must be greater than or equal to 0`
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";

/// `Unsupported value: …: supported values: …`, in the order given.
pub(crate) fn unsupported(path: &Path, value: &Value, valid: &[&str]) -> Error {
    let listed = valid.iter().map(|value| go_quote(value)).collect::<Vec<_>>().join(", ");
    let shown = show(value);
    let body = if valid.is_empty() {
        format!("Unsupported value: {shown}")
    } else {
        format!("Unsupported value: {shown}: supported values: {listed}")
    };
    let value = value.is_object().then(|| Box::new(value.clone()));
    Error { kind: ErrorType::NotSupported, field: path.to_string(), body, value }
}

/// `Invalid value: …` of a value that is already written as upstream writes it.
pub(crate) fn invalid_shown(path: &Path, shown: &str, detail: &str) -> Error {
    Error { kind: ErrorType::Invalid, field: path.to_string(), body: format!("Invalid value: {shown}: {detail}"), value: None }
}

/// `*At` as a port: a number, or a name.
pub(crate) fn port_num_or_name(at: &At<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => at.problems(name::is_valid_port_name(text), errors),
        _ => errors.extend(name::is_valid_port_num(at.int()).iter().map(|problem| at.invalid_as(at.int(), problem))),
    }
}

/// An IP address in a field that is older than the strict rules: any spelling of it that cannot be misread, or what was `stored` before.
pub(crate) fn legacy_ip(at: &At<'_>, stored: &[&str], errors: &mut Errors) {
    errors.extend(ip::is_valid_ip_for_legacy_field(&at.path, at.text(), true, stored));
}

/// A network in a field that is older than the strict rules, or what was `stored` before.
pub(crate) fn legacy_cidr(at: &At<'_>, stored: &[&str], errors: &mut Errors) {
    errors.extend(ip::is_valid_cidr_for_legacy_field(&at.path, at.text(), true, stored));
}

/// A number, or a percentage.
pub(crate) fn int_or_percent(at: &At<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => {
            if !name::is_valid_percent(text).is_empty() {
                errors.push(at.invalid("must be an integer or percentage (e.g '5%')"));
            }
        }
        _ => at.non_negative(errors),
    }
}

/// The number before the percent sign.
pub(crate) fn percent_of(value: &Value) -> Option<i64> {
    value.as_str()?.strip_suffix('%')?.parse().ok()
}

/// A number, or the percentage's.
pub(crate) fn int_or_percent_value(value: &Value) -> i64 {
    value.as_i64().or_else(|| percent_of(value)).unwrap_or(0)
}
