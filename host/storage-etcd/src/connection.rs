//! Calls to the cluster: TLS, a deadline for each, and another attempt where that does no harm.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, KvClient, LeaseClient, MaintenanceClient, TlsOptions, WatchClient};
use storage::Error;
use tokio::time::timeout;

use crate::error::NotDone;
use crate::limits::{
    ATTEMPT_PAUSE, CALL_ATTEMPTS_MAX, CALL_TIMEOUT, CONNECT_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    SEND_ATTEMPTS_MAX,
};
use crate::options::Options;

/// The clients of one channel, which is spread over all members.
#[derive(Clone)]
pub(crate) struct Connection {
    pub kv: KvClient,
    pub lease: LeaseClient,
    pub watch: WatchClient,
    pub maintenance: MaintenanceClient,
}

impl Connection {
    /// Prepares the channel. It dials when the first call is made.
    pub(crate) async fn new(endpoints: &[String], options: &Options) -> Result<Self, Error> {
        let refused = |error: etcd_client::Error| Error::Unavailable(format!("etcd: {error}"));
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT)
            .with_keep_alive_while_idle(true)
            // A member that lost its leader ends its watches instead of falling silent.
            .with_require_leader(true);
        if let Some(tls) = tls(options)? {
            connect = connect.with_tls(tls);
        }
        let client = Client::connect(endpoints, Some(connect)).await.map_err(refused)?;
        Ok(Self {
            kv: client.kv_client().max_decoding_message_size(MESSAGE_BYTES_MAX),
            lease: client.lease_client(),
            watch: client.watch_client().max_decoding_message_size(MESSAGE_BYTES_MAX),
            maintenance: client.maintenance_client(),
        })
    }

    /// A call that changes nothing: tried again where no answer came.
    pub(crate) async fn read<T, F>(&self, call: impl Fn(Self) -> F + Send) -> Result<T, NotDone>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        self.call(true, CALL_TIMEOUT, call).await
    }

    /// A call that changes something: tried again only where it surely was not sent.
    pub(crate) async fn write<T, F>(&self, call: impl Fn(Self) -> F + Send) -> Result<T, NotDone>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        self.call(false, CALL_TIMEOUT, call).await
    }

    pub(crate) async fn call<T, F>(&self, again: bool, time: Duration, call: impl Fn(Self) -> F + Send) -> Result<T, NotDone>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let attempts = async {
            let mut attempt = 1;
            loop {
                match call(self.clone()).await.map_err(NotDone::from) {
                    Err(NotDone::NotSent(_)) if attempt < SEND_ATTEMPTS_MAX => {}
                    Err(NotDone::NoAnswer(_)) if again && attempt < CALL_ATTEMPTS_MAX => {}
                    result => return result,
                }
                tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
                attempt += 1;
            }
        };
        timeout(time, attempts)
            .await
            .unwrap_or_else(|_| Err(NotDone::Storage(Error::Unavailable(format!("etcd did not answer in {time:?}")))))
    }
}

fn tls(options: &Options) -> Result<Option<TlsOptions>, Error> {
    if options.ca.is_none() && options.cert.is_none() && options.key.is_none() {
        return Ok(None);
    }
    let mut tls = TlsOptions::new();
    if let Some(ca) = &options.ca {
        tls = tls.ca_certificate(Certificate::from_pem(ca));
    }
    match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => tls = tls.identity(Identity::from_pem(cert, key)),
        (None, None) => {}
        _ => return Err(Error::Unavailable("etcd: a client certificate needs its key, and a key its certificate".into())),
    }
    Ok(Some(tls))
}
