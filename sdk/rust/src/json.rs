//! JSON as it crosses the boundary: bytes, parsed when somebody asks.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// A JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json(pub Vec<u8>);

impl Json {
    /// As a type of your own; missing fields are `serde`'s business.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.0).map_err(|error| error.to_string())
    }

    /// As any JSON; `null` where it is none.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.0).unwrap_or(Value::Null)
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into_bytes())
    }
}

/// The manifest's `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(pub Json);

impl Config {
    /// As a type of your own, its default where the manifest has no `config`.
    pub fn parse<T: DeserializeOwned + Default>(&self) -> Result<T, String> {
        match self.0.parse::<Option<T>>() {
            Ok(config) => Ok(config.unwrap_or_default()),
            Err(error) => Err(format!("config: {error}")),
        }
    }
}

impl From<Value> for Config {
    fn from(value: Value) -> Self {
        Self(Json::from(&value))
    }
}
