//! What is wrong with an object, in upstream's order and words (`pkg/apis/*/validation`).
//!
//! A function looks at one field of an object ([`FieldValue`]) and appends what it finds. Values are in upstream's form and defaulted.

use apimachinery::field::{Error, ErrorType, Path};
use apimachinery::validation::{ip, name};
use serde_json::Value;

use super::field_value::{Errors, FieldValue};
use super::rules::{self, Format, Rule};

/// The regular rules that single fields are asked most.
impl FieldValue<'_> {
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
    pub(crate) fn immutable(&self, old: &FieldValue<'_>, errors: &mut Errors) {
        rules::check_value(&[Rule::Immutable], self, Some(old), errors);
    }
}

/// `example.com/controller`
pub(crate) fn domain_prefixed_path(at: &FieldValue<'_>, errors: &mut Errors) {
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

/// `Invalid value: …` of a value that is already written as upstream writes it.
pub(crate) fn invalid_shown(path: &Path, shown: &str, detail: &str) -> Error {
    Error { kind: ErrorType::Invalid, field: path.to_string(), body: format!("Invalid value: {shown}: {detail}"), value: None }
}

/// `*FieldValue` as a port: a number, or a name.
pub(crate) fn port_num_or_name(at: &FieldValue<'_>, errors: &mut Errors) {
    match at.value {
        Value::String(text) => at.problems(name::is_valid_port_name(text), errors),
        _ => errors.extend(name::is_valid_port_num(at.int()).iter().map(|problem| at.invalid_as(at.int(), problem))),
    }
}

/// An IP address in a field that is older than the strict rules: any spelling of it that cannot be misread, or what was `stored` before.
pub(crate) fn legacy_ip(at: &FieldValue<'_>, stored: &[&str], errors: &mut Errors) {
    errors.extend(ip::is_valid_ip_for_legacy_field(&at.path, at.text(), true, stored));
}

/// A network in a field that is older than the strict rules, or what was `stored` before.
pub(crate) fn legacy_cidr(at: &FieldValue<'_>, stored: &[&str], errors: &mut Errors) {
    errors.extend(ip::is_valid_cidr_for_legacy_field(&at.path, at.text(), true, stored));
}

/// A number, or a percentage.
pub(crate) fn int_or_percent(at: &FieldValue<'_>, errors: &mut Errors) {
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
