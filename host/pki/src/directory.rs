//! The directory of what the server made for itself: `ca`, `apiserver` and `admin` as `.crt` and `.key`, `sa.key` and `sa.pub`.
//!
//! What must hold: a private key is never readable by others, not even for a moment; a crash at any point leaves either nothing or a whole
//! directory; what somebody else has put in place of a file is used or refused with a reason, never overwritten silently.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use rcgen::KeyPair;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::admin_credential::AdminCredential;
use crate::authority::{Authority, AuthorityError, make_authority};
use crate::error::{PkiError, io_error};
use crate::file::{Durable, remove, replace, sync_dir, write_new};
use crate::key::SigningKey;
use crate::leaf::{Leaf, issue, outdated};
use crate::pem::KeyError;
use crate::server_names::ServerNames;
use crate::serving_certificate::ServingCertificate;

const REMEDY_AUTHORITY: &str =
    "put it back, or remove the whole directory to have a new authority made at the next start: all kubeconfigs are then made invalid";
const REMEDY_PAIR: &str = "remove both the .crt and the .key to have new ones made at the next start";
const REMEDY_TOKENS: &str =
    "put it back, or remove it to have a new one made at the next start: all service-account tokens are then made invalid";

/// The directory; it may not be there yet.
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
}

impl Directory {
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn broken(&self, name: &str, why: impl ToString, remedy: &'static str) -> PkiError {
        PkiError::Broken { path: self.file(name), why: why.to_string(), remedy }
    }

    /// Makes everything beside the place where it belongs, then renames: a crash leaves nothing half done.
    pub(crate) fn create(&self, names: &ServerNames, today: Date) -> Result<(), PkiError> {
        let parent = self.path.parent().expect("pki lies in the data directory");
        let private = fs::Permissions::from_mode(0o700);
        let staging =
            tempfile::Builder::new().prefix(".pki-").permissions(private).tempdir_in(parent).map_err(|source| io_error(parent, source))?;
        let (authority_pem, issuer) = make_authority(today)?;
        let server_key = KeyPair::generate()?;
        let admin_key = KeyPair::generate()?;
        let token_key = KeyPair::generate()?;
        let files = [
            ("ca.crt", authority_pem),
            ("ca.key", issuer.key().serialize_pem()),
            ("apiserver.crt", issue(&issuer, &server_key, Leaf::Server(names), today)?),
            ("apiserver.key", server_key.serialize_pem()),
            ("admin.crt", issue(&issuer, &admin_key, Leaf::Admin, today)?),
            ("admin.key", admin_key.serialize_pem()),
            ("sa.key", token_key.serialize_pem()),
            ("sa.pub", token_key.public_key_pem()),
        ];
        // At once, so that the file system commits them together: one after the other they are half of the start.
        let write = |(name, content): &(&str, String)| {
            let path = staging.path().join(name);
            write_new(&path, content).map_err(|source| io_error(&path, source))
        };
        std::thread::scope(|scope| {
            let writers: Vec<_> = files.iter().map(|file| scope.spawn(|| write(file))).collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("writing a file does not panic"))
        })?;
        sync_dir(staging.path())?;
        match fs::rename(staging.path(), &self.path) {
            // Another process was faster: what it made counts.
            Err(_) if self.path.exists() => return Ok(()),
            renamed => renamed.map_err(|source| io_error(&self.path, source))?,
        }
        sync_dir(parent)
    }

    /// `None`: the file is not there.
    fn read(&self, name: &str) -> Result<Option<String>, PkiError> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    /// The authority that is there.
    pub(crate) fn authority(&self, now: Timestamp) -> Result<Authority, PkiError> {
        let read = |name| self.read(name)?.ok_or_else(|| self.broken(name, "is missing", REMEDY_AUTHORITY));
        let (certificate_pem, key_pem) = (read("ca.crt")?, read("ca.key")?);
        Authority::read(&certificate_pem, &key_pem, now).map_err(|error| match error {
            AuthorityError::Broken { file, why } => self.broken(file, why, REMEDY_AUTHORITY),
            AuthorityError::Unusable(error) => error.into(),
        })
    }

    /// The serving certificate, signed anew where it has to be.
    pub(crate) fn serving(
        &self,
        authority: &Authority,
        names: &ServerNames,
        now: Timestamp,
        today: Date,
    ) -> Result<ServingCertificate, PkiError> {
        let (certificate, key) = self.leaf(authority, "apiserver", Leaf::Server(names), now, today)?;
        ServingCertificate::from_pem(&certificate, &key).map_err(|error| self.broken("apiserver.crt", error, REMEDY_PAIR))
    }

    /// The administrator's certificate, signed anew where it has to be.
    pub(crate) fn admin(&self, authority: &Authority, now: Timestamp, today: Date) -> Result<AdminCredential, PkiError> {
        let (certificate_pem, key_pem) = self.leaf(authority, "admin", Leaf::Admin, now, today)?;
        Ok(AdminCredential { certificate_pem, key_pem })
    }

    /// The pair `<name>.crt` and `<name>.key`: as it is there, or with a new certificate for the same key, or new.
    fn leaf(&self, authority: &Authority, name: &str, leaf: Leaf<'_>, now: Timestamp, today: Date) -> Result<(String, String), PkiError> {
        let (certificate_name, key_name) = (format!("{name}.crt"), format!("{name}.key"));
        let (certificate_path, key_path) = (self.file(&certificate_name), self.file(&key_name));
        let (Some(certificate_pem), Some(key_pem)) = (self.read(&certificate_name)?, self.read(&key_name)?) else {
            let key = KeyPair::generate()?;
            let certificate_pem = issue(&authority.issuer, &key, leaf, today)?;
            // The certificate last: a crash in between leaves one file, and both are made again.
            remove(&certificate_path)?;
            replace(&key_path, &key.serialize_pem(), Durable::Yes)?;
            replace(&certificate_path, &certificate_pem, Durable::Yes)?;
            return Ok((certificate_pem, key.serialize_pem()));
        };
        let pair = ServingCertificate::from_pem(&certificate_pem, &key_pem).map_err(|error| {
            let (name, why) = match error {
                KeyError::Mismatch => (&key_name, format!("is not the key of {certificate_name}")),
                KeyError::NoPrivateKey | KeyError::UnknownKey => (&key_name, error.to_string()),
                _ => (&certificate_name, error.to_string()),
            };
            self.broken(name, why, REMEDY_PAIR)
        })?;
        let (_, parsed) = X509Certificate::from_der(&pair.chain[0]).expect("it has been parsed before");
        let Some(why) = outdated(&parsed, authority.key_id.as_deref(), leaf, now) else {
            return Ok((certificate_pem, key_pem));
        };
        tracing::info!("{}: {why}; making a new one", certificate_path.display());
        let key = KeyPair::from_pem(&key_pem).map_err(|_| self.broken(&key_name, "can not be used", REMEDY_PAIR))?;
        let certificate_pem = issue(&authority.issuer, &key, leaf, today)?;
        replace(&certificate_path, &certificate_pem, Durable::Yes)?;
        Ok((certificate_pem, key_pem))
    }

    /// The key of service-account tokens, made where it is not there.
    pub(crate) fn token_key(&self) -> Result<SigningKey, PkiError> {
        let key_pem = match self.read("sa.key")? {
            Some(key_pem) => key_pem,
            None => {
                let key = KeyPair::generate()?;
                replace(&self.file("sa.key"), &key.serialize_pem(), Durable::Yes)?;
                replace(&self.file("sa.pub"), &key.public_key_pem(), Durable::Yes)?;
                key.serialize_pem()
            }
        };
        SigningKey::from_pem(&key_pem).map_err(|error| self.broken("sa.key", error, REMEDY_TOKENS))
    }
}
