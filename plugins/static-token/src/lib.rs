//! Authenticator `static-token`: the bearer tokens of the file of `--token-auth-file`.
//!
//! The host reads the file, once: like upstream's, a changed file counts from the next start.

use std::collections::HashMap;

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::serde::Deserialize;

/// The plugin.
#[derive(Default)]
pub struct StaticToken {
    users: HashMap<String, UserInfo>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Settings {
    tokens: Vec<Token>,
}

/// A record of the file.
#[derive(Deserialize)]
#[serde(crate = "wasmgate_sdk::serde")]
struct Token {
    token: String,
    user: String,
    uid: String,
    groups: Vec<String>,
}

impl Plugin for StaticToken {
    fn configure(&mut self, config: Config) -> Result<(), String> {
        let Settings { tokens } = config.parse()?;
        let user = |Token { token, user, uid, groups }| (token, UserInfo { uid, groups, ..UserInfo::new(&user) }.authenticated());
        self.users = tokens.into_iter().map(user).collect();
        if self.users.contains_key("") { Err("a token is empty".to_owned()) } else { Ok(()) }
    }
}

impl Authenticator for StaticToken {
    fn authenticate(&self, credentials: &Credentials) -> Authentication {
        let user = credentials.bearer_token.as_ref().and_then(|token| self.users.get(token));
        user.map_or(Authentication::NoOpinion, |user| Authentication::User(user.clone()))
    }
}

wasmgate_sdk::plugin!(StaticToken: authenticator);

#[cfg(test)]
mod tests {
    use wasmgate_sdk::serde_json::{self, json};

    use super::*;

    fn configured(tokens: serde_json::Value) -> Result<StaticToken, String> {
        let mut plugin = StaticToken::default();
        plugin.configure(Config::from(json!({ "tokens": tokens }))).map(|()| plugin)
    }

    #[test]
    fn whom_a_token_is_of() {
        let token =
            |token: &str, user: &str, uid: &str, groups: &[&str]| json!({"token": token, "user": user, "uid": uid, "groups": groups});
        let tokens = json!([token("t1", "jane", "u1", &[]), token("t2", "joe", "u2", &["dev", "ops"]), token("t3", "x", "u3", &[""])]);
        let plugin = configured(tokens).expect("good tokens");
        let rows = [
            ("t1", Some("jane u1 system:authenticated")),
            ("t2", Some("joe u2 dev,ops,system:authenticated")),
            ("t3", Some("x u3 ,system:authenticated")),
            ("", None),
            ("t4", None),
        ];
        for (token, want) in rows {
            let answer = plugin.authenticate(&Credentials { bearer_token: Some(token.to_owned()), ..Credentials::default() });
            let text = match answer {
                Authentication::User(user) => Some(format!("{} {} {}", user.name, user.uid, user.groups.join(","))),
                _ => None,
            };
            assert_eq!(text.as_deref(), want, "{token}");
        }
        assert!(StaticToken::default().configure(Config::from(json!(null))).is_ok());
    }

    #[test]
    fn an_empty_token_keeps_the_plugin_out() {
        assert!(configured(json!([{"token": "", "user": "u", "uid": "", "groups": []}])).is_err());
    }
}
