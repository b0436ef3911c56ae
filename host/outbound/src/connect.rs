//! From an origin's name to a connection: resolve, leave out what the name does not grant, connect, and verify the certificate.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::grant::{Grant, Origin, Roots};
use crate::limits;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// It is not granted.
    #[error("{0}")]
    NotGranted(String),
    /// The name has no address, or nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// Whoever answers there is not who it should be.
    #[error("{0}")]
    Untrusted(String),
}

/// Connects to what is granted.
#[derive(Clone)]
pub(crate) struct Connector {
    origins: Arc<[Origin]>,
    tls: TlsConnector,
}

impl Connector {
    /// An error where there are no roots to trust.
    pub(crate) fn new(grant: &Grant) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match &grant.roots {
            Roots::Given(certificates) => {
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(|error| format!("a certificate authority is none: {error}"))?;
                }
            }
            Roots::System if grant.origins.iter().any(|origin| origin.tls) => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err(format!("the system trusts no certificate authority: {:?}", found.errors));
                }
            }
            Roots::System => {}
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { origins: grant.origins.clone().into(), tls: TlsConnector::from(Arc::new(config)) })
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ConnectError> {
        // Asked once more here, where every connection begins.
        let origin = Origin::of(&uri).filter(|origin| self.origins.contains(origin));
        let origin = origin.ok_or_else(|| ConnectError::NotGranted(format!("{uri} is not granted")))?;
        let stream = tcp(&origin).await?;
        if !origin.tls {
            return Ok(TokioIo::new(Stream(Box::new(stream))));
        }
        let untrusted = |error: &dyn std::fmt::Display| ConnectError::Untrusted(format!("{origin}: {error}"));
        let name = ServerName::try_from(origin.host.clone()).map_err(|error| untrusted(&error))?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| {
            // What is no matter of certificates is the connection's.
            match error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                true => untrusted(&error),
                false => ConnectError::Unreachable(format!("{origin}: {error}")),
            }
        })?;
        Ok(TokioIo::new(Stream(Box::new(stream))))
    }
}

/// To the first of the name's addresses that answers.
async fn tcp(origin: &Origin) -> Result<TcpStream, ConnectError> {
    let unreachable = |why: String| ConnectError::Unreachable(format!("{origin}: {why}"));
    let found: Vec<SocketAddr> =
        lookup_host((origin.host.as_str(), origin.port)).await.map_err(|error| unreachable(error.to_string()))?.collect();
    let (granted, kept_out): (Vec<SocketAddr>, Vec<SocketAddr>) = found.into_iter().partition(|address| origin.reaches(address.ip()));
    if let (true, Some(address)) = (granted.is_empty(), kept_out.first()) {
        let message = format!("{origin} is {}, an address of this machine or its network, which the grant must name itself", address.ip());
        return Err(ConnectError::NotGranted(message));
    }
    let mut last = "the name has no address".to_owned();
    for address in granted.into_iter().take(limits::ADDRESSES_MAX) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
                return Ok(stream);
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(last))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// A connection, with TLS or without.
pub(crate) struct Stream(Box<dyn ReadWrite>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
