//! Secret: its row of the table of kinds. What it does of its own is in the files of this folder (upstream: `pkg/registry/core/secret`).

mod key_pair;

use apimachinery::codec::json;
use apimachinery::codec::node::Node;
use apimachinery::validation::name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Resource;
use crate::core::data::{DATA_BYTES_MAX, decoded_bytes, immutable_data};
use crate::kinds::kind::Kind;
use crate::shared::cell::{self, age, cells, len};
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::metadata;
use crate::shared::rules::{self, immutable};
use crate::shared::value::{if_zero, object_at, remove, restore, set, text};
use crate::shared::warnings::Warnings;

/// The row.
pub(crate) static KIND: Kind =
    Kind::new("", "Secret").default(default).prepare(prepare).validate(validate).validate_update(validate_update).warn(warn).printer(row);

/// Plain data joins the encoded.
fn default(_: &Resource, secret: &mut Value) {
    if_zero(secret, "type", "Opaque");
    if let Some(Value::Object(plain)) = remove(secret, "stringData") {
        let data = object_at(secret, "data");
        for (key, value) in plain {
            set(data, &key, STANDARD.encode(value.as_str().unwrap_or_default()));
        }
    }
}

/// The type stays where an update does not say it.
fn prepare(_: &Resource, secret: &mut Value, old: Option<&Value>) {
    if let Some(old) = old.filter(|_| text(secret, "type").is_empty()) {
        restore(secret, old, "type");
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default().as_bytes()).unwrap_or_default()
}

fn secret(resource: &Resource, object: &Value, errors: &mut Errors) {
    metadata::validate(resource, object, metadata::subdomain, errors);
    let root = FieldValue::root(object);
    let data = root.child("data");
    let mut bytes = 0;
    for (key, entry) in root.entries("data") {
        errors.extend(name::is_config_map_key(key).iter().map(|problem| entry.invalid_as(key, problem)));
        bytes += decoded_bytes(entry.value);
    }
    if bytes > DATA_BYTES_MAX {
        errors.push(apimachinery::field::Error::too_long(&data.path, DATA_BYTES_MAX));
    }
    let of = |key: &str| FieldValue { value: data.value.get(key).unwrap_or(field_value::NULL), path: data.path.key(key) };
    let missing = |key: &str| of(key).value.is_null();
    match root.text_of("type") {
        "kubernetes.io/service-account-token" => {
            let annotations = root.child("metadata").child("annotations");
            let key = "kubernetes.io/service-account.name";
            if annotations.text_of(key).is_empty() {
                errors.push(FieldValue { value: field_value::NULL, path: annotations.path.key(key) }.required(""));
            }
        }
        "kubernetes.io/dockercfg" => docker_config(&of(".dockercfg"), errors),
        "kubernetes.io/dockerconfigjson" => docker_config(&of(".dockerconfigjson"), errors),
        "kubernetes.io/basic-auth" if missing("username") && missing("password") => {
            errors.push(of("username").required(""));
            errors.push(of("password").required(""));
        }
        "kubernetes.io/ssh-auth" if of("ssh-privatekey").text().is_empty() => {
            errors.push(of("ssh-privatekey").required(""));
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if missing(key) {
                    errors.push(of(key).required(""));
                }
            }
        }
        _ => {}
    }
}

fn docker_config(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.value.is_null() {
        return errors.push(at.required(""));
    }
    let bytes = decoded(at.value);
    let why = match json::parse(&bytes) {
        Ok(Node::Object(_) | Node::Null) => return,
        Ok(other) => {
            let kind = match other {
                Node::Array(_) => "array",
                Node::Bool(_) => "bool",
                Node::Number(_) => "number",
                _ => "string",
            };
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(why) => why,
    };
    errors.push(at.invalid_as("<secret contents redacted>", &why));
}

fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    secret(resource, object, &mut errors);
    errors
}

fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata::validate_update(object, old, &mut errors);
    rules::check(&[immutable("type")], &FieldValue::root(object), Some(&FieldValue::root(old)), &mut errors);
    immutable_data(object, old, &["data"], &mut errors);
    secret(resource, object, &mut errors);
    errors
}

/// A key that is not the certificate's.
fn warn(secret: &Value, _: Option<&Value>, warnings: &mut Warnings) {
    if text(secret, "type") != "kubernetes.io/tls" {
        return;
    }
    let bytes = |name: &str| STANDARD.decode(text(&secret["data"], name)).unwrap_or_default();
    if let Err(problem) = key_pair::check(&bytes("tls.crt"), &bytes("tls.key")) {
        warnings.push(problem);
    }
}

fn row(secret: &Value, now: i64) -> Vec<Value> {
    cells![cell::name(secret), cell::text(secret, "/type"), len(secret, "/data"), age(secret, now)]
}
