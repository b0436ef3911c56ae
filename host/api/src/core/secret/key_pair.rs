//! Whether a private key is a certificate's, in the words of Go's `tls.X509KeyPair`.
//!
//! Reads what is needed to tell two keys apart; that a certificate is trusted or a signature right is not looked at. Keys of the curve
//! P-521 are compared where the private key brings its public one along.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::shared::der::element;

/// Object identifiers, as in DER.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const DIFFERENT_TYPE: &str = "tls: private key type does not match public key type";
const DIFFERENT_KEY: &str = "tls: private key does not match public key";
const NO_KEY: &str = "tls: failed to parse private key";

/// What is wrong with the two, each as PEM.
pub(crate) fn check(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let certificate = first_certificate(certificate)?;
    let key = first_private_key(key)?;
    let parsed = parse_certificate(&certificate)?;
    let public = parsed.public_key();
    let private = PrivateKey::parse(&key)?;
    let parameters = public.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let algorithm = public.algorithm.algorithm.as_bytes();
    let public = &*public.subject_public_key.data;
    let matches = match (algorithm, &private) {
        (RSA, PrivateKey::Rsa { modulus, exponent }) => rsa_numbers(public) == Some((*modulus, *exponent)),
        (EC, PrivateKey::Ec(private)) => private.belongs_to(parameters.map(|curve| curve.as_bytes().to_vec()), public),
        (ED25519, PrivateKey::Ed25519(seed)) => Ed25519KeyPair::from_seed_and_public_key(seed, public).is_ok(),
        (RSA | EC | ED25519, _) => return Err(DIFFERENT_TYPE.to_owned()),
        _ => return Err("tls: unknown public key algorithm".to_owned()),
    };
    if matches { Ok(()) } else { Err(DIFFERENT_KEY.to_owned()) }
}

/// Go has words for each part of a certificate; the rest of them is not told apart.
fn parse_certificate(der: &[u8]) -> Result<X509Certificate<'_>, &'static str> {
    let (SEQUENCE, body, behind) = element(der).ok_or("x509: malformed certificate")? else { return Err("x509: malformed certificate") };
    if !behind.is_empty() {
        return Err("x509: trailing data");
    }
    if !matches!(element(body), Some((SEQUENCE, ..))) {
        return Err("x509: malformed tbs certificate");
    }
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| "x509: malformed certificate")
}

fn first_certificate(pem: &[u8]) -> Result<Vec<u8>, String> {
    let mut others = Vec::new();
    for (kind, body) in blocks(pem) {
        if kind == "CERTIFICATE" {
            return Ok(body);
        }
        others.push(kind);
    }
    Err(match others.as_slice() {
        [] => "tls: failed to find any PEM data in certificate input".to_owned(),
        [kind] if kind.ends_with("PRIVATE KEY") => {
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"
                .to_owned()
        }
        kinds => format!(
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
            kinds.join(" ")
        ),
    })
}

fn first_private_key(pem: &[u8]) -> Result<Vec<u8>, String> {
    let mut others = Vec::new();
    for (kind, body) in blocks(pem) {
        if kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY") {
            return Ok(body);
        }
        others.push(kind);
    }
    Err(match others.as_slice() {
        [] => "tls: failed to find any PEM data in key input".to_owned(),
        [kind] if kind == "CERTIFICATE" => "tls: found a certificate rather than a key in the PEM for the private key".to_owned(),
        kinds => format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following \
             types: [{}]",
            kinds.join(" ")
        ),
    })
}

/// The blocks of a PEM text that are well-formed: their types and what is in them.
fn blocks(pem: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> + use<'_> {
    // What is no text stands between blocks or spoils the one that it is in.
    let text = String::from_utf8_lossy(pem).into_owned();
    let mut found = Vec::new();
    // A block without an end is passed over.
    for (at, begin) in text.match_indices("-----BEGIN ").filter(|(at, _)| *at == 0 || text.as_bytes()[at - 1] == b'\n') {
        found.extend(block(&text[at + begin.len()..]));
    }
    found.into_iter()
}

/// A block, from behind its `-----BEGIN `.
fn block(text: &str) -> Option<(String, Vec<u8>)> {
    let (first, rest) = text.split_once('\n')?;
    let kind = first.trim_end().strip_suffix("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {kind}-----"))?;
    let base64: String =
        body.lines().filter(|line| !line.contains(':')).flat_map(str::chars).filter(|c| !c.is_ascii_whitespace()).collect();
    Some((kind.to_owned(), STANDARD.decode(base64).ok()?))
}

/// What tells a private key from another.
enum PrivateKey<'a> {
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
    Ec(EcKey<'a>),
    Ed25519(&'a [u8]),
}

struct EcKey<'a> {
    curve: &'a [u8],
    scalar: &'a [u8],
    public: Option<&'a [u8]>,
}

impl EcKey<'_> {
    fn belongs_to(&self, curve: Option<Vec<u8>>, public: &[u8]) -> bool {
        if curve.as_deref() != Some(self.curve) {
            return false;
        }
        let algorithm = match self.curve {
            P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            _ => return self.public.is_none_or(|own| own == public),
        };
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, self.scalar, public, &SystemRandom::new()).is_ok()
    }
}

impl<'a> PrivateKey<'a> {
    /// PKCS #1, PKCS #8 or SEC 1, as Go tries them.
    fn parse(der: &'a [u8]) -> Result<Self, &'static str> {
        let fields = fields(der, SEQUENCE).ok_or(NO_KEY)?;
        match fields.as_slice() {
            // RSAPrivateKey: version, modulus, public exponent, …
            [(INTEGER, _), (INTEGER, modulus), (INTEGER, exponent), ..] => {
                Ok(Self::Rsa { modulus: number(modulus), exponent: number(exponent) })
            }
            // PrivateKeyInfo: version, algorithm, key
            [(INTEGER, _), (SEQUENCE, algorithm), (OCTET_STRING, key), ..] => Self::wrapped(algorithm, key),
            // ECPrivateKey: version, scalar, [0] curve, [1] public key
            [(INTEGER, _), (OCTET_STRING, _), ..] => Self::elliptic(der, None),
            _ => Err(NO_KEY),
        }
    }

    fn wrapped(algorithm: &'a [u8], key: &'a [u8]) -> Result<Self, &'static str> {
        let (OBJECT_IDENTIFIER, algorithm, parameters) = element(algorithm).ok_or(NO_KEY)? else { return Err(NO_KEY) };
        match algorithm {
            RSA => Self::parse(key),
            EC => Self::elliptic(key, element(parameters).map(|(_, curve, _)| curve)),
            ED25519 => match element(key) {
                Some((OCTET_STRING, seed, [])) => Ok(Self::Ed25519(seed)),
                _ => Err(NO_KEY),
            },
            _ => Err(NO_KEY),
        }
    }

    fn elliptic(der: &'a [u8], curve: Option<&'a [u8]>) -> Result<Self, &'static str> {
        let fields = fields(der, SEQUENCE).ok_or(NO_KEY)?;
        let [(INTEGER, _), (OCTET_STRING, scalar), more @ ..] = fields.as_slice() else { return Err(NO_KEY) };
        let tagged = |tag: u8| more.iter().find(|(found, _)| *found == tag).and_then(|(_, content)| element(content));
        let curve = tagged(0xa0).map(|(_, curve, _)| curve).or(curve).ok_or(NO_KEY)?;
        let public = tagged(0xa1).filter(|(tag, ..)| *tag == BIT_STRING).and_then(|(_, bits, _)| bits.get(1..));
        Ok(Self::Ec(EcKey { curve, scalar, public }))
    }
}

/// The elements inside of one.
fn fields(der: &[u8], tag: u8) -> Option<Vec<(u8, &[u8])>> {
    let (found, mut rest, []) = element(der)? else { return None };
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (tag, content, behind) = element(rest)?;
        fields.push((tag, content));
        rest = behind;
    }
    (found == tag).then_some(fields)
}

/// Modulus and exponent of a public key.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    match fields(der, SEQUENCE)?.as_slice() {
        [(INTEGER, modulus), (INTEGER, exponent)] => Some((number(modulus), number(exponent))),
        _ => None,
    }
}

/// Without the zeros in front.
fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};

    use super::*;

    /// A certificate and its key.
    fn pair(algorithm: &'static SignatureAlgorithm) -> (String, String) {
        let key = KeyPair::generate_for(algorithm).expect("an algorithm that can be generated");
        let certificate = CertificateParams::new(Vec::new()).and_then(|params| params.self_signed(&key)).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 0x80).expect("a short element");
        [&[tag, length], content.as_slice()].concat()
    }

    fn pem(kind: &str, der: &[u8]) -> String {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
    }

    /// With a modulus that is no product of primes: nobody here computes with it. PKCS #1 and PKCS #8.
    fn rsa_pair() -> (String, [String; 2]) {
        let (modulus, exponent) = (tagged(INTEGER, &[&[0, 0xc3, 0x55]]), tagged(INTEGER, &[&[3]]));
        let algorithm = tagged(SEQUENCE, &[&tagged(OBJECT_IDENTIFIER, &[RSA]), &[5, 0]]);
        let public = tagged(SEQUENCE, &[&algorithm, &tagged(BIT_STRING, &[&[0], &tagged(SEQUENCE, &[&modulus, &exponent])])]);
        let time = tagged(0x17, &[b"260101000000Z"]);
        let nobody = tagged(SEQUENCE, &[]);
        let serial = tagged(INTEGER, &[&[1]]);
        let body = tagged(SEQUENCE, &[&serial, &algorithm, &nobody, &tagged(SEQUENCE, &[&time, &time]), &nobody, &public]);
        let certificate = [body, algorithm.clone(), tagged(BIT_STRING, &[&[0, 0]])].concat();
        let certificate = [&[SEQUENCE, 0x81, u8::try_from(certificate.len()).expect("below 256")], certificate.as_slice()].concat();
        let version = tagged(INTEGER, &[&[0]]);
        let key = tagged(SEQUENCE, &[&version, &modulus, &exponent, &modulus]);
        let wrapped = tagged(SEQUENCE, &[&version, &algorithm, &tagged(OCTET_STRING, &[&key])]);
        (pem("CERTIFICATE", &certificate), [pem("RSA PRIVATE KEY", &key), pem("PRIVATE KEY", &wrapped)])
    }

    /// The same key as SEC 1 has it, as `openssl ecparam -genkey` writes it.
    fn sec1(pkcs8: &str) -> String {
        let (_, der) = blocks(pkcs8.as_bytes()).next().expect("a block");
        let fields = fields(&der, SEQUENCE).expect("a sequence");
        let (_, inner, _) = element(fields[2].1).expect("the key");
        let curve = tagged(0xa0, &[&tagged(OBJECT_IDENTIFIER, &[P256])]);
        let inner = tagged(SEQUENCE, &[inner]);
        let [version, scalar, public] = &self::fields(&inner, SEQUENCE).expect("fields")[..] else { panic!("three") };
        let part = |(tag, content): &(u8, &[u8])| tagged(*tag, &[content]);
        let der = tagged(SEQUENCE, &[&part(version), &part(scalar), &curve, &part(public)]);
        pem("EC PRIVATE KEY", &der)
    }

    #[test]
    fn keys_are_told_apart() {
        let (p256, p256_key) = pair(&PKCS_ECDSA_P256_SHA256);
        let (_, other_key) = pair(&PKCS_ECDSA_P256_SHA256);
        let (p384, p384_key) = pair(&PKCS_ECDSA_P384_SHA384);
        let (ed25519, ed25519_key) = pair(&PKCS_ED25519);
        let (_, other_ed25519_key) = pair(&PKCS_ED25519);
        let (rsa, [pkcs1, pkcs8]) = rsa_pair();
        for (certificate, key, problem) in [
            (&p256, &p256_key, ""),
            (&p256, &sec1(&p256_key), ""),
            (&p384, &p384_key, ""),
            (&ed25519, &ed25519_key, ""),
            (&rsa, &pkcs1, ""),
            (&rsa, &pkcs8, ""),
            (&p256, &other_key, DIFFERENT_KEY),
            (&p256, &p384_key, DIFFERENT_KEY),
            (&ed25519, &other_ed25519_key, DIFFERENT_KEY),
            (&p256, &pkcs8, DIFFERENT_TYPE),
            (&rsa, &ed25519_key, DIFFERENT_TYPE),
        ] {
            assert_eq!(check(certificate.as_bytes(), key.as_bytes()).err().unwrap_or_default(), problem, "{certificate}{key}");
        }
        let chain = format!("some words\n{p256}{rsa}");
        let key = format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{p256_key}");
        assert_eq!(check(chain.as_bytes(), key.as_bytes()), Ok(()), "the first certificate and the first key count");
    }

    #[test]
    fn what_is_no_key_pair_is_told_in_words() {
        let (certificate, key) = pair(&PKCS_ED25519);
        for (certificate, key, problem) in [
            ("cert", "key", "tls: failed to find any PEM data in certificate input"),
            (&certificate, "key", "tls: failed to find any PEM data in key input"),
            (
                &key,
                &certificate,
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            ),
            (&certificate, &certificate, "tls: found a certificate rather than a key in the PEM for the private key"),
            (&certificate, &pem("PRIVATE KEY", &[SEQUENCE, 0]), NO_KEY),
            (&pem("CERTIFICATE", &[SEQUENCE, 0]), &key, "x509: malformed tbs certificate"),
            (&pem("CERTIFICATE", &[INTEGER, 0]), &key, "x509: malformed certificate"),
            (&format!("in a line {certificate}"), &key, "tls: failed to find any PEM data in certificate input"),
            (
                &(pem("A", &[]) + &pem("B", &[])),
                &key,
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [A B]",
            ),
        ] {
            assert_eq!(check(certificate.as_bytes(), key.as_bytes()), Err(problem.to_owned()));
        }
    }
}
