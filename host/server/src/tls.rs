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
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, PeerIncompatible, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer, UnixTime};
use sha2::{Digest as _, Sha256};

use crate::x509::{Authorities, Certificate, Malformed, why_not_an_authority};

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
    /// It cannot be read.
    #[error("client CA: {0}")]
    Authority(#[from] Malformed),
    /// Key and certificate do not fit.
    #[error("serving certificate: {0}")]
    Rustls(#[from] rustls::Error),
}

/// What the server shows and whom it trusts. Both can be replaced while connections live. Clones share them.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    serving: Arc<Serving>,
    authorities: Arc<ArcSwap<Authorities>>,
}

impl Tls {
    /// From PEM: the serving chain (leaf first), its key, and the CAs of client certificates (`--client-ca-file`). Without CAs no client
    /// certificate is asked for.
    pub fn from_pem(certificates: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let serving = Arc::new(Serving(ArcSwap::from(certified_key(&provider, certificates, key)?)));
        let authorities = client_ca.map_or(Ok(Authorities::default()), authorities)?;
        let name = |authority: &Certificate| DistinguishedName::from(authority.raw_subject.clone());
        let hints = authorities.certificates().iter().map(name).collect();
        let verifier = AnyCertificate { asked_for: client_ca.is_some(), hints, algorithms: provider.signature_verification_algorithms };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(serving.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), serving, authorities: Arc::new(ArcSwap::from_pointee(authorities)) })
    }

    /// Replaces the serving certificate; new connections see it.
    pub fn replace_serving(&self, certificates: &[u8], key: &[u8]) -> Result<(), TlsError> {
        self.serving.0.store(certified_key(&ring::default_provider(), certificates, key)?);
        Ok(())
    }

    /// Replaces the client CAs; open connections are judged anew at their next request.
    pub fn replace_client_ca(&self, client_ca: &[u8]) -> Result<(), TlsError> {
        self.authorities.store(Arc::new(authorities(client_ca)?));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.config.clone().into()
    }

    /// What the connection's client showed.
    pub(crate) fn peer(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<Peer> {
        let chain: Vec<CertificateDer<'static>> = chain?.iter().map(|c| c.clone().into_owned()).collect();
        (!chain.is_empty()).then(|| Peer::new(chain, self.authorities.clone()))
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

/// Whether each can be read as Go reads a certificate, for whoever knows where they come from.
pub fn check_client_ca(certificates: &[CertificateDer<'_>]) -> Result<(), TlsError> {
    Authorities::parse(certificates.iter().map(|der| der.as_ref()))?;
    Ok(())
}

/// Upstream takes whatever is a certificate, and then refuses the clients of those that are no authority; so do we, and say why.
fn authorities(pem: &[u8]) -> Result<Authorities, TlsError> {
    let found = certificates("client CA", pem)?;
    let authorities = Authorities::parse(found.iter().map(|der| der.as_ref()))?;
    for certificate in authorities.certificates() {
        if let Some(why) = why_not_an_authority(certificate, seconds(now())) {
            tracing::warn!("client CA {}: no client certificate that it has signed is believed: {why}", identifier(certificate));
        }
    }
    Ok(authorities)
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

    // By the key and not by the certificate: rustls reads no certificates of version 1, and judges here what is judged elsewhere.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let certificate = parse(certificate)?;
        let algorithms =
            self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme).flat_map(|(_, algorithms)| *algorithms);
        let checked = algorithms.filter_map(|algorithm| certificate.key.check(*algorithm, message, signed.signature())).next();
        match checked {
            Some(true) => Ok(HandshakeSignatureValid::assertion()),
            Some(false) => Err(CertificateError::BadSignature.into()),
            None => Err(PeerIncompatible::NoSignatureSchemesInCommon.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(parse(certificate)?.key.spki);
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, rustls::Error> {
    Certificate::parse(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// A connection's client: its chain, and what the last look at it said.
#[derive(Debug)]
pub(crate) struct Peer {
    chain: Vec<CertificateDer<'static>>,
    authorities: Arc<ArcSwap<Authorities>>,
    judged: ArcSwap<Judged>,
}

#[derive(Debug)]
struct Judged {
    authorities: Arc<Authorities>,
    /// Until when the judgement stands, in seconds since 1970: a certificate expires during a long connection, or begins to hold.
    valid_until: Option<i64>,
    certificate: Arc<PeerCertificate>,
}

impl Peer {
    fn new(chain: Vec<CertificateDer<'static>>, authorities: Arc<ArcSwap<Authorities>>) -> Self {
        let judged = ArcSwap::from_pointee(judge(&chain, authorities.load_full(), now()));
        Self { chain, authorities, judged }
    }

    /// The certificate with what its chain is worth now.
    pub(crate) fn certificate(&self) -> Arc<PeerCertificate> {
        let judged = self.judged.load();
        let authorities = self.authorities.load();
        if Arc::ptr_eq(&judged.authorities, &authorities) && judged.valid_until.is_none_or(|until| seconds(now()) < until) {
            return judged.certificate.clone();
        }
        let anew = Arc::new(judge(&self.chain, authorities.clone(), now()));
        self.judged.store(anew.clone());
        anew.certificate.clone()
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn judge(chain: &[CertificateDer<'static>], authorities: Arc<Authorities>, now: Duration) -> Judged {
    let now = seconds(now);
    let mut certificate = PeerCertificate {
        der: chain[0].to_vec(),
        common_name: String::new(),
        organizations: Vec::new(),
        uid: String::new(),
        sha256: hex(&Sha256::digest(&chain[0])),
        chain_error: None,
    };
    let parsed: Result<Vec<Certificate>, Malformed> = chain.iter().map(|der| Certificate::parse(der)).collect();
    let mut others = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            certificate.chain_error = Some(error.to_string());
            return Judged { authorities, valid_until: None, certificate: Arc::new(certificate) };
        }
    };
    let all = others.iter().chain(authorities.certificates());
    // A certificate is valid through the second in which it ends.
    let changes = all.flat_map(|certificate| [certificate.not_before, certificate.not_after.saturating_add(1)]);
    let valid_until = changes.filter(|change| *change > now).min();
    let leaf = others.remove(0);
    certificate.common_name.clone_from(&leaf.subject.common_name);
    certificate.organizations.clone_from(&leaf.subject.organizations);
    let believed = authorities.verify(&leaf, others, now);
    let believed = believed.map_err(|error| format!("verifying certificate {} failed: {error}", identifier(&leaf)));
    match believed.and_then(|()| uid(&leaf)) {
        Ok(uid) => certificate.uid = uid,
        Err(why) => certificate.chain_error = Some(why),
    }
    Judged { authorities, valid_until, certificate: Arc::new(certificate) }
}

/// At most one, and not an empty one. Of a certificate that names nobody it does not matter.
fn uid(leaf: &Certificate) -> Result<String, String> {
    match leaf.subject.uids.as_slice() {
        _ if leaf.subject.common_name.is_empty() => Ok(String::new()),
        [] => Ok(String::new()),
        [uid] if uid.is_empty() => Err("UID cannot be an empty string".to_owned()),
        [uid] => Ok(uid.clone()),
        several => Err(format!("expected 1 UID, but found multiple: [{}]", several.join(" "))),
    }
}

/// `SN=…, SKID=…, AKID=…`, as upstream's log names a certificate.
fn identifier(certificate: &Certificate) -> String {
    let (subject_key, authority_key) = (colons(&certificate.subject_key_id), colons(&certificate.authority_key_id));
    format!("SN={}, SKID={subject_key}, AKID={authority_key}", certificate.serial)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    /// Upstream's `parseUIDFromCert`.
    #[test]
    fn a_client_has_one_uid_or_none() {
        let kind = || DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2]);
        for (name, uid, want) in [
            ("jane", None, Ok("")),
            ("jane", Some("u-1"), Ok("u-1")),
            ("jane", Some(""), Err("UID cannot be an empty string")),
            ("", Some(""), Ok("")),
        ] {
            let mut params = CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            if let Some(uid) = uid {
                params.distinguished_name.push(kind(), uid);
            }
            let key = KeyPair::generate().expect("a key");
            let der = params.self_signed(&key).expect("a certificate").der().clone();
            // Its own authority: what is among them is believed as it stands.
            let authorities = Arc::new(Authorities::parse([der.as_ref()]).expect("a certificate"));
            let judged = judge(&[der], authorities, now());
            let got = judged.certificate.chain_error.as_deref().map_or(Ok(judged.certificate.uid.as_str()), Err);
            assert_eq!(got, want, "{name:?} {uid:?}");
        }
    }

    #[test]
    fn a_judgement_stands_until_a_certificate_begins_or_ends() {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2025, 1, 1), rcgen::date_time_ymd(2030, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("a certificate").der().clone();
        let authorities = Arc::new(Authorities::parse([der.as_ref()]).expect("a certificate"));
        let (begin, end) = (1_735_689_600, 1_893_456_000);
        for (at, believed, until) in
            [(begin - 1, false, Some(begin)), (begin, true, Some(end + 1)), (end, true, Some(end + 1)), (end + 1, false, None)]
        {
            let judged = judge(std::slice::from_ref(&der), authorities.clone(), Duration::from_secs(at as u64));
            assert_eq!((judged.certificate.chain_error.is_none(), judged.valid_until), (believed, until), "{at}");
        }
    }
}
