//! The etcd backend on real etcds. Where there is none, the tests say so and pass.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage::{Error, Operation, Range, Storage, Watch, WatchBatch, conformance};
use wasmgate_storage_etcd::{Etcd, Options};

use crate::support::{Server, free_port};

/// Connects as soon as the server answers.
async fn connect(options: Options) -> Arc<Etcd> {
    for _ in 0..60 {
        match Etcd::connect(options.clone()).await {
            Ok(etcd) => return etcd,
            Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(250)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("etcd does not come up")
}

fn options(server: &Server) -> Options {
    Options::new([server.url()])
}

/// The events up to a revision, whatever comes between.
async fn events_up_to(watch: &mut Box<dyn Watch>, revision: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| *last < revision) {
        if let WatchBatch::Events(events) = watch.next().await.expect("the watch goes on") {
            seen.extend(events.iter().map(|event| event.revision));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    let Some(server) = Server::start() else { return };
    let store: Arc<dyn Storage> = connect(options(&server)).await;
    conformance::run_all(|_| async { store.clone() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_several_pages_is_one_picture() {
    const KEYS: usize = 10_500;
    let Some(server) = Server::start() else { return };
    let store = connect(options(&server)).await;
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(100) {
        let operations = chunk.iter().map(|n| Operation::create(format!("/registry/pods/{n:06}"), Bytes::from("x"))).collect();
        store.commit(operations).await.expect("the keys are new");
    }
    for (limit, expected) in [(0, KEYS), (10_200, 10_200), (10_000, 10_000), (7, 7)] {
        let found = store.range(Range { limit, ..Range::prefix("/registry/pods/") }).await.expect("it can be read");
        assert_eq!((found.items.len(), found.count, found.more), (expected, KEYS as u64, expected < KEYS), "limit {limit}");
        assert!(found.items.windows(2).all(|pair| pair[0].key < pair[1].key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_away_is_an_error_and_comes_back() {
    let Some(mut server) = Server::start() else { return };
    let store = connect(options(&server)).await;
    let first = store.commit(vec![Operation::create("/registry/a", Bytes::from("1"))]).await.expect("the key is new");
    let mut watch = store.watch("/registry/", first).await.expect("it can be watched");
    assert_eq!(events_up_to(&mut watch, first).await, [first]);
    server.kill();

    // None of these may hang; the outer limit is far beyond every deadline.
    let limit = Duration::from_secs(60);
    let ended = tokio::time::timeout(limit, async {
        loop {
            if let Err(error) = watch.next().await {
                break error;
            }
        }
    });
    let ended = ended.await.expect("the watch ends");
    assert!(matches!(ended, Error::Unavailable(_)), "{ended:?}");
    let read = tokio::time::timeout(limit, store.get("/registry/a")).await.expect("the read ends");
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    let written = tokio::time::timeout(limit, store.commit(vec![Operation::create("/registry/b", Bytes::from("1"))]));
    let written = written.await.expect("the write ends");
    assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
    let healthy = tokio::time::timeout(limit, store.healthy()).await.expect("the check ends");
    assert!(matches!(healthy, Err(Error::Unavailable(_))), "{healthy:?}");

    server.resume();
    while store.healthy().await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let second = store.commit(vec![Operation::update("/registry/a", first, Bytes::from("2"))]).await.expect("it is as it was");
    let mut watch = store.watch("/registry/", first + 1).await.expect("it can be watched again");
    assert_eq!(events_up_to(&mut watch, second).await, [second]);
    store.request_progress().await.expect("the version is asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_of_several_may_be_dead() {
    let Some(server) = Server::start() else { return };
    connect(options(&server)).await;
    let dead = format!("http://127.0.0.1:{}", free_port());
    let both = Options { endpoints: vec![dead, server.url()], ..options(&server) };
    let store = Etcd::connect(both).await.expect("one answers");
    let mut revision = 0;
    for number in 0..50 {
        let operation = Operation { expected: revision, ..Operation::create("/registry/a", Bytes::from(number.to_string())) };
        revision = store.commit(vec![operation]).await.expect("the living member is found");
        assert_eq!(store.get("/registry/a").await.expect("the living member is found").1, revision);
        store.watch("/registry/", revision).await.expect("the living member is found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_an_error() {
    let options = Options::new([format!("http://127.0.0.1:{}", free_port())]);
    let refused = Etcd::connect(options).await.err();
    assert!(matches!(refused, Some(Error::Unavailable(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_both_ways() {
    let pki = Pki::make().expect("certificates can be made");
    let server = Server::start_with("https", |dir| {
        pki.write(dir);
        let file = |name: &str| dir.join(name).display().to_string();
        ["--trusted-ca-file", &file("ca.pem"), "--cert-file", &file("cert.pem"), "--key-file", &file("key.pem"), "--client-cert-auth"]
            .map(str::to_owned)
            .to_vec()
    });
    let Some(server) = server else { return };
    let pem = |pem: &str| Some(pem.as_bytes().to_vec());
    let right = Options { ca: pem(&pki.ca), cert: pem(&pki.cert), key: pem(&pki.key), ..options(&server) };
    let store = connect(right.clone()).await;
    let revision = store.commit(vec![Operation::create("/registry/a", Bytes::from("1"))]).await.expect("the key is new");
    assert_eq!(events_up_to(&mut store.watch("/registry/", revision).await.expect("it can be watched"), revision).await, [revision]);

    let stranger = Pki::make().expect("made before");
    let wrong = [
        ("no client certificate", Options { cert: None, key: None, ..right.clone() }),
        ("another CA's client certificate", Options { cert: pem(&stranger.cert), key: pem(&stranger.key), ..right.clone() }),
        ("another CA", Options { ca: pem(&stranger.ca), ..right.clone() }),
        ("a certificate without its key", Options { key: None, ..right.clone() }),
        ("no certificate but noise", Options { cert: pem("noise"), ..right }),
    ];
    for (what, options) in wrong {
        let refused = Etcd::connect(options).await.err();
        assert!(matches!(refused, Some(Error::Unavailable(_))), "{what}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_a_time_share_a_lease() {
    let Some(server) = Server::start() else { return };
    let store = connect(options(&server)).await;
    for number in 0..20 {
        let operation = Operation::create(format!("/registry/events/{number}"), Bytes::from("x"));
        let operation = Operation { time_to_live: Some(Duration::from_secs(3600)), ..operation };
        store.commit(vec![operation]).await.expect("the key is new");
    }
    let mut client = etcd_client::Client::connect([server.url()], None).await.expect("it is up");
    let leases: Vec<_> = client.leases().await.expect("it answers").leases().iter().map(|lease| lease.id()).collect();
    assert_eq!(leases.len(), 1);
    // Revoked behind our back: a write finds another.
    client.lease_revoke(leases[0]).await.expect("it is there");
    let operation = Operation::create("/registry/events/0", Bytes::from("x"));
    let operation = Operation { time_to_live: Some(Duration::from_secs(3600)), ..operation };
    store.commit(vec![operation]).await.expect("the revocation has deleted the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_offered_by_versions_that_tell_the_truth() {
    let Some(server) = Server::start() else { return };
    let store = connect(options(&server)).await;
    let mut client = etcd_client::Client::connect([server.url()], None).await.expect("it is up");
    let version = client.status().await.expect("it answers").version().to_owned();
    let numbers: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let trusted = numbers >= vec![3, 5, 8] || (numbers[..2] == [3, 4] && numbers >= vec![3, 4, 25]);
    assert_eq!(store.request_progress().await.expect("it answers"), trusted, "etcd {version}");
}

/// A CA, and a certificate for 127.0.0.1 that serves and calls.
struct Pki {
    ca: String,
    cert: String,
    key: String,
}

impl Pki {
    fn make() -> Option<Self> {
        use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
        let mut params = CertificateParams::new(Vec::new()).ok()?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().ok()?).ok()?;
        let key = KeyPair::generate().ok()?;
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).ok()?;
        let cert = leaf.signed_by(&key, &ca).ok()?;
        Some(Self { ca: ca.pem(), cert: cert.pem(), key: key.serialize_pem() })
    }

    fn write(&self, dir: &Path) {
        for (name, pem) in [("ca.pem", &self.ca), ("cert.pem", &self.cert), ("key.pem", &self.key)] {
            std::fs::write(dir.join(name), pem).expect("the directory can be written");
        }
    }
}
