//! Who sent the request: shows the connection's certificate and the bearer token to the authenticators.

use std::sync::Arc;

use apimachinery::Status;
use auth::{AskedFor, Authentication, Authenticator, Credentials, PeerCertificate, UserInfo};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

use crate::websocket;

const SPACE_BEFORE_TOKEN: &str = "the provided Authorization header contains extra space before the bearer token, and is ignored";

/// What the request shows. Another scheme than `Bearer` is none of ours.
pub fn credentials(headers: &HeaderMap, certificate: Option<Arc<PeerCertificate>>, asked_for: AskedFor) -> Credentials {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let mut parts = value.splitn(3, ' ');
    let bearer = parts.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"));
    let bearer_token = match parts.next() {
        Some("") if bearer => {
            if parts.next().is_some() {
                asked_for.recorder.warnings.add(SPACE_BEFORE_TOKEN);
            }
            None
        }
        Some(token) if bearer => Some(token.to_owned()),
        _ => websocket::bearer_token(headers),
    };
    Credentials { certificate, bearer_token, audiences: Vec::new(), asked_for }
}

/// Asks the authenticators. Nobody knowing the client, a refusal and a fault are all the same 401 to it: what went wrong is in the log.
///
/// # Errors
/// 401, in every case.
pub async fn authenticate(authenticator: &dyn Authenticator, credentials: &Credentials) -> Result<Arc<UserInfo>, Status> {
    match authenticator.authenticate(credentials).await {
        Ok(Authentication::User(user) | Authentication::UserFor(user, _)) => Ok(Arc::new(user)),
        Ok(Authentication::NoOpinion) => Err(Status::unauthorized()),
        Ok(Authentication::Rejected(why)) => {
            tracing::info!(why, "unable to authenticate the request");
            Err(Status::unauthorized())
        }
        Err(fault) => {
            tracing::error!(%fault, "unable to authenticate the request");
            Err(Status::unauthorized())
        }
    }
}

/// Takes what proved the client's identity out of the request, and what only a front proxy may say.
pub fn clear_headers(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    websocket::clear_bearer_token(headers);
    for name in ["x-remote-user", "x-remote-uid", "x-remote-group"] {
        headers.remove(name);
    }
    let extra: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("x-remote-extra-")).cloned().collect();
    for name in extra {
        headers.remove(name);
    }
}

/// Whether nobody vouches for the user.
pub fn is_anonymous(user: &UserInfo) -> bool {
    user.name == "system:anonymous" || user.groups.iter().any(|group| group == "system:unauthenticated")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_read_as_upstream_reads_them() {
        let rows = [
            ("Bearer abc", Some("abc"), 0),
            ("bearer abc", Some("abc"), 0),
            (" Bearer abc ", Some("abc"), 0),
            ("Bearer abc def", Some("abc"), 0),
            ("Bearer  abc", None, 1),
            ("Bearer", None, 0),
            ("Basic abc", None, 0),
            ("", None, 0),
        ];
        for (value, want, warned) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            let shown = credentials(&headers, None, AskedFor::default());
            assert_eq!(shown.bearer_token.as_deref(), want, "{value:?}");
            assert_eq!(shown.asked_for.recorder.warnings.texts().len(), warned, "{value:?}");
        }
    }
}
