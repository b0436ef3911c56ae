//! The handlers behind the road: which path is served by what, and how a resource's request becomes a call of the registry.
//!
//! [`Endpoints::handle`] is the map: documents first, then resources by verb.

mod component_statuses;
mod decode;
mod documents;
mod patch;
mod read;
mod reviews;
mod scope;
mod subresources;
mod view;
mod watch;
mod write;

use std::sync::Arc;

use api::tables;
use apimachinery::{Status, StatusReason, status::StatusDetails};
use async_trait::async_trait;
use auth::Authenticator;
use registry::Registry;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::openid::OpenId;
use crate::request::{Authorized, Handler};
use crate::response::{self, Response};

use documents::Documents;
use scope::{Scope, Target};

/// What the endpoints are made of.
pub struct Parts {
    /// The store of all resources.
    pub registry: Arc<Registry>,
    /// For TokenReview.
    pub authenticator: Arc<dyn Authenticator>,
    /// Signs service-account tokens (`serviceaccounts/token`); none: the server has no signing key.
    pub token_signer: Option<Arc<dyn TokenSigner>>,
    /// `/healthz`, `/livez`, `/readyz`.
    pub health: Health,
    /// `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Issuer discovery.
    pub openid: OpenId,
    /// What clients outside are told to connect to, `host:port`.
    pub server_address: String,
}

/// Signs a service-account token.
pub trait TokenSigner: Send + Sync {
    /// The claims as a compact JWT; the signer adds `iss`.
    fn sign(&self, claims: serde_json::Value) -> Result<String, String>;
    /// Audiences of a token that asks for none.
    fn audiences(&self) -> Vec<String>;
    /// The longest life that the operator allows a token.
    fn expiration_seconds_max(&self) -> Option<i64> {
        None
    }
}

/// Everything that is served.
pub struct Endpoints {
    parts: Parts,
    documents: Documents,
}

impl Endpoints {
    /// Over the built-in resources.
    pub fn new(parts: Parts) -> Self {
        let documents = Documents::new(&parts.server_address);
        parts.metrics.watch_caches(parts.registry.caches());
        Self { parts, documents }
    }

    async fn resource(&self, request: Authorized) -> Result<Response, Status> {
        if !tables::resources().iter().any(|resource| resource.gvr.group == request.info.api_group) {
            return Ok(response::page_not_found());
        }
        let scope = Scope::of(&request)?;
        if !scope.requested.deprecation.is_empty() {
            request.recorder.warnings.add(&scope.requested.deprecation);
            self.parts.metrics.requested_deprecated(&scope.requested.gvr, &scope.subresource);
        }
        if scope.is_review() {
            return reviews::create(&self.parts, scope, request).await;
        }
        if &*scope.requested.gvk.kind == "ComponentStatus" {
            return component_statuses::get(&self.parts.health, &scope, &request).await;
        }
        if let Some(special) = subresources::Special::of(&scope) {
            return special.serve(&self.parts, &scope, request).await;
        }
        let registry = &self.parts.registry;
        match (&*request.info.verb, scope.target) {
            ("get", Target::Object | Target::Subresource) => read::get(registry, &scope, &request).await,
            ("list", Target::Collection | Target::AllNamespaces) => read::list(registry, &scope, &request).await,
            ("watch", Target::Collection | Target::AllNamespaces | Target::Object) => watch::watch(&self.parts, &scope, &request).await,
            ("create", Target::Collection) => write::create(registry, &scope, request).await,
            ("create", Target::Subresource) => Err(decode::not_served_yet(&scope)),
            ("update", Target::Object | Target::Subresource) => write::update(registry, &scope, request).await,
            ("patch", Target::Object | Target::Subresource) => patch::patch(registry, &scope, request).await,
            ("delete", Target::Object) => write::delete(registry, &scope, request).await,
            ("deletecollection", Target::Collection) => write::delete_collection(registry, &scope, request).await,
            _ => Err(method_not_allowed()),
        }
    }
}

#[async_trait]
impl Handler for Endpoints {
    async fn handle(&self, request: Authorized) -> Result<Response, Status> {
        let path = request.info.path.clone();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            [""] => Ok(crate::index::answer(self.documents.paths(&self.parts.health))),
            ["healthz" | "livez" | "readyz", ..] => {
                Ok(self.parts.health.answer(&path, request.query()).await.unwrap_or_else(response::page_not_found))
            }
            ["metrics"] => Ok(self.parts.metrics.answer()),
            ["version"] => Ok(response::raw_json(200, &api::version::version_info())),
            [".well-known", "openid-configuration"] => Ok(self.parts.openid.configuration()),
            ["openid", "v1", "jwks"] => Ok(self.parts.openid.jwks()),
            ["openapi", ..] => Ok(self.documents.openapi(&segments, &request)),
            ["api"] | ["apis"] | ["api", _] | ["apis", _] | ["apis", _, _] => self.documents.discovery(&segments, &request),
            _ if request.info.is_resource_request => self.resource(request).await,
            _ => Ok(not_found(&segments)?),
        }
    }
}

/// A path below a group that is served gets a `Status`; any other gets Go's plain page.
fn not_found(segments: &[&str]) -> Result<Response, Status> {
    let known = match segments {
        ["api", ..] => true,
        ["apis", group, ..] => tables::resources().iter().any(|resource| resource.gvr.group == *group),
        _ => false,
    };
    if known { Err(Status::path_not_found()) } else { Ok(response::page_not_found()) }
}

/// 405.
fn method_not_allowed() -> Status {
    Status::failure(405, StatusReason::MethodNotAllowed, "the server does not allow this method on the requested resource")
        .with_details(StatusDetails::default())
}
