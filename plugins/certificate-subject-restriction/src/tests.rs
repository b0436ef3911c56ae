//! Cases as data: requests, and whether upstream would take them.

use wasmgate_sdk::admission::{Attributes, GroupVersionResource, Object};
use wasmgate_sdk::serde_json::json;

use super::*;

/// `/O=dev/O=system:masters/CN=jane`
const MASTER: &str = "MIHxMIGYAgEAMDYxDDAKBgNVBAoMA2RldjEXMBUGA1UECgwOc3lzdGVtOm1hc3RlcnMxDTALBgNVBAMMBGphbmUwWTATBgcqhkjOPQIBBggqhk\
    jOPQMBBwNCAASRP2lA+AGFj1uS2JtMK2VOwn2ru2/QDkpA+xuaO4SUgZKK6UKRAQkPvUF+Chb1KMJYdyt7jfu8wME072TJoswHoAAwCgYIKoZI\
    zj0EAwIDSAAwRQIhAMNLWfVRhS/040dmGzh1UT6+d7o4sdlHA1mK9x5ZNhLaAiBe6ZNVal2ZUFMsZXzKnR6W/FSjJVpn40AtCaDHlzxWoQ==";
/// `/O=dev/CN=system:masters`
const DEVELOPER: &str = "MIHjMIGJAgEAMCcxDDAKBgNVBAoMA2RldjEXMBUGA1UEAwwOc3lzdGVtOm1hc3RlcnMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARdQ3Rdr9\
    3+5ttgNyiVwatk2w1p5HStevv5I721b2iX/D7Y4ypv+UlU/WP1Z65IX6Qq/znp9I9AxZ/x9TPRTVuRoAAwCgYIKoZIzj0EAwIDSQAwRgIhANBn\
    42buNiV6xlLRWMkrwkOqFqmHGx6wqbGm2k7xJRD7AiEA21JEjU9A7Zl9iDrbmbyO6lVbltbWzpYRkppFicaX3eM=";

/// Standard base64.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let sextet = |at: usize| char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]);
        (0..4).map(|at| if at <= chunk.len() { sextet(at) } else { '=' }).collect::<String>()
    };
    bytes.chunks(3).map(sextets).collect()
}

fn pem(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn refusal(signer: &str, pem: &str) -> String {
    let (group, resource) = ("certificates.k8s.io".to_owned(), "certificatesigningrequests".to_owned());
    let resource = GroupVersionResource { group, version: "v1".to_owned(), resource };
    let csr = json!({"spec": {"signerName": signer, "request": base64(pem.as_bytes())}});
    let request = Request::new(Attributes { resource, ..Attributes::default() }, Some(Object::of(&csr)), None);
    match CertificateSubjectRestriction.validate(&request) {
        Ok(()) => String::new(),
        Err(Denial::Forbidden(message)) => message,
        Err(Denial::Status(status)) => status.message().to_owned(),
    }
}

#[test]
fn who_may_ask() {
    const LABEL: &str = "CERTIFICATE REQUEST";
    let masters = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    let no_pem = "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST";
    let malformed = "failed to parse CSR: the request is malformed";
    let unfinished = format!("-----BEGIN {LABEL}-----\n{DEVELOPER}\n-----END OTHER-----\n{}", pem(LABEL, MASTER));
    let rows = [
        (SIGNER, pem(LABEL, MASTER), masters),
        (SIGNER, pem(LABEL, DEVELOPER), ""),
        ("example.com/other", pem(LABEL, MASTER), ""),
        (SIGNER, pem("CERTIFICATE", DEVELOPER), no_pem),
        (SIGNER, String::new(), no_pem),
        (SIGNER, pem(LABEL, "AAAA"), malformed),
        (SIGNER, pem(LABEL, &DEVELOPER[..40]), malformed),
        (SIGNER, pem(LABEL, "MIT/////AAAA"), malformed),
        (SIGNER, pem(LABEL, DEVELOPER) + &pem(LABEL, MASTER), masters),
        (SIGNER, unfinished, malformed),
    ];
    for (signer, pem, want) in rows {
        assert_eq!(refusal(signer, &pem), want, "{signer} {pem}");
    }
}
