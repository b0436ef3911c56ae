//! A client of the load generator: one connection, HTTP/1.1 or HTTP/2 over TLS, with a client certificate or a token.

use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::Failure;

const WINDOW_BYTES: u32 = 8 << 20;

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

/// Where the server is and how to come in.
#[derive(Clone)]
pub struct Credentials {
    address: String,
    roots: Arc<RootCertStore>,
    certificate: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
    token: Option<String>,
    accept: Option<&'static str>,
}

impl Credentials {
    /// Of the only user of a kubeconfig.
    pub fn from_kubeconfig(text: &str) -> Result<Self, Failure> {
        let config: serde_json::Value = serde_saphyr::from_str(text)?;
        let text =
            |pointer: &str| config.pointer(pointer).and_then(|v| v.as_str()).ok_or_else(|| format!("the kubeconfig has no {pointer}"));
        let pem = |pointer: &str| -> Result<Vec<u8>, Failure> { Ok(base64::prelude::BASE64_STANDARD.decode(text(pointer)?)?) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem("/clusters/0/cluster/certificate-authority-data")?)?)?;
        let certificate = CertificateDer::from_pem_slice(&pem("/users/0/user/client-certificate-data")?)?;
        let key = PrivateKeyDer::from_pem_slice(&pem("/users/0/user/client-key-data")?)?;
        let address = text("/clusters/0/cluster/server")?.trim_start_matches("https://").to_owned();
        Ok(Self { address, roots: roots.into(), certificate: Some((vec![certificate], key.into())), token: None, accept: None })
    }

    /// The same server, with a bearer token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { certificate: None, token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client, which wants answers in this media type.
    pub fn accepting(&self, accept: &'static str) -> Self {
        Self { accept: Some(accept), ..self.clone() }
    }

    /// Opens a connection.
    pub async fn connect(&self, protocol: Protocol) -> Result<Client, Failure> {
        let mut provider = rustls::crypto::ring::default_provider();
        // In the order of Go's clients, where the processor has AES: 128 bits first.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let builder = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.clone());
        let mut tls = match &self.certificate {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![if protocol == Protocol::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = tokio::net::TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost")?, stream).await?;
        let sender = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(WINDOW_BYTES)
                    .initial_connection_window_size(WINDOW_BYTES)
                    .handshake(TokioIo::new(stream))
                    .await?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Client { sender, address: self.address.clone(), token: self.token.clone(), accept: self.accept })
    }

    /// One request on a connection of its own.
    pub async fn get(&self, path: &str) -> Result<u16, Failure> {
        let mut client = self.connect(Protocol::Http1).await?;
        Ok(client.request("GET", path, None).await?.0)
    }

    /// The body of one request on a connection of its own.
    pub async fn body(&self, path: &str) -> Result<Bytes, Failure> {
        let mut client = self.connect(Protocol::Http1).await?;
        let response = client.send("GET", path, None).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An open connection.
pub struct Client {
    sender: Sender,
    address: String,
    token: Option<String>,
    accept: Option<&'static str>,
}

impl Client {
    /// Another user of the same HTTP/2 connection.
    pub fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => {
                let sender = Sender::Http2(sender.clone());
                Some(Self { sender, address: self.address.clone(), token: self.token.clone(), accept: self.accept })
            }
        }
    }

    /// Sends a request; the body is still to be read.
    pub async fn send(&mut self, method: &str, path: &str, body: Option<Bytes>) -> Result<http::Response<Incoming>, Failure> {
        let mut request = http::Request::builder().method(method);
        request = match &self.sender {
            Sender::Http1(_) => request.uri(path).header("host", &self.address),
            Sender::Http2(_) => request.uri(format!("https://{}{path}", self.address)),
        };
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(accept) = self.accept {
            request = request.header("accept", accept);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(body.unwrap_or_default()))?;
        Ok(match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }

    /// Sends a request and reads the whole answer: its code and size.
    pub async fn request(&mut self, method: &str, path: &str, body: Option<Bytes>) -> Result<(u16, usize), Failure> {
        let response = self.send(method, path, body).await?;
        let code = response.status().as_u16();
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok((code, bytes))
    }
}
