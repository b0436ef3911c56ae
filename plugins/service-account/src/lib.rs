//! Authenticator `service-account`: the JWTs that this server signs for service accounts.
//!
//! The host checks signature and issuer, so that no key comes here. Times, audiences, and whether everything that the token
//! is bound to still exists, is decided here.

mod bound;
mod claims;
mod legacy;

use wasmgate_sdk::jwt::{self, Verification};
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::user::{CREDENTIAL_ID_KEY, GROUP_SERVICE_ACCOUNTS, SERVICE_ACCOUNT_PREFIX};

use claims::{Claims, Reference};

/// The plugin.
pub struct ServiceAccount {
    lookup: bool,
}

impl Default for ServiceAccount {
    fn default() -> Self {
        Self { lookup: true }
    }
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Settings {
    lookup: Option<bool>,
}

/// Whom a token is of.
#[derive(Debug, Default, PartialEq)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
    pod: Reference,
    node: Reference,
    jti: String,
}

impl Plugin for ServiceAccount {
    fn configure(&mut self, config: Config) -> Result<(), String> {
        self.lookup = config.parse::<Settings>()?.lookup.unwrap_or(true);
        Ok(())
    }
}

impl Authenticator for ServiceAccount {
    fn authenticate(&self, credentials: &Credentials) -> Authentication {
        let Some(token) = credentials.bearer_token.as_deref() else { return Authentication::NoOpinion };
        let claims = match jwt::verify(token) {
            Verification::Unknown => return Authentication::NoOpinion,
            Verification::Invalid(why) => return Authentication::Rejected(why),
            Verification::Claims(claims) => claims,
        };
        let found = claims.parse().and_then(|claims: Claims| {
            let audiences = met_audiences(claims.audiences(), &credentials.audiences)?;
            Ok((self.account(token, &claims)?, audiences))
        });
        match found {
            Ok((account, audiences)) if audiences.is_empty() => Authentication::User(account.user()),
            Ok((account, audiences)) => Authentication::UserFor(account.user(), audiences),
            Err(why) => Authentication::Rejected(why),
        }
    }
}

wasmgate_sdk::plugin!(ServiceAccount: authenticator);

impl ServiceAccount {
    fn account(&self, token: &str, claims: &Claims) -> Result<Account, String> {
        if claims.is_legacy() { legacy::validate(token, claims, self.lookup) } else { bound::validate(claims) }
    }
}

/// Those of the audiences asked for that the token is meant for; none in particular, on either side, is this server. An error where there
/// are none. Empty only on a server that has no audience.
fn met_audiences(of_token: &[String], asked: &[String]) -> Result<Vec<String>, String> {
    let ours = jwt::audiences();
    let or_ours = |audiences: &[String]| if audiences.is_empty() { ours.clone() } else { audiences.to_vec() };
    let (of_token, asked) = (or_ours(of_token), or_ours(asked));
    let met: Vec<String> = of_token.iter().filter(|audience| asked.contains(audience)).cloned().collect();
    if !met.is_empty() || ours.is_empty() {
        return Ok(met);
    }
    let list = |audiences: &[String]| audiences.iter().map(|audience| format!("{audience:?}")).collect::<Vec<_>>().join(" ");
    Err(format!("token audiences [{}] is invalid for the target audiences [{}]", list(&of_token), list(&asked)))
}

impl Account {
    fn user(self) -> UserInfo {
        let mut user = UserInfo::new(format!("{SERVICE_ACCOUNT_PREFIX}{}:{}", self.namespace, self.name))
            .group(GROUP_SERVICE_ACCOUNTS)
            .group(format!("{GROUP_SERVICE_ACCOUNTS}:{}", self.namespace))
            .authenticated();
        user.uid = self.uid;
        let mut extra = |key: &str, value: String| user.extra.insert(key.to_owned(), vec![value]);
        if !self.pod.name.is_empty() && !self.pod.uid.is_empty() {
            extra("authentication.kubernetes.io/pod-name", self.pod.name);
            extra("authentication.kubernetes.io/pod-uid", self.pod.uid);
        }
        if !self.jti.is_empty() {
            extra(CREDENTIAL_ID_KEY, format!("JTI={}", self.jti));
        }
        if !self.node.name.is_empty() {
            extra("authentication.kubernetes.io/node-name", self.node.name);
            if !self.node.uid.is_empty() {
                extra("authentication.kubernetes.io/node-uid", self.node.uid);
            }
        }
        user
    }
}

#[cfg(test)]
mod tests;
