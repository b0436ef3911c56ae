//! Authenticator `anonymous`: the last of the chain, for requests that show no credential at all.
//!
//! A request that shows one that nobody accepted is refused (401) and not taken for anonymous: whoever sends a stale token
//! must hear of it.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::user::{GROUP_UNAUTHENTICATED, USER_ANONYMOUS};

/// The plugin.
#[derive(Default)]
pub struct Anonymous;

impl Plugin for Anonymous {}

impl Authenticator for Anonymous {
    fn authenticate(&self, credentials: &Credentials) -> Authentication {
        let bad_certificate = credentials.certificate.as_ref().is_some_and(|certificate| certificate.chain_error.is_some());
        let token = credentials.bearer_token.as_deref().is_some_and(|token| !token.is_empty());
        if bad_certificate || token {
            return Authentication::NoOpinion;
        }
        Authentication::User(UserInfo::new(USER_ANONYMOUS).group(GROUP_UNAUTHENTICATED))
    }
}

wasmgate_sdk::plugin!(Anonymous: authenticator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_that_nobody_accepted_is_not_anonymous() {
        let anonymous = Authentication::User(UserInfo::new("system:anonymous").group("system:unauthenticated"));
        let certificate =
            |chain_error: Option<&str>| Some(PeerCertificate { chain_error: chain_error.map(str::to_owned), ..PeerCertificate::default() });
        let rows = [
            (Credentials::default(), anonymous.clone()),
            (Credentials { bearer_token: Some(String::new()), ..Credentials::default() }, anonymous.clone()),
            (Credentials { bearer_token: Some("x".to_owned()), ..Credentials::default() }, Authentication::NoOpinion),
            (Credentials { certificate: certificate(None), ..Credentials::default() }, anonymous),
            (Credentials { certificate: certificate(Some("expired")), ..Credentials::default() }, Authentication::NoOpinion),
        ];
        for (credentials, want) in rows {
            assert_eq!(Anonymous.authenticate(&credentials), want, "{credentials:?}");
        }
    }
}
