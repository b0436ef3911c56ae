//! What several kinds of `resource.k8s.io` have in common. Selectors and opaque parameters are looked at for their form and size; whether a
//! selector compiles is not known here.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::validation::name;
use serde_json::Value;

use crate::shared::field_value::{Errors, FieldValue};
use crate::shared::pod::volume;
use crate::shared::rules::{self, Field, Rule, field};
use crate::shared::value;

pub(crate) const CONFIGS_COUNT_MAX: usize = 32;
pub(crate) const SELECTORS_COUNT_MAX: usize = 32;
const EXPRESSION_BYTES_MAX: usize = 10 * 1024;
pub(crate) const PARAMETERS_BYTES_MAX: usize = 10 * 1024;
const CONDITIONS_COUNT_MAX: usize = 8;
const BINDING_CONDITIONS_COUNT_MAX: usize = 4;
const POOL_NAME_BYTES_MAX: usize = 253;
const IDENTIFIER_BYTES_MAX: usize = 32;

const CEL: Field = field("cel", &[Rule::Present, Rule::Fields(&[field("expression", &[Rule::MaxBytes(EXPRESSION_BYTES_MAX)])])]);

/// A list of limited length. One that is too long is not looked at any further.
pub(crate) fn each(
    at: &FieldValue<'_>,
    list: &str,
    most: usize,
    errors: &mut Errors,
    mut item: impl FnMut(&FieldValue<'_>, &mut Errors),
) -> bool {
    let found = errors.len();
    rules::check_value(&[Rule::MaxItems(most)], &at.child(list), None, errors);
    if errors.len() > found {
        return false;
    }
    at.items(list).for_each(|at| item(&at, errors));
    true
}

/// The same, of items that are told apart by a key.
pub(crate) fn each_once(
    at: &FieldValue<'_>,
    list: &str,
    most: usize,
    key: impl Fn(&FieldValue<'_>) -> String,
    errors: &mut Errors,
    item: impl FnMut(&FieldValue<'_>, &mut Errors),
) {
    if each(at, list, most, errors, item) {
        rules::once(at.items(list), key, errors);
    }
}

pub(crate) fn selector(at: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&[CEL], at, None, errors);
}

pub(crate) fn configuration(at: &FieldValue<'_>, errors: &mut Errors) {
    let opaque = at.child("opaque");
    if opaque.value.is_null() {
        return errors.push(opaque.required(""));
    }
    volume::csi_driver_name(&opaque.child("driver"), errors);
    raw_object(&opaque.child("parameters"), PARAMETERS_BYTES_MAX, errors);
}

/// An object that is somebody else's to understand.
pub(crate) fn raw_object(at: &FieldValue<'_>, bytes_max: usize, errors: &mut Errors) {
    if at.value.is_null() {
        errors.push(at.required(""));
    } else if at.value.to_string().len() > bytes_max {
        errors.push(Error::too_long(&at.path, bytes_max));
    } else if !at.value.is_object() {
        errors.push(at.invalid_as("<value omitted>", "must be a valid JSON object"));
    }
}

pub(crate) const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// A taint; an effect that it had before is not asked about again.
pub(crate) fn taint(at: &FieldValue<'_>, old: Option<&Value>, errors: &mut Errors) {
    let (key, value, effect) = (at.child("key"), at.child("value"), at.child("effect"));
    errors.extend(name::is_label_key(key.text()).iter().map(|problem| key.invalid_as(key.text(), problem)));
    if !value.text().is_empty() {
        value.problems(name::is_label_value(value.text()), errors);
    }
    if old.is_none_or(|old| value::text(old, "effect") != effect.text()) {
        effect.one_of(&EFFECTS, errors);
    }
}

/// `domain/name`, or `name`.
pub(crate) fn qualified_name(text: &str, at: &FieldValue<'_>, errors: &mut Errors) {
    let identifier = |text: &str, errors: &mut Errors| {
        if text.len() > IDENTIFIER_BYTES_MAX {
            errors.push(Error::too_long(&at.path, IDENTIFIER_BYTES_MAX));
        }
        errors.extend(name::is_c_identifier(text).iter().map(|problem| at.invalid_as(text, problem)));
    };
    // Upstream does not look at names of more than two parts.
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] => identifier(name, errors),
        [domain, name] => {
            if domain.is_empty() {
                errors.push(at.invalid_as("", "the domain must not be empty"));
            } else {
                volume::csi_driver_name(&FieldValue { value: &Value::from(*domain), path: at.path.clone() }, errors);
            }
            if name.is_empty() {
                errors.push(at.invalid_as("", "the name must not be empty"));
            } else {
                identifier(name, errors);
            }
        }
        _ => {}
    }
}

/// Subdomains between slashes.
pub(crate) fn pool_name(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().is_empty() {
        return errors.push(at.required(""));
    }
    if at.text().len() > POOL_NAME_BYTES_MAX {
        errors.push(Error::too_long(&at.path, POOL_NAME_BYTES_MAX));
    }
    for part in at.text().split('/') {
        errors.extend(name::is_dns1123_subdomain(part).iter().map(|problem| at.invalid_as(part, problem)));
    }
}

/// What has to be so before a pod is bound, and what says that it will not be.
pub(crate) fn binding_conditions(at: &FieldValue<'_>, errors: &mut Errors) {
    const WANTED: &str = "bindingConditions";
    const FAILED: &str = "bindingFailureConditions";
    for list in [WANTED, FAILED] {
        let key = |item: &FieldValue<'_>| item.text().to_owned();
        each_once(at, list, BINDING_CONDITIONS_COUNT_MAX, key, errors, |item, errors| item.label_key(errors));
    }
    let wanted: HashSet<&str> = at.texts(WANTED).collect();
    for failure in at.items(FAILED).filter(|failure| wanted.contains(failure.text())) {
        errors.push(failure.invalid("bindingFailureConditions must not overlap with bindingConditions"));
    }
    for (missing, given) in [(WANTED, FAILED), (FAILED, WANTED)] {
        if at.is_empty(missing) && !at.is_empty(given) {
            errors.push(at.child(missing).invalid(&format!("{missing} are required to use {given}")));
        }
    }
}

const CONDITION: [Field; 5] = [
    field("status", &[Rule::Enum(&["False", "True", "Unknown"])]),
    field("observedGeneration", &[Rule::Min(0, "must be greater than or equal to zero")]),
    field("lastTransitionTime", &[Rule::Required]),
    field("reason", &[Rule::Required, Rule::MaxBytes(1024)]),
    field("message", &[Rule::MaxBytes(32 * 1024)]),
];

/// `metav1.Condition`s.
pub(crate) fn conditions(at: &FieldValue<'_>, errors: &mut Errors) {
    rules::check(&[field("conditions", &[Rule::MaxItems(CONDITIONS_COUNT_MAX)])], at, None, errors);
    let mut seen: HashSet<&str> = HashSet::new();
    for condition in at.items("conditions") {
        let kind = condition.child("type");
        if seen.contains(&kind.text()) {
            errors.push(kind.duplicate());
        }
        seen.insert(kind.text());
        errors.extend(name::is_label_key(kind.text()).iter().map(|problem| kind.invalid_as(kind.text(), problem)));
        rules::check(&CONDITION, &condition, None, errors);
    }
}
