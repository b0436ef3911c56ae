//! `<data-dir>/admin.kubeconfig`: how the administrator reaches this server. Written at every start, when the port is known and
//! before a connection is accepted, so that whoever sees the file can connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pki::{Durable, Pki, PkiError};

const FILE_NAME: &str = "admin.kubeconfig";

/// Writes the file, mode 0600, in one step; `listening` is the listener's address with its real port. `None`: no administrator's
/// certificate is made here (see [`crate::config::Config::admin_kubeconfig`]), and a file of an earlier start is left alone.
pub fn write(pki: &Pki, data_dir: &Path, listening: SocketAddr) -> Result<Option<PathBuf>, PkiError> {
    let Some(admin) = &pki.admin else { return Ok(None) };
    let path = data_dir.join(FILE_NAME);
    let base64 = |text: &str| BASE64_STANDARD.encode(text);
    let content = format!(
        "# Written by wasmgate at every start: changes are lost. Whoever can read it may do everything.\n\
         apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: wasmgate\n  cluster:\n    server: https://{server}\n    certificate-authority-data: {ca}\n\
         users:\n\
         - name: kubernetes-admin\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n\
         contexts:\n\
         - name: wasmgate\n  context:\n    cluster: wasmgate\n    user: kubernetes-admin\n\
         current-context: wasmgate\n",
        server = reachable(listening),
        ca = base64(&pki.serving_ca_pem),
        certificate = base64(&admin.certificate_pem),
        key = base64(&admin.key_pem),
    );
    pki::replace(&path, &content, Durable::No)?;
    Ok(Some(path))
}

/// Where a client on this machine connects to.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_connect_to_an_address_that_is_one() {
        for (listening, want) in [("0.0.0.0:6443", "127.0.0.1:6443"), ("[::]:7", "[::1]:7"), ("192.0.2.1:7", "192.0.2.1:7")] {
            assert_eq!(reachable(listening.parse().expect("an address")).to_string(), want);
        }
    }

    #[test]
    fn the_file_is_private_and_complete() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let data_dir = std::ffi::OsString::from(format!("--data-dir={}", dir.path().display()));
        let flags = crate::flags::Flags::parse_arguments([data_dir]).expect("flags");
        let config = crate::config::Config::from_flags(flags).expect("valid");
        let pki = crate::certificates::load(&config, jiff::Timestamp::now()).expect("made");
        let path = write(&pki, dir.path(), "127.0.0.1:4242".parse().expect("an address")).expect("written").expect("an administrator");
        assert_eq!(std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.contains("    server: https://127.0.0.1:4242\n"), "{text}");
        assert!(text.lines().all(|line| !line.ends_with(": ")), "{text}");
    }
}
