//! A field of an object as validation, warnings and defaults look at it: the value and where it stands, with upstream's errors about it
//! (`k8s.io/apimachinery/pkg/util/validation/field`).

use apimachinery::field::{Error, ErrorType, Path, go_quote, show};
use apimachinery::quantity::Quantity;
use serde_json::Value;

use super::value;

/// What was found.
pub(crate) type Errors = Vec<Error>;

pub(crate) const NULL: &Value = &Value::Null;

/// A place in an object: the value there, null where there is none, and its path.
#[derive(Clone)]
pub(crate) struct FieldValue<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: Path,
}

impl<'a> FieldValue<'a> {
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
    pub(crate) fn items(&self, name: &str) -> impl Iterator<Item = FieldValue<'a>> + use<'a> {
        let items = value::list(self.value, name);
        let path = if items.is_empty() { Path::default() } else { self.path.child(name) };
        items.iter().enumerate().map(move |(i, value)| FieldValue { value, path: path.index(i) })
    }

    /// The entries of the map at a field, each under its key.
    pub(crate) fn entries(&self, name: &str) -> impl Iterator<Item = (&'a str, FieldValue<'a>)> + use<'a> {
        let path = self.path.child(name);
        value::entries(self.value, name).map(move |(key, value)| (key.as_str(), FieldValue { value, path: path.key(key) }))
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
