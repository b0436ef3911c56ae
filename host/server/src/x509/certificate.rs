//! One certificate, read once: what verification and authentication need of it.

use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::extensions::{NameConstraints as ParsedConstraints, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Extension, X509Version};
use x509_parser::x509::X509Name;

use super::constraints::{NameConstraints, Subtrees};
use super::names::AlternativeNames;
use super::text::text;

const COMMON_NAME_OID: &str = "2.5.4.3";
const ORGANIZATION_OID: &str = "2.5.4.10";
/// `uid` of a client certificate (KEP-5018).
const UID_OID: &str = "1.3.6.1.4.1.57683.2";
const ELLIPTIC_CURVE_KEY_OID: &str = "1.2.840.10045.2.1";
/// P-224, P-256, P-384, P-521.
const CURVE_OIDS: [&str; 4] = ["1.3.132.0.33", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];

/// The bytes are no certificate that Go would read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("x509: {0}")]
pub struct Malformed(&'static str);

/// A certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(super) version: u8,
    /// Decimal.
    pub(crate) serial: String,
    /// Seconds since 1970, both inclusive.
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(super) raw_issuer: Vec<u8>,
    pub(crate) raw_subject: Vec<u8>,
    pub(crate) subject: Subject,
    pub(super) signed: Signed,
    pub(crate) key: PublicKey,
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) extended_key_usage: ExtendedKeyUsage,
    pub(crate) subject_key_id: Vec<u8>,
    pub(crate) authority_key_id: Vec<u8>,
    /// The extension's bytes, and the names in it.
    pub(super) alternative_names: Option<(Vec<u8>, AlternativeNames)>,
    pub(super) name_constraints: Option<NameConstraints>,
    /// It wants chains to be good for some certificate policy.
    pub(super) requires_policy: bool,
    /// It has an extension that must be understood and is not.
    pub(super) has_unhandled_critical_extension: bool,
}

/// Who it is for.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// Of several the last.
    pub(crate) common_name: String,
    /// In their order.
    pub(crate) organizations: Vec<String>,
    pub(crate) uids: Vec<String>,
}

/// What is signed, how, and the signature.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) content: Vec<u8>,
    /// Content of the `AlgorithmIdentifier`.
    pub(super) algorithm: Vec<u8>,
    pub(super) algorithm_oid: String,
    pub(super) signature: Vec<u8>,
}

/// A public key as certificates carry it.
#[derive(Debug)]
pub(crate) struct PublicKey {
    /// The whole `SubjectPublicKeyInfo`.
    pub(crate) spki: Vec<u8>,
    /// Content of the `AlgorithmIdentifier`.
    algorithm: Vec<u8>,
    bits: Vec<u8>,
}

impl PublicKey {
    /// Checks a signature, if the algorithm is for keys of this kind; `None` if it is not.
    pub(crate) fn check(&self, algorithm: &dyn SignatureVerificationAlgorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let fits = algorithm.public_key_alg_id().as_ref() == self.algorithm;
        fits.then(|| algorithm.verify_signature(&self.bits, message, signature).is_ok())
    }
}

#[derive(Debug)]
pub(super) struct BasicConstraints {
    pub(super) is_ca: bool,
    pub(super) path_len_max: Option<u32>,
}

#[derive(Debug)]
pub(super) struct KeyUsage {
    pub(super) cert_sign: bool,
}

/// Without the extension, or with one that lists nothing, everything is allowed.
#[derive(Debug, Default)]
pub(super) struct ExtendedKeyUsage {
    pub(super) is_restricted: bool,
    pub(super) client_auth: bool,
}

impl Certificate {
    /// Reads a certificate from its DER, with nothing behind it.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| Malformed("malformed certificate"))?;
        if !rest.is_empty() {
            return Err(Malformed("trailing data"));
        }
        let version = match parsed.version() {
            X509Version::V1 => 1,
            X509Version::V2 => 2,
            X509Version::V3 => 3,
            _ => return Err(Malformed("invalid version")),
        };
        if parsed.raw_serial().first().is_some_and(|byte| byte & 0x80 != 0) {
            return Err(Malformed("negative serial number"));
        }
        let content = parsed.tbs_certificate.as_ref();
        let (algorithm, inner_algorithm) = signature_algorithms(der, content).ok_or(Malformed("malformed certificate"))?;
        if algorithm != inner_algorithm {
            return Err(Malformed("inner and outer signature algorithm identifiers don't match"));
        }
        subject(parsed.issuer())?;
        let mut certificate = Self {
            der: der.to_vec(),
            version,
            serial: parsed.tbs_certificate.serial.to_string(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            raw_issuer: parsed.issuer().as_raw().to_vec(),
            raw_subject: parsed.subject().as_raw().to_vec(),
            subject: subject(parsed.subject())?,
            signed: Signed {
                content: content.to_vec(),
                algorithm: algorithm.to_vec(),
                algorithm_oid: parsed.signature_algorithm.algorithm.to_id_string(),
                signature: parsed.signature_value.data.to_vec(),
            },
            key: public_key(parsed.public_key())?,
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: ExtendedKeyUsage::default(),
            subject_key_id: Vec::new(),
            authority_key_id: Vec::new(),
            alternative_names: None,
            name_constraints: None,
            requires_policy: false,
            has_unhandled_critical_extension: false,
        };
        // Older versions have no extensions.
        if version == 3 {
            let mut seen = std::collections::HashSet::new();
            for extension in parsed.extensions() {
                if !seen.insert(&extension.oid) {
                    return Err(Malformed("certificate contains duplicate extensions"));
                }
                let handled = certificate.read_extension(extension)?;
                certificate.has_unhandled_critical_extension |= extension.critical && !handled;
            }
        }
        Ok(certificate)
    }

    /// Whether the extension is understood.
    fn read_extension(&mut self, extension: &X509Extension<'_>) -> Result<bool, Malformed> {
        match extension.parsed_extension() {
            ParsedExtension::ParseError { .. } => return Err(Malformed("malformed extension")),
            ParsedExtension::KeyUsage(usage) => {
                // Of one without a bit nothing is known.
                self.key_usage = (usage.flags != 0).then(|| KeyUsage { cert_sign: usage.key_cert_sign() });
            }
            ParsedExtension::BasicConstraints(constraints) => {
                self.basic_constraints = Some(BasicConstraints { is_ca: constraints.ca, path_len_max: constraints.path_len_constraint });
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                let names = AlternativeNames::read(&names.general_names).ok_or(Malformed("SAN is malformed"))?;
                let handled = !names.is_empty();
                self.alternative_names = Some((extension.value.to_vec(), names));
                return Ok(handled);
            }
            ParsedExtension::NameConstraints(constraints) => {
                let (constraints, handled) = name_constraints(constraints)?;
                self.name_constraints = Some(constraints);
                return Ok(handled);
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let known = usage.server_auth || usage.code_signing || usage.email_protection || usage.time_stamping || usage.ocsp_signing;
                let listed = known || usage.client_auth || !usage.other.is_empty();
                self.extended_key_usage = ExtendedKeyUsage { is_restricted: listed && !usage.any, client_auth: usage.client_auth };
            }
            ParsedExtension::AuthorityKeyIdentifier(_) if extension.critical => {
                return Err(Malformed("authority key identifier incorrectly marked critical"));
            }
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec()).unwrap_or_default();
            }
            ParsedExtension::SubjectKeyIdentifier(_) if extension.critical => {
                return Err(Malformed("subject key identifier incorrectly marked critical"));
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = id.0.to_vec(),
            ParsedExtension::AuthorityInfoAccess(_) if extension.critical => {
                return Err(Malformed("authority info access incorrectly marked critical"));
            }
            ParsedExtension::PolicyConstraints(constraints) => self.requires_policy = constraints.require_explicit_policy.is_some(),
            ParsedExtension::AuthorityInfoAccess(_)
            | ParsedExtension::CRLDistributionPoints(_)
            | ParsedExtension::CertificatePolicies(_)
            | ParsedExtension::PolicyMappings(_)
            | ParsedExtension::InhibitAnyPolicy(_) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// As Go names a certificate in an error.
    pub(super) fn shown_name(&self) -> String {
        if !self.subject.common_name.is_empty() {
            return self.subject.common_name.clone();
        }
        self.subject.organizations.first().cloned().unwrap_or_else(|| format!("serial:{}", self.serial))
    }
}

fn subject(name: &X509Name<'_>) -> Result<Subject, Malformed> {
    let mut subject = Subject::default();
    for attribute in name.iter_attributes() {
        let text = text(attribute.attr_value()).ok_or(Malformed("invalid RDNSequence: invalid attribute value"))?;
        match attribute.attr_type().to_id_string().as_str() {
            COMMON_NAME_OID => subject.common_name = text,
            ORGANIZATION_OID => subject.organizations.push(text),
            UID_OID => subject.uids.push(text),
            _ => {}
        }
    }
    Ok(subject)
}

/// Of an elliptic curve that Go does not know there is no key, and so no certificate: such a `--client-ca-file` is refused at the start.
fn public_key(parsed: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<PublicKey, Malformed> {
    const MALFORMED: Malformed = Malformed("malformed spki");
    if parsed.algorithm.algorithm.to_id_string() == ELLIPTIC_CURVE_KEY_OID {
        let curve = parsed.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        let curve = curve.ok_or(Malformed("invalid ECDSA parameters"))?.to_id_string();
        if !CURVE_OIDS.contains(&curve.as_str()) {
            return Err(Malformed("unsupported elliptic curve"));
        }
    }
    let (content, _) = element(parsed.raw).ok_or(MALFORMED)?;
    let (algorithm, _) = element(content).ok_or(MALFORMED)?;
    Ok(PublicKey { spki: parsed.raw.to_vec(), algorithm: algorithm.to_vec(), bits: parsed.subject_public_key.data.to_vec() })
}

/// The content of the signature's `AlgorithmIdentifier` outside of what is signed, and inside.
fn signature_algorithms<'a>(der: &'a [u8], signed: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    const VERSION: u8 = 0xa0;
    let (certificate, _) = element(der)?;
    let (_, after_signed) = element(certificate)?;
    let (outer, _) = element(after_signed)?;
    let (mut fields, _) = element(signed)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.1;
    }
    let (_, after_serial) = element(fields)?;
    let (inner, _) = element(after_serial)?;
    Some((outer, inner))
}

/// Content of the first DER element, and what follows it. Its tag has been looked at by the parser.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = der.get(1..)?.split_first()?;
    if length < 0x80 {
        return rest.split_at_checked(length.into());
    }
    let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
    let length = bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

/// And whether all of them are understood.
fn name_constraints(parsed: &ParsedConstraints<'_>) -> Result<(NameConstraints, bool), Malformed> {
    let mut handled = true;
    let mut subtrees = |parsed: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
        let mut subtrees = Subtrees::default();
        for subtree in parsed.iter().flatten() {
            handled &= subtrees.add(&subtree.base).ok_or(Malformed("invalid NameConstraints extension"))?;
        }
        Ok(subtrees)
    };
    let constraints = NameConstraints { permitted: subtrees(&parsed.permitted_subtrees)?, excluded: subtrees(&parsed.excluded_subtrees)? };
    let count = |subtrees: &Option<Vec<_>>| subtrees.as_ref().map_or(0, Vec::len);
    if count(&parsed.permitted_subtrees) + count(&parsed.excluded_subtrees) == 0 {
        return Err(Malformed("empty name constraints extension"));
    }
    Ok((constraints, handled))
}
