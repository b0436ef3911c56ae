//! All certificates and keys that a server runs with: those that it is given, and those that it makes for itself on first start and keeps.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustls_pki_types::CertificateDer;

use crate::admin_credential::AdminCredential;
use crate::directory::Directory;
use crate::error::PkiError;
use crate::key::{PublicKey, SigningKey};
use crate::pem::pem;
use crate::server_names::ServerNames;
use crate::serving_certificate::ServingCertificate;

/// What the operator has made already.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// What TLS shows.
    pub serving: Option<ServingCertificate>,
    /// Authorities whose client certificates are believed.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// Signs service-account tokens.
    pub signing_key: Option<SigningKey>,
    /// Check service-account tokens.
    pub verification_keys: Vec<PublicKey>,
}

/// What is to be there besides.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where what is made is kept. It is made where something has to be.
    pub directory: PathBuf,
    /// Whether the authority in the directory is believed, and signs a certificate for the administrator.
    pub admin: bool,
    /// What clients may call the server by.
    pub names: ServerNames,
}

/// All certificates and keys that the server runs with, given or made.
#[derive(Debug, Clone)]
pub struct Pki {
    /// What TLS shows.
    pub serving: ServingCertificate,
    /// PEM that verifies `serving`: for kubeconfigs and for `kube-root-ca.crt`.
    pub serving_ca_pem: String,
    /// Authorities whose client certificates are believed.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The administrator's client certificate, where one is made.
    pub admin: Option<AdminCredential>,
    /// Signs service-account tokens. `None`: tokens are only checked.
    pub service_account_signing_key: Option<SigningKey>,
    /// Check service-account tokens; at least one.
    pub service_account_keys: Vec<PublicKey>,
}

impl Pki {
    /// Takes what is given, loads the rest from the directory, makes what is not there yet.
    ///
    /// # Errors
    /// The file system fails, what is there is not what it should be, or nothing can be made.
    pub fn load(given: Given, wanted: Wanted, now: Timestamp) -> Result<Self, PkiError> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let Given { serving, client_ca, signing_key, verification_keys } = given;
        let own_tokens = signing_key.is_none() && verification_keys.is_empty();
        let own_authority = serving.is_none() || wanted.admin;
        let directory = Directory { path: wanted.directory };
        let names = wanted.names;
        if !directory.path.exists() && (own_authority || own_tokens) {
            directory.create(&names, today)?;
        }
        let authority = if own_authority { Some(directory.authority(now)?) } else { None };
        let (serving, serving_ca_pem) = match (serving, &authority) {
            (Some(given), _) => {
                let root_pem = pem("CERTIFICATE", given.chain.last().expect("a chain has at least one certificate"));
                (given, root_pem)
            }
            (None, Some(authority)) => (directory.serving(authority, &names, now, today)?, authority.certificate_pem.clone()),
            (None, None) => unreachable!("without a given certificate there is an authority"),
        };
        let mut client_ca = client_ca;
        let mut admin = None;
        if wanted.admin
            && let Some(authority) = &authority
        {
            client_ca.push(authority.certificate.clone());
            admin = Some(directory.admin(authority, now, today)?);
        }
        let signing_key = if own_tokens { Some(directory.token_key()?) } else { signing_key };
        let mut token_keys = verification_keys;
        if token_keys.is_empty() {
            token_keys.extend(signing_key.iter().map(|key| key.public.clone()));
        }
        Ok(Self { serving, serving_ca_pem, client_ca, admin, service_account_signing_key: signing_key, service_account_keys: token_keys })
    }
}
