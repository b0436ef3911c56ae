//! Every row was put to Go 1.26's `crypto/x509` as well, and has its answer.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::certificate::Certificate;
use super::verify::{Authorities, why_not_an_authority};

/// 2030-01-01T00:00:00Z.
const NOW: i64 = 1_893_456_000;
const UID: [u64; 8] = [1, 3, 6, 1, 4, 1, 57683, 2];

type Der = Vec<u8>;

/// A certificate, its key, and what it signs with.
struct Made {
    der: Der,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2035, 1, 1));
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn authority(change: impl FnOnce(&mut CertificateParams)) -> Made {
    let mut params = authority_params("authority");
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let der = params.self_signed(&key).expect("a certificate").der().to_vec();
    Made { der, issuer: Issuer::new(params, key) }
}

impl Made {
    fn sign(&self, mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> Made {
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let der = params.signed_by(&key, &self.issuer).expect("a certificate").der().to_vec();
        Made { der, issuer: Issuer::new(params, key) }
    }

    fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Made {
        self.sign(authority_params("intermediate"), change)
    }

    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Der {
        self.sign(params("jane"), change).der
    }
}

fn nothing(_: &mut CertificateParams) {}

/// What is decided, or the part of the reason that matters.
type Want = Result<(), &'static str>;

const NO_AUTHORITY: Want = Err("signed by unknown authority");
const MAY_NOT_SIGN: Want = Err("parent certificate cannot sign this kind of certificate");

struct Row {
    name: &'static str,
    authorities: Vec<Der>,
    chain: Vec<Der>,
    want: Want,
}

fn row(name: &'static str, authorities: &[&Der], chain: &[&Der], want: Want) -> Row {
    let owned = |ders: &[&Der]| ders.iter().map(|der| (*der).clone()).collect();
    Row { name, authorities: owned(authorities), chain: owned(chain), want }
}

fn decide(row: &Row, now: i64) -> Result<(), String> {
    let authorities = Authorities::parse(row.authorities.iter().map(Vec::as_slice)).map_err(|error| error.to_string())?;
    let mut chain =
        row.chain.iter().map(|der| Certificate::parse(der)).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let leaf = chain.remove(0);
    authorities.verify(&leaf, chain, now).map_err(|error| error.to_string())
}

fn check(rows: &[Row]) {
    for row in rows {
        let got = decide(row, NOW);
        match row.want {
            Ok(()) => assert_eq!(got, Ok(()), "{}", row.name),
            Err(words) => assert!(got.as_ref().is_err_and(|error| error.contains(words)), "{}: {got:?} is not: {words}", row.name),
        }
    }
}

#[test]
fn authorities_are_judged() {
    let good = authority(nothing);
    let other = authority(|params| params.distinguished_name.push(DnType::CommonName, "other"));
    let twin = authority(nothing);
    let expired = authority(|params| params.not_after = date_time_ymd(2029, 1, 1));
    let early = authority(|params| params.not_before = date_time_ymd(2031, 1, 1));
    let leaf_as_authority = authority(|params| params.is_ca = IsCa::NoCa);
    let not_ca = authority(|params| params.is_ca = IsCa::ExplicitNoCa);
    let no_cert_sign = authority(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let cert_sign = authority(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    let serving = authority(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let client = authority(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let any = authority(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any]);
    let strange = authority(|params| params.custom_extensions.push(critical()));
    let path_zero = authority(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let mut rows = Vec::new();
    for (name, made, want) in [
        ("good", &good, Ok(())),
        ("expired", &expired, Err("is after 2029-01-01T00:00:00Z")),
        ("not yet valid", &early, Err("is before 2031-01-01T00:00:00Z")),
        ("without basicConstraints", &leaf_as_authority, MAY_NOT_SIGN),
        ("that says it is none", &not_ca, MAY_NOT_SIGN),
        ("whose key may not sign certificates", &no_cert_sign, MAY_NOT_SIGN),
        ("whose key may sign certificates", &cert_sign, Ok(())),
        ("for servers", &serving, Err("incompatible key usage")),
        ("for clients", &client, Ok(())),
        ("for anything", &any, Ok(())),
        ("with an unknown critical extension", &strange, Err("unhandled critical extension")),
        ("that allows no intermediate", &path_zero, Ok(())),
    ] {
        rows.push(row(name, &[&made.der], &[&made.leaf(nothing)], want));
        let parsed = Certificate::parse(&made.der).expect("a certificate");
        assert_eq!(why_not_an_authority(&parsed, NOW).is_none(), want.is_ok(), "the warning about an authority {name}");
    }
    let leaf = good.leaf(nothing);
    rows.push(row("a stranger's", &[&other.der], &[&leaf], NO_AUTHORITY));
    rows.push(row("another one of the same name", &[&twin.der], &[&leaf], NO_AUTHORITY));
    rows.push(row("one of several", &[&expired.der, &twin.der, &other.der, &good.der], &[&leaf], Ok(())));
    rows.push(row("none", &[], &[&leaf], NO_AUTHORITY));
    // What is among the authorities is believed as it stands, if it may be a client's.
    rows.push(row("the leaf itself", &[&leaf], &[&leaf], Ok(())));
    rows.push(row("an authority as a client", &[&good.der], &[&good.der], Ok(())));
    rows.push(row("a server's certificate as its own authority", &[&serving.der], &[&serving.der], Err("incompatible key usage")));
    rows.push(row("an expired one as its own authority", &[&expired.der], &[&expired.der], Err("is after 2029")));
    let self_signed = authority(|params| params.is_ca = IsCa::NoCa);
    rows.push(row("a self-signed certificate of a known name", &[&good.der], &[&self_signed.der], NO_AUTHORITY));
    check(&rows);
}

fn critical() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    extension
}

#[test]
fn leaves_are_judged() {
    let authority = authority(nothing);
    let usage = |usages: Vec<ExtendedKeyUsagePurpose>| authority.leaf(|params| params.extended_key_usages = usages);
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    let other = ExtendedKeyUsagePurpose::Other(vec![1, 2, 3, 4]);
    let rows = [
        ("without usages", usage(vec![]), Ok(())),
        ("for clients", usage(vec![client.clone()]), Ok(())),
        ("for servers and clients", usage(vec![ExtendedKeyUsagePurpose::ServerAuth, client]), Ok(())),
        ("for servers", usage(vec![ExtendedKeyUsagePurpose::ServerAuth]), Err("incompatible key usage")),
        ("for something unknown", usage(vec![other]), Err("incompatible key usage")),
        ("for anything", usage(vec![ExtendedKeyUsagePurpose::Any]), Ok(())),
        ("expired", authority.leaf(|params| params.not_after = date_time_ymd(2029, 12, 31)), Err("is after 2029-12-31T00:00:00Z")),
        ("not yet valid", authority.leaf(|params| params.not_before = date_time_ymd(2030, 1, 2)), Err("is before 2030-01-02T00:00:00Z")),
        ("in its last second", authority.leaf(|params| params.not_after = date_time_ymd(2030, 1, 1)), Ok(())),
        ("in its first second", authority.leaf(|params| params.not_before = date_time_ymd(2030, 1, 1)), Ok(())),
        ("an authority", authority.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), Ok(())),
        (
            "with an unknown critical extension",
            authority.leaf(|params| params.custom_extensions.push(critical())),
            Err("unhandled critical"),
        ),
    ];
    check(&rows.map(|(name, leaf, want)| row(name, &[&authority.der], &[&leaf], want)));
}

#[test]
fn chains_are_judged() {
    let root = authority(nothing);
    let path_zero = authority(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let serving_root = authority(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let good = root.intermediate(nothing);
    let below = good.sign(authority_params("below"), nothing);
    let leaf = good.leaf(nothing);
    let deep = below.leaf(nothing);
    let mut rows = vec![
        row("an intermediate", &[&root.der], &[&leaf, &good.der], Ok(())),
        row("the intermediate is missing", &[&root.der], &[&leaf], NO_AUTHORITY),
        row("the root is sent as well", &[&root.der], &[&leaf, &good.der, &root.der], Ok(())),
        row("two intermediates", &[&root.der], &[&deep, &below.der, &good.der], Ok(())),
        row("in another order, and twice", &[&root.der], &[&deep, &good.der, &below.der, &good.der, &below.der], Ok(())),
        row("an intermediate among the authorities", &[&good.der], &[&leaf], Ok(())),
        row("an authority that only the client knows", &[&root.der], &[&authority(nothing).leaf(nothing), &root.der], NO_AUTHORITY),
    ];
    for (name, root, change, want) in [
        ("expired", &root, (|params| params.not_after = date_time_ymd(2029, 1, 1)) as fn(&mut CertificateParams), Err("is after 2029")),
        ("no authority", &root, |params| params.is_ca = IsCa::NoCa, MAY_NOT_SIGN),
        ("says that it is none", &root, |params| params.is_ca = IsCa::ExplicitNoCa, MAY_NOT_SIGN),
        ("may not sign certificates", &root, |params| params.key_usages = vec![KeyUsagePurpose::CrlSign], MAY_NOT_SIGN),
        (
            "for servers",
            &root,
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Err("incompatible key usage"),
        ),
        ("below one for servers", &serving_root, nothing, Err("incompatible key usage")),
        ("with an unknown critical extension", &root, |params| params.custom_extensions.push(critical()), Err("unhandled critical")),
        ("one more than allowed", &path_zero, nothing, Err("too many intermediates for path length constraint")),
    ] {
        let intermediate = root.intermediate(change);
        rows.push(row(name, &[&root.der], &[&intermediate.leaf(nothing), &intermediate.der], want));
    }
    // Its own constraint counts those below it.
    let last = root.intermediate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    rows.push(row("the last one allowed", &[&root.der], &[&last.leaf(nothing), &last.der], Ok(())));
    let more = last.sign(authority_params("more"), nothing);
    rows.push(row("more than it allows", &[&root.der], &[&more.leaf(nothing), &more.der, &last.der], Err("too many intermediates")));
    // A new key under an old name, signed by the old: the leaf is found by either way.
    let renewed = authority(nothing);
    let cross = root.sign(authority_params("authority"), nothing);
    rows.push(row("cross-signed", &[&root.der], &[&cross.leaf(nothing), &renewed.der, &cross.der], Ok(())));
    check(&rows);
}

#[test]
fn work_is_bounded() {
    let root = authority(nothing);
    let forgers: Vec<Made> =
        (0..150).map(|_| authority(|params| params.distinguished_name.push(DnType::CommonName, "intermediate"))).collect();
    let intermediate = root.intermediate(nothing);
    let leaf = intermediate.leaf(nothing);
    let mut chain = vec![&leaf];
    chain.extend(forgers.iter().map(|made| &made.der));
    check(&[row("a hundred and fifty that all could have signed", &[&root.der], &chain, Err("signature check attempts limit reached"))]);
    // Authorities that have signed each other, round and round.
    let (first, second) = (authority_params("first"), authority_params("second"));
    let (first_key, second_key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let as_second = Issuer::from_params(&second, &second_key);
    let as_first = Issuer::from_params(&first, &first_key);
    let first_der = first.signed_by(&first_key, &as_second).expect("a certificate").der().to_vec();
    let second_der = second.signed_by(&second_key, &as_first).expect("a certificate").der().to_vec();
    let leaf = params("jane").signed_by(&KeyPair::generate().expect("a key"), &as_first).expect("a certificate").der().to_vec();
    check(&[row("a circle", &[&root.der], &[&leaf, &first_der, &second_der], NO_AUTHORITY)]);
}

#[test]
fn old_versions_and_algorithms_are_judged() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/x509").join(format!("{name}.crt"));
        CertificateDer::from_pem_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_vec()
    };
    let (old, new, rsa) = (read("v1-authority"), read("v3-authority"), read("rsa-authority"));
    check(&[
        row("version 1, by an authority of version 1", &[&old], &[&read("v1-leaf")], Ok(())),
        row(
            "an intermediate of version 1",
            &[&new],
            &[&read("v1-leaf-of-intermediate"), &read("v1-intermediate")],
            Err("certificate is not authorized to sign other certificates"),
        ),
        row("SHA-1", &[&old], &[&read("sha1-leaf")], Err("insecure algorithm ECDSA-SHA1")),
        row("MD5", &[&rsa], &[&read("md5-leaf")], Err("insecure algorithm MD5-RSA")),
        row("RSA", &[&rsa], &[&read("rsa-leaf")], Ok(())),
        row("RSA-PSS", &[&rsa], &[&read("rsa-pss-leaf")], Ok(())),
        row("a curve that Go does not know", &[&read("secp256k1-authority")], &[&read("v1-leaf")], Err("x509: unsupported elliptic curve")),
    ]);
}

#[test]
fn names_are_held_against_constraints() {
    let dns = |names: &[&str]| names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect::<Vec<_>>();
    let constrained = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        authority(|params| {
            params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        })
    };
    let domains = constrained(dns(&["example.com"]), dns(&["secret.example.com"]));
    let networks = constrained(vec![GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]))], vec![]);
    let mail = constrained(
        vec![GeneralSubtree::Rfc822Name("example.com".to_owned())],
        vec![GeneralSubtree::Rfc822Name("root@example.com".into())],
    );
    let directory = constrained(vec![GeneralSubtree::DirectoryName(rcgen::DistinguishedName::new())], vec![]);
    let named = |authority: &Made, names: Vec<SanType>| authority.leaf(|params| params.subject_alt_names = names);
    let name = |name: &str| SanType::DnsName(name.try_into().expect("a name"));
    let email = |name: &str| SanType::Rfc822Name(name.try_into().expect("a name"));
    let uri = |name: &str| SanType::URI(name.try_into().expect("a name"));
    let ip = |a, b, c, d| SanType::IpAddress([a, b, c, d].into());
    let refused = Err("is not authorized to sign for this name");
    let mut rows = Vec::new();
    for (label, authority, names, want) in [
        ("no names", &domains, vec![], Ok(())),
        ("below", &domains, vec![name("a.example.com")], Ok(())),
        ("elsewhere", &domains, vec![name("example.org")], refused),
        ("one of two elsewhere", &domains, vec![name("example.com"), name("example.org")], refused),
        ("excluded", &domains, vec![name("x.secret.example.com")], refused),
        ("a wildcard over what is excluded", &domains, vec![name("*.example.com")], refused),
        ("of another kind", &domains, vec![ip(192, 0, 2, 1)], Ok(())),
        ("a URI without a host", &domains, vec![uri("urn:x:y")], refused),
        ("a URI with one", &domains, vec![uri("spiffe://example.org/x")], Ok(())),
        ("inside of the network", &networks, vec![ip(10, 1, 2, 3)], Ok(())),
        ("outside of the network", &networks, vec![ip(11, 1, 2, 3)], refused),
        ("a mailbox", &mail, vec![email("jane@example.com")], Ok(())),
        ("a mailbox elsewhere", &mail, vec![email("jane@example.org")], refused),
        ("an excluded mailbox", &mail, vec![email("root@EXAMPLE.com")], refused),
        ("a kind of constraint that is not understood", &directory, vec![], Err("unhandled critical extension")),
    ] {
        rows.push(row(label, &[&authority.der], &[&named(authority, names)], want));
    }
    // An intermediate's names are held against the root's constraints, too.
    let intermediate = domains.intermediate(|params| params.subject_alt_names = vec![name("example.org")]);
    rows.push(row("an intermediate elsewhere", &[&domains.der], &[&intermediate.leaf(nothing), &intermediate.der], refused));
    check(&rows);
}

#[test]
fn subjects_are_read() {
    let authority = authority(nothing);
    let subject = |change: fn(&mut CertificateParams)| Certificate::parse(&authority.leaf(change)).expect("a certificate").subject;
    let two = subject(|params| {
        for (kind, value) in [(DnType::OrganizationName, "ops"), (DnType::CountryName, "DE")] {
            params.distinguished_name.push(kind, value);
        }
    });
    assert_eq!((two.common_name.as_str(), two.organizations), ("jane", vec!["ops".to_owned()]));
    let latin = subject(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        let wide = rcgen::string::BmpString::from_utf16be(vec![0x4e, 0x2d]).expect("a string");
        params.distinguished_name.push(DnType::CommonName, DnValue::BmpString(wide));
        params.distinguished_name.push(DnType::CustomDnType(UID.to_vec()), "u-1");
    });
    assert_eq!((latin.common_name.as_str(), latin.uids), ("中", vec!["u-1".to_owned()]));

    // A text that is none, in the subject or in the issuer: the whole is malformed, as in Go.
    let whole = authority.leaf(nothing);
    let at = whole.windows(4).position(|window| window == b"jane").expect("the name");
    for bytes in [[0xff, 0xfe, b'n', b'e'], [0xc3, 0x28, b'n', b'e']] {
        let mut broken = whole.clone();
        broken[at..at + 4].copy_from_slice(&bytes);
        assert!(Certificate::parse(&broken).is_err(), "{bytes:?}");
    }
    for broken in [&whole[..whole.len() - 1], &[whole.as_slice(), &[0]].concat(), &[]] {
        assert!(Certificate::parse(broken).is_err());
    }
}

/// Whatever bytes a client sends: an answer, and no panic.
#[test]
fn any_bytes_are_read() {
    let whole = authority(|params| {
        params.subject_alt_names = vec![SanType::DnsName("a.example.com".try_into().expect("a name"))];
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::IpAddress(CidrSubnet::V4([10, 0, 0, 0], [255, 0, 0, 0]))],
            excluded_subtrees: vec![],
        });
    })
    .der;
    let authorities = Authorities::parse([whole.as_slice()]).expect("an authority");
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, whole[at].wrapping_add(1)] {
            let mut changed = whole.clone();
            changed[at] = value;
            if let (Ok(leaf), Ok(other)) = (Certificate::parse(&changed), Certificate::parse(&changed)) {
                let believed = authorities.verify(&leaf, vec![other], NOW).is_ok();
                assert!(!believed || changed == whole, "a changed byte at {at} is believed");
            }
        }
        assert!(Certificate::parse(&whole[..at]).is_err());
    }
}
