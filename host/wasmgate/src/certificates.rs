//! What the flags give, and what they want made, of certificates and keys.

use jiff::Timestamp;
use pki::{Given, Pki, PkiError, ServerNames, Wanted};

use crate::config::Config;
use crate::data_dir;

/// All that the server runs with. What the flags do not give is made in `<data-dir>/pki`.
///
/// # Errors
/// As [`Pki::load`].
pub fn load(config: &Config, now: Timestamp) -> Result<Pki, PkiError> {
    Pki::load(given(config), wanted(config), now)
}

fn given(config: &Config) -> Given {
    let service_accounts = &config.authentication.service_accounts;
    Given {
        serving: config.serving_certificate.clone(),
        client_ca: config.authentication.client_ca.clone().unwrap_or_default(),
        signing_key: service_accounts.signing_key.clone(),
        verification_keys: service_accounts.verification_keys.clone(),
    }
}

fn wanted(config: &Config) -> Wanted {
    let own = [config.listen.ip(), config.advertise_address, config.api_server_service_ip()];
    let of_services = config.service_cluster_ip_ranges.iter().filter_map(|range| range.nth(1));
    Wanted {
        directory: config.data_dir.join(data_dir::PKI),
        admin: config.admin_kubeconfig(),
        names: ServerNames::with_addresses(own.into_iter().chain(of_services)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::flags::Flags;

    fn config(dir: &Path, more: &str) -> Config {
        let data_dir = format!("--data-dir={}", dir.display());
        let arguments = std::iter::once(data_dir.as_str()).chain(more.split_whitespace()).map(OsString::from);
        Config::from_flags(Flags::parse_arguments(arguments).expect("flags")).expect("valid")
    }

    #[test]
    fn the_server_is_called_by_what_the_flags_say() {
        let wanted = wanted(&config(Path::new("x"), "--advertise-address=192.0.2.7 --service-cluster-ip-range=10.96.0.0/16,fd00::/108"));
        assert_eq!(wanted.directory, Path::new("x/pki"));
        for ip in ["127.0.0.1", "::1", "192.0.2.7", "10.96.0.1", "fd00::1"] {
            assert!(wanted.names.ips.contains(&ip.parse().expect("an address")), "{ip}: {wanted:?}");
        }
    }

    #[test]
    fn what_is_given_is_used() {
        let testdata = concat!(env!("CARGO_MANIFEST_DIR"), "/../pki/testdata");
        let now = "2026-06-01T12:00:00Z".parse().expect("a time");
        let dir = tempfile::tempdir().expect("a directory");
        let more = format!(
            "--tls-cert-file={testdata}/ec.crt --tls-private-key-file={testdata}/ec.key --client-ca-file={testdata}/ec.crt \
             --service-account-signing-key-file={testdata}/rsa.key --etcd-servers=http://x:1"
        );
        let pki = load(&config(dir.path(), &more), now).expect("loaded");
        assert!(pki.admin.is_none());
        assert_eq!((pki.client_ca.len(), pki.service_account_keys.len()), (1, 1));
        assert!(!dir.path().join("pki").exists(), "nothing had to be made");
        let mixed = load(&config(dir.path(), &format!("--client-ca-file={testdata}/ec.crt")), now).expect("loaded");
        assert_eq!(mixed.client_ca.len(), 2);
        let checks_only = format!("--service-account-key-file={testdata}/rsa.pub");
        let pki = load(&config(dir.path(), &checks_only), now).expect("loaded");
        assert!(pki.service_account_signing_key.is_none() && pki.service_account_keys.len() == 1);
    }
}
