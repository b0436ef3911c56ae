//! The regular rules: what a field has to be, as data, and the one evaluator of them.
//!
//! A kind's rules are lists of [`Field`]s in upstream's order. Its validation hands each list to [`check`] at the place where upstream asks,
//! so that what is found stands in upstream's order, in upstream's words; what is no regular rule stays a function beside it.
//!
//! What a CustomResourceDefinition's schema says of values is of the same kinds: `required` is [`Rule::Present`], `minimum` and `maximum`
//! are [`Rule::Min`] and [`Rule::Max`], `maxLength` and `maxItems` are [`Rule::MaxBytes`] and [`Rule::MaxItems`], `enum` is [`Rule::Enum`],
//! `format` is [`Rule::Format`], `properties` and `items` are [`Rule::Fields`] and [`Rule::Each`], `x-kubernetes-list-map-keys` and
//! `x-kubernetes-list-type: set` are [`once`]. The words for its numbers come with the rule. Which fields exclude each other upstream says in
//! other words each time, and a schema in rules of CEL: that is a function.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::validation::name;
use serde_json::Value;

use super::field_value::{Errors, FieldValue, IMMUTABLE, NEGATIVE};

/// A field, and what it has to be.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// In the order in which they are asked.
    pub(crate) rules: &'static [Rule],
}

/// What a value has to be.
pub(crate) enum Rule {
    /// Where there is none, nothing after this is asked.
    Optional,
    /// Where there is none, or an empty text, list or map, nothing after this is asked.
    OptionalOrEmpty,
    /// There: not missing and not null. Where it is not, nothing after this is asked.
    Present,
    /// There and not empty: a text, a list or a map with something in it. Where it is not, nothing after this is asked.
    Required,
    /// A number that is not below this one; a missing one is 0. The words are upstream's for it.
    Min(i64, &'static str),
    /// A number that is not above this one; a missing one is 0. The words are upstream's for it.
    Max(i64, &'static str),
    /// A number from this one to that one, both included; a missing one is 0.
    Range(i64, i64),
    /// A text of so many bytes at most.
    MaxBytes(usize),
    /// A list of so many items at most. Where it has more, nothing after this is asked.
    MaxItems(usize),
    /// One of these texts. Messages list them in this order.
    Enum(&'static [&'static str]),
    /// A text of this form.
    Format(Format),
    /// What it was before an update.
    Immutable,
    /// The fields of an object.
    Fields(&'static [Field]),
    /// Each item of a list.
    Each(&'static [Rule]),
}

/// The form of a text.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// A DNS label: what a container may be called.
    DnsLabel,
    /// DNS labels with dots between them: what most objects may be called.
    DnsSubdomain,
    /// The key of a label.
    LabelKey,
    /// The name of an environment variable.
    EnvVarName,
    /// A key of the data of a ConfigMap or a Secret.
    ConfigMapKey,
    /// A part of a URL's path: no `/`, no `%`, not `.` and not `..`.
    PathSegment,
}

impl Rule {
    /// A number that is not below zero.
    pub(crate) const NON_NEGATIVE: Self = Self::Min(0, NEGATIVE);
    /// A number above zero.
    pub(crate) const POSITIVE: Self = Self::Min(1, "must be greater than zero");
}

/// A field and its rules.
pub(crate) const fn field(name: &'static str, rules: &'static [Rule]) -> Field {
    Field { name, rules }
}

/// A count: a field that is not below zero.
pub(crate) const fn count(name: &'static str) -> Field {
    field(name, &[Rule::NON_NEGATIVE])
}

/// A field that no update changes.
pub(crate) const fn immutable(name: &'static str) -> Field {
    field(name, &[Rule::Immutable])
}

/// Whether a pod may take another's place.
pub(crate) const PREEMPTION_POLICY: Field = field("preemptionPolicy", &[Rule::Optional, Rule::Enum(&["PreemptLowerPriority", "Never"])]);

/// The protocol of a port.
pub(crate) const PROTOCOL: Field = field("protocol", &[Rule::Required, Rule::Enum(&["SCTP", "TCP", "UDP"])]);

/// Adds what is wrong with these fields of an object. `old` is the object before an update.
pub(crate) fn check(fields: &[Field], at: &FieldValue<'_>, old: Option<&FieldValue<'_>>, errors: &mut Errors) {
    for field in fields {
        check_value(field.rules, &at.child(field.name), old.map(|old| old.child(field.name)).as_ref(), errors);
    }
}

/// Adds what is wrong with a value.
pub(crate) fn check_value(rules: &[Rule], at: &FieldValue<'_>, old: Option<&FieldValue<'_>>, errors: &mut Errors) {
    for rule in rules {
        match rule {
            Rule::Optional if at.value.is_null() => return,
            Rule::OptionalOrEmpty if is_empty(at.value) => return,
            Rule::Present if at.value.is_null() => return errors.push(at.required("")),
            Rule::Required if is_empty(at.value) => return errors.push(at.required("")),
            Rule::Optional | Rule::OptionalOrEmpty | Rule::Present | Rule::Required => {}
            Rule::Min(least, words) if at.int() < *least => errors.push(at.invalid_as(at.int(), words)),
            Rule::Max(most, words) if at.int() > *most => errors.push(at.invalid_as(at.int(), words)),
            Rule::Range(least, most) if !(*least..=*most).contains(&at.int()) => {
                errors.push(at.invalid_as(at.int(), &name::inclusive_range_error(*least, *most)));
            }
            Rule::Min(..) | Rule::Max(..) | Rule::Range(..) => {}
            Rule::MaxBytes(most) if at.text().len() > *most => errors.push(Error::too_long(&at.path, *most)),
            Rule::MaxItems(most) if items(at).len() > *most => return errors.push(Error::too_many(&at.path, items(at).len(), *most)),
            Rule::MaxBytes(_) | Rule::MaxItems(_) => {}
            Rule::Enum(known) if !known.contains(&at.text()) => errors.push(at.unsupported(known)),
            Rule::Enum(_) => {}
            Rule::Format(format) => at.problems(format.problems(at.text()), errors),
            Rule::Immutable if old.is_some_and(|old| old.value != at.value) => errors.push(at.invalid(IMMUTABLE)),
            Rule::Immutable => {}
            Rule::Fields(fields) => check(fields, at, old, errors),
            Rule::Each(rules) => {
                for (i, value) in items(at).iter().enumerate() {
                    check_value(rules, &FieldValue { value, path: at.path.index(i) }, None, errors);
                }
            }
        }
    }
}

impl Format {
    fn problems(self, text: &str) -> Vec<String> {
        match self {
            Self::DnsLabel => name::is_dns1123_label(text),
            Self::DnsSubdomain => name::is_dns1123_subdomain(text),
            Self::LabelKey => name::is_label_key(text),
            Self::EnvVarName => name::is_relaxed_env_var_name(text),
            Self::ConfigMapKey => name::is_config_map_key(text),
            Self::PathSegment => name::is_path_segment_name(text),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn items<'a>(at: &FieldValue<'a>) -> &'a [Value] {
    at.value.as_array().map_or(&[], Vec::as_slice)
}

/// Adds what is said twice in a list whose items are told apart by a key.
pub(crate) fn once<'a>(items: impl IntoIterator<Item = FieldValue<'a>>, key: impl Fn(&FieldValue<'a>) -> String, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for item in items {
        let key = key(&item);
        if seen.contains(&key) {
            errors.push(Error::duplicate(&item.path, key));
        } else {
            seen.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is found in `{"f": value}` after it was `{"f": old}`.
    fn found(rules: &'static [Rule], value: &Value, old: Option<&Value>) -> Vec<String> {
        let of = |value: &Value| json!({ "f": value });
        let (object, old) = (of(value), old.map(of));
        let mut errors = Errors::new();
        check(&[Field { name: "f", rules }], &FieldValue::root(&object), old.as_ref().map(FieldValue::root).as_ref(), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_rule_finds_what_breaks_it_and_nothing_else() {
        const NAMED: &[Rule] = &[Rule::Each(&[Rule::Fields(&[field("name", &[Rule::Required, Rule::Format(Format::DnsLabel)])])])];
        let negative = format!("f: Invalid value: -1: {NEGATIVE}");
        let rows: Vec<(&'static [Rule], Value, Vec<&str>)> = vec![
            (&[Rule::Present], json!(null), vec!["f: Required value"]),
            (&[Rule::Present, Rule::Enum(&["a"])], json!(null), vec!["f: Required value"]),
            (&[Rule::Present, Rule::Enum(&["a"])], json!(""), vec![r#"f: Unsupported value: "": supported values: "a""#]),
            (&[Rule::Required], json!(""), vec!["f: Required value"]),
            (&[Rule::Required], json!([]), vec!["f: Required value"]),
            (&[Rule::Required], json!({}), vec!["f: Required value"]),
            (&[Rule::Required], json!(0), vec![]),
            (&[Rule::Required], json!("a"), vec![]),
            (&[Rule::NON_NEGATIVE], json!(-1), vec![&negative]),
            (&[Rule::NON_NEGATIVE], json!(0), vec![]),
            (&[Rule::NON_NEGATIVE], json!(null), vec![]),
            (&[Rule::POSITIVE], json!(null), vec!["f: Invalid value: 0: must be greater than zero"]),
            (&[Rule::Optional, Rule::POSITIVE], json!(null), vec![]),
            (&[Rule::Optional, Rule::POSITIVE], json!(0), vec!["f: Invalid value: 0: must be greater than zero"]),
            (&[Rule::OptionalOrEmpty, Rule::Enum(&["a"])], json!(""), vec![]),
            (&[Rule::Max(5, "too much")], json!(6), vec!["f: Invalid value: 6: too much"]),
            (&[Rule::Max(5, "too much")], json!(5), vec![]),
            (&[Rule::Range(1, 3)], json!(4), vec!["f: Invalid value: 4: must be between 1 and 3, inclusive"]),
            (&[Rule::Range(1, 3)], json!(3), vec![]),
            (&[Rule::MaxBytes(2)], json!("abc"), vec!["f: Too long: may not be more than 2 bytes"]),
            (&[Rule::MaxBytes(2)], json!("ab"), vec![]),
            (&[Rule::MaxItems(1), Rule::Each(&[Rule::Required])], json!(["", ""]), vec!["f: Too many: 2: must have at most 1 item"]),
            (&[Rule::MaxItems(2), Rule::Each(&[Rule::Required])], json!(["a", ""]), vec!["f[1]: Required value"]),
            (&[Rule::Enum(&["a", "b"])], json!("c"), vec![r#"f: Unsupported value: "c": supported values: "a", "b""#]),
            (&[Rule::Enum(&["a", "b"])], json!("b"), vec![]),
            (NAMED, json!([{ "name": "a" }, {}]), vec!["f[1].name: Required value"]),
            (&[Rule::Immutable], json!(1), vec![]),
        ];
        for (rules, value, want) in rows {
            assert_eq!(found(rules, &value, None), want, "{value}");
        }
    }

    #[test]
    fn keys_are_given_once() {
        let of = |list: Value| {
            let object = json!({ "l": list });
            let mut errors = Errors::new();
            once(FieldValue::root(&object).items("l"), |item| item.text_of("k").to_owned(), &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(json!([{ "k": "a" }, { "k": "b" }, { "k": "a" }, {}])), [r#"l[2]: Duplicate value: "a""#]);
        assert_eq!(of(json!([{ "k": "a" }, { "k": "b" }])), Vec::<String>::new());
    }

    #[test]
    fn formats_are_those_of_names() {
        for (format, good, bad) in
            [(Format::DnsLabel, "a-1", "a.b"), (Format::DnsSubdomain, "a.b", "a_b"), (Format::LabelKey, "a.b/C_d", "a b")]
        {
            assert_eq!(format.problems(good), Vec::<String>::new(), "{good}");
            assert_eq!(format.problems(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_may_not_change_is_compared_with_what_it_was() {
        const RULES: &[Rule] = &[Rule::Fields(&[immutable("a")])];
        let (one, two) = (json!({ "a": 1, "b": 1 }), json!({ "a": 2, "b": 2 }));
        assert_eq!(found(RULES, &two, Some(&one)), ["f.a: Invalid value: 2: field is immutable"]);
        assert_eq!(found(RULES, &two, Some(&json!({}))), ["f.a: Invalid value: 2: field is immutable"]);
        assert_eq!(found(RULES, &two, Some(&two)), Vec::<String>::new());
        assert_eq!(found(RULES, &two, None), Vec::<String>::new());
    }
}
