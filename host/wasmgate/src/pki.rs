//! Certificates and keys that the server makes for itself, in `<data-dir>/pki`, on first start, and keeps.
//!
//! Runs before the port opens. What must hold: a private key is never readable by others, not even for a moment; a crash at any
//! point leaves either nothing or a whole directory; what somebody else has put in place of a file is used or refused with a
//! reason, never overwritten silently. The clock is handed in.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::Config;
use crate::data_dir;
use crate::keys::{self, KeyError, PublicKey, ServingCertificate, SigningKey, pem};

const AUTHORITY_DAYS: i64 = 3650;
const CERTIFICATE_DAYS: i64 = 730;
/// A certificate that ends sooner than this is made anew at the next start.
const RENEWAL_DAYS: i64 = 30;
/// A certificate is valid from the day before: clients' clocks may be behind.
const BACKDATED_DAYS: i64 = 1;

const AUTHORITY_NAME: &str = "wasmgate";
const SERVER_NAME: &str = "kube-apiserver";
const ADMIN_NAME: &str = "kubernetes-admin";
const ADMIN_GROUP: &str = "system:masters";
const SERVER_DNS_NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

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

/// A client certificate of group `system:masters`.
#[derive(Clone)]
pub struct AdminCredential {
    /// PEM.
    pub certificate_pem: String,
    /// PEM.
    pub key_pem: String,
}

/// Without the key.
impl std::fmt::Debug for AdminCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminCredential")
    }
}

/// Why there are no certificates to run with.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file is there, but it is not what it should be.
    #[error("{} {why}; {remedy}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Generate(#[from] rcgen::Error),
}

const REMEDY_AUTHORITY: &str =
    "put it back, or remove the whole directory to have a new authority made at the next start: all kubeconfigs are then made invalid";
const REMEDY_PAIR: &str = "remove both the .crt and the .key to have new ones made at the next start";
const REMEDY_TOKENS: &str =
    "put it back, or remove it to have a new one made at the next start: all service-account tokens are then made invalid";

impl Pki {
    /// Takes what the flags gave, loads the rest from the data directory, makes what is not there yet.
    pub fn load(config: &Config, now: Timestamp) -> Result<Self, PkiError> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let accounts = &config.authentication.service_accounts;
        let own_tokens = accounts.signing_key.is_none() && accounts.verification_keys.is_empty();
        let own_authority = config.serving_certificate.is_none() || config.admin_kubeconfig();
        let directory = Directory { path: config.data_dir.join(data_dir::PKI) };
        let sans = wanted_sans(config);
        if !directory.path.exists() && (own_authority || own_tokens) {
            directory.create(&sans, today)?;
        }
        let authority = if own_authority { Some(directory.authority(now)?) } else { None };
        let (serving, serving_ca_pem) = match (&config.serving_certificate, &authority) {
            (Some(given), _) => {
                let root = given.chain.last().expect("a chain has at least one certificate");
                (given.clone(), pem("CERTIFICATE", root))
            }
            (None, Some(authority)) => (directory.serving(authority, &sans, now, today)?, authority.certificate_pem.clone()),
            (None, None) => unreachable!("without a given certificate there is an authority"),
        };
        let mut client_ca = config.authentication.client_ca.clone().unwrap_or_default();
        let mut admin = None;
        if config.admin_kubeconfig()
            && let Some(authority) = &authority
        {
            client_ca.push(authority.certificate.clone());
            admin = Some(directory.admin(authority, now, today)?);
        }
        let signing_key = if own_tokens { Some(directory.token_key()?) } else { accounts.signing_key.clone() };
        let mut token_keys = accounts.verification_keys.clone();
        if token_keys.is_empty() {
            token_keys.extend(signing_key.iter().map(|key| key.public.clone()));
        }
        Ok(Self { serving, serving_ca_pem, client_ca, admin, service_account_signing_key: signing_key, service_account_keys: token_keys })
    }
}

/// Names and addresses that clients may call this server by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sans {
    dns: BTreeSet<String>,
    ips: BTreeSet<IpAddr>,
}

fn wanted_sans(config: &Config) -> Sans {
    let mut ips = BTreeSet::from([IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]);
    ips.extend([config.listen.ip(), config.advertise_address, config.api_server_service_ip()]);
    ips.extend(config.service_cluster_ip_ranges.iter().filter_map(|range| range.nth(1)));
    ips.retain(|ip| !ip.is_unspecified());
    Sans { dns: SERVER_DNS_NAMES.map(str::to_owned).into(), ips }
}

/// The authority in the data directory.
struct Authority {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    key_id: Option<Vec<u8>>,
}

/// `<data-dir>/pki`.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn broken(&self, name: &str, why: impl ToString, remedy: &'static str) -> PkiError {
        PkiError::Broken { path: self.file(name), why: why.to_string(), remedy }
    }

    /// Makes everything beside the place where it belongs, then renames: a crash leaves nothing half done.
    fn create(&self, sans: &Sans, today: Date) -> Result<(), PkiError> {
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
            ("apiserver.crt", issue(&issuer, &server_key, Leaf::Server(sans), today)?),
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

    fn authority(&self, now: Timestamp) -> Result<Authority, PkiError> {
        let read = |name| self.read(name)?.ok_or_else(|| self.broken(name, "is missing", REMEDY_AUTHORITY));
        let (certificate_pem, key_pem) = (read("ca.crt")?, read("ca.key")?);
        let certificate =
            keys::certificates_from_pem(&certificate_pem).map_err(|error| self.broken("ca.crt", error, REMEDY_AUTHORITY))?.swap_remove(0);
        let key =
            KeyPair::from_pem(&key_pem).map_err(|_| self.broken("ca.key", "holds no private key that can be used", REMEDY_AUTHORITY))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).expect("it has been parsed before");
        if !parsed.is_ca() {
            return Err(self.broken("ca.crt", "is not an authority's certificate", REMEDY_AUTHORITY));
        }
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(self.broken("ca.key", "is not the key of ca.crt", REMEDY_AUTHORITY));
        }
        if parsed.validity().not_after.timestamp() <= now.as_second() {
            return Err(self.broken("ca.crt", "has expired", REMEDY_AUTHORITY));
        }
        let key_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Authority { certificate_pem: pem("CERTIFICATE", &certificate), certificate, issuer, key_id })
    }

    fn serving(&self, authority: &Authority, sans: &Sans, now: Timestamp, today: Date) -> Result<ServingCertificate, PkiError> {
        let (certificate, key) = self.leaf(authority, "apiserver", Leaf::Server(sans), now, today)?;
        ServingCertificate::from_pem(&certificate, &key).map_err(|error| self.broken("apiserver.crt", error, REMEDY_PAIR))
    }

    fn admin(&self, authority: &Authority, now: Timestamp, today: Date) -> Result<AdminCredential, PkiError> {
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
        let Some(why) = outdated(&parsed, authority, leaf, now) else {
            return Ok((certificate_pem, key_pem));
        };
        tracing::info!("{}: {why}; making a new one", certificate_path.display());
        let key = KeyPair::from_pem(&key_pem).map_err(|_| self.broken(&key_name, "can not be used", REMEDY_PAIR))?;
        let certificate_pem = issue(&authority.issuer, &key, leaf, today)?;
        replace(&certificate_path, &certificate_pem, Durable::Yes)?;
        Ok((certificate_pem, key_pem))
    }

    fn token_key(&self) -> Result<SigningKey, PkiError> {
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

/// What a certificate is for.
#[derive(Clone, Copy)]
enum Leaf<'a> {
    Server(&'a Sans),
    Admin,
}

fn make_authority(today: Date) -> Result<(String, Issuer<'static, KeyPair>), PkiError> {
    let key = KeyPair::generate()?;
    let mut params = params(AUTHORITY_NAME, AUTHORITY_DAYS, today);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((pem("CERTIFICATE", certificate.der()), Issuer::new(params, key)))
}

/// A certificate as PEM.
fn issue(issuer: &Issuer<'_, KeyPair>, key: &KeyPair, leaf: Leaf<'_>, today: Date) -> Result<String, PkiError> {
    let mut params = match leaf {
        Leaf::Server(sans) => {
            let mut params = params(SERVER_NAME, CERTIFICATE_DAYS, today);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            for name in &sans.dns {
                params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
            }
            params.subject_alt_names.extend(sans.ips.iter().map(|ip| SanType::IpAddress(*ip)));
            params
        }
        Leaf::Admin => {
            let mut params = params(ADMIN_NAME, CERTIFICATE_DAYS, today);
            params.distinguished_name.push(DnType::OrganizationName, ADMIN_GROUP);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params
        }
    };
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, issuer)?;
    Ok(pem("CERTIFICATE", certificate.der()))
}

fn params(common_name: &str, days: i64, today: Date) -> CertificateParams {
    let date = |days: i64| {
        let date = today.saturating_add(days.days());
        rcgen::date_time_ymd(date.year().into(), date.month() as u8, date.day() as u8)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(-BACKDATED_DAYS);
    params.not_after = date(days);
    params
}

/// Why a certificate needs to be made anew.
fn outdated(certificate: &X509Certificate<'_>, authority: &Authority, leaf: Leaf<'_>, now: Timestamp) -> Option<&'static str> {
    if certificate.validity().not_after.timestamp() < now.as_second() + RENEWAL_DAYS * 24 * 3600 {
        return Some("it expires soon");
    }
    let signed_by = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    if signed_by != authority.key_id {
        return Some("it is signed by another authority");
    }
    if let Leaf::Server(wanted) = leaf {
        let names = certificate.subject_alternative_name().ok().flatten().map(|san| san.value.general_names.as_slice()).unwrap_or_default();
        let has_name = |wanted: &String| names.iter().any(|name| matches!(name, GeneralName::DNSName(name) if name == wanted));
        let has_ip = |wanted: &IpAddr| {
            let wanted = match wanted {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            names.iter().any(|name| matches!(name, GeneralName::IPAddress(ip) if *ip == wanted))
        };
        if !wanted.dns.iter().all(has_name) || !wanted.ips.iter().all(has_ip) {
            return Some("the server has names or addresses that it lacks");
        }
    }
    None
}

fn io_error(path: &Path, source: io::Error) -> PkiError {
    PkiError::Io { path: path.to_owned(), source }
}

/// Mode of every file here: certificates are no secrets, but lie in a directory that is closed to others anyway.
const FILE_MODE: u32 = 0o600;

fn write_new(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Whether a file must survive a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Synced to the disk.
    Yes,
    /// Made again at every start.
    No,
}

/// Replaces a file in one step: readers see the old or the new one. It is its owner's alone from the first moment on.
pub fn replace(path: &Path, content: &str, durable: Durable) -> Result<(), PkiError> {
    let parent = path.parent().expect("a file lies in a directory");
    let permissions = fs::Permissions::from_mode(FILE_MODE);
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").permissions(permissions).tempfile_in(parent)?;
        file.write_all(content.as_bytes())?;
        if durable == Durable::Yes {
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(|error| error.error)?;
        if durable == Durable::Yes { File::open(parent)?.sync_all() } else { Ok(()) }
    };
    write().map_err(|source| io_error(path, source))
}

fn remove(path: &Path) -> Result<(), PkiError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path, error)),
        _ => Ok(()),
    }
}

fn sync_dir(path: &Path) -> Result<(), PkiError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|source| io_error(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use std::ffi::OsString;

    const NOW: &str = "2026-06-01T12:00:00Z";

    fn now(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn config(dir: &Path, more: &str) -> Config {
        let data_dir = format!("--data-dir={}", dir.display());
        let arguments = std::iter::once(data_dir.as_str()).chain(more.split_whitespace()).map(OsString::from);
        Config::from_flags(Flags::parse_arguments(arguments).expect("flags")).expect("valid")
    }

    fn file(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join("pki").join(name)).expect(name)
    }

    #[test]
    fn made_once_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Pki::load(&config(dir.path(), ""), now(NOW)).expect("made");
        let again = Pki::load(&config(dir.path(), ""), now(NOW)).expect("loaded");
        assert_eq!(first.serving.chain, again.serving.chain);
        assert_eq!(first.client_ca, again.client_ca);
        assert_eq!(first.service_account_keys, again.service_account_keys);
        assert_eq!(first.admin.expect("an administrator").certificate_pem, again.admin.expect("an administrator").certificate_pem);
        for entry in fs::read_dir(dir.path().join("pki")).expect("a directory") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        }
        let mode = fs::metadata(dir.path().join("pki")).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1, "nothing temporary is left");
    }

    #[test]
    fn certificates_say_what_they_should() {
        let dir = tempfile::tempdir().expect("a directory");
        let pki = Pki::load(&config(dir.path(), "--advertise-address=192.0.2.7 --service-cluster-ip-range=10.96.0.0/16"), now(NOW))
            .expect("made");
        let (_, serving) = X509Certificate::from_der(&pki.serving.chain[0]).expect("a certificate");
        let san = serving.subject_alternative_name().expect("valid").expect("there").value.to_string_list();
        for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"] {
            assert!(san.contains(&name.to_owned()), "{name}: {san:?}");
        }
        for ip in ["127.0.0.1", "::1", "192.0.2.7", "10.96.0.1"] {
            assert!(san.contains(&ip.to_owned()), "{ip}: {san:?}");
        }
        let admin = keys::certificates_from_pem(&pki.admin.expect("an administrator").certificate_pem).expect("a certificate");
        let (_, admin) = X509Certificate::from_der(&admin[0]).expect("a certificate");
        let text = |attributes: Vec<&str>| attributes.join(",");
        assert_eq!(text(admin.subject().iter_common_name().map(|name| name.as_str().expect("a string")).collect()), ADMIN_NAME);
        assert_eq!(text(admin.subject().iter_organization().map(|name| name.as_str().expect("a string")).collect()), ADMIN_GROUP);
        assert!(admin.extended_key_usage().expect("valid").expect("there").value.client_auth);
        // Verified as a client does it.
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(pki.client_ca);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().expect("a verifier");
        let name = rustls_pki_types::ServerName::try_from("kubernetes.default.svc").expect("a name");
        let at = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(now(NOW).as_second() as u64));
        rustls::client::danger::ServerCertVerifier::verify_server_cert(&*verifier, &pki.serving.chain[0], &[], &name, &[], at)
            .expect("trusted");
    }

    trait ToStringList {
        fn to_string_list(&self) -> Vec<String>;
    }

    impl ToStringList for x509_parser::extensions::SubjectAlternativeName<'_> {
        fn to_string_list(&self) -> Vec<String> {
            let ip = |bytes: &[u8]| match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(bytes).expect("four")).to_string(),
                _ => IpAddr::from(<[u8; 16]>::try_from(bytes).expect("sixteen")).to_string(),
            };
            self.general_names
                .iter()
                .map(|name| match name {
                    GeneralName::DNSName(name) => (*name).to_owned(),
                    GeneralName::IPAddress(bytes) => ip(bytes),
                    other => format!("{other:?}"),
                })
                .collect()
        }
    }

    #[test]
    fn renewed_when_it_must_be() {
        for (more, later, renewed) in [
            ("", NOW, false),
            ("", "2028-04-30T00:00:00Z", false),
            ("", "2028-05-10T00:00:00Z", true),
            ("--advertise-address=192.0.2.9", NOW, true),
            ("--service-cluster-ip-range=10.0.0.0/16", NOW, false),
            ("--service-cluster-ip-range=10.9.0.0/16", NOW, true),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let first = Pki::load(&config(dir.path(), "--advertise-address=192.0.2.1"), now(NOW)).expect("made");
            let more = if more.contains("advertise") { more.to_owned() } else { format!("--advertise-address=192.0.2.1 {more}") };
            let key = file(dir.path(), "apiserver.key");
            let second = Pki::load(&config(dir.path(), &more), now(later)).expect("loaded");
            assert_eq!(first.serving.chain != second.serving.chain, renewed, "{more} {later}");
            assert_eq!(key, file(dir.path(), "apiserver.key"), "the key stays");
            assert_eq!(first.serving_ca_pem, second.serving_ca_pem);
        }
    }

    #[test]
    fn damage_is_repaired_or_named() {
        type Damage = fn(&Path);
        let cases: &[(&str, Damage, Option<&str>)] = &[
            ("no apiserver.crt", |pki| fs::remove_file(pki.join("apiserver.crt")).expect("removed"), None),
            ("no apiserver.key", |pki| fs::remove_file(pki.join("apiserver.key")).expect("removed"), None),
            (
                "no admin pair",
                |pki| ["admin.crt", "admin.key"].map(|f| fs::remove_file(pki.join(f)).expect("removed")).into_iter().collect(),
                None,
            ),
            ("no sa.key", |pki| fs::remove_file(pki.join("sa.key")).expect("removed"), None),
            ("no ca.key", |pki| fs::remove_file(pki.join("ca.key")).expect("removed"), Some("ca.key is missing; put it back")),
            ("empty ca.crt", |pki| fs::write(pki.join("ca.crt"), "").expect("written"), Some("ca.crt holds no certificate; put it back")),
            (
                "ca.crt of a leaf",
                |pki| drop(fs::copy(pki.join("apiserver.crt"), pki.join("ca.crt"))),
                Some("ca.crt is not an authority's certificate"),
            ),
            ("other ca.key", |pki| drop(fs::copy(pki.join("sa.key"), pki.join("ca.key"))), Some("ca.key is not the key of ca.crt")),
            (
                "other key",
                |pki| drop(fs::copy(pki.join("sa.key"), pki.join("apiserver.key"))),
                Some("apiserver.key is not the key of apiserver.crt; remove both"),
            ),
            ("cut key", |pki| fs::write(pki.join("admin.key"), "-----BEGIN PRIVATE KEY-----\nMIG").expect("written"), Some("admin.")),
            ("garbage", |pki| fs::write(pki.join("sa.key"), "garbage").expect("written"), Some("sa.key holds no private key; put it back")),
        ];
        for (name, damage, want) in cases {
            let dir = tempfile::tempdir().expect("a directory");
            Pki::load(&config(dir.path(), ""), now(NOW)).expect("made");
            damage(&dir.path().join("pki"));
            let got = Pki::load(&config(dir.path(), ""), now(NOW));
            match want {
                None => assert!(got.is_ok(), "{name}: {got:?}"),
                Some(want) => {
                    let error = got.expect_err(name).to_string();
                    assert!(error.contains(want), "{name}: {error}");
                }
            }
        }
    }

    #[test]
    fn another_authority_signs_anew() {
        let (dir, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let first = Pki::load(&config(dir.path(), ""), now(NOW)).expect("made");
        Pki::load(&config(other.path(), ""), now(NOW)).expect("made");
        for name in ["ca.crt", "ca.key"] {
            fs::copy(other.path().join("pki").join(name), dir.path().join("pki").join(name)).expect("copied");
        }
        let second = Pki::load(&config(dir.path(), ""), now(NOW)).expect("loaded");
        assert_ne!(first.serving.chain, second.serving.chain);
        assert_ne!(first.admin.expect("an administrator").certificate_pem, second.admin.expect("an administrator").certificate_pem);
    }

    #[test]
    fn what_is_given_is_used() {
        let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
        let dir = tempfile::tempdir().expect("a directory");
        let more = format!(
            "--tls-cert-file={testdata}/ec.crt --tls-private-key-file={testdata}/ec.key --client-ca-file={testdata}/ec.crt \
             --service-account-signing-key-file={testdata}/rsa.key --etcd-servers=http://x:1"
        );
        let pki = Pki::load(&config(dir.path(), &more), now(NOW)).expect("loaded");
        assert!(pki.admin.is_none());
        assert_eq!((pki.client_ca.len(), pki.service_account_keys.len()), (1, 1));
        assert!(!dir.path().join("pki").exists(), "nothing had to be made");
        let mixed = Pki::load(&config(dir.path(), &format!("--client-ca-file={testdata}/ec.crt")), now(NOW)).expect("loaded");
        assert_eq!(mixed.client_ca.len(), 2);
        let checks_only = format!("--service-account-key-file={testdata}/rsa.pub");
        let pki = Pki::load(&config(dir.path(), &checks_only), now(NOW)).expect("loaded");
        assert!(pki.service_account_signing_key.is_none() && pki.service_account_keys.len() == 1);
    }
}
