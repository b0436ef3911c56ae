//! What is wrong with a CertificateSigningRequest, in upstream's order and words (`pkg/apis/certificates/validation`).

use std::collections::HashSet;

use apimachinery::validation::name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Resource;
use crate::shared::der::element;
use crate::shared::field_value::{self, Errors, FieldValue};
use crate::shared::rules::{self, Rule, field};
use crate::shared::{metadata, value};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

const EXPIRATION_SECONDS_MIN: i64 = 600;
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const SEGMENT_BYTES_MAX: usize = 63;

/// The body of the first PEM block, and its type.
fn pem_block(text: &str) -> Option<(&str, Vec<u8>)> {
    let start = text.find("-----BEGIN ")?;
    let rest = &text[start + "-----BEGIN ".len()..];
    let (kind, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {kind}-----"))?;
    let body: String = body.split_whitespace().collect();
    Some((kind, STANDARD.decode(body).ok()?))
}

/// What keeps the bytes from being a request; the signature is not looked at.
fn request_problem(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let Some((_, body)) = pem_block(text).filter(|(kind, _)| *kind == "CERTIFICATE REQUEST") else {
        return Some("PEM block type must be CERTIFICATE REQUEST".to_owned());
    };
    let shaped = || -> Option<()> {
        let (0x30, outer, []) = element(&body)? else { return None };
        let (0x30, info, rest) = element(outer)? else { return None };
        let (0x30, _, rest) = element(rest)? else { return None };
        let (0x03, _, []) = element(rest)? else { return None };
        let (0x02, _, _) = element(info)? else { return None };
        Some(())
    };
    match shaped() {
        Some(()) => None,
        None => Some("asn1: structure error: tags don't match".to_owned()),
    }
}

/// `example.com/signer`
fn signer_name(at: &FieldValue<'_>, errors: &mut Errors) {
    let text = at.text();
    if text.is_empty() {
        return errors.push(at.required(""));
    }
    let segments: Vec<&str> = text.splitn(2, '/').collect();
    if segments.len() != 2 {
        return errors.push(at.invalid("must be a fully qualified domain and path of the form 'example.com/signer-name'"));
    }
    errors.extend(
        name::is_dns1123_subdomain(segments[0])
            .iter()
            .map(|problem| at.invalid_as(segments[0], &format!("validating label \"{}\": {problem}", segments[0]))),
    );
    if segments[0].split('.').count() < 2 && name::is_dns1123_subdomain(segments[0]).is_empty() {
        errors.push(at.invalid_as(segments[0], "should be a domain with at least two segments separated by dots"));
    }
    for segment in segments[1].split('.') {
        if segment.len() > SEGMENT_BYTES_MAX {
            errors.push(apimachinery::field::Error::too_long(&at.path, SEGMENT_BYTES_MAX));
        }
        errors.extend(
            name::is_dns1123_subdomain(segment)
                .iter()
                .map(|problem| at.invalid_as(segments[1], &format!("validating label \"{segment}\": {problem}"))),
        );
    }
}

fn request(resource: &Resource, object: &Value, old: Option<&Value>, errors: &mut Errors) {
    metadata::validate(resource, object, |_, _| Vec::new(), errors);
    let root = FieldValue::root(object);
    let spec = root.child("spec");
    let body = spec.child("request");
    if let Some(why) = request_problem(&STANDARD.decode(body.text()).unwrap_or_default()) {
        errors.push(body.invalid_as(body.value.clone(), &why));
    }
    rules::check(&[field("usages", &[Rule::Required, Rule::Each(&[Rule::Enum(&USAGES)])])], &spec, None, errors);
    let mut seen: HashSet<&str> = HashSet::new();
    for usage in spec.items("usages") {
        if seen.contains(&usage.text()) {
            errors.push(usage.duplicate());
        }
        seen.insert(USAGES.iter().find(|known| **known == usage.text()).copied().unwrap_or_default());
    }
    let signer = spec.child("signerName");
    let had_legacy = old.is_some_and(|old| value::text(&old["spec"], "signerName") == LEGACY_SIGNER);
    if signer.text() == LEGACY_SIGNER && !had_legacy {
        errors.push(signer.invalid("the legacy signerName is not allowed via this API version"));
    } else {
        signer_name(&signer, errors);
    }
    if let Some(seconds) = spec.some("expirationSeconds").filter(|seconds| seconds.int() < EXPIRATION_SECONDS_MIN) {
        errors.push(seconds.invalid("may not specify a duration less than 600 seconds (10 minutes)"));
    }
    conditions(&root.child("status"), errors);
    let certificate = root.child("status").child("certificate");
    let touched = old.is_none_or(|old| old["status"].get("certificate").unwrap_or(field_value::NULL) != certificate.value);
    if touched && !certificate.text().is_empty() {
        let decoded = STANDARD.decode(certificate.text()).unwrap_or_default();
        let why = match pem_block(std::str::from_utf8(&decoded).unwrap_or_default()) {
            None => Some("must contain at least one CERTIFICATE PEM block".to_owned()),
            Some((kind, _)) if kind != "CERTIFICATE" => Some(format!("only CERTIFICATE PEM blocks are allowed, found \"{kind}\"")),
            Some((_, body)) => element(&body).is_none().then(|| "x509: malformed certificate".to_owned()),
        };
        if let Some(why) = why {
            errors.push(certificate.invalid_as("<certificate data>", &why));
        }
    }
}

fn conditions(status: &FieldValue<'_>, errors: &mut Errors) {
    let list = status.child("conditions");
    let (mut approved, mut denied) = (false, false);
    let mut seen: HashSet<&str> = HashSet::new();
    for condition in status.items("conditions") {
        let (kind, state) = (condition.child("type"), condition.child("status"));
        rules::check_value(&[Rule::Required], &kind, None, errors);
        let allowed: &[&str] =
            if matches!(kind.text(), "Approved" | "Denied" | "Failed") { &["True"] } else { &["False", "True", "Unknown"] };
        if state.text().is_empty() {
            errors.push(state.required(""));
        } else if !allowed.contains(&state.text()) {
            errors.push(state.unsupported(allowed));
        }
        approved |= kind.text() == "Approved";
        denied |= kind.text() == "Denied";
        if approved && denied && matches!(kind.text(), "Approved" | "Denied") {
            errors.push(list.invalid_as(kind.text(), "Approved and Denied conditions are mutually exclusive"));
        }
        let text = value::text(condition.value, "type");
        if seen.contains(&text) {
            errors.push(kind.duplicate());
        }
        seen.insert(text);
    }
}

pub(crate) fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::new();
    request(resource, object, None, &mut errors);
    errors
}

pub(crate) fn validate_update(resource: &Resource, object: &Value, old: &Value) -> Errors {
    changed(resource, object, old, false, false)
}

/// `status` signs, `approval` decides.
pub(crate) fn validate_subresource(resource: &Resource, subresource: &str, object: &Value, old: &Value) -> Errors {
    changed(resource, object, old, subresource == "status", subresource == "approval")
}

fn changed(resource: &Resource, object: &Value, old: &Value, may_sign: bool, may_decide: bool) -> Errors {
    let mut errors = Errors::new();
    request(resource, object, Some(old), &mut errors);
    let status = FieldValue::root(object).child("status");
    let list = status.child("conditions");
    let of = |object: &Value, kind: &str| -> Vec<Value> {
        value::list(&object["status"], "conditions").iter().filter(|condition| value::text(condition, "type") == kind).cloned().collect()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        if of(object, kind).len() < of(old, kind).len() {
            errors.push(list.forbidden(&format!("updates may not remove a condition of type \"{kind}\"")));
        }
    }
    for kind in ["Approved", "Denied"].iter().filter(|_| !may_decide) {
        let (new, was) = (of(object, kind), of(old, kind));
        if new.len() > was.len() {
            errors.push(list.forbidden(&format!("updates may not add a condition of type \"{kind}\"")));
        } else if new.len() == was.len() && new != was {
            errors.push(list.forbidden(&format!("updates may not modify a condition of type \"{kind}\"")));
        }
    }
    let certificate = status.child("certificate");
    let before = old["status"].get("certificate").unwrap_or(field_value::NULL);
    if certificate.value != before {
        if !may_sign {
            errors.push(certificate.forbidden("updates may not set certificate content"));
        } else if !before.is_null() {
            errors.push(certificate.forbidden("updates may not modify existing certificate content"));
        }
    }
    metadata::validate_update(object, old, &mut errors);
    errors
}
