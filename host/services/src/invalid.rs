//! Refusals of a Service.

use apimachinery::{GroupKind, Status, field, object};
use serde_json::Value;

/// 422 about a Service.
pub(crate) fn invalid(service: &Value, errors: &[field::Error]) -> Status {
    Status::invalid(&GroupKind::of("", "Service"), object::name(service), errors)
}
