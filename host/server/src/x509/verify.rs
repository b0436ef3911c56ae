//! Is there a chain from a client's certificate to an authority, each link of which Go would accept for client authentication?

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use super::certificate::{Certificate, Malformed};
use super::constraints::{self, Constrained};

/// Candidates for an issuer that are tried for one certificate of a client; Go's own bound. A client may send certificates that all might
/// have signed each other.
const SIGNATURE_CHECK_COUNT_MAX: usize = 100;

/// Signature algorithms that are broken.
const INSECURE: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.4", "MD5-RSA"),
    ("1.2.840.113549.1.1.5", "SHA1-RSA"),
    ("1.3.14.3.2.29", "SHA1-RSA"),
    ("1.2.840.10040.4.3", "DSA-SHA1"),
    ("1.2.840.10045.4.1", "ECDSA-SHA1"),
];

/// Why a certificate is not believed, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("x509: unhandled critical extension")]
    UnhandledCriticalExtension,
    #[error("x509: issuer name does not match subject from issuing certificate")]
    NameMismatch,
    #[error("x509: certificate has expired or is not yet valid: current time {} is after {}", rfc3339(*now), rfc3339(*bound))]
    Expired { now: i64, bound: i64 },
    #[error("x509: certificate has expired or is not yet valid: current time {} is before {}", rfc3339(*now), rfc3339(*bound))]
    NotYetValid { now: i64, bound: i64 },
    #[error("x509: certificate is not authorized to sign other certificates")]
    NotAuthorizedToSign,
    #[error("x509: too many intermediates for path length constraint")]
    TooManyIntermediates,
    #[error("x509: invalid signature: parent certificate cannot sign this kind of certificate")]
    ParentMayNotSign,
    #[error("x509: cannot verify signature: insecure algorithm {0}")]
    InsecureAlgorithm(&'static str),
    #[error("x509: cannot verify signature: algorithm unimplemented")]
    UnsupportedAlgorithm,
    #[error("x509: signature verification failure")]
    BadSignature,
    #[error("x509: signature check attempts limit reached while verifying certificate chain")]
    SignatureLimit,
    #[error("x509: certificate signed by unknown authority{}", hint(possibly.as_deref()))]
    UnknownAuthority { possibly: Option<Box<(VerifyError, String)>> },
    #[error("x509: certificate specifies an incompatible key usage")]
    IncompatibleUsage,
    #[error("x509: no valid chains built: 1 candidate chains with invalid policies")]
    InvalidPolicies,
    #[error("x509: a root or intermediate certificate is not authorized to sign for this name: {0}")]
    NotAuthorizedForName(String),
}

fn hint(possibly: Option<&(VerifyError, String)>) -> String {
    possibly.map_or_else(String::new, |(error, name)| {
        format!(" (possibly because of {:?} while trying to verify candidate authority certificate {name:?})", error.to_string())
    })
}

/// `2026-11-21T11:12:13Z`.
fn rfc3339(seconds: i64) -> String {
    apimachinery::time::Time::from_unix(seconds, 0).rfc3339()
}

/// Certificates, found by their subject. Duplicates are left out.
#[derive(Debug, Default)]
struct Pool {
    certificates: Vec<Certificate>,
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
    digests: HashSet<[u8; 32]>,
}

impl Pool {
    fn new(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut pool = Self::default();
        for certificate in certificates {
            if pool.digests.insert(Sha256::digest(&certificate.der).into()) {
                pool.by_subject.entry(certificate.raw_subject.clone()).or_default().push(pool.certificates.len());
                pool.certificates.push(certificate);
            }
        }
        pool
    }

    fn contains(&self, certificate: &Certificate) -> bool {
        self.digests.contains(&<[u8; 32]>::from(Sha256::digest(&certificate.der)))
    }

    /// Certificates that may have signed this one, the likeliest first: by key ids that are equal, missing, different.
    fn potential_parents<'a>(&'a self, child: &Certificate) -> Vec<&'a Certificate> {
        let places = self.by_subject.get(&child.raw_issuer).map(Vec::as_slice).unwrap_or_default();
        let mut parents: Vec<&Certificate> = places.iter().map(|place| &self.certificates[*place]).collect();
        parents.sort_by_key(|parent| match (parent.subject_key_id.as_slice(), child.authority_key_id.as_slice()) {
            (parent, child) if parent == child => 0,
            ([], _) | (_, []) => 1,
            _ => 2,
        });
        parents
    }
}

/// Whose client certificates are believed: `--client-ca-file`.
#[derive(Debug, Default)]
pub(crate) struct Authorities {
    pool: Pool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Leaf,
    Intermediate,
    Root,
}

impl Authorities {
    /// From their DER.
    pub(crate) fn parse<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Malformed> {
        let certificates = ders.into_iter().map(Certificate::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { pool: Pool::new(certificates) })
    }

    /// Each once.
    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.pool.certificates
    }

    /// Whether the first certificate is to be believed; the others, in any order, may be what leads from it to an authority.
    pub(crate) fn verify(&self, leaf: &Certificate, others: Vec<Certificate>, now: i64) -> Result<(), VerifyError> {
        is_valid(leaf, Role::Leaf, &[], now)?;
        let intermediates = Pool::new(others);
        let mut search = Search { authorities: &self.pool, intermediates: &intermediates, now, checks: 0, chains: Vec::new() };
        if self.pool.contains(leaf) {
            search.chains.push(vec![leaf]);
        } else {
            let ended = search.extend(&[leaf]);
            if search.chains.is_empty() {
                return Err(ended.unwrap_or(VerifyError::UnknownAuthority { possibly: None }));
            }
        }
        let mut refused = VerifyError::IncompatibleUsage;
        for chain in &search.chains {
            match accepts(chain) {
                Ok(()) => return Ok(()),
                // What Go says of several chains: names first.
                Err(error @ VerifyError::NotAuthorizedForName(_)) => refused = error,
                Err(error) if !matches!(refused, VerifyError::NotAuthorizedForName(_)) => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }
}

/// Why a certificate in the file of authorities can make no client believed but itself, if so.
pub(crate) fn why_not_an_authority(certificate: &Certificate, now: i64) -> Option<String> {
    let usage = &certificate.extended_key_usage;
    is_valid(certificate, Role::Leaf, &[], now)
        .and_then(|()| may_sign(certificate))
        .and(if usage.is_restricted && !usage.client_auth { Err(VerifyError::IncompatibleUsage) } else { Ok(()) })
        .err()
        .map(|error| error.to_string())
}

/// Looks for all chains, depth first, as Go does.
struct Search<'a> {
    authorities: &'a Pool,
    intermediates: &'a Pool,
    now: i64,
    checks: usize,
    chains: Vec<Vec<&'a Certificate>>,
}

impl<'a> Search<'a> {
    /// Extends a chain by all that may have signed its last certificate. Returns what to say where nothing was found.
    ///
    /// Depth is bounded: no certificate is in a chain twice, and every step costs a check.
    fn extend(&mut self, chain: &[&'a Certificate]) -> Option<VerifyError> {
        let child = *chain.last().expect("a chain begins with the leaf");
        let found_before = self.chains.len();
        let (authorities, intermediates) = (self.authorities, self.intermediates);
        let roots = authorities.potential_parents(child).into_iter().map(|parent| (Role::Root, parent));
        let others = intermediates.potential_parents(child).into_iter().map(|parent| (Role::Intermediate, parent));
        let (mut error, mut hint) = (None, None);
        for (role, parent) in roots.chain(others) {
            self.checks += 1;
            if self.checks > SIGNATURE_CHECK_COUNT_MAX {
                error = Some(VerifyError::SignatureLimit);
                break;
            }
            if is_in_chain(parent, chain) {
                continue;
            }
            if let Err(why) = check_signature(child, parent) {
                hint.get_or_insert((why, parent.shown_name()));
                continue;
            }
            if let Err(why) = is_valid(parent, role, chain, self.now) {
                hint.get_or_insert((why.clone(), parent.shown_name()));
                error = Some(why);
                continue;
            }
            let longer = [chain, &[parent]].concat();
            match role {
                Role::Root => {
                    self.chains.push(longer);
                    error = None;
                }
                _ => error = self.extend(&longer),
            }
            if error == Some(VerifyError::SignatureLimit) {
                break;
            }
        }
        if self.chains.len() > found_before {
            return None;
        }
        error.or_else(|| Some(VerifyError::UnknownAuthority { possibly: hint.map(Box::new) }))
    }
}

/// By subject, key and alternative names: authorities that have signed each other would lead round in circles.
fn is_in_chain(candidate: &Certificate, chain: &[&Certificate]) -> bool {
    let names = |certificate: &Certificate| certificate.alternative_names.as_ref().map(|(raw, _)| raw.clone());
    let same = |other: &&&Certificate| {
        other.raw_subject == candidate.raw_subject && other.key.spki == candidate.key.spki && names(other) == names(candidate)
    };
    chain.iter().any(|other| same(&other))
}

fn is_valid(certificate: &Certificate, role: Role, chain: &[&Certificate], now: i64) -> Result<(), VerifyError> {
    if certificate.has_unhandled_critical_extension {
        return Err(VerifyError::UnhandledCriticalExtension);
    }
    if chain.last().is_some_and(|child| child.raw_issuer != certificate.raw_subject) {
        return Err(VerifyError::NameMismatch);
    }
    if now < certificate.not_before {
        return Err(VerifyError::NotYetValid { now, bound: certificate.not_before });
    }
    if now > certificate.not_after {
        return Err(VerifyError::Expired { now, bound: certificate.not_after });
    }
    let constraints = certificate.basic_constraints.as_ref();
    if role == Role::Intermediate && !constraints.is_some_and(|constraints| constraints.is_ca) {
        return Err(VerifyError::NotAuthorizedToSign);
    }
    let intermediates = chain.len().saturating_sub(1);
    match constraints.and_then(|constraints| constraints.path_len_max) {
        Some(max) if role != Role::Leaf && intermediates > max as usize => Err(VerifyError::TooManyIntermediates),
        _ => Ok(()),
    }
}

/// Version 3 says who is an authority; older versions cannot.
fn may_sign(parent: &Certificate) -> Result<(), VerifyError> {
    let is_authority = match &parent.basic_constraints {
        Some(constraints) => constraints.is_ca,
        None => parent.version < 3,
    };
    if is_authority && parent.key_usage.as_ref().is_none_or(|usage| usage.cert_sign) { Ok(()) } else { Err(VerifyError::ParentMayNotSign) }
}

fn check_signature(child: &Certificate, parent: &Certificate) -> Result<(), VerifyError> {
    may_sign(parent)?;
    let signed = &child.signed;
    if let Some((_, name)) = INSECURE.iter().find(|(oid, _)| *oid == signed.algorithm_oid) {
        return Err(VerifyError::InsecureAlgorithm(name));
    }
    let algorithms = webpki::ALL_VERIFICATION_ALGS.iter().filter(|algorithm| algorithm.signature_alg_id().as_ref() == signed.algorithm);
    let mut checked = algorithms.filter_map(|algorithm| parent.key.check(*algorithm, &signed.content, &signed.signature));
    match checked.next() {
        None => Err(VerifyError::UnsupportedAlgorithm),
        Some(false) => Err(VerifyError::BadSignature),
        Some(true) => Ok(()),
    }
}

/// What a whole chain must have.
fn accepts(chain: &[&Certificate]) -> Result<(), VerifyError> {
    let below_root = &chain[..chain.len() - 1];
    // Stricter than Go, which looks whether the chain is good for some policy: an authority that demands it is not known among clients.
    if below_root.iter().any(|certificate| certificate.requires_policy) {
        return Err(VerifyError::InvalidPolicies);
    }
    // An authority that lists usages can give its clients no other one.
    if chain.iter().any(|certificate| certificate.extended_key_usage.is_restricted && !certificate.extended_key_usage.client_auth) {
        return Err(VerifyError::IncompatibleUsage);
    }
    let compared: Vec<Constrained<'_>> = chain.iter().map(|certificate| compared(certificate)).collect();
    constraints::check(&compared).map_err(VerifyError::NotAuthorizedForName)
}

fn compared(certificate: &Certificate) -> Constrained<'_> {
    Constrained {
        names: certificate.alternative_names.as_ref().map(|(_, names)| names),
        constraints: certificate.name_constraints.as_ref(),
    }
}
