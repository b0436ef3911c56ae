//! From a request's body to an object in the version that is stored: decoded, checked against its schema, defaulted, converted.

use api::kinds;
use apimachinery::codec::{self, Decoded, MediaType};
use apimachinery::options::{DeleteOptions, FieldValidation, WriteOptions};
use apimachinery::{GroupVersion, GroupVersionKind, Status};
use bytes::Bytes;
use serde_json::Value;

use super::request_scope::RequestScope;
use super::route::Target;
use crate::negotiate;
use crate::request::Authorized;

/// What the body is written in; 415 where we cannot read that.
pub(crate) fn media_type(request: &Authorized) -> Result<MediaType, Status> {
    Ok(match negotiate::content_type(request.header("content-type"))? {
        negotiate::MediaType::Json => MediaType::Json,
        negotiate::MediaType::Yaml => MediaType::Yaml,
        negotiate::MediaType::Protobuf => MediaType::Protobuf,
    })
}

/// What is posted to `pods/eviction`. Older clients send the version before, which is no longer served, and means the same.
static EVICTION: GroupVersionKind = GroupVersionKind::of("policy", "v1", "Eviction");
const OLDER_EVICTION_VERSION: &str = "v1beta1";

fn is_older_eviction(kind: &GroupVersionKind) -> bool {
    kind.kind == EVICTION.kind && kind.group == EVICTION.group && kind.version == OLDER_EVICTION_VERSION
}

/// A create's or update's body: whole, of the kind that the path takes, with defaults, in the version asked for.
pub(crate) fn object(
    scope: &RequestScope,
    request: &Authorized,
    body: &[u8],
    media_type: MediaType,
    options: &WriteOptions,
) -> Result<Value, Status> {
    let expected = scope.kind();
    let catalogue = &request.context().catalogue;
    let schema = catalogue.schema_of(expected).ok_or_else(|| not_served_yet(scope))?;
    let schema_of = |kind: &GroupVersionKind| catalogue.schema_of(if is_older_eviction(kind) { &EVICTION } else { kind });
    let decoded = codec::decode(body, media_type, expected, &schema, &schema_of).map_err(|error| error.into_status(expected, body))?;
    let wording =
        |error: &str| format!("{} in version \"{}\" cannot be handled as a {}: {error}", expected.kind, expected.version, expected.kind);
    let mut object = judged(request, decoded, options.field_validation_directive(), |error| Status::bad_request(wording(error)))?;
    let found = object.get("apiVersion").and_then(Value::as_str).and_then(GroupVersion::parse).unwrap_or_else(|| expected.group_version());
    if *expected == EVICTION && found.version == OLDER_EVICTION_VERSION {
        object["apiVersion"] = expected.api_version().into();
    } else if found != expected.group_version() {
        return Err(codec::version_mismatch(&found, &expected.group_version()));
    }
    default(scope, &mut object);
    Ok(object)
}

/// What a strict reader objects to refuses the request, or is a warning, or nothing, as the client wants it.
pub(crate) fn judged(
    request: &Authorized,
    decoded: Decoded,
    directive: FieldValidation,
    refuse: impl FnOnce(&str) -> Status,
) -> Result<Value, Status> {
    match directive {
        FieldValidation::Strict => {
            if let Some(error) = decoded.strict_error() {
                return Err(refuse(&error));
            }
        }
        FieldValidation::Warn => decoded.warnings().iter().for_each(|warning| request.warn(warning)),
        FieldValidation::Ignore => {}
    }
    Ok(decoded.value)
}

/// Fills in the kind's defaults; only where the body is the resource's own kind.
pub(crate) fn default(scope: &RequestScope, object: &mut Value) {
    if *scope.kind() == scope.requested.gvk {
        kinds::strategy(&scope.requested).default(&scope.requested, object);
    }
}

/// The object in the version that is stored, with that version's defaults.
///
/// # Errors
/// 500: it cannot be had in that version.
pub(crate) async fn stored(scope: &RequestScope, object: Value) -> Result<Value, Status> {
    if !scope.converts() {
        return Ok(object);
    }
    let mut stored = convert(scope, object, &scope.resource.gvk).await?;
    kinds::strategy(&scope.resource).default(&scope.resource, &mut stored);
    Ok(stored)
}

/// A stored object in the version asked for.
///
/// # Errors
/// 500: it cannot be had in that version.
pub(crate) async fn requested(scope: &RequestScope, stored: Value) -> Result<Value, Status> {
    if scope.converts() { convert(scope, stored, &scope.requested.gvk).await } else { Ok(stored) }
}

async fn convert(scope: &RequestScope, object: Value, to: &GroupVersionKind) -> Result<Value, Status> {
    let converted = scope.requested.conversion.convert(vec![object], to).await.map_err(Status::internal)?;
    converted.into_iter().next().ok_or_else(|| Status::internal("an object was lost in conversion"))
}

/// The body of a deletion.
pub(crate) fn delete_options(request: &Authorized, body: &Bytes) -> Result<DeleteOptions, Status> {
    codec::decode_delete_options(body, media_type(request)?)
}

/// A subresource that takes the object's own kind (`status`, `finalize`, `approval`, …) is an update of the object.
pub(crate) fn check_subresource(scope: &RequestScope) -> Result<(), Status> {
    if scope.target == Target::Subresource && !same_kind(scope.kind(), &scope.requested.gvk) {
        return Err(not_served_yet(scope));
    }
    Ok(())
}

fn same_kind(a: &GroupVersionKind, b: &GroupVersionKind) -> bool {
    a.kind == b.kind && a.group == b.group
}

/// Discovery lists what upstream serves; what we do not serve yet says so.
pub(crate) fn not_served_yet(scope: &RequestScope) -> Status {
    let what = match scope.subresource.as_str() {
        "" => scope.requested.gvr.resource.to_string(),
        subresource => format!("{}/{subresource}", scope.requested.gvr.resource),
    };
    unserved(&what)
}

/// 501, with what is not there.
pub(crate) fn unserved(what: &str) -> Status {
    unclassified(501, format!("{what} is not served by wasmgate yet"))
}

/// A failure without a reason: what upstream's handlers make of an error that is no `Status`.
pub(crate) fn unclassified(code: u16, message: String) -> Status {
    let mut status = Status::internal("");
    (status.code, status.message, status.reason, status.details) = (code, message, None, None);
    status
}
