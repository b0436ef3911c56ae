//! Role `authenticator`: who sent a request.

use crate::user::UserInfo;

/// The client certificate of the connection. The host has looked at its chain; what it means is the plugin's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// DER of the leaf.
    pub der: Vec<u8>,
    /// Subject's CN; empty where there is none.
    pub common_name: String,
    /// Subject's O, in order.
    pub organizations: Vec<String>,
    /// Subject's UID attribute; empty where there is none.
    pub uid: String,
    /// Lower-case hex of sha256 over the DER.
    pub sha256: String,
    /// Why the chain does not hold; none: it does.
    pub chain_error: Option<String>,
}

/// What a request shows. A field is empty where the manifest does not ask for that credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The connection's client certificate.
    pub certificate: Option<PeerCertificate>,
    /// `Authorization: Bearer …`, without the scheme.
    pub bearer_token: Option<String>,
    /// Whom the credentials must be meant for: those that a TokenReview names. Empty: this server.
    pub audiences: Vec<String>,
}

/// An authenticator's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// This is who it is.
    User(UserInfo),
    /// The same, by a token that says whom it is meant for: those of the audiences asked for that are among them, at least one.
    UserFor(UserInfo, Vec<String>),
    /// Nothing here that this plugin knows; the next is asked.
    NoOpinion,
    /// There is something, and it is not valid. The words go to the log, not to the client; the next is asked.
    Rejected(String),
}

/// Role `authenticator`.
pub trait Authenticator: crate::Plugin {
    /// Looks at the credentials.
    fn authenticate(&self, credentials: &Credentials) -> Authentication;
}
