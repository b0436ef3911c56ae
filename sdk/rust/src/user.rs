//! Who somebody is.

use std::collections::BTreeMap;

/// In every group list of somebody who proved who they are.
pub const GROUP_AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
pub const GROUP_UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of everybody else.
pub const USER_ANONYMOUS: &str = "system:anonymous";
/// What a service account's name starts with.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// The group of all service accounts; with `:<namespace>` behind it, of one namespace's.
pub const GROUP_SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
/// The extra key under which a credential says which one it was.
pub const CREDENTIAL_ID_KEY: &str = "authentication.kubernetes.io/credential-id";

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// `system:serviceaccount:default:builder`.
    pub name: String,
    /// Changes when a name is given out again.
    pub uid: String,
    /// In the authenticator's order.
    pub groups: Vec<String>,
    /// Keys are lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user of this name, in no group.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With this group, too.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// As upstream's chain hands on everybody who proved who they are: in `system:authenticated`, once. Who claims to be
    /// the anonymous user, or in `system:unauthenticated`, is left as they are.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        let stays =
            self.name == USER_ANONYMOUS || self.groups.iter().any(|group| group == GROUP_AUTHENTICATED || group == GROUP_UNAUTHENTICATED);
        if !stays {
            self.groups.push(GROUP_AUTHENTICATED.to_owned());
        }
        self
    }

    /// Namespace and name, where this is a service account.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name
            .strip_prefix(SERVICE_ACCOUNT_PREFIX)?
            .split_once(':')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.contains(':'))
    }
}
