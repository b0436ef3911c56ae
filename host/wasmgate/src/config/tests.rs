use super::*;
use std::ffi::OsString;

fn testdata(name: &str) -> String {
    // Keys and certificates are those that `pki` is tested with.
    let of = if name == "tokens.csv" { "" } else { "/../pki" };
    format!("{}{of}/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `@name` in the line stands for a file of the test data.
fn config(line: &str) -> std::result::Result<Config, String> {
    let arguments = line.split_whitespace().map(|word| match word.split_once('@') {
        Some((flag, name)) => OsString::from(format!("{flag}{}", testdata(name))),
        None => OsString::from(word),
    });
    Flags::parse_arguments(arguments).and_then(Config::from_flags).map_err(|error| error.0)
}

#[test]
fn without_flags() {
    let config = config("").expect("valid");
    assert_eq!(config.storage, Storage::Embedded);
    assert_eq!(config.listen.to_string(), "127.0.0.1:6443");
    assert_eq!(config.data_dir, PathBuf::from("./wasmgate-data"));
    assert_eq!(config.authorization_modes, [AuthorizationMode::Rbac]);
    assert_eq!(config.controllers, Controller::ALL);
    assert_eq!(config.api_server_service_ip().to_string(), "10.0.0.1");
    assert_eq!(config.authentication.service_accounts.audiences, [DEFAULT_ISSUER]);
    assert!(config.authentication.anonymous && config.admin_kubeconfig());
    assert!(config.admission_plugins.starts_with(&["NamespaceLifecycle", "LimitRanger", "ServiceAccount"]));
    assert!(config.warnings.is_empty());
}

#[test]
fn with_etcd_defaults_are_upstreams() {
    let config = config("--etcd-servers=http://127.0.0.1:2379,http://127.0.0.1:2380").expect("valid");
    let Storage::Etcd(etcd) = &config.storage else { panic!("{:?}", config.storage) };
    assert_eq!((etcd.servers.len(), etcd.prefix.as_str()), (2, "/registry"));
    assert_eq!(config.listen.to_string(), "0.0.0.0:6443");
    assert_eq!(config.authorization_modes, [AuthorizationMode::AlwaysAllow]);
    assert!(config.controllers.is_empty() && !config.authentication.anonymous);
    assert_eq!(config.warnings.len(), 1);
}

#[test]
fn history_goes_on_both_stores_alike() {
    let interval = |line: &str| config(line).expect("valid").compaction_interval;
    for store in ["", "--etcd-servers=http://127.0.0.1:2379"] {
        assert_eq!(interval(store), Some(Duration::from_secs(300)), "upstream's default");
        assert_eq!(interval(&format!("{store} --etcd-compaction-interval=90s")), Some(Duration::from_secs(90)));
        assert_eq!(interval(&format!("{store} --etcd-compaction-interval=0")), None);
    }
}

#[test]
fn flags_that_name_files() {
    let config = config(
        "--tls-cert-file=@ec.crt --tls-private-key-file=@ec-sec1.key --client-ca-file=@ec.crt --token-auth-file=@tokens.csv \
         --service-account-key-file=@rsa.pub --service-account-key-file=@ec.pub --service-account-signing-key-file=@rsa-pkcs1.key",
    )
    .expect("valid");
    assert_eq!(config.serving_certificate.map(|pair| pair.chain.len()), Some(1));
    assert_eq!(config.authentication.client_ca.map(|ca| ca.len()), Some(1));
    assert_eq!(config.authentication.static_tokens.len(), 2);
    let accounts = config.authentication.service_accounts;
    assert_eq!(accounts.verification_keys.len(), 2);
    assert_eq!(accounts.signing_key.map(|key| key.public), Some(accounts.verification_keys[0].clone()));
}

#[test]
fn lists() {
    let controllers = |line: &str| config(line).map(|config| config.controllers.iter().map(|c| c.name()).collect::<Vec<_>>().join(" "));
    for (line, want) in [
        ("--controllers=none", ""),
        ("--controllers=namespace-controller", "namespace-controller"),
        ("--controllers=-namespace-controller", ""),
        (
            "--controllers=*,-namespace-controller,-garbage-collector-controller",
            "serviceaccount-controller root-ca-certificate-publisher-controller clusterrole-aggregation-controller resourcequota-controller",
        ),
    ] {
        assert_eq!(controllers(line).as_deref(), Ok(want), "{line}");
    }
    let with =
        config("--enable-admission-plugins=NodeRestriction,AlwaysPullImages --disable-admission-plugins=LimitRanger").expect("valid");
    assert_eq!(with.admission_plugins_enabled, ["NodeRestriction", "AlwaysPullImages"]);
    assert!(with.admission_plugins.starts_with(&[
        "NamespaceLifecycle",
        "ServiceAccount",
        "NodeRestriction",
        "TaintNodesByCondition",
        "AlwaysPullImages"
    ]));
    let modes = config("--authorization-mode=Node,RBAC").expect("valid").authorization_modes;
    assert_eq!(modes, [AuthorizationMode::Node, AuthorizationMode::Rbac]);
}

#[test]
fn certificates_of_ones_own() {
    for (line, admin) in [
        ("--client-ca-file=@ec.crt", true),
        ("--client-ca-file=@ec.crt --etcd-servers=http://x:1", false),
        ("--etcd-servers=http://x:1", true),
    ] {
        assert_eq!(config(line).expect(line).admin_kubeconfig(), admin, "{line}");
    }
}

#[test]
fn combinations_that_make_no_sense() {
    for (line, want) in [
        ("--etcd-cafile=x", "--etcd-cafile needs --etcd-servers"),
        ("--etcd-prefix=/x", "--etcd-prefix needs --etcd-servers"),
        ("--etcd-servers=", "--etcd-servers names no server"),
        ("--etcd-servers=localhost:2379", "--etcd-servers: \"localhost:2379\" is not of the form http://host:port or https://host:port"),
        ("--etcd-servers=http://a:1,https://b:1", "--etcd-servers mixes http and https"),
        ("--etcd-servers=https://a:1 --etcd-certfile=@ec.crt", "--etcd-certfile needs --etcd-keyfile"),
        (
            "--etcd-servers=http://a:1 --etcd-cafile=@ec.crt",
            "--etcd-cafile, --etcd-certfile and --etcd-keyfile need https:// in --etcd-servers",
        ),
        ("--etcd-servers=http://a:1 --etcd-prefix=/", "--etcd-prefix must not be empty"),
        ("--tls-cert-file=x", "--tls-cert-file needs --tls-private-key-file"),
        ("--tls-private-key-file=x", "--tls-private-key-file needs --tls-cert-file"),
        ("--client-ca-file=/nonexistent/ca.crt", "--client-ca-file /nonexistent/ca.crt: No such file or directory (os error 2)"),
        ("--client-ca-file=/", "--client-ca-file /: is a directory"),
        ("--service-cluster-ip-range=10.0.0.0/30", "the service cluster IP range must be at least 8 IP addresses"),
        (
            "--service-cluster-ip-range=10.0.0.0/24,10.1.0.0/24",
            "--service-cluster-ip-range[0] and --service-cluster-ip-range[1] must be of different IP family",
        ),
        (
            "--service-cluster-ip-range=10.0.0.0/24,fd00::/108,fd01::/108",
            "--service-cluster-ip-range must not contain more than two entries",
        ),
        ("--advertise-address=0.0.0.0", "--advertise-address 0.0.0.0 is an address that nobody can connect to"),
        ("--advertise-address=fd00::1", "service IP family IPv4 must match public address family IPv6"),
        ("--authorization-mode=RBAC,RBAC", "authorization-mode \"RBAC\" is specified more than once"),
        ("--authorization-mode=rbac", "authorization-mode \"rbac\" is not a valid mode"),
        ("--authorization-mode=", "at least one authorization-mode must be passed"),
        ("--authorization-mode=Webhook", "authorization-mode Webhook is an upstream mode that wasmgate does not support yet"),
        ("--service-account-issuer=", "service-account-issuer should not be an empty string"),
        ("--service-account-issuer=:x", "service-account-issuer \":x\" contained a ':' but was not a valid URL"),
        ("--service-account-issuer=a --service-account-issuer=a", "service-account-issuer \"a\" is already specified"),
        ("--service-account-max-token-expiration=59m", "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"),
        ("--enable-admission-plugins=Foo", "enable-admission-plugins plugin \"Foo\" is unknown"),
        (
            "--enable-admission-plugins=LimitRanger --disable-admission-plugins=LimitRanger",
            "[LimitRanger] in enable-admission-plugins and disable-admission-plugins overlapped",
        ),
        ("--controllers=none,namespace-controller", "--controllers: none can not be combined with other names"),
        ("--controllers=-foo", "--controllers: \"foo\" is not a controller of this server"),
        ("--plugin-dir=/nonexistent", "--plugin-dir /nonexistent: No such file or directory (os error 2)"),
    ] {
        assert_eq!(config(line).expect_err(line), want, "{line}");
    }
    for (line, want) in [
        ("--tls-cert-file=@ec.crt --tls-private-key-file=@rsa.key", "is not the key of --tls-cert-file"),
        ("--tls-cert-file=@ec.key --tls-private-key-file=@ec.key", "holds no certificate"),
        ("--client-ca-file=@ec.key", "holds no certificate"),
        ("--service-account-key-file=@tokens.csv", "holds no key"),
        ("--service-account-signing-key-file=@rsa.pub", "holds no private key"),
        ("--token-auth-file=@README", "must have at least 3 columns"),
    ] {
        let error = config(line).expect_err(line);
        assert!(error.contains(want), "{line}: {error}");
    }
}
