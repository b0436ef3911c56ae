//! The audit id: every request has one, the client's or ours, and its answer says which.

use http::HeaderMap;

use crate::limits::AUDIT_ID_BYTES_MAX;

/// The header in both directions.
pub const AUDIT_ID: http::HeaderName = http::HeaderName::from_static("audit-id");

/// The client's id, cut as upstream cuts it wherever it writes one down, else a new one.
pub fn id_of(headers: &HeaderMap) -> String {
    headers
        .get(AUDIT_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty())
        // A header's text is ASCII.
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), |id| id[..id.len().min(AUDIT_ID_BYTES_MAX)].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_id_is_kept_up_to_a_length() {
        for (given, want) in [("abc", "abc".to_owned()), (&"x".repeat(64), "x".repeat(64)), (&"y".repeat(100_000), "y".repeat(64))] {
            let headers = HeaderMap::from_iter([(AUDIT_ID, given.parse().unwrap())]);
            assert_eq!(id_of(&headers), want);
        }
        let made_up = id_of(&HeaderMap::new());
        assert_eq!(made_up.len(), 36);
        assert_ne!(made_up, id_of(&HeaderMap::from_iter([(AUDIT_ID, http::HeaderValue::from_static(""))])));
    }
}
