//! The audit id: every request has one, the client's or ours, and its answer says which.

use http::HeaderMap;

/// The header in both directions.
pub const AUDIT_ID: http::HeaderName = http::HeaderName::from_static("audit-id");

/// The client's id, as it is, else a new one.
pub fn id_of(headers: &HeaderMap) -> String {
    headers
        .get(AUDIT_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty())
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}
