//! The validated configuration: what the flags mean together. Every file that a flag names has been read and parsed, every
//! default filled in; nothing after this stage looks at a flag.
//!
//! Where upstream has a default, `--etcd-servers` gives upstream's, so that an operator's unit file means what it meant. On the
//! embedded store, which upstream does not have, defaults are those of a server that is alone on a developer's machine.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controllers::Controller;
use objectstore::StorageMediaType;
use pki::{KeyError, PublicKey, ServingCertificate, SigningKey};
use rustls_pki_types::CertificateDer;

use crate::flags::{Flags, UsageError};
use crate::ownership;
use crate::token_file::{self, StaticToken};
use crate::values::Cidr;

/// The version whose API is served.
pub const KUBERNETES_VERSION: &str = "v1.36.2";

/// A file that a flag names: certificates, keys, tokens.
const FLAG_FILE_BYTES_MAX: u64 = 8 << 20;
/// Upstream's: fewer leave no room for the API server's own service.
const SERVICE_RANGE_ADDRESSES_MIN: u8 = 3; // as bits: 8 addresses
/// Upstream's bounds of `--service-account-max-token-expiration`.
const TOKEN_EXPIRATION_SECONDS: RangeInclusive<u64> = 3600..=1 << 32;

const DEFAULT_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const DEFAULT_ETCD_PREFIX: &str = "/registry";

/// All that the server needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where objects are kept.
    pub storage: Storage,
    /// `--data-dir`: holds certificates, `admin.kubeconfig` and the embedded store.
    pub data_dir: PathBuf,
    /// `--plugin-dir`, which is watched for plugins.
    pub plugin_dir: Option<PathBuf>,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where members of the cluster reach this server; its family is the first service range's.
    pub advertise_address: IpAddr,
    /// `--tls-cert-file` and its key; `None`: a certificate is made in the data directory.
    pub serving_certificate: Option<ServingCertificate>,
    /// Who requests come from.
    pub authentication: AuthenticationConfig,
    /// `--authorization-mode`: in order, at least one, none twice.
    pub authorization_modes: Vec<AuthorizationMode>,
    /// Upstream's names of the plugins to run, in upstream's order.
    pub admission_plugins: Vec<&'static str>,
    /// Plugins that were asked for by name, rather than being there by default.
    pub admission_plugins_enabled: Vec<&'static str>,
    /// `--service-cluster-ip-range`: one network, or two of different families.
    pub service_cluster_ip_ranges: Vec<Cidr>,
    /// `--service-node-port-range`.
    pub service_node_ports: RangeInclusive<u16>,
    /// Controllers to run in the server.
    pub controllers: Vec<Controller>,
    /// Limits on requests.
    pub requests: RequestLimits,
    /// How often the store's history is forgotten; none: never.
    pub compaction_interval: Option<Duration>,
    /// The form in which objects are written.
    pub storage_media_type: StorageMediaType,
    /// `--shutdown-delay-duration`: the time from the first signal to the closing of the port.
    pub shutdown_delay: Duration,
    /// Privileged containers are allowed.
    pub allow_privileged: bool,
    /// `-v`.
    pub verbosity: u32,
    /// Warnings about the flags, for the log.
    pub warnings: Vec<String>,
}

/// Where objects are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In the data directory.
    Embedded,
    /// In an etcd cluster.
    Etcd(EtcdConfig),
}

/// How to reach etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// URLs, at least one; all `http` or all `https`.
    pub servers: Vec<String>,
    /// Begins with `/`, does not end with one.
    pub prefix: String,
    /// PEM.
    pub ca_pem: Option<String>,
    /// PEM of the client certificate and of its key.
    pub client_pem: Option<(String, String)>,
}

/// Without keys.
impl std::fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdConfig").field("servers", &self.servers).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Who requests come from.
#[derive(Clone, Debug)]
pub struct AuthenticationConfig {
    /// `--client-ca-file`. `None`: only the authority in the data directory.
    pub client_ca: Option<Vec<CertificateDer<'static>>>,
    /// `--token-auth-file`; the tokens differ.
    pub static_tokens: Vec<StaticToken>,
    /// `--anonymous-auth`: requests without credentials are those of `system:anonymous`.
    pub anonymous: bool,
    /// Tokens of service accounts.
    pub service_accounts: ServiceAccountConfig,
}

/// Tokens of service accounts.
#[derive(Clone, Debug)]
pub struct ServiceAccountConfig {
    /// The first one signs; at least one.
    pub issuers: Vec<String>,
    /// A token must name one; at least one.
    pub audiences: Vec<String>,
    /// `--service-account-key-file`, all of them.
    pub verification_keys: Vec<PublicKey>,
    /// `--service-account-signing-key-file`. None, and no verification keys either: a pair is made in the data directory.
    pub signing_key: Option<SigningKey>,
    /// A token counts only while its account exists.
    pub lookup: bool,
    /// The longest that a token may be asked for.
    pub max_token_expiration: Option<Duration>,
}

/// `--authorization-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum AuthorizationMode {
    AlwaysAllow,
    AlwaysDeny,
    Node,
    Rbac,
}

impl AuthorizationMode {
    /// As the flag has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlwaysAllow => "AlwaysAllow",
            Self::AlwaysDeny => "AlwaysDeny",
            Self::Node => "Node",
            Self::Rbac => "RBAC",
        }
    }
}

/// Limits on requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// For all but long-running requests.
    pub timeout: Duration,
    /// The shortest watch that the server ends by itself.
    pub min_watch: Duration,
    /// Reading requests at once. `None`: any number.
    pub inflight_max: Option<u32>,
    /// Writing requests at once. `None`: any number.
    pub mutating_inflight_max: Option<u32>,
}

/// All of upstream's admission plugins in the order in which they run; `true`: on by default.
pub const ADMISSION_PLUGINS: &[(&str, bool)] = &[
    ("AlwaysAdmit", false),
    ("NamespaceAutoProvision", false),
    ("NamespaceLifecycle", true),
    ("NamespaceExists", false),
    ("LimitPodHardAntiAffinityTopology", false),
    ("LimitRanger", true),
    ("ServiceAccount", true),
    ("NodeRestriction", false),
    ("TaintNodesByCondition", true),
    ("AlwaysPullImages", false),
    ("ImagePolicyWebhook", false),
    ("PodSecurity", true),
    ("PodNodeSelector", false),
    ("Priority", true),
    ("DefaultTolerationSeconds", true),
    ("PodTolerationRestriction", false),
    ("EventRateLimit", false),
    ("ExtendedResourceToleration", false),
    ("DefaultStorageClass", true),
    ("StorageObjectInUseProtection", true),
    ("PodGroupProtection", true),
    ("OwnerReferencesPermissionEnforcement", false),
    ("PersistentVolumeClaimResize", true),
    ("RuntimeClass", true),
    ("CertificateApproval", true),
    ("CertificateSigning", true),
    ("ClusterTrustBundleAttest", true),
    ("CertificateSubjectRestriction", true),
    ("DefaultIngressClass", true),
    ("DenyServiceExternalIPs", false),
    ("PodTopologyLabels", true),
    ("PodGroupWorkloadExists", true),
    ("NodeDeclaredFeatureValidator", true),
    ("JobValidation", true),
    ("PodResizeValidator", true),
    ("MutatingAdmissionPolicy", true),
    ("MutatingAdmissionWebhook", true),
    ("ValidatingAdmissionPolicy", true),
    ("ValidatingAdmissionWebhook", true),
    ("ResourceQuota", true),
    ("AlwaysDeny", false),
];

type Result<T> = std::result::Result<T, UsageError>;

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(UsageError(why.into()))
}

impl Config {
    /// Checks the flags against each other, reads the files, fills in the defaults.
    pub fn from_flags(flags: Flags) -> Result<Self> {
        let mut warnings = Vec::new();
        let storage = storage(&flags, &mut warnings)?;
        let embedded = storage == Storage::Embedded;
        let default_bind = if embedded { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let listen = SocketAddr::new(flags.bind_address.unwrap_or(default_bind.into()), flags.secure_port);
        let service_cluster_ip_ranges = service_ranges(flags.service_cluster_ip_range.clone())?;
        let advertise_address = advertise_address(flags.advertise_address, listen.ip(), service_cluster_ip_ranges[0].base().is_ipv4())?;
        let authorization_modes = authorization_modes(flags.authorization_mode.as_deref(), embedded)?;
        let mut authentication = authentication(&flags, &mut warnings)?;
        if authentication.anonymous && authorization_modes.contains(&AuthorizationMode::AlwaysAllow) {
            warnings
                .push("anonymous authentication is off, because the AlwaysAllow authorizer would let everybody do everything".to_owned());
            authentication.anonymous = false;
        }
        let (admission_plugins, admission_plugins_enabled) = admission(&flags.enable_admission_plugins, &flags.disable_admission_plugins)?;
        if let Some(dir) = &flags.plugin_dir {
            check_plugin_dir(dir, &mut warnings)?;
        }
        if flags.data_dir.as_os_str().is_empty() {
            return refuse("--data-dir must not be empty");
        }
        Ok(Self {
            serving_certificate: serving_certificate(&flags, &mut warnings)?,
            controllers: controllers(flags.controllers.as_deref(), embedded)?,
            storage,
            data_dir: flags.data_dir,
            plugin_dir: flags.plugin_dir,
            listen,
            advertise_address,
            authentication,
            authorization_modes,
            admission_plugins,
            admission_plugins_enabled,
            service_cluster_ip_ranges,
            service_node_ports: flags.service_node_port_range,
            requests: RequestLimits {
                timeout: flags.request_timeout,
                min_watch: Duration::from_secs(flags.min_request_timeout.into()),
                inflight_max: Some(flags.max_requests_inflight).filter(|max| *max > 0),
                mutating_inflight_max: Some(flags.max_mutating_requests_inflight).filter(|max| *max > 0),
            },
            storage_media_type: flags.storage_media_type,
            compaction_interval: Some(flags.etcd_compaction_interval).filter(|interval| !interval.is_zero()),
            shutdown_delay: flags.shutdown_delay_duration,
            allow_privileged: flags.allow_privileged,
            verbosity: flags.verbosity,
            warnings,
        })
    }

    /// The address of the `kubernetes` service: the first of the first range.
    pub fn api_server_service_ip(&self) -> IpAddr {
        self.service_cluster_ip_ranges[0].nth(1).expect("a service range has at least eight addresses")
    }

    /// Whether something is kept in the data directory that the server cannot do without.
    pub fn needs_data_dir(&self) -> bool {
        let accounts = &self.authentication.service_accounts;
        let makes_tokens = accounts.signing_key.is_none() && accounts.verification_keys.is_empty();
        self.storage == Storage::Embedded || self.serving_certificate.is_none() || self.admin_kubeconfig() || makes_tokens
    }

    /// Whether the authority in the data directory is believed, and an administrator's kubeconfig signed by it is written. Beside
    /// `--client-ca-file` it is so on the embedded store only: who runs a cluster decides who its administrators are.
    pub fn admin_kubeconfig(&self) -> bool {
        self.storage == Storage::Embedded || self.authentication.client_ca.is_none()
    }
}

/// Whether a file is to be known to the server alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    /// A certificate, a public key.
    Public,
    /// A private key, tokens.
    Secret,
}

/// Reads a file that a flag names. Upstream takes it whoever may read or write it, and so do we; the log says what is unsafe about it.
fn read_file(flag: &str, path: &Path, secrecy: Secrecy, warnings: &mut Vec<String>) -> Result<String> {
    let failed = |why: &dyn std::fmt::Display| UsageError(format!("{flag} {}: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    if metadata.is_dir() {
        return Err(failed(&"is a directory"));
    }
    if ownership::is_open_to_everybody(&file, &metadata) {
        warnings.push(format!("{flag} {}: everybody may write to it, and so decide who is let in", path.display()));
    } else if secrecy == Secrecy::Secret && metadata.is_file() && ownership::is_readable_by_everybody(&metadata) {
        warnings.push(format!("{flag} {}: everybody may read it, and it is a secret", path.display()));
    }
    let mut text = String::new();
    file.take(FLAG_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > FLAG_FILE_BYTES_MAX {
        return Err(failed(&format_args!("is larger than {FLAG_FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Refuses a plugin directory that everybody can write to, and warns where the group can: a plugin may be an authenticator or an authorizer,
/// so that whoever writes there decides who may do what.
fn check_plugin_dir(path: &Path, warnings: &mut Vec<String>) -> Result<()> {
    let shown = path.display();
    let failed = |error: std::io::Error| UsageError(format!("--plugin-dir {shown}: {error}"));
    let directory = std::fs::File::open(path).map_err(failed)?;
    let metadata = directory.metadata().map_err(failed)?;
    if !metadata.is_dir() {
        return refuse(format!("--plugin-dir {shown}: not a directory"));
    }
    if ownership::is_open_to_everybody(&directory, &metadata) {
        return refuse(format!(
            "--plugin-dir {shown}: everybody may write to it (mode {}), and a plugin decides who may do what; close it to them \
             (chmod o-w {shown})",
            ownership::mode(&metadata)
        ));
    }
    if ownership::is_anothers(&metadata) {
        let owner = ownership::account(metadata.uid());
        warnings.push(format!("--plugin-dir {shown} belongs to {owner}, who thereby decides who may do what"));
    } else if ownership::is_writable_by_others(&metadata) {
        warnings.push(format!("--plugin-dir {shown}: its group may write to it, and thereby decides who may do what"));
    }
    Ok(())
}

fn in_file(flag: &str, path: &Path, error: impl std::fmt::Display) -> UsageError {
    UsageError(format!("{flag} {}: {error}", path.display()))
}

fn storage(flags: &Flags, warnings: &mut Vec<String>) -> Result<Storage> {
    let servers: Vec<String> = flags.etcd_servers.iter().flatten().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
    if flags.etcd_servers.is_none() {
        let given = [
            ("--etcd-prefix", flags.etcd_prefix.is_some()),
            ("--etcd-cafile", flags.etcd_cafile.is_some()),
            ("--etcd-certfile", flags.etcd_certfile.is_some()),
            ("--etcd-keyfile", flags.etcd_keyfile.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => refuse(format!("{flag} needs --etcd-servers")),
            None => Ok(Storage::Embedded),
        };
    }
    if servers.is_empty() {
        return refuse("--etcd-servers names no server");
    }
    for server in &servers {
        let rest = server.strip_prefix("http://").or_else(|| server.strip_prefix("https://"));
        if rest.is_none_or(|rest| rest.trim_end_matches('/').is_empty() || rest.contains(char::is_whitespace)) {
            return refuse(format!("--etcd-servers: {server:?} is not of the form http://host:port or https://host:port"));
        }
    }
    let tls = servers.iter().filter(|server| server.starts_with("https://")).count();
    if tls != 0 && tls != servers.len() {
        return refuse("--etcd-servers mixes http and https");
    }
    let ca_pem = match &flags.etcd_cafile {
        Some(path) => {
            let text = read_file("--etcd-cafile", path, Secrecy::Public, warnings)?;
            pki::certificates_from_pem(&text).map_err(|error| in_file("--etcd-cafile", path, error))?;
            Some(text)
        }
        None => None,
    };
    let client_pem = match (&flags.etcd_certfile, &flags.etcd_keyfile) {
        (Some(certificate), Some(key)) => {
            let certificate_text = read_file("--etcd-certfile", certificate, Secrecy::Public, warnings)?;
            let key_text = read_file("--etcd-keyfile", key, Secrecy::Secret, warnings)?;
            ServingCertificate::from_pem(&certificate_text, &key_text).map_err(|error| {
                UsageError(format!("--etcd-certfile {} and --etcd-keyfile {}: {error}", certificate.display(), key.display()))
            })?;
            Some((certificate_text, key_text))
        }
        (None, None) => None,
        (Some(_), None) => return refuse("--etcd-certfile needs --etcd-keyfile"),
        (None, Some(_)) => return refuse("--etcd-keyfile needs --etcd-certfile"),
    };
    if tls == 0 && (ca_pem.is_some() || client_pem.is_some()) {
        return refuse("--etcd-cafile, --etcd-certfile and --etcd-keyfile need https:// in --etcd-servers");
    }
    // Upstream's path.Join("/", prefix): one slash in front, none behind.
    let prefix = flags.etcd_prefix.as_deref().unwrap_or(DEFAULT_ETCD_PREFIX).trim_matches('/');
    if prefix.is_empty() {
        return refuse("--etcd-prefix must not be empty");
    }
    Ok(Storage::Etcd(EtcdConfig { servers, prefix: format!("/{prefix}"), ca_pem, client_pem }))
}

fn serving_certificate(flags: &Flags, warnings: &mut Vec<String>) -> Result<Option<ServingCertificate>> {
    match (&flags.tls_cert_file, &flags.tls_private_key_file) {
        (None, None) => Ok(None),
        (Some(_), None) => refuse("--tls-cert-file needs --tls-private-key-file"),
        (None, Some(_)) => refuse("--tls-private-key-file needs --tls-cert-file"),
        (Some(certificate), Some(key)) => {
            let certificate_text = read_file("--tls-cert-file", certificate, Secrecy::Public, warnings)?;
            let key_text = read_file("--tls-private-key-file", key, Secrecy::Secret, warnings)?;
            let pair = ServingCertificate::from_pem(&certificate_text, &key_text).map_err(|error| match error {
                KeyError::Pem | KeyError::NoCertificate | KeyError::BadCertificate => in_file("--tls-cert-file", certificate, error),
                KeyError::Mismatch => UsageError(format!(
                    "--tls-private-key-file {} is not the key of --tls-cert-file {}",
                    key.display(),
                    certificate.display()
                )),
                _ => in_file("--tls-private-key-file", key, error),
            })?;
            Ok(Some(pair))
        }
    }
}

fn service_ranges(ranges: Vec<Cidr>) -> Result<Vec<Cidr>> {
    if ranges.len() > 2 {
        return refuse("--service-cluster-ip-range must not contain more than two entries");
    }
    if let [first, second] = ranges[..]
        && first.base().is_ipv4() == second.base().is_ipv4()
    {
        return refuse("--service-cluster-ip-range[0] and --service-cluster-ip-range[1] must be of different IP family");
    }
    if ranges.iter().any(|range| range.host_bits() < SERVICE_RANGE_ADDRESSES_MIN) {
        return refuse("the service cluster IP range must be at least 8 IP addresses");
    }
    Ok(ranges)
}

/// `--advertise-address`; else the address that the server listens on; else, where that is the loopback or any address, the host's own.
fn advertise_address(given: Option<IpAddr>, listen: IpAddr, v4: bool) -> Result<IpAddr> {
    let family = |ip: IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    if let Some(ip) = given {
        if ip.is_unspecified() {
            return refuse(format!("--advertise-address {ip} is an address that nobody can connect to"));
        }
        if ip.is_ipv4() != v4 {
            let service = if v4 { "IPv4" } else { "IPv6" };
            return refuse(format!("service IP family {service} must match public address family {}", family(ip)));
        }
        return Ok(ip);
    }
    let loopback = if v4 { IpAddr::from(Ipv4Addr::LOCALHOST) } else { Ipv6Addr::LOCALHOST.into() };
    let says_something = !listen.is_unspecified() && !listen.is_loopback() && listen.is_ipv4() == v4;
    Ok(if says_something { listen } else { host_address(v4).unwrap_or(loopback) })
}

/// The address that the host would send from. Connecting a UDP socket sends nothing.
fn host_address(v4: bool) -> Option<IpAddr> {
    // Any address beyond the default route would do; these are set aside for documentation (RFC 5737, RFC 3849).
    let (any, far): (IpAddr, IpAddr) = if v4 {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(203, 0, 113, 1).into())
    } else {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

fn authorization_modes(given: Option<&[String]>, embedded: bool) -> Result<Vec<AuthorizationMode>> {
    let Some(given) = given else {
        return Ok(vec![if embedded { AuthorizationMode::Rbac } else { AuthorizationMode::AlwaysAllow }]);
    };
    let mut modes = Vec::new();
    for name in given {
        let mode = match name.as_str() {
            "AlwaysAllow" => AuthorizationMode::AlwaysAllow,
            "AlwaysDeny" => AuthorizationMode::AlwaysDeny,
            "Node" => AuthorizationMode::Node,
            "RBAC" => AuthorizationMode::Rbac,
            "ABAC" | "Webhook" => {
                return refuse(format!("authorization-mode {name} is an upstream mode that wasmgate does not support yet"));
            }
            "" => return refuse("at least one authorization-mode must be passed"),
            _ => return refuse(format!("authorization-mode {name:?} is not a valid mode")),
        };
        if modes.contains(&mode) {
            return refuse(format!("authorization-mode {name:?} is specified more than once"));
        }
        modes.push(mode);
    }
    Ok(modes)
}

fn authentication(flags: &Flags, warnings: &mut Vec<String>) -> Result<AuthenticationConfig> {
    let client_ca = match &flags.client_ca_file {
        Some(path) => {
            let text = read_file("--client-ca-file", path, Secrecy::Public, warnings)?;
            let certificates = pki::certificates_from_pem(&text).map_err(|error| in_file("--client-ca-file", path, error))?;
            server::tls::check_client_ca(&certificates).map_err(|error| in_file("--client-ca-file", path, error))?;
            Some(certificates)
        }
        None => None,
    };
    let static_tokens = match &flags.token_auth_file {
        Some(path) => {
            let text = read_file("--token-auth-file", path, Secrecy::Secret, warnings)?;
            token_file::parse(&path.display().to_string(), &text, warnings).map_err(UsageError)?
        }
        None => Vec::new(),
    };
    Ok(AuthenticationConfig {
        client_ca,
        static_tokens,
        anonymous: flags.anonymous_auth,
        service_accounts: service_accounts(flags, warnings)?,
    })
}

fn service_accounts(flags: &Flags, warnings: &mut Vec<String>) -> Result<ServiceAccountConfig> {
    let mut issuers: Vec<String> = Vec::new();
    for issuer in &flags.service_account_issuer {
        if issuer.is_empty() {
            return refuse("service-account-issuer should not be an empty string");
        }
        if issuer.contains(':') && !is_url(issuer) {
            return refuse(format!("service-account-issuer {issuer:?} contained a ':' but was not a valid URL"));
        }
        if issuers.contains(issuer) {
            return refuse(format!("service-account-issuer {issuer:?} is already specified"));
        }
        issuers.push(issuer.clone());
    }
    if issuers.is_empty() {
        issuers.push(DEFAULT_ISSUER.to_owned());
    }
    let mut audiences: Vec<String> = flags.api_audiences.iter().filter(|audience| !audience.is_empty()).cloned().collect();
    if audiences.is_empty() {
        audiences.clone_from(&issuers);
    }
    if let Some(max) = flags.service_account_max_token_expiration
        && !max.is_zero()
        && !(Duration::from_secs(*TOKEN_EXPIRATION_SECONDS.start())..=Duration::from_secs(*TOKEN_EXPIRATION_SECONDS.end())).contains(&max)
    {
        return refuse("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds");
    }
    let mut verification_keys = Vec::new();
    for path in &flags.service_account_key_file {
        let text = read_file("--service-account-key-file", path, Secrecy::Public, warnings)?;
        verification_keys.extend(PublicKey::all_from_pem(&text).map_err(|error| in_file("--service-account-key-file", path, error))?);
    }
    let signing_key = match &flags.service_account_signing_key_file {
        Some(path) => {
            let text = read_file("--service-account-signing-key-file", path, Secrecy::Secret, warnings)?;
            Some(SigningKey::from_pem(&text).map_err(|error| in_file("--service-account-signing-key-file", path, error))?)
        }
        None => None,
    };
    Ok(ServiceAccountConfig {
        issuers,
        audiences,
        verification_keys,
        signing_key,
        lookup: flags.service_account_lookup,
        max_token_expiration: flags.service_account_max_token_expiration.filter(|max| !max.is_zero()),
    })
}

/// Whether Go's `url.Parse` takes an issuer that has a colon: a scheme comes first, and nothing in it is a blank or a control character.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn admission(enable: &[String], disable: &[String]) -> Result<(Vec<&'static str>, Vec<&'static str>)> {
    let known = |flag: &str, names: &[String]| -> Result<Vec<&'static str>> {
        names
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| match ADMISSION_PLUGINS.iter().find(|(known, _)| known == name) {
                Some((known, _)) => Ok(*known),
                None => refuse(format!("{flag} plugin {name:?} is unknown")),
            })
            .collect()
    };
    let enabled = known("enable-admission-plugins", enable)?;
    let disabled = known("disable-admission-plugins", disable)?;
    if let Some(both) = enabled.iter().find(|name| disabled.contains(name)) {
        return refuse(format!("[{both}] in enable-admission-plugins and disable-admission-plugins overlapped"));
    }
    let run = ADMISSION_PLUGINS
        .iter()
        .filter(|(name, on)| enabled.contains(name) || (*on && !disabled.contains(name)))
        .map(|(name, _)| *name)
        .collect();
    Ok((run, enabled))
}

/// kube-controller-manager's rule: `-name` beats all, `name` beats `*`, and what is not named runs only with `*`.
fn controllers(given: Option<&[String]>, embedded: bool) -> Result<Vec<Controller>> {
    let Some(given) = given else {
        return Ok(if embedded { Controller::ALL.to_vec() } else { Vec::new() });
    };
    if given.iter().any(|name| name == "none") {
        return if given.len() == 1 { Ok(Vec::new()) } else { refuse("--controllers: none can not be combined with other names") };
    }
    for entry in given {
        let name = entry.strip_prefix('-').unwrap_or(entry);
        if entry != "*" && !Controller::ALL.iter().any(|controller| controller.name() == name) {
            return refuse(format!("--controllers: {name:?} is not a controller of this server"));
        }
    }
    let has = |entry: &str| given.iter().any(|given| given == entry);
    let runs = |controller: &Controller| !has(&format!("-{}", controller.name())) && (has(controller.name()) || has("*"));
    Ok(Controller::ALL.into_iter().filter(runs).collect())
}

#[cfg(test)]
mod tests;
