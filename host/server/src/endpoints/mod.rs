//! The handlers behind the road: which path is served by what, and how a resource's request becomes a call of the registry.
//!
//! [`Endpoints::handle`] is the map: documents first, then resources by verb.

mod component_statuses;
mod conversion;
mod decode;
mod documents;
mod patch;
mod read;
mod request_scope;
mod reviews;
mod route;
mod subresources;
mod view;
mod watch;
mod write;

use std::sync::Arc;
use std::time::Duration;

use admission::RequestContext;
use api::Catalogue;
use api::kinds::action::Action;
use apimachinery::Status;
use apimachinery::request_info::RequestInfo;
use async_trait::async_trait;
use auth::{Attributes, Decision};
use clock::Clock;
use futures::future::BoxFuture;
use http::Method;
use registry::Registry;

use crate::health::Health;
use crate::metrics::{Metrics, Served};
use crate::negotiate::{self, MediaType};
use crate::openid::OpenId;
use crate::request::{Authorized, Handler};
use crate::response::{self, Response};

use documents::Published;
use request_scope::RequestScope;
use route::{NoRoute, Route, Target};

/// What the endpoints are made of.
pub struct Parts {
    /// The store of all resources.
    pub registry: Arc<Registry>,
    /// Says when watches are sent bookmarks and when they end.
    pub clock: Clock,
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
    /// `--min-request-timeout`: a watch whose client names no time ends by itself after this at the earliest, and after twice this at the
    /// latest.
    pub watch_duration_min: Duration,
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
    documents: Published,
}

impl Endpoints {
    /// Over the built-in resources.
    pub fn new(parts: Parts) -> Self {
        let documents = Published::new(&parts.server_address, parts.clock.clone());
        parts.metrics.watch_caches(parts.registry.caches());
        Self { parts, documents }
    }

    async fn resource(&self, request: Authorized) -> Result<Response, Status> {
        let scope = match RequestScope::of(&request) {
            Ok(scope) => scope,
            Err(nowhere) => return nowhere.response(&request.headers, request.query()),
        };
        if !scope.requested.deprecation.is_empty() {
            request.warn(&scope.requested.deprecation);
            self.parts.metrics.requested_deprecated(&scope.requested.gvr, &scope.subresource);
        }
        let registry = &self.parts.registry;
        if let Some(action) = scope.action() {
            return match action {
                Action::Review(review) => reviews::create(&self.parts, scope, review, request).await,
                Action::ComponentStatuses => component_statuses::get(&self.parts.health, &scope, &request).await,
                Action::Scale(selector) => subresources::scale::serve(registry, &scope, selector, request).await,
                Action::Bind => subresources::binding::create(registry, &scope, request).await,
                Action::Evict => subresources::eviction::create(registry, &scope, request).await,
                Action::IssueToken => subresources::token::create(&self.parts, &scope, request).await,
                Action::Log => subresources::connect::log(registry, &scope, &request).await,
                Action::Connect(connection) => subresources::connect::serve(registry, &scope, connection, &request).await,
            };
        }
        if !scope.name.is_empty() && !matches!(&*request.info.verb, "get" | "watch") {
            // What is stored is read, changed and compared, however small the change is.
            request.load.add(registry.cached_bytes(&scope.request(&request, false, None))).await;
        }
        match (&*request.info.verb, scope.target) {
            ("get", Target::Object | Target::Subresource) => read::get(registry, &scope, &request).await,
            ("list", Target::Collection | Target::AllNamespaces) => read::list(registry, &scope, &request).await,
            ("watch", Target::Collection | Target::AllNamespaces | Target::Object) => watch::watch(&self.parts, &scope, &request).await,
            ("create", Target::Collection) => write::create(registry, &scope, request).await,
            ("update", Target::Object | Target::Subresource) => write::update(registry, &scope, request).await,
            ("patch", Target::Object | Target::Subresource) => patch::patch(registry, &scope, request).await,
            ("delete", Target::Object) => write::delete(registry, &scope, request).await,
            ("deletecollection", Target::Collection) => write::delete_collection(registry, &scope, request).await,
            _ => Err(decode::not_served_yet(&scope)),
        }
    }
}

#[async_trait]
impl Handler for Endpoints {
    fn served<'a>(&self, catalogue: &'a Catalogue, info: &RequestInfo, method: &Method) -> Option<Served<'a>> {
        let route = info.is_resource_request.then(|| Route::of(catalogue, info, method))?.ok()?;
        Some(Served { resource: &route.resource.gvr, subresource: route.subresource.map_or("", |subresource| &subresource.name) })
    }

    async fn handle(&self, request: Authorized) -> Result<Response, Status> {
        let load = request.load.clone();
        load.carry(self.serve(request)).await
    }
}

impl Endpoints {
    async fn serve(&self, request: Authorized) -> Result<Response, Status> {
        if request.info.is_resource_request {
            return self.resource(request).await;
        }
        // As it was authorized: what is served at a path is not served at another that looks like it (`//metrics`, `/metrics/`).
        let path = request.info.path.as_str();
        let RequestContext { catalogue, chain, user, .. } = &**request.context();
        let documents = self.documents.of(catalogue);
        let may_read = |path: String| -> BoxFuture<'_, bool> {
            let asked = Attributes { user: user.clone(), verb: "get".into(), path, ..Attributes::default() };
            Box::pin(async move { chain.authorize(&asked).await.decision == Decision::Allow })
        };
        if let Some(answer) = self.parts.health.answer(path, request.query(), &may_read).await {
            return Ok(answer);
        }
        match path {
            "/" | "/index.html" => return Ok(crate::index::answer(documents.paths(&self.parts.health))),
            "/metrics" => return Ok(self.parts.metrics.answer()),
            _ => {}
        }
        if let Some(document) = path.strip_prefix("/openapi/") {
            return Ok(documents.openapi(document, &request));
        }
        // Upstream's router takes these with slashes at their end.
        let routed = path.trim_end_matches('/');
        if documents::is_the_aggregators(routed) {
            // By any method, and whatever of it can be written.
            return documents.discovery(path, &request)?.map_or_else(|| not_found(catalogue, path), Ok);
        }
        let produces: &[&str] = match routed {
            "/version" | "/.well-known/openid-configuration" => &["application/json"],
            "/openid/v1/jwks" => &["application/jwk-set+json"],
            _ if documents.has(routed) => &MediaType::NAMES,
            _ => return not_found(catalogue, path),
        };
        if request.method != Method::GET {
            return NoRoute::Method(vec!["GET"]).response(&request.headers, request.query());
        }
        negotiate::route_produces(request.header("accept"), produces)?;
        match routed {
            "/version" => Ok(response::raw_json(200, &api::version::version_info())),
            "/.well-known/openid-configuration" => Ok(self.parts.openid.configuration()),
            "/openid/v1/jwks" => Ok(self.parts.openid.jwks()),
            _ => documents.discovery(routed, &request)?.map_or_else(|| not_found(catalogue, path), Ok),
        }
    }
}

/// A path below a group that is served gets a `Status`; any other gets Go's plain page.
fn not_found(catalogue: &Catalogue, path: &str) -> Result<Response, Status> {
    let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next()).filter(|group| !group.is_empty());
    let known = path.starts_with("/api/") || group.is_some_and(|group| catalogue.has_group(group));
    if known { Err(Status::path_not_found()) } else { Ok(response::page_not_found()) }
}
