//! What a server makes for itself: made once, kept, signed anew where it has to be, and never replaced where somebody else changed it.

#![allow(missing_docs, reason = "a test")]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use wasmgate_pki::{Given, Pki, PkiError, ServerNames, Wanted, certificates_from_pem};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

const NOW: &str = "2026-06-01T12:00:00Z";
const ADDRESSES: [&str; 2] = ["192.0.2.1", "10.0.0.1"];

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A start of a server that is given nothing and is reached at these addresses.
fn load(dir: &Path, addresses: &[&str], now: &str) -> Result<Pki, PkiError> {
    let addresses = addresses.iter().map(|text| text.parse::<IpAddr>().expect("an address"));
    let wanted = Wanted { directory: dir.join("pki"), admin: true, names: ServerNames::with_addresses(addresses) };
    Pki::load(Given::default(), wanted, time(now))
}

fn file(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join("pki").join(name)).expect(name)
}

#[test]
fn made_once_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = load(dir.path(), &ADDRESSES, NOW).expect("made");
    let again = load(dir.path(), &ADDRESSES, NOW).expect("loaded");
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
    let pki = load(dir.path(), &["192.0.2.7", "10.96.0.1", "0.0.0.0"], NOW).expect("made");
    let (_, serving) = X509Certificate::from_der(&pki.serving.chain[0]).expect("a certificate");
    let san = serving.subject_alternative_name().expect("valid").expect("there").value.to_string_list();
    for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"] {
        assert!(san.contains(&name.to_owned()), "{name}: {san:?}");
    }
    for ip in ["127.0.0.1", "::1", "192.0.2.7", "10.96.0.1"] {
        assert!(san.contains(&ip.to_owned()), "{ip}: {san:?}");
    }
    let admin = certificates_from_pem(&pki.admin.expect("an administrator").certificate_pem).expect("a certificate");
    let (_, admin) = X509Certificate::from_der(&admin[0]).expect("a certificate");
    let text = |attributes: Vec<&str>| attributes.join(",");
    assert_eq!(text(admin.subject().iter_common_name().map(|name| name.as_str().expect("a string")).collect()), "kubernetes-admin");
    assert_eq!(text(admin.subject().iter_organization().map(|name| name.as_str().expect("a string")).collect()), "system:masters");
    assert!(admin.extended_key_usage().expect("valid").expect("there").value.client_auth);
    // Verified as a client does it.
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(pki.client_ca);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().expect("a verifier");
    let name = rustls_pki_types::ServerName::try_from("kubernetes.default.svc").expect("a name");
    let at = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(time(NOW).as_second() as u64));
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
    let with = |more| [ADDRESSES[0], ADDRESSES[1], more];
    for (addresses, later, renewed) in [
        (&ADDRESSES[..], NOW, false),
        (&ADDRESSES, "2028-04-30T00:00:00Z", false),
        (&ADDRESSES, "2028-05-10T00:00:00Z", true),
        (&ADDRESSES[..1], NOW, false),
        (&with("192.0.2.9"), NOW, true),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let first = load(dir.path(), &ADDRESSES, NOW).expect("made");
        let key = file(dir.path(), "apiserver.key");
        let second = load(dir.path(), addresses, later).expect("loaded");
        assert_eq!(first.serving.chain != second.serving.chain, renewed, "{addresses:?} {later}");
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
        load(dir.path(), &ADDRESSES, NOW).expect("made");
        damage(&dir.path().join("pki"));
        let got = load(dir.path(), &ADDRESSES, NOW);
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
    let first = load(dir.path(), &ADDRESSES, NOW).expect("made");
    load(other.path(), &ADDRESSES, NOW).expect("made");
    for name in ["ca.crt", "ca.key"] {
        fs::copy(other.path().join("pki").join(name), dir.path().join("pki").join(name)).expect("copied");
    }
    let second = load(dir.path(), &ADDRESSES, NOW).expect("loaded");
    assert_ne!(first.serving.chain, second.serving.chain);
    assert_ne!(first.admin.expect("an administrator").certificate_pem, second.admin.expect("an administrator").certificate_pem);
}
