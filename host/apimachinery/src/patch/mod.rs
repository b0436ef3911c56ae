//! Patches: JSON patch, merge patch, strategic merge patch, each with upstream's limits, leniencies and words.
//!
//! Stage 9 of a PATCH: the stored object and the patch's bytes become a new object that fits its kind. A patch never makes an
//! object that a body could not have made: what comes out is checked as a body is.

pub mod go_value;
pub mod json;
pub mod merge;
pub mod strategic;

use serde_json::Value;

use crate::codec::check::{Decoded, Reader, check_as, check_type};
use crate::codec::node::Node;
use crate::codec::{self, Kinds};
use crate::field::{self, Path};
use crate::group_version::{GroupKind, GroupVersionKind};
use crate::options::FieldValidation;
use crate::schema::{FieldType, Schema};
use crate::status::{Status, StatusDetails, StatusReason};

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchType {
    /// RFC 6902: `application/json-patch+json`
    Json,
    /// RFC 7386: `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    StrategicMerge,
    /// `application/apply-patch+yaml`
    Apply,
}

impl PatchType {
    /// Of a `Content-Type`.
    pub fn of(content_type: &str) -> Option<Self> {
        Some(match content_type.split(';').next().unwrap_or_default() {
            "application/json-patch+json" => Self::Json,
            "application/merge-patch+json" => Self::Merge,
            "application/strategic-merge-patch+json" => Self::StrategicMerge,
            "application/apply-patch+yaml" => Self::Apply,
            _ => return None,
        })
    }

    /// Its `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::StrategicMerge => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// The kind that is patched.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Its name.
    pub kind: &'a GroupVersionKind,
    /// Its shape.
    pub schema: &'a Schema,
    /// The other kinds, for the words where a patch changes `kind`.
    pub kinds: &'a dyn Kinds,
}

/// 422 without a reason of ours, as upstream answers a patch that does not apply.
fn rejected() -> Status {
    Status::failure(422, StatusReason::Invalid, "the server rejected our request due to an error in our request")
        .with_details(StatusDetails::default())
}

/// 422: `"" is invalid: patch: Invalid value: "…": …`.
fn invalid(shown: &str, why: &str) -> Status {
    Status::invalid(&GroupKind::of("", ""), "", &[field::Error::invalid(&Path::new("patch"), shown, why)])
}

/// Patches an object. The result's objections are warnings for the client: with `Strict` they were refused, with `Ignore` they
/// are dropped. An apply is none of these.
pub fn apply(
    patch_type: PatchType,
    original: &Value,
    body: &[u8],
    target: Target<'_>,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let (patched, mut objections, shown) = match patch_type {
        PatchType::Json => {
            let (patched, objections) = json::apply_body(original, body, validation)?;
            (patched, objections, None)
        }
        PatchType::Merge => {
            let (patched, objections) = merge_body(original, body, validation)?;
            (patched, objections, None)
        }
        PatchType::StrategicMerge => {
            let patch = read_map(body).map_err(Status::bad_request)?;
            let shown = go_value::show(&patch.value);
            let patched = strategic::merge(original.clone(), patch.value, target.schema).map_err(strategic::MergeError::into_status)?;
            (patched, patch.strict_errors, Some(shown))
        }
        PatchType::Apply => return Err(Status::unsupported_media_type(patch_type.content_type(), &[])),
    };
    let shown_of = |patched: &Value| shown.clone().unwrap_or_else(|| field::go_json(patched));
    let mut decoded = fit(&patched, target, patch_type).map_err(|error| invalid(&shown_of(&patched), &error))?;
    objections.append(&mut decoded.strict_errors);
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => decoded.strict_errors = objections,
        FieldValidation::Strict if objections.is_empty() => {}
        FieldValidation::Strict => return Err(invalid(&shown_of(&patched), &format!("strict decoding error: {}", objections.join(", ")))),
    }
    Ok(decoded)
}

/// Makes the patched object one of its kind, or says in upstream's words why it is none.
fn fit(patched: &Value, target: Target<'_>, patch_type: PatchType) -> Result<Decoded, String> {
    let mut decoded = if patch_type == PatchType::StrategicMerge {
        check_as(Node::of(patched), target.schema, Reader::Converter)?
    } else {
        let found = codec::interpret(&Node::of(patched), target.kind)?;
        if found == *target.kind {
            codec::check_value(patched, target.schema)?
        } else {
            let other = target.kinds.schema(&found).ok_or_else(|| codec::kind_not_registered(&found))?;
            codec::check_value(patched, &other)?;
            return Err(codec::unknown_conversion(&found, target.kind));
        }
    };
    if let Some(object) = decoded.value.as_object_mut() {
        object.insert("apiVersion".to_owned(), target.kind.api_version().into());
        object.insert("kind".to_owned(), target.kind.kind.as_ref().into());
    }
    Ok(decoded)
}

/// A body that is a map of anything, or null.
fn read_map(body: &[u8]) -> Result<Decoded, String> {
    let node = codec::json::parse(body)?;
    if !matches!(node, Node::Object(_) | Node::Null) {
        return Err(format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", node.kind()));
    }
    check_type(node, &FieldType::Any, Reader::Untyped)
}

fn merge_body(original: &Value, body: &[u8], validation: FieldValidation) -> Result<(Value, Vec<String>), Status> {
    let bad = || Status::bad_request("Invalid JSON Patch");
    let patch = match read_map(body) {
        Ok(patch) => patch,
        Err(error) if validation != FieldValidation::Ignore => return Err(Status::bad_request(format!("error decoding patch: {error}"))),
        // Unread before, a list would take the object's place.
        Err(_) => match codec::json::parse(body) {
            Ok(node @ Node::Array(_)) => Decoded { value: node.into_value().map_err(|_| bad())?, strict_errors: Vec::new() },
            _ => return Err(bad()),
        },
    };
    if patch.value.is_null() {
        return Err(bad());
    }
    let mut patched = original.clone();
    merge::merge(&mut patched, patch.value);
    Ok((patched, patch.strict_errors))
}

#[cfg(test)]
mod tests;
