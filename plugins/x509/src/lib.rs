//! Authenticator `x509`: the client certificate's CN is the user, its O the groups.
//!
//! The host has verified the chain and read the subject; no key and no ASN.1 comes here.

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::user::CREDENTIAL_ID_KEY;

/// The plugin.
#[derive(Default)]
pub struct X509;

impl Plugin for X509 {}

impl Authenticator for X509 {
    fn authenticate(&self, credentials: &Credentials) -> Authentication {
        let Some(certificate) = &credentials.certificate else { return Authentication::NoOpinion };
        if let Some(error) = &certificate.chain_error {
            return Authentication::Rejected(format!("verifying certificate failed: {error}"));
        }
        // A certificate that names nobody is no error: the next authenticator may know who it is.
        if certificate.common_name.is_empty() {
            return Authentication::NoOpinion;
        }
        let mut user = UserInfo::new(&certificate.common_name);
        user.uid.clone_from(&certificate.uid);
        user.groups.clone_from(&certificate.organizations);
        user.extra.insert(CREDENTIAL_ID_KEY.to_owned(), vec![format!("X509SHA256={}", certificate.sha256)]);
        Authentication::User(user.authenticated())
    }
}

wasmgate_sdk::plugin!(X509: authenticator);

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(common_name: &str, organizations: &[&str], chain_error: Option<&str>) -> Credentials {
        let certificate = PeerCertificate {
            common_name: common_name.to_owned(),
            organizations: organizations.iter().map(|&name| name.to_owned()).collect(),
            sha256: "ab12".to_owned(),
            chain_error: chain_error.map(str::to_owned),
            ..PeerCertificate::default()
        };
        Credentials { certificate: Some(certificate), ..Credentials::default() }
    }

    #[test]
    fn who_a_certificate_is() {
        let extra = [(CREDENTIAL_ID_KEY.to_owned(), vec!["X509SHA256=ab12".to_owned()])].into();
        let jane = UserInfo { extra, ..UserInfo::new("jane") };
        let rows = [
            (Credentials::default(), Authentication::NoOpinion),
            (certificate("", &["dev"], None), Authentication::NoOpinion),
            (certificate("jane", &[], None), Authentication::User(jane.clone().group("system:authenticated"))),
            (certificate("jane", &["dev", "ops"], None), {
                Authentication::User(jane.clone().group("dev").group("ops").group("system:authenticated"))
            }),
            (certificate("jane", &["system:authenticated"], None), Authentication::User(jane.clone().group("system:authenticated"))),
            (certificate("jane", &[], Some("expired")), Authentication::Rejected("verifying certificate failed: expired".to_owned())),
        ];
        for (credentials, want) in rows {
            assert_eq!(X509.authenticate(&credentials), want, "{credentials:?}");
        }
    }
}
