//! `Status`, for refusals that say more than "forbidden".

use serde_json::{Value, json};

/// A failure, as the client gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status(Value);

impl Status {
    /// A failure with this HTTP code, reason (`NotFound`, …; may be empty) and message.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message.into(), "code": code,
        });
        if !reason.is_empty() {
            status["reason"] = json!(reason);
        }
        Self(status)
    }

    /// 404: `pods "x" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", qualified(group, resource))).about(group, resource, name)
    }

    /// 403: `pods "x" is forbidden: <message>`.
    pub fn forbidden(group: &str, resource: &str, name: &str, message: &str) -> Self {
        let what = qualified(group, resource);
        let text = match (resource.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {message}"),
            (false, true) => format!("{what} is forbidden: {message}"),
            (false, false) => format!("{what} \"{name}\" is forbidden: {message}"),
        };
        Self::new(403, "Forbidden", text).about(group, resource, name)
    }

    /// 500: `Internal error occurred: <message>`.
    pub fn internal(message: &str) -> Self {
        let mut status = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        status.0["details"] = json!({"causes": [{"message": message}]});
        status
    }

    /// 504: `Timeout: <message>`; the client may try again.
    pub fn server_timeout(group: &str, resource: &str, operation: &str) -> Self {
        let message = format!(
            "The {operation} operation against {} could not be completed at this time, please try again.",
            qualified(group, resource)
        );
        let mut status = Self::new(500, "ServerTimeout", message).about(group, resource, operation);
        status.0["details"]["retryAfterSeconds"] = json!(0);
        status
    }

    /// What it is about.
    #[must_use]
    pub fn about(mut self, group: &str, resource: &str, name: &str) -> Self {
        for (key, value) in [("name", name), ("group", group), ("kind", resource)] {
            if !value.is_empty() {
                self.0["details"][key] = json!(value);
            }
        }
        self
    }

    /// One cause more. An empty message and an empty field are left out.
    #[must_use]
    pub fn cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        let mut cause = json!({"reason": reason});
        for (key, value) in [("message", message.into()), ("field", field.to_owned())] {
            if !value.is_empty() {
                cause[key] = json!(value);
            }
        }
        match &mut self.0["details"]["causes"] {
            Value::Array(causes) => causes.push(cause),
            causes => *causes = json!([cause]),
        }
        self
    }

    /// As JSON.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// For a person.
    pub fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }
}

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}
