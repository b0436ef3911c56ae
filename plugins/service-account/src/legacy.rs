//! Tokens that are kept in a Secret and never expire.

use std::collections::BTreeMap;

use wasmgate_sdk::serde::Deserialize;
use wasmgate_sdk::user::UserInfo;

use crate::Account;
use crate::bound::find_json;
use crate::claims::Claims;

/// Set by a cleaner on Secrets whose token was not used for long.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default)]
struct Object {
    metadata: Metadata,
    data: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "wasmgate_sdk::serde", default, rename_all = "camelCase")]
struct Metadata {
    uid: String,
    deletion_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// Whom the token is of, if all of it holds.
pub fn validate(token: &str, claims: &Claims, lookup: bool) -> Result<Account, String> {
    let legacy = &claims.legacy;
    let needed = [
        (&claims.sub, "sub"),
        (&legacy.namespace, "namespace"),
        (&legacy.secret, "secretName"),
        (&legacy.name, "serviceAccountName"),
        (&legacy.uid, "serviceAccountUID"),
    ];
    if let Some((_, claim)) = needed.iter().find(|(value, _)| value.is_empty()) {
        return Err(format!("{claim} claim is missing"));
    }
    if UserInfo::new(&claims.sub).service_account() != Some((&legacy.namespace, &legacy.name)) {
        return Err("sub claim is invalid".to_owned());
    }
    if lookup {
        look_up(token, claims)?;
    }
    Ok(Account { namespace: legacy.namespace.clone(), name: legacy.name.clone(), uid: legacy.uid.clone(), ..Account::default() })
}

fn look_up(token: &str, claims: &Claims) -> Result<(), String> {
    const INVALIDATED: &str = "Token has been invalidated";
    let legacy = &claims.legacy;
    let (namespace, name) = (&legacy.namespace, &legacy.name);
    let secret = find_json("secrets", namespace, &legacy.secret).ok().flatten().ok_or(INVALIDATED)?;
    let secret: Object = secret.parse()?;
    if secret.metadata.deletion_timestamp.is_some() {
        return Err(INVALIDATED.to_owned());
    }
    let kept = secret.data.as_ref().and_then(|data| data.get("token")).map(String::as_str).unwrap_or_default();
    if kept != base64(token.as_bytes()) {
        return Err("Token does not match server's copy".to_owned());
    }
    let not_found = || format!("serviceaccounts \"{name}\" not found");
    let account: Object = find_json("serviceaccounts", namespace, name)?.ok_or_else(not_found)?.parse()?;
    if account.metadata.deletion_timestamp.is_some() {
        return Err(format!("ServiceAccount {namespace}/{name} has been deleted"));
    }
    if account.metadata.uid != legacy.uid {
        return Err(format!("ServiceAccount UID ({}) does not match claim ({})", account.metadata.uid, legacy.uid));
    }
    let invalid = secret.metadata.labels.as_ref().and_then(|labels| labels.get(INVALID_SINCE)).is_some_and(|since| !since.is_empty());
    if invalid {
        let secret = &legacy.secret;
        return Err(format!(
            "the token in secret {namespace}/{secret} for service account {namespace}/{name} has been marked invalid. Use tokens from \
             the TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label from the secret to \
             temporarily allow use of this token"
        ));
    }
    Ok(())
}

/// As Secrets keep their values. The token has a valid signature by now, so what the comparison's time tells is no secret.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_of_all_lengths() {
        for (text, want) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("abcd", "YWJjZA==")] {
            assert_eq!(super::base64(text.as_bytes()), want, "{text}");
        }
    }
}
