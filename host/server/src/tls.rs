//! TLS: the serving certificate, and what a client certificate is worth.
//!
//! A client certificate is asked for and not required, and a bad one does not fail the handshake: the client proves that it has the key,
//! and whether the chain holds is told to the authenticators, which may know the client by other means (a bearer token). That is upstream's
//! `tls.RequestClientCert`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use auth::PeerCertificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

/// `uid` of a client certificate (KEP-5018).
const UID_OID: &str = "1.3.6.1.4.1.57683.2";
/// Certificates that a client may send; longer chains are not looked at.
const CHAIN_COUNT_MAX: usize = 16;

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or not what it should be.
    #[error("{what}: {source}")]
    Pem {
        /// Which of the files.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// There is none.
    #[error("{0}: no certificate found")]
    Empty(&'static str),
    /// A CA that is none.
    #[error("client CA: {0}")]
    Anchor(#[source] webpki::Error),
    /// Key and certificate do not fit.
    #[error("serving certificate: {0}")]
    Rustls(#[from] rustls::Error),
}

/// What the server shows and whom it trusts. Both can be replaced while connections live. Clones share them.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    serving: Arc<Serving>,
    client_roots: Arc<ArcSwap<ClientRoots>>,
}

/// Whose client certificates are believed.
#[derive(Debug)]
pub(crate) struct ClientRoots {
    anchors: Vec<TrustAnchor<'static>>,
}

impl Tls {
    /// From PEM: the serving chain (leaf first), its key, and the CAs of client certificates (`--client-ca-file`). Without CAs no client
    /// certificate is asked for.
    pub fn from_pem(certificates: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let serving = Arc::new(Serving(ArcSwap::from(certified_key(&provider, certificates, key)?)));
        let (client_roots, hints) = client_ca.map_or(Ok((ClientRoots { anchors: Vec::new() }, Vec::new())), roots)?;
        let verifier = AnyCertificate { asked_for: client_ca.is_some(), hints, algorithms: provider.signature_verification_algorithms };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(serving.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), serving, client_roots: Arc::new(ArcSwap::from_pointee(client_roots)) })
    }

    /// Replaces the serving certificate; new connections see it.
    pub fn replace_serving(&self, certificates: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.serving.0.store(certified_key(&ring::default_provider(), certificates, key)?);
        Ok(())
    }

    /// Replaces the client CAs; open connections are judged anew at their next request.
    pub fn replace_client_ca(&self, client_ca: &[u8]) -> Result<(), TlsError> {
        self.client_roots.store(Arc::new(roots(client_ca)?.0));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.config.clone().into()
    }

    /// What the connection's client showed.
    pub(crate) fn peer(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<Peer> {
        let chain: Vec<CertificateDer<'static>> = chain?.iter().take(CHAIN_COUNT_MAX).map(|c| c.clone().into_owned()).collect();
        (!chain.is_empty()).then(|| Peer::new(chain, self.client_roots.clone()))
    }
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|source| TlsError::Pem { what, source })?;
    if found.is_empty() { Err(TlsError::Empty(what)) } else { Ok(found) }
}

fn certified_key(provider: &CryptoProvider, chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates("serving certificate", chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::Pem { what: "serving key", source })?;
    let certified = CertifiedKey::from_der(chain, key, provider)?;
    Ok(Arc::new(certified))
}

fn roots(pem: &[u8]) -> Result<(ClientRoots, Vec<DistinguishedName>), TlsError> {
    let found = certificates("client CA", pem)?;
    let anchor = |der| webpki::anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()).map_err(TlsError::Anchor);
    let anchors: Vec<TrustAnchor<'static>> = found.iter().map(anchor).collect::<Result<_, _>>()?;
    let hints = anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject)).collect();
    Ok((ClientRoots { anchors }, hints))
}

#[derive(Debug)]
struct Serving(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Takes every chain and insists on the proof that the client has the leaf's key.
#[derive(Debug)]
struct AnyCertificate {
    asked_for: bool,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn offer_client_auth(&self) -> bool {
        self.asked_for
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A connection's client: its chain, and what the last look at it said.
#[derive(Debug)]
pub(crate) struct Peer {
    chain: Vec<CertificateDer<'static>>,
    client_roots: Arc<ArcSwap<ClientRoots>>,
    judged: ArcSwap<Judged>,
}

#[derive(Debug)]
struct Judged {
    roots: Arc<ClientRoots>,
    /// Until when the judgement stands: a certificate expires during a long connection, or begins to hold.
    valid_until: Option<Duration>,
    certificate: Arc<PeerCertificate>,
}

impl Peer {
    fn new(chain: Vec<CertificateDer<'static>>, client_roots: Arc<ArcSwap<ClientRoots>>) -> Self {
        let judged = ArcSwap::from_pointee(judge(&chain, client_roots.load_full(), now()));
        Self { chain, client_roots, judged }
    }

    /// The certificate with what its chain is worth now.
    pub(crate) fn certificate(&self) -> Arc<PeerCertificate> {
        let judged = self.judged.load();
        let roots = self.client_roots.load();
        if Arc::ptr_eq(&judged.roots, &roots) && judged.valid_until.is_none_or(|until| now() <= until) {
            return judged.certificate.clone();
        }
        let anew = Arc::new(judge(&self.chain, roots.clone(), now()));
        self.judged.store(anew.clone());
        anew.certificate.clone()
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn judge(chain: &[CertificateDer<'static>], roots: Arc<ClientRoots>, now: Duration) -> Judged {
    let leaf = &chain[0];
    let sha256 = hex(&Sha256::digest(leaf));
    let mut certificate = PeerCertificate {
        der: leaf.to_vec(),
        common_name: String::new(),
        organizations: Vec::new(),
        uid: String::new(),
        sha256,
        chain_error: Some("x509: malformed certificate".into()),
    };
    let parsed: Option<Vec<X509Certificate<'_>>> = chain.iter().map(|der| X509Certificate::from_der(der).ok().map(|(_, c)| c)).collect();
    let Some(parsed) = parsed else { return Judged { roots, valid_until: None, certificate: Arc::new(certificate) } };

    let subject = parsed[0].subject();
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().unwrap_or_default().to_owned();
    // Of several common names the last counts, as in Go.
    certificate.common_name = subject.iter_common_name().last().map(text).unwrap_or_default();
    certificate.organizations = subject.iter_organization().map(text).collect();
    certificate.uid = subject.iter_attributes().find(|a| a.attr_type().to_id_string() == UID_OID).map(text).unwrap_or_default();
    certificate.chain_error = verify(chain, &roots, now)
        .err()
        .map(|error| format!("verifying certificate {} failed: {}", identifier(&parsed[0]), in_go_s_words(&error, &parsed, now)));

    let unix = |time: i64| Duration::from_secs(u64::try_from(time).unwrap_or(0));
    let changes = parsed.iter().flat_map(|c| [unix(c.validity().not_before.timestamp()), unix(c.validity().not_after.timestamp())]);
    let valid_until = changes.filter(|change| *change >= now).min();
    Judged { roots, valid_until, certificate: Arc::new(certificate) }
}

fn verify(chain: &[CertificateDer<'static>], roots: &ClientRoots, now: Duration) -> Result<(), webpki::Error> {
    let leaf = webpki::EndEntityCert::try_from(&chain[0])?;
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &roots.anchors,
        &chain[1..],
        UnixTime::since_unix_epoch(now),
        webpki::KeyUsage::client_auth(),
        None,
        None,
    )
    .map(|_| ())
}

/// The words that Go's `crypto/x509` has for it.
fn in_go_s_words(error: &webpki::Error, chain: &[X509Certificate<'_>], now: Duration) -> String {
    use webpki::Error;
    let out_of_time = |after: bool| {
        let validity = |c: &X509Certificate<'_>| if after { c.validity().not_after } else { c.validity().not_before };
        let seconds = |c: &X509Certificate<'_>| Duration::from_secs(u64::try_from(validity(c).timestamp()).unwrap_or(0));
        let off = chain.iter().map(seconds).find(|bound| if after { *bound < now } else { *bound > now }).unwrap_or(now);
        let relation = if after { "is after" } else { "is before" };
        format!("x509: certificate has expired or is not yet valid: current time {} {relation} {}", rfc3339(now), rfc3339(off))
    };
    match error {
        Error::CertExpired { .. } => out_of_time(true),
        Error::CertNotValidYet { .. } => out_of_time(false),
        Error::UnknownIssuer => "x509: certificate signed by unknown authority".into(),
        Error::RequiredEkuNotFoundContext(_) => "x509: certificate specifies an incompatible key usage".into(),
        Error::CaUsedAsEndEntity | Error::EndEntityUsedAsCa => "x509: invalid basic constraints".into(),
        Error::PathLenConstraintViolated => "x509: too many intermediates for path length constraint".into(),
        Error::NameConstraintViolation => "x509: certificate is not valid for any names, but wanted to match its constraints".into(),
        Error::UnsupportedCriticalExtension => "x509: unhandled critical extension".into(),
        other => format!("x509: {other}"),
    }
}

/// `SN=…, SKID=…, AKID=…`, as upstream's log names a certificate.
fn identifier(certificate: &X509Certificate<'_>) -> String {
    let (mut subject_key, mut authority_key) = (String::new(), String::new());
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => subject_key = colons(id.0),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority_key = id.key_identifier.as_ref().map_or(String::new(), |id| colons(id.0))
            }
            _ => {}
        }
    }
    format!("SN={}, SKID={subject_key}, AKID={authority_key}", certificate.tbs_certificate.serial)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// `2026-11-21T11:12:13Z`.
fn rfc3339(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, second_of_day) = (i64::try_from(seconds / 86_400).unwrap_or(0), seconds % 86_400);
    // Days to a date in the proleptic Gregorian calendar, in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written() {
        for (seconds, want) in [(0, "1970-01-01T00:00:00Z"), (951_827_696, "2000-02-29T12:34:56Z"), (4_102_444_799, "2099-12-31T23:59:59Z")]
        {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), want);
        }
    }
}
