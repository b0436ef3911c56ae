//! Authenticator `service-account`: the JWTs that this server signs for service accounts.
//!
//! The host checks signature and issuer, so that no key comes here. Times, audiences, and whether everything that the token
//! is bound to still exists, is decided here.

mod bound;
mod claims;
mod legacy;
mod time;

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
        let account = claims.parse().and_then(|claims: Claims| self.account(token, &claims));
        match account {
            Ok(account) => Authentication::User(account.user()),
            Err(why) => Authentication::Rejected(why),
        }
    }
}

wasmgate_sdk::plugin!(ServiceAccount: authenticator);

impl ServiceAccount {
    fn account(&self, token: &str, claims: &Claims) -> Result<Account, String> {
        check_audience(claims.audiences())?;
        if claims.is_legacy() { legacy::validate(token, claims, self.lookup) } else { bound::validate(claims) }
    }
}

/// A token for none in particular is for this server.
fn check_audience(of_token: &[String]) -> Result<(), String> {
    let ours = jwt::audiences();
    let for_us = of_token.is_empty() || of_token.iter().any(|audience| ours.contains(audience));
    if for_us || ours.is_empty() {
        return Ok(());
    }
    let list = |audiences: &[String]| audiences.iter().map(|audience| format!("{audience:?}")).collect::<Vec<_>>().join(" ");
    Err(format!("token audiences [{}] is invalid for the target audiences [{}]", list(of_token), list(&ours)))
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
