//! The continue token of a list, in upstream's encoding: base64 of `{"v":"meta.k8s.io/v1","rv":7,"start":"default/web\0"}`.

use apimachinery::Status;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const VERSION: &str = "meta.k8s.io/v1";

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContinueToken {
    /// The state to read; none: as it is now (an inconsistent continuation).
    pub(crate) revision: Option<u64>,
    /// The last key that was read.
    pub(crate) after: String,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

fn invalid(why: impl std::fmt::Display) -> Status {
    Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
}

impl ContinueToken {
    pub(crate) fn encode(&self) -> String {
        let rv = self.revision.map_or(-1, |revision| revision as i64);
        let encoded = Encoded { v: VERSION.into(), rv, start: format!("{}\0", self.after) };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&encoded).expect("strings and numbers serialise"))
    }

    /// `scope` is what the keys of the list begin with (`default/`), which the token leaves out.
    pub(crate) fn decode(token: &str, scope: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|error| invalid(go_base64_error(error)))?;
        let encoded: Encoded = serde_json::from_slice(&bytes).map_err(|_| invalid("invalid character in the token"))?;
        if encoded.v != VERSION {
            return Err(invalid(format!("server does not recognize this encoded version {}", encoded.v)));
        }
        if encoded.rv == 0 {
            return Err(invalid(format!("incorrect encoded start resourceVersion (version {VERSION})")));
        }
        if encoded.start.is_empty() {
            return Err(invalid(format!("encoded start key empty (version {VERSION})")));
        }
        let start = encoded.start.strip_suffix('\0').unwrap_or(&encoded.start);
        if start.split('/').any(|part| part == "..") || start.starts_with('/') {
            return Err(invalid(&encoded.start));
        }
        Ok(Self { revision: u64::try_from(encoded.rv).ok(), after: format!("{scope}{start}") })
    }
}

fn go_base64_error(error: base64::DecodeError) -> String {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
            format!("illegal base64 data at input byte {at}")
        }
        _ => "illegal base64 data at input byte 0".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let token = ContinueToken { revision: Some(42), after: "web".into() };
        assert_eq!(ContinueToken::decode(&token.encode(), "default/").expect("valid").after, "default/web");
        assert_eq!(ContinueToken::decode(&token.encode(), "").expect("valid"), token);
        assert!(ContinueToken::decode("&", "").is_err());
    }
}
