//! The command line: kube-apiserver's flag names, and a few of our own. First stage of the binary; hands on [`Flags`], which
//! are well-formed one by one. What they mean together is [`crate::config`]'s to check.
//!
//! Spelling follows pflag, not clap: `--flag value` and `--flag=value`, booleans with `=` only, underscores for dashes, lists
//! repeated or with commas, the last of a repeated scalar wins. So arguments are brought into one form before clap sees them.

use std::ffi::OsString;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use apimachinery::field;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser};
use objectstore::StorageMediaType;

use crate::upstream_flags;
use crate::values::{self, Cidr};

const SERVING: &str = "Secure serving flags";
const ETCD: &str = "Etcd flags";
const AUTHENTICATION: &str = "Authentication flags";
const AUTHORIZATION: &str = "Authorization flags";
const ADMISSION: &str = "Admission flags";
const GENERIC: &str = "Generic flags";
const CLUSTER: &str = "Cluster flags";
const OURS: &str = "Wasmgate flags";
const GLOBAL: &str = "Global flags";

/// What was given. `None`: not given, and what then holds depends on other flags.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "wasmgate",
    about = "A Kubernetes API server whose authentication, authorization and admission are WebAssembly components.",
    after_help = "Without flags: an embedded store in ./wasmgate-data, TLS on 127.0.0.1:6443, and an administrator's kubeconfig in \
                  ./wasmgate-data/admin.kubeconfig.",
    disable_version_flag = true,
    disable_help_flag = true,
    args_override_self = true,
    max_term_width = 120
)]
#[allow(missing_docs, reason = "the help texts are the documentation")]
pub struct Flags {
    /// Where the embedded store, the certificates and admin.kubeconfig live
    #[arg(long, value_name = "DIR", default_value = "./wasmgate-data", help_heading = OURS)]
    pub data_dir: PathBuf,
    /// Directory of plugins, each a component with its manifest; watched while the server runs
    #[arg(long, value_name = "DIR", help_heading = OURS)]
    pub plugin_dir: Option<PathBuf>,
    /// Controllers to run inside the server: names, '*' for all, '-name' for all but that one, or 'none'. Default: '*' on the
    /// embedded store, 'none' with --etcd-servers. All: serviceaccount-controller, namespace-controller,
    /// garbage-collector-controller, clusterrole-aggregation-controller, root-ca-certificate-publisher-controller,
    /// resourcequota-controller
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = OURS)]
    pub controllers: Option<Vec<String>>,

    /// The address to listen on. Default: 127.0.0.1 on the embedded store, 0.0.0.0 with --etcd-servers
    #[arg(long, value_name = "IP", value_parser = ip, help_heading = SERVING)]
    pub bind_address: Option<IpAddr>,
    /// The port to serve HTTPS on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "6443", value_parser = port, help_heading = SERVING)]
    pub secure_port: u16,
    /// Serving certificate, PEM, followed by its intermediates. Default: one made in the data directory
    #[arg(long, value_name = "FILE", help_heading = SERVING)]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of --tls-cert-file, PEM
    #[arg(long, value_name = "FILE", help_heading = SERVING)]
    pub tls_private_key_file: Option<PathBuf>,

    /// etcd servers, as scheme://ip:port, separated by commas. Default: the embedded store
    #[arg(long, value_name = "URLS", value_delimiter = ',', help_heading = ETCD)]
    pub etcd_servers: Option<Vec<String>>,
    /// What all keys in etcd begin with. Default: /registry
    #[arg(long, value_name = "PREFIX", help_heading = ETCD)]
    pub etcd_prefix: Option<String>,
    /// Certificates of the authorities that etcd's certificate is checked against
    #[arg(long, value_name = "FILE", help_heading = ETCD)]
    pub etcd_cafile: Option<PathBuf>,
    /// Client certificate shown to etcd
    #[arg(long, value_name = "FILE", help_heading = ETCD)]
    pub etcd_certfile: Option<PathBuf>,
    /// Private key of --etcd-certfile
    #[arg(long, value_name = "FILE", help_heading = ETCD)]
    pub etcd_keyfile: Option<PathBuf>,
    /// The form in which objects are written, in etcd or embedded: application/json, whose bytes are served as they are, or
    /// application/vnd.kubernetes.protobuf, which is upstream's default. Either is read
    #[arg(long, value_name = "TYPE", default_value = "application/json", value_parser = values::storage_media_type, help_heading = ETCD)]
    pub storage_media_type: StorageMediaType,
    /// How often the history of the store, embedded or etcd's, is forgotten up to where it was an interval before; 0: never
    #[arg(long, value_name = "DURATION", default_value = "5m0s", value_parser = values::duration, help_heading = ETCD)]
    pub etcd_compaction_interval: Duration,

    /// Authorities whose client certificates are believed: the user is the subject's CN, its groups are the O
    #[arg(long, value_name = "FILE", help_heading = AUTHENTICATION)]
    pub client_ca_file: Option<PathBuf>,
    /// Bearer tokens, CSV: token, user name, user uid, and optionally "group1,group2"
    #[arg(long, value_name = "FILE", help_heading = AUTHENTICATION)]
    pub token_auth_file: Option<PathBuf>,
    /// Requests without credentials are system:anonymous in group system:unauthenticated
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true",
          value_parser = values::boolean, action = ArgAction::Set, help_heading = AUTHENTICATION)]
    pub anonymous_auth: bool,
    /// Public keys (or private ones, or certificates) that service-account tokens are checked with; may be repeated
    #[arg(long, value_name = "FILE", help_heading = AUTHENTICATION)]
    pub service_account_key_file: Vec<PathBuf>,
    /// Private key that service-account tokens are signed with, RSA or ECDSA. Default: one made in the data directory
    #[arg(long, value_name = "FILE", help_heading = AUTHENTICATION)]
    pub service_account_signing_key_file: Option<PathBuf>,
    /// Issuer of service-account tokens; may be repeated: the first one signs, all are accepted. Default:
    /// https://kubernetes.default.svc.cluster.local
    #[arg(long, value_name = "ISSUER", help_heading = AUTHENTICATION)]
    pub service_account_issuer: Vec<String>,
    /// Audiences that a service-account token must name one of. Default: the issuers
    #[arg(long, value_name = "AUDIENCES", value_delimiter = ',', help_heading = AUTHENTICATION)]
    pub api_audiences: Vec<String>,
    /// A service-account token counts only while its account, and what it is bound to, exist
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true",
          value_parser = values::boolean, action = ArgAction::Set, help_heading = AUTHENTICATION)]
    pub service_account_lookup: bool,
    /// The longest that a token may be asked for, at least 1h
    #[arg(long, value_name = "DURATION", value_parser = values::duration, help_heading = AUTHENTICATION)]
    pub service_account_max_token_expiration: Option<Duration>,

    /// Authorizers in order, of AlwaysAllow, AlwaysDeny, Node, RBAC. Default: RBAC on the embedded store, AlwaysAllow with
    /// --etcd-servers
    #[arg(long, value_name = "MODES", value_delimiter = ',', help_heading = AUTHORIZATION)]
    pub authorization_mode: Option<Vec<String>>,

    /// Admission plugins to run besides the default ones; their order is fixed
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = ADMISSION)]
    pub enable_admission_plugins: Vec<String>,
    /// Default admission plugins not to run
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = ADMISSION)]
    pub disable_admission_plugins: Vec<String>,

    /// The address that members of the cluster reach this server at. Default: --bind-address, or the host's own address
    #[arg(long, value_name = "IP", value_parser = ip, help_heading = GENERIC)]
    pub advertise_address: Option<IpAddr>,
    /// How long a request may take, if it is not a watch or another long one
    #[arg(long, value_name = "DURATION", default_value = "1m0s", value_parser = values::duration, help_heading = GENERIC)]
    pub request_timeout: Duration,
    /// Seconds that a watch lasts at least, if the client names no time; it ends within twice that
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = count, help_heading = GENERIC)]
    pub min_request_timeout: u32,
    /// Requests under way at once that only read; 0: no limit
    #[arg(long, value_name = "N", default_value = "400", value_parser = count, help_heading = GENERIC)]
    pub max_requests_inflight: u32,
    /// Requests under way at once that write; 0: no limit
    #[arg(long, value_name = "N", default_value = "200", value_parser = count, help_heading = GENERIC)]
    pub max_mutating_requests_inflight: u32,
    /// How long the server goes on serving after SIGTERM while /readyz already fails
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = values::duration, help_heading = GENERIC)]
    pub shutdown_delay_duration: Duration,

    /// Networks that services' addresses are taken from: one, or one of each IP family
    #[arg(long, value_name = "CIDRS", default_value = "10.0.0.0/24", value_delimiter = ',', help_heading = CLUSTER)]
    pub service_cluster_ip_range: Vec<Cidr>,
    /// Ports that services' node ports are taken from
    #[arg(long, value_name = "PORTS", default_value = "30000-32767", value_parser = values::port_range, help_heading = CLUSTER)]
    pub service_node_port_range: RangeInclusive<u16>,
    /// Allows privileged containers
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true",
          value_parser = values::boolean, action = ArgAction::Set, help_heading = CLUSTER)]
    pub allow_privileged: bool,

    /// How much to log: 0 what an operator needs, 2 more, 4 debugging, 6 everything of ours, 8 everything
    #[arg(short = 'v', long = "v", value_name = "LEVEL", default_value = "0", value_parser = level, help_heading = GLOBAL)]
    pub verbosity: u32,
    /// Prints the version
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
          hide_default_value = true, value_parser = version, action = ArgAction::Set, help_heading = GLOBAL)]
    pub version: bool,
    /// Prints this help
    #[arg(short = 'h', long, action = ArgAction::SetTrue, help_heading = GLOBAL)]
    pub help: bool,
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("failed to parse IP: {text:?}"))
}

fn port(text: &str) -> Result<u16, String> {
    values::integer(text)?.try_into().map_err(|_| "must be a number from 0 to 65535".to_owned())
}

fn count(text: &str) -> Result<u32, String> {
    match values::integer(text)? {
        ..0 => Err("can not be negative".to_owned()),
        number => number.try_into().map_err(|_| format!("must be a number from 0 to {}", u32::MAX)),
    }
}

/// A level of the log: a number without a sign.
fn level(text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let level = text.parse().ok().filter(|_| digits);
    level.ok_or_else(|| format!("strconv.ParseUint: parsing {}: invalid syntax", field::go_quote(text)))
}

/// `raw` asks for more than this server has to say of its version.
fn version(text: &str) -> Result<bool, String> {
    if text == "raw" { Ok(true) } else { values::boolean(text) }
}

/// A command line that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl Flags {
    /// Reads the arguments that follow the program's name.
    pub fn parse_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let command = Self::command();
        let (flags, others) = normalize(&command, arguments)?;
        let matches = command.no_binary_name(true).try_get_matches_from(flags).map_err(|error| one_line(&error))?;
        // As upstream: empty ones are no arguments.
        if others.iter().any(|argument| !argument.is_empty()) {
            return Err(UsageError(format!("\"wasmgate\" does not take any arguments, got {others:?}")));
        }
        Self::from_arg_matches(&matches).map_err(|error| one_line(&error))
    }

    /// The text of `--help`.
    pub fn help_text() -> String {
        Self::command().render_help().to_string()
    }
}

/// Brings every flag into the form `--name=value` (`--name` for a boolean without a value), in pflag's reading. The arguments that are no
/// flags come second.
fn normalize(command: &Command, arguments: impl IntoIterator<Item = OsString>) -> Result<(Vec<String>, Vec<String>), UsageError> {
    let mut normal = Vec::new();
    let mut others = Vec::new();
    let mut arguments = arguments.into_iter().map(|argument| {
        argument.into_string().map_err(|argument| UsageError(format!("the argument {:?} is not UTF-8", argument.to_string_lossy())))
    });
    while let Some(argument) = arguments.next().transpose()? {
        if argument == "--" {
            others.extend(arguments.by_ref().collect::<Result<Vec<_>, _>>()?);
        } else if let Some(long) = argument.strip_prefix("--") {
            if long.starts_with(['-', '=']) {
                return Err(UsageError(format!("bad flag syntax: {argument}")));
            }
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let flag = find(command, name)?;
            let value = match (value, needs_value(flag)) {
                (None, true) => Some(arguments.next().transpose()?.ok_or_else(|| UsageError(format!("flag needs an argument: --{name}")))?),
                (value, _) => value,
            };
            normal.extend(written(flag, value));
        } else if argument.len() > 1 && argument.starts_with('-') {
            shorthands(command, &argument, &mut arguments, &mut normal)?;
        } else {
            others.push(argument);
        }
    }
    Ok((normal, others))
}

/// `-h`, `-v4`, `-v=4`, `-v 4`, and several in one, of which the last may have a value.
fn shorthands(
    command: &Command,
    argument: &str,
    arguments: &mut dyn Iterator<Item = Result<String, UsageError>>,
    normal: &mut Vec<String>,
) -> Result<(), UsageError> {
    let mut rest = &argument[1..];
    while let Some(letter) = rest.chars().next() {
        let Some(flag) = command.get_arguments().find(|flag| flag.get_short() == Some(letter)) else {
            return Err(UsageError(format!("unknown shorthand flag: {letter:?} in -{rest}")));
        };
        let after = &rest[letter.len_utf8()..];
        let value = match after.strip_prefix('=') {
            Some(value) if !value.is_empty() => Some(value.to_owned()),
            _ if !needs_value(flag) => None,
            _ if !after.is_empty() => Some(after.to_owned()),
            _ => match arguments.next().transpose()? {
                Some(value) => Some(value),
                None => return Err(UsageError(format!("flag needs an argument: {letter:?} in -{rest}"))),
            },
        };
        rest = if value.is_some() { "" } else { after };
        normal.extend(written(flag, value));
    }
    Ok(())
}

/// The flag of that name. Underscores are dashes.
fn find<'a>(command: &'a Command, name: &str) -> Result<&'a Arg, UsageError> {
    let normal = name.replace('_', "-");
    command.get_arguments().find(|flag| flag.get_long() == Some(&normal)).ok_or_else(|| {
        UsageError(if upstream_flags::is_upstream(&normal) {
            format!("--{normal} is a kube-apiserver flag that wasmgate does not support yet")
        } else {
            format!("unknown flag: --{name}")
        })
    })
}

fn needs_value(flag: &Arg) -> bool {
    flag.get_num_args().is_none_or(|count| count.min_values() > 0) && flag.get_action().takes_values()
}

/// As clap reads it. `None`: a switch that is switched off.
fn written(flag: &Arg, value: Option<String>) -> Option<String> {
    let name = flag.get_long().expect("every flag has a long name");
    match value {
        Some(value) if flag.get_action().takes_values() => Some(format!("--{name}={value}")),
        Some(value) if values::boolean(&value) == Ok(false) => None,
        _ => Some(format!("--{name}")),
    }
}

/// After [`normalize`] only values can be wrong.
fn one_line(error: &clap::Error) -> UsageError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // clap shows a flag with its value's name.
    let flag = match context(ContextKind::InvalidArg).split([' ', '=', '[']).next().unwrap_or_default() {
        "--v" => "-v, --v",
        flag => flag,
    };
    let value = context(ContextKind::InvalidValue);
    UsageError(match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_else(|| "must not be empty".to_owned());
            format!("invalid argument {value:?} for {flag:?} flag: {why}")
        }
        _ => error.to_string().lines().next().unwrap_or("bad arguments").trim_start_matches("error: ").to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, String> {
        Flags::parse_arguments(line.split_whitespace().map(OsString::from)).map_err(|error| error.0)
    }

    #[test]
    fn the_definition_is_sound() {
        Flags::command().debug_assert();
        assert!(Flags::help_text().contains("Authentication flags:"));
    }

    #[test]
    fn spellings_of_pflag() {
        let flags = parse(
            "--secure_port=0 --anonymous-auth=false --authorization-mode RBAC,Node --authorization-mode=AlwaysDeny -v=4 \
             --service-account-issuer=a --service-account-issuer b --allow-privileged --controllers -namespace-controller \
             --request-timeout 30s --request-timeout=10s --data_dir x",
        )
        .expect("valid");
        assert_eq!(flags.secure_port, 0);
        assert!(!flags.anonymous_auth);
        assert_eq!(flags.authorization_mode.expect("given"), ["RBAC", "Node", "AlwaysDeny"]);
        assert_eq!(flags.verbosity, 4);
        assert_eq!(flags.service_account_issuer, ["a", "b"]);
        assert!(flags.allow_privileged);
        assert_eq!(flags.controllers.expect("given"), ["-namespace-controller"]);
        assert_eq!(flags.request_timeout, Duration::from_secs(10));
        assert_eq!(flags.data_dir, PathBuf::from("x"));
        for (line, verbosity) in [("-v2", 2), ("-v 3", 3), ("--v=5", 5), ("--v 6", 6), ("", 0)] {
            assert_eq!(parse(line).expect(line).verbosity, verbosity, "{line}");
        }
        assert_eq!(parse("-hv4").map(|flags| (flags.help, flags.verbosity)), Ok((true, 4)));
        for (line, version) in [("--version", true), ("--version=raw", true), ("--version=false", false), ("", false)] {
            assert_eq!(parse(line).expect(line).version, version, "{line}");
        }
        for (line, help) in [("-h", true), ("--help", true), ("--help=false", false), ("-h=false", false)] {
            assert_eq!(parse(line).expect(line).help, help, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (line, want) in [
            ("--no-such-flag", "unknown flag: --no-such-flag"),
            ("--no-such-flag=1", "unknown flag: --no-such-flag"),
            ("--audit-log-path=x", "--audit-log-path is a kube-apiserver flag that wasmgate does not support yet"),
            ("--audit_log_path x", "--audit-log-path is a kube-apiserver flag that wasmgate does not support yet"),
            ("--no_such_flag", "unknown flag: --no_such_flag"),
            ("--=1", "bad flag syntax: --=1"),
            ("---v=1", "bad flag syntax: ---v=1"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("-hxv", "unknown shorthand flag: 'x' in -xv"),
            ("serve", "\"wasmgate\" does not take any arguments, got [\"serve\"]"),
            ("serve -v=1 -", "\"wasmgate\" does not take any arguments, got [\"serve\", \"-\"]"),
            ("serve --no-such-flag", "unknown flag: --no-such-flag"),
            ("-- serve", "\"wasmgate\" does not take any arguments, got [\"serve\"]"),
            ("--anonymous-auth false", "\"wasmgate\" does not take any arguments, got [\"false\"]"),
            ("--secure-port", "flag needs an argument: --secure-port"),
            ("--secure_port", "flag needs an argument: --secure_port"),
            // pflag: a level that is missing is no level, and a flag that follows is taken for one.
            ("-v", "flag needs an argument: 'v' in -v"),
            ("--v", "flag needs an argument: --v"),
            ("-hv", "flag needs an argument: 'v' in -v"),
            (
                "-v --secure-port=0",
                "invalid argument \"--secure-port=0\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"--secure-port=0\": invalid syntax",
            ),
            (
                "-v --secure-port 0",
                "invalid argument \"--secure-port\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"--secure-port\": invalid syntax",
            ),
            ("-v=", "invalid argument \"=\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"=\": invalid syntax"),
            ("-v=-1", "invalid argument \"-1\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"-1\": invalid syntax"),
            ("--version=bad", "invalid argument \"bad\" for \"--version\" flag: strconv.ParseBool: parsing \"bad\": invalid syntax"),
            ("--secure-port x", "invalid argument \"x\" for \"--secure-port\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("--secure-port 70000", "invalid argument \"70000\" for \"--secure-port\" flag: must be a number from 0 to 65535"),
            (
                "--anonymous-auth=maybe",
                "invalid argument \"maybe\" for \"--anonymous-auth\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            ("--request-timeout=-1s", "invalid argument \"-1s\" for \"--request-timeout\" flag: can not be negative"),
            ("--request-timeout=5", "invalid argument \"5\" for \"--request-timeout\" flag: time: missing unit in duration \"5\""),
            ("--max-requests-inflight=-1", "invalid argument \"-1\" for \"--max-requests-inflight\" flag: can not be negative"),
            ("--bind-address=localhost", "invalid argument \"localhost\" for \"--bind-address\" flag: failed to parse IP: \"localhost\""),
            (
                "--service-cluster-ip-range=10.0.0.1",
                "invalid argument \"10.0.0.1\" for \"--service-cluster-ip-range\" flag: invalid CIDR address: 10.0.0.1",
            ),
            ("-v=loud", "invalid argument \"loud\" for \"-v, --v\" flag: strconv.ParseUint: parsing \"loud\": invalid syntax"),
        ] {
            assert_eq!(parse(line).expect_err(line), want, "{line}");
        }
    }
}
