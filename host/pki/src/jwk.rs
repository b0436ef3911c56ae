//! Public keys as JSON Web Keys (RFC 7517), for issuer discovery.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::key::{PublicKey, SigningAlgorithm};

/// The key as a JWK; none where it is of no kind that can be shown.
pub fn jwk(key: &PublicKey) -> Option<Value> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(&key.spki_der).ok()?;
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let mut jwk = match spki.parsed().ok()? {
        ParsedKey::RSA(rsa) => {
            let number = |bytes: &[u8]| text(&bytes[bytes.iter().take_while(|b| **b == 0).count()..]);
            json!({ "kty": "RSA", "alg": "RS256", "n": number(rsa.modulus), "e": number(rsa.exponent) })
        }
        ParsedKey::EC(point) => {
            // An uncompressed point: 4, then both coordinates.
            let (x, y) = point.data().get(1..)?.split_at_checked((point.data().len() - 1) / 2)?;
            let (algorithm, curve) = if key.algorithm == SigningAlgorithm::Es384 { ("ES384", "P-384") } else { ("ES256", "P-256") };
            json!({ "kty": "EC", "alg": algorithm, "crv": curve, "x": text(x), "y": text(y) })
        }
        _ => return None,
    };
    jwk["use"] = "sig".into();
    jwk["kid"] = key.key_id.clone().into();
    Some(jwk)
}
