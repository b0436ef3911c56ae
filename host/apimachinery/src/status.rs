//! `Status`, the answer to everything that fails, with upstream's reasons and words
//! (`k8s.io/apimachinery/pkg/api/errors`).

use serde::{Deserialize, Serialize};

use crate::field::{self, go_quote};
use crate::group_version::{GroupKind, GroupResource};

/// Why a request failed, for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are upstream's and say all there is to say")]
pub enum StatusReason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    StoreReadError,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

/// A `Status` of the `v1` group. `code` is also the HTTP status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `Success` or `Failure`.
    pub status: String,
    /// For a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
    /// `metadata.continue` and `metadata.remainingItemCount`, used by expired continue tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_token: Option<String>,
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

/// What a `Status` is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "field for field upstream's StatusDetails")]
pub struct StatusDetails {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One cause among several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "field for field upstream's StatusCause")]
pub struct StatusCause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

fn about(resource: &GroupResource, name: &str) -> StatusDetails {
    StatusDetails { name: name.to_owned(), group: resource.group.to_string(), kind: resource.resource.to_string(), ..Default::default() }
}

impl Status {
    /// A failure with a code, a reason and words.
    pub fn failure(code: u16, reason: StatusReason, message: impl Into<String>) -> Self {
        Self { status: "Failure".into(), message: message.into(), reason: Some(reason), details: None, code, continue_token: None }
    }

    /// Adds what it is about.
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// `Success`, as a deletion answers.
    pub fn success(details: StatusDetails) -> Self {
        Self { status: "Success".into(), message: String::new(), reason: None, details: Some(details), code: 0, continue_token: None }
    }

    /// 404: `pods "x" not found`.
    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::failure(404, StatusReason::NotFound, format!("{resource} {} not found", go_quote(name))).with_details(about(resource, name))
    }

    /// 404 of a path that nothing serves.
    pub fn path_not_found() -> Self {
        Self::failure(404, StatusReason::NotFound, "the server could not find the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 409: `pods "x" already exists`.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        Self::failure(409, StatusReason::AlreadyExists, format!("{resource} {} already exists", go_quote(name)))
            .with_details(about(resource, name))
    }

    /// 409: `Operation cannot be fulfilled on pods "x": …`.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Self {
        Self::failure(409, StatusReason::Conflict, format!("Operation cannot be fulfilled on {resource} {}: {why}", go_quote(name)))
            .with_details(about(resource, name))
    }

    /// 403: `pods "x" is forbidden: …`.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = match (resource.resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} {} is forbidden: {why}", go_quote(name)),
        };
        Self::failure(403, StatusReason::Forbidden, message).with_details(about(resource, name))
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::failure(401, StatusReason::Unauthorized, "Unauthorized")
    }

    /// 400.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::failure(400, StatusReason::BadRequest, why)
    }

    /// 422 with one cause per field error: `Pod "x" is invalid: spec.x: Required value`; of very many errors the first ones.
    pub fn invalid(kind: &GroupKind, name: &str, errors: &[field::Error]) -> Self {
        let errors = field::told(errors);
        let causes = errors
            .iter()
            .map(|e| StatusCause { reason: e.kind.reason().into(), message: e.body.clone(), field: e.field.clone() })
            .collect();
        let message = if errors.is_empty() {
            format!("{kind} {} is invalid", go_quote(name))
        } else {
            format!("{kind} {} is invalid: {}", go_quote(name), field::aggregate(errors))
        };
        Self::failure(422, StatusReason::Invalid, message).with_details(StatusDetails {
            name: name.to_owned(),
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
            causes,
            ..Default::default()
        })
    }

    /// 405.
    pub fn method_not_allowed(resource: &GroupResource, action: &str) -> Self {
        Self::failure(405, StatusReason::MethodNotAllowed, format!("{action} is not supported on resources of kind \"{resource}\""))
            .with_details(StatusDetails { group: resource.group.to_string(), kind: resource.resource.to_string(), ..Default::default() })
    }

    /// 406, with the media types that could be sent.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::failure(406, StatusReason::NotAcceptable, format!("only the following media types are accepted: {}", accepted.join(", ")))
    }

    /// 415, with the media types that could be read.
    pub fn unsupported_media_type(given: &str, accepted: &[&str]) -> Self {
        // What was given is not repeated: upstream says nothing of it.
        let _ = given;
        let message = format!("the body of the request was in an unknown format - accepted media types include: {}", accepted.join(", "));
        Self::failure(415, StatusReason::UnsupportedMediaType, message)
    }

    /// 413: `Request entity too large: <message>`.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, StatusReason::RequestEntityTooLarge, format!("Request entity too large: {}", message.into()))
    }

    /// 410: the resource version or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, StatusReason::Expired, message)
    }

    /// 504: the resource version asked for is in the future.
    pub fn timeout(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(504, StatusReason::Timeout, message).with_details(StatusDetails {
            retry_after_seconds: Some(retry_after_seconds).filter(|seconds| *seconds > 0),
            ..Default::default()
        })
    }

    /// 429.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(429, StatusReason::TooManyRequests, message)
            .with_details(StatusDetails { retry_after_seconds: Some(retry_after_seconds), ..Default::default() })
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, StatusReason::ServiceUnavailable, message)
    }

    /// 500. The cause is for the caller's eyes: never put a secret in it.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        let why = why.to_string();
        Self::failure(500, StatusReason::InternalError, format!("Internal error occurred: {why}"))
            .with_details(StatusDetails { causes: vec![StatusCause { message: why, ..Default::default() }], ..Default::default() })
    }

    /// 500 without a reason: how upstream answers an error that it has no name for.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { reason: None, ..Self::failure(500, StatusReason::InternalError, message) }
    }

    /// The object as it is sent.
    pub fn to_json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("a Status has only strings and numbers");
        let object = value.as_object_mut().expect("a struct is an object");
        let metadata = match object.remove("continueToken") {
            Some(token) => serde_json::json!({ "continue": token }),
            None => serde_json::json!({}),
        };
        object.insert("kind".into(), "Status".into());
        object.insert("apiVersion".into(), "v1".into());
        object.insert("metadata".into(), metadata);
        value
    }
}
