//! `componentstatuses`: not stored, asked for at each request. Deprecated upstream since v1.19 and served all the same; its answer
//! speaks of the components that share this machine, at their standard ports.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use apimachinery::options::ListOptions;
use apimachinery::query::Query;
use bytes::Bytes;
use futures::future::join_all;
use http::header::HOST;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::decode;
use super::read::known_fields;
use super::request_scope::RequestScope;
use super::route::Target;
use super::view::View;
use crate::health::{Health, Probe};
use crate::request::Authorized;
use crate::response::Response;

/// Upstream's components beside it, and the ports of their health.
const BESIDE: [(&str, u16); 2] = [("controller-manager", 10257), ("scheduler", 10259)];
const STORE: &str = "etcd-0";
/// How long a component has to answer: upstream's.
const PROBE_DURATION_MAX: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: usize = 10 * 1024;

/// `GET` of one, and of all.
pub(crate) async fn get(health: &Health, scope: &RequestScope, request: &Authorized) -> Result<Response, Status> {
    if scope.target == Target::Object {
        let view = View::of_object(scope, request)?;
        let object = match component(health, &scope.name).await {
            Some(object) => object,
            None => return Err(decode::unclassified(500, format!("component not found: {}", scope.name))),
        };
        return Ok(view.single(200, object.to_string().into()));
    }
    let view = View::of_list(scope, request)?;
    let options = ListOptions::from_query(&Query::parse(request.query()))?;
    let fields = known_fields(scope, options.field_selector)?;
    let unlabelled = options.label_selector.matches_object(&Value::Null);
    let selected = |name: &&str| unlabelled && fields.matches(|field| if field == "metadata.name" { name } else { "" });
    let names = BESIDE.iter().map(|(name, _)| *name).chain([STORE]).filter(selected);
    let found: Vec<Value> = join_all(names.map(|name| component(health, name))).await.into_iter().flatten().collect();
    Ok(view.documents(&found))
}

/// What a component says of itself; none where there is no such component.
async fn component(health: &Health, name: &str) -> Option<Value> {
    let outcome = match BESIDE.iter().find(|(beside, _)| *beside == name) {
        Some((_, port)) => probe(*port).await,
        None if name == STORE => health.outcome(Probe::Healthz, "etcd").await?.map(|()| "ok".to_owned()),
        None => return None,
    };
    let (status, message) = match outcome {
        Ok(message) => ("True", message),
        Err(message) => ("False", message),
    };
    Some(json!({
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": { "name": name },
        "conditions": [{ "type": "Healthy", "status": status, "message": message }],
    }))
}

/// The text of the component's `/healthz`, or why there is none, in the words of Go's client.
async fn probe(port: u16) -> Result<String, String> {
    let failed = |why: String| format!("Get \"https://127.0.0.1:{port}/healthz\": {why}");
    match tokio::time::timeout(PROBE_DURATION_MAX, fetch(port)).await {
        Ok(Ok((200..400, text))) => Ok(text),
        Ok(Ok((code, _))) => Err(format!("HTTP probe failed with statuscode: {code}")),
        Ok(Err(why)) => Err(failed(why)),
        Err(_) => Err(failed("context deadline exceeded (Client.Timeout exceeded while awaiting headers)".into())),
    }
}

async fn fetch(port: u16) -> Result<(u16, String), String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("dial tcp 127.0.0.1:{port}: connect: connection refused"),
        _ => format!("dial tcp 127.0.0.1:{port}: {error}"),
    })?;
    let name = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
    let stream = connector().connect(name, stream).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = http::Request::get("/healthz").header(HOST, format!("127.0.0.1:{port}")).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
        Ok((code, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    tokio::select! {
        answer = asked => answer,
        Err(error) = connection => Err(error.to_string()),
    }
}

/// The components' certificates are their own: made at their start, and known to nobody. Nothing secret is said to them.
fn connector() -> TlsConnector {
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
