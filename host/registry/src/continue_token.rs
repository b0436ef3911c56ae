//! The continue token of a list, in upstream's encoding: base64 of `{"v":"meta.k8s.io/v1","rv":7,"start":"default/web\0"}`.

use apimachinery::Status;
use apimachinery::codec::json;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

const VERSION: &str = "meta.k8s.io/v1";

/// Go's `base64.RawURLEncoding`: no padding, and what the last letter has to spare is not looked at.
const RAW_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContinueToken {
    /// The state to read; none: as it is now (an inconsistent continuation).
    pub(crate) revision: Option<u64>,
    /// The first key that may come next, below what all keys of the list begin with.
    pub(crate) start: String,
}

fn invalid(why: impl std::fmt::Display) -> Status {
    Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
}

impl ContinueToken {
    /// Behind a key.
    pub(crate) fn after(revision: u64, key: &str) -> Self {
        Self { revision: Some(revision), start: format!("{key}\0") }
    }

    pub(crate) fn encode(&self) -> String {
        let rv = self.revision.map_or(-1, |revision| revision as i64);
        RAW_URL.encode(format!(r#"{{"v":"{VERSION}","rv":{rv},"start":{}}}"#, Value::from(self.start.as_str())))
    }

    pub(crate) fn decode(token: &str) -> Result<Self, Status> {
        // Go's decoder skips the ends of lines.
        let letters: String = token.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let bytes = RAW_URL.decode(&letters).map_err(|error| invalid(go_base64_error(&error, token)))?;
        let fields = Fields::parse(&bytes).map_err(invalid)?;
        if fields.version != VERSION {
            return Err(invalid(format!("server does not recognize this encoded version {}", fields.version)));
        }
        if fields.revision == 0 {
            return Err(invalid(format!("incorrect encoded start resourceVersion (version {VERSION})")));
        }
        if fields.start.is_empty() {
            return Err(invalid(format!("encoded start key empty (version {VERSION})")));
        }
        let start = fields.start.strip_prefix('/').unwrap_or(&fields.start);
        // Nothing in it may lead out of what the list is of.
        if !start.is_empty() && start.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(invalid(&fields.start));
        }
        Ok(Self { revision: u64::try_from(fields.revision).ok(), start: start.to_owned() })
    }
}

/// What Go's decoder makes of the token's JSON: names in any case, the last one counts, and what is missing is zero.
#[derive(Default)]
struct Fields {
    version: String,
    revision: i64,
    start: String,
}

impl Fields {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        json::parse(bytes)?;
        let mut fields = Self::default();
        let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let members = match document {
            Value::Null => return Ok(fields),
            Value::Object(members) => members,
            other => return Err(format!("json: cannot unmarshal {} into Go value of type storage.continueToken", go_name(&other))),
        };
        let mut wrong = None;
        for (name, value) in members {
            let mismatch = |kind: &str, value: &Value| {
                let name = name.to_ascii_lowercase();
                format!("json: cannot unmarshal {} into Go struct field continueToken.{name} of type {kind}", go_name(value))
            };
            let unread = match name.to_ascii_lowercase().as_str() {
                "v" => text(value, &mut fields.version).map_err(|value| mismatch("string", &value)),
                "start" => text(value, &mut fields.start).map_err(|value| mismatch("string", &value)),
                "rv" => match value.as_i64() {
                    Some(revision) => {
                        fields.revision = revision;
                        Ok(())
                    }
                    None if value.is_null() => Ok(()),
                    None => Err(mismatch("int64", &value).replacen("number", &format!("number {value}"), usize::from(value.is_number()))),
                },
                _ => Ok(()),
            };
            wrong = wrong.or(unread.err());
        }
        wrong.map_or(Ok(fields), Err)
    }
}

fn text(value: Value, into: &mut String) -> Result<(), Value> {
    match value {
        Value::String(text) => *into = text,
        Value::Null => {}
        other => return Err(other),
    }
    Ok(())
}

/// What Go calls a value that does not fit.
fn go_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_base64_error(error: &base64::DecodeError, token: &str) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        // One letter is left over.
        _ => token.len().saturating_sub(1),
    };
    format!("illegal base64 data at input byte {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let token = ContinueToken::after(42, "default/web");
        assert_eq!(token.start, "default/web\0");
        assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
        let inconsistent = ContinueToken { revision: None, start: "b\0".into() };
        assert_eq!(inconsistent.encode(), "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiYlx1MDAwMCJ9");
        assert_eq!(ContinueToken::decode(&inconsistent.encode()), Ok(inconsistent));
    }

    #[test]
    fn what_is_no_token_is_refused_in_upstreams_words() {
        let of = |json: &str| RAW_URL.encode(json);
        let rows = [
            ("&".to_owned(), "illegal base64 data at input byte 0"),
            ("abc=".to_owned(), "illegal base64 data at input byte 3"),
            ("abcde".to_owned(), "illegal base64 data at input byte 4"),
            (of(""), "unexpected end of JSON input"),
            (of("x"), "invalid character 'x' looking for beginning of value"),
            (of("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken"),
            (of("null"), "server does not recognize this encoded version "),
            (of(r#"{"v":"meta.k8s.io/v2","rv":1,"start":"b"}"#), "server does not recognize this encoded version meta.k8s.io/v2"),
            (of(r#"{"v":1}"#), "json: cannot unmarshal number into Go struct field continueToken.v of type string"),
            (of(r#"{"rv":1.5}"#), "json: cannot unmarshal number 1.5 into Go struct field continueToken.rv of type int64"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":"7"}"#), "json: cannot unmarshal string into Go struct field continueToken.rv of type int64"),
            (of(r#"{"v":"meta.k8s.io/v1","start":"b"}"#), "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5}"#), "encoded start key empty (version meta.k8s.io/v1)"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"../../secrets"}"#), "../../secrets"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"a/../b"}"#), "a/../b"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"a//b"}"#), "a//b"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"a/"}"#), "a/"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"./a"}"#), "./a"),
            (of(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"//a"}"#), "//a"),
        ];
        for (token, why) in rows {
            let refused = ContinueToken::decode(&token).expect_err(&token);
            assert_eq!((refused.code, refused.message), (400, format!("invalid continue token: continue key is not valid: {why}")));
        }
        for start in ["b", "/b", "a/b", "..b", "b\\u0000"] {
            let token = of(&format!(r#"{{"v":"meta.k8s.io/v1","rv":5,"start":"{start}"}}"#));
            assert!(ContinueToken::decode(&token).is_ok(), "{start}");
        }
    }
}
