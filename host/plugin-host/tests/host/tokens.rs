//! Tokens: the key decides the algorithm, and nothing that is not signed here passes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use wasmgate_plugin_host::{KeyError, TokenVerifier, Tokens, Verification};

const RSA_PRIVATE: &str = include_str!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
const RSA_PKCS1: &str = include_str!("keys/rsa.pkcs1.pem");
const EC_PRIVATE: &str = include_str!("keys/ec.pem");
const EC_PUBLIC: &str = include_str!("keys/ec.pub.pem");
const OTHER_RSA_PRIVATE: &str = include_str!("keys/other.pem");
const CERTIFICATE: &str = include_str!("keys/rsa.crt.pem");

fn tokens(keys: &[&str]) -> Tokens {
    Tokens::new(keys, vec!["https://here".into()], vec!["api".into()]).expect("keys")
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "sub": "system:serviceaccount:default:builder"})
}

fn rsa(private: &str, issuer: &str) -> String {
    let key = EncodingKey::from_rsa_pem(private.as_bytes()).expect("a key");
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(issuer), &key).expect("signed")
}

fn ec(issuer: &str) -> String {
    let key = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(issuer), &key).expect("signed")
}

fn with_header(header: Value, token: &str) -> String {
    let (_, rest) = token.split_once('.').expect("a token");
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

fn outcome(tokens: &Tokens, token: &str) -> String {
    match tokens.verify(token) {
        Verification::Claims(bytes) => {
            serde_json::from_slice::<Value>(&bytes).expect("JSON")["sub"].as_str().unwrap_or_default().to_owned()
        }
        Verification::Unknown => "unknown".into(),
        Verification::Invalid(why) => format!("invalid: {why}"),
    }
}

#[test]
fn every_form_of_a_key_verifies_what_it_signed() {
    let subject = "system:serviceaccount:default:builder";
    for key in [RSA_PRIVATE, RSA_PUBLIC, RSA_PKCS1, CERTIFICATE] {
        assert_eq!(outcome(&tokens(&[key]), &rsa(RSA_PRIVATE, "https://here")), subject, "{}", &key[..30]);
    }
    for key in [EC_PRIVATE, EC_PUBLIC] {
        assert_eq!(outcome(&tokens(&[key]), &ec("https://here")), subject, "{}", &key[..30]);
    }
    let both = tokens(&[RSA_PUBLIC, EC_PUBLIC]);
    // Twice: the second answer is a remembered one.
    for _ in 0..2 {
        assert_eq!(outcome(&both, &ec("https://here")), subject);
        assert_eq!(outcome(&both, &rsa(RSA_PRIVATE, "https://here")), subject);
    }
    assert_eq!(both.audiences(), ["api"]);
}

#[test]
fn what_is_not_signed_here_is_refused() {
    let tokens = tokens(&[RSA_PUBLIC, EC_PUBLIC]);
    let good = rsa(RSA_PRIVATE, "https://here");
    let unsigned = "invalid: no key of this server made the signature";
    let (rest, _) = good.rsplit_once('.').expect("a token");
    let hmac =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims("https://here"), &EncodingKey::from_secret(RSA_PUBLIC.as_bytes()))
            .expect("signed");
    let cases = [
        (rsa(OTHER_RSA_PRIVATE, "https://here"), unsigned),
        (format!("{rest}."), unsigned),
        (format!("{rest}.AAAA"), unsigned),
        (rsa(RSA_PRIVATE, "https://elsewhere"), "unknown"),
        // Confusion of algorithms: the public key as a secret, no signature at all, another family.
        (hmac, "invalid: unexpected signature algorithm \"HS256\""),
        (with_header(json!({"alg": "none"}), &format!("{rest}.")), "invalid: unexpected signature algorithm \"none\""),
        (with_header(json!({"alg": "ES256"}), &good), unsigned),
        (with_header(json!({"alg": "RS512"}), &good), "invalid: unexpected signature algorithm \"RS512\""),
        (with_header(json!({"alg": "RS256", "crit": ["exp"]}), &good), "invalid: the header has critical extensions"),
        (with_header(json!({"typ": "JWT"}), &good), "unknown"),
        ("".into(), "unknown"),
        ("a.b".into(), "unknown"),
        ("a.b.c".into(), "unknown"),
        (format!("{good}.more"), "unknown"),
        ("x".repeat(100_000), "unknown"),
    ];
    for (token, expected) in cases {
        assert_eq!(outcome(&tokens, &token), expected, "{}", &token[..token.len().min(60)]);
    }
    assert_eq!(outcome(&self::tokens(&[EC_PUBLIC]), &good), unsigned);
}

#[test]
fn a_file_without_a_usable_key_is_an_error() {
    let error = |pem: &str| Tokens::new(&[pem], Vec::new(), Vec::new()).err();
    assert_eq!(error("hello"), Some(KeyError::Empty));
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    assert!(matches!(error(request), Some(KeyError::Block { index: 0, .. })), "{:?}", error(request));
    assert!(matches!(error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), Some(KeyError::Block { .. })));
}
