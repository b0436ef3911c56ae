//! Authenticator `static-token`: bearer tokens from the file of `--token-auth-file`.
//!
//! The file is a CSV of token, user name, uid, and, in one quoted column, groups. It comes as text in the config, and is read
//! once: like upstream's, a changed file counts from the next start.

mod csv;

use std::collections::HashMap;

use wasmgate_sdk::log;
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
    /// For messages.
    path: String,
    text: String,
}

impl Plugin for StaticToken {
    fn configure(&mut self, config: Config) -> Result<(), String> {
        let Settings { path, text } = config.parse()?;
        for (at, record) in csv::records(&text)?.into_iter().enumerate() {
            let number = at + 1;
            let [token, name, uid, rest @ ..] = record.as_slice() else {
                let found = record.len();
                return Err(format!("token file '{path}' must have at least 3 columns (token, user name, user uid), found {found}"));
            };
            if token.is_empty() {
                log::warn(&format!("empty token has been found in token file '{path}', record number '{number}'"));
                continue;
            }
            let groups = rest.first().map(|groups| groups.split(',').map(str::to_owned).collect()).unwrap_or_default();
            let user = UserInfo { uid: uid.clone(), groups, ..UserInfo::new(name) };
            if self.users.insert(token.clone(), user.authenticated()).is_some() {
                log::warn(&format!("duplicate token has been found in token file '{path}', record number '{number}'"));
            }
        }
        Ok(())
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
    use wasmgate_sdk::serde_json::json;

    use super::*;

    fn configured(text: &str) -> Result<StaticToken, String> {
        let mut plugin = StaticToken::default();
        plugin.configure(Config::from(json!({"path": "t.csv", "text": text}))).map(|()| plugin)
    }

    #[test]
    fn whom_a_token_is_of() {
        let plugin = configured("t1,jane,u1\nt2,joe,u2,\"dev,ops\"\nt3,x,u3,\n,nobody,u4\nt1,ann,u5,g,ignored\n").expect("a good file");
        let rows = [
            ("t1", Some("ann u5 g,system:authenticated")),
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
        let lines: Vec<String> = wasmgate_sdk::testing::lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "empty token has been found in token file 't.csv', record number '4'",
                "duplicate token has been found in token file 't.csv', record number '5'",
            ]
        );
    }

    #[test]
    fn a_bad_file_keeps_the_plugin_out() {
        let rows = [
            ("a,b\n", "token file 't.csv' must have at least 3 columns (token, user name, user uid), found 2"),
            ("a,b\"c,d\n", "parse error on line 1, column 4: bare \" in non-quoted-field"),
        ];
        for (text, want) in rows {
            assert_eq!(configured(text).err().as_deref(), Some(want), "{text}");
        }
        assert!(StaticToken::default().configure(Config::from(json!(null))).is_ok());
    }
}
