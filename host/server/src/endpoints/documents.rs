//! Documents that describe the API: discovery, OpenAPI, the index of paths. Made once for each catalogue, served as bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::catalogue::discovery::{self, Group};
use api::openapi::{self, Document};
use api::{Catalogue, ResourceRef};
use apimachinery::Status;
use apimachinery::query::Query;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use clock::Clock;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, VARY,
};
use serde_json::Value;
use sha2::{Digest as _, Sha512};

use crate::body::Body;
use crate::conditional::{self, Judgement, Validators};
use crate::health::Health;
use crate::negotiate::{self, Endpoint};
use crate::request::Authorized;
use crate::response::{self, Output, Response};

/// The documents of the catalogue that was asked about last.
pub(crate) struct Published {
    server_address: String,
    clock: Clock,
    last: ArcSwapOption<Documents>,
}

impl Published {
    pub(crate) fn new(server_address: &str, clock: Clock) -> Self {
        Self { server_address: server_address.to_owned(), clock, last: ArcSwapOption::empty() }
    }

    /// The documents about these kinds.
    pub(crate) fn of(&self, catalogue: &Arc<Catalogue>) -> Arc<Documents> {
        if let Some(last) = self.last.load_full().filter(|last| Arc::ptr_eq(&last.catalogue, catalogue)) {
            return last;
        }
        let made = Arc::new(Documents::new(catalogue.clone(), &self.server_address, self.clock.clone()));
        self.last.store(Some(made.clone()));
        made
    }
}

/// Documents over the kinds of one catalogue.
pub(crate) struct Documents {
    catalogue: Arc<Catalogue>,
    /// Plain discovery by path.
    plain: HashMap<String, Value>,
    /// Aggregated discovery of `/api` and of `/apis`.
    aggregated: [Aggregated; 2],
    clock: Clock,
    /// OpenAPI v3 of what is not built in, by path.
    openapi: BTreeMap<String, Document>,
    /// Since when the documents are as they are.
    made: SystemTime,
}

/// A document of aggregated discovery.
struct Aggregated {
    json: Bytes,
    /// Quotes included.
    etag: HeaderValue,
}

impl Aggregated {
    fn of(groups: &[Group<'_>], core: bool) -> Self {
        let json = discovery::aggregated(groups, core).to_string();
        let hash: String = Sha512::digest(&json).iter().map(|byte| format!("{byte:02X}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{hash}\"")).expect("hexadecimal digits");
        Self { json: json.into(), etag }
    }
}

fn groups(catalogue: &Catalogue) -> Vec<Group<'_>> {
    discovery::groups(catalogue.resources().iter().map(|row: &ResourceRef| &**row))
}

impl Documents {
    fn new(catalogue: Arc<Catalogue>, server_address: &str, clock: Clock) -> Self {
        let groups = groups(&catalogue);
        let mut plain = HashMap::new();
        plain.insert("api".to_owned(), discovery::api_versions(server_address));
        plain.insert("apis".to_owned(), discovery::api_group_list(&groups));
        for group in &groups {
            let root = if group.name.is_empty() { "api".to_owned() } else { format!("apis/{}", group.name) };
            if !group.name.is_empty() {
                plain.insert(root.clone(), discovery::api_group(group));
            }
            for version in &group.versions {
                plain.insert(format!("{root}/{}", version.name), discovery::api_resource_list(group.name, version));
            }
        }
        let aggregated = [true, false].map(|core| Aggregated::of(&groups, core));
        drop(groups);
        let openapi = openapi::documents(&catalogue);
        Self { catalogue, plain, aggregated, openapi, made: clock.now(), clock }
    }

    /// Every path of the index.
    pub(crate) fn paths(&self, health: &Health) -> Vec<String> {
        let mut registered: Vec<String> = health.paths();
        for path in
            ["/.well-known/openid-configuration", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"]
        {
            registered.push(path.to_owned());
        }
        let shown = discovery::root_paths(&groups(&self.catalogue), registered.iter().map(String::as_str));
        shown["paths"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Whether there is a document of discovery at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.strip_prefix('/').is_some_and(|path| self.plain.contains_key(path))
    }

    /// `/api`, `/apis` and everything below them that is no resource; none where there is no such document. `/apis/` is plain alone.
    pub(crate) fn discovery(&self, path: &str, request: &Authorized) -> Result<Option<Response>, Status> {
        let document = path.strip_prefix('/').and_then(|path| self.plain.get(path.trim_end_matches('/')));
        let Some(document) = document else { return Ok(None) };
        if let root @ ("/api" | "/apis") = path
            && let Some(accepted) = negotiate::negotiate(request.header("accept"), Endpoint::AggregatedDiscovery)
        {
            let document = &self.aggregated[usize::from(root == "/apis")];
            let content_type = accepted.content_type_with_kind();
            let output = Output { accepted, pretty: false, gzip: negotiate::accepts_gzip(request.header("accept-encoding")) };
            return Ok(Some(aggregated(document, &output, &content_type, request)));
        }
        Ok(Some(response::json(&request.output(Endpoint::Plain)?, 200, document)))
    }

    /// `v2`, `v3` and `v3/<group version>`, below `/openapi/`.
    pub(crate) fn openapi(&self, path: &str, request: &Authorized) -> Response {
        match path {
            "v2" => self.openapi_v2(request),
            "v3" => {
                let index = openapi::v3_index(self.openapi.iter().map(|(path, document)| (path.as_str(), &*document.hash)));
                // Upstream serves it as a file whose type Go guesses.
                let mut response = response::with_type(200, "text/plain; charset=utf-8", Body::full(index.to_string()));
                set(&mut response, LAST_MODIFIED, &conditional::date(self.made));
                response
            }
            _ => match path.strip_prefix("v3/").map(|path| (path, openapi::v3(path).or_else(|| self.openapi.get(path).cloned()))) {
                Some((path, Some(document))) => self.openapi_v3(path, document, request),
                Some((_, None)) => empty(StatusCode::NOT_FOUND),
                None => response::page_not_found(),
            },
        }
    }

    fn openapi_v2(&self, request: &Authorized) -> Response {
        match negotiate::first_of(request.header("accept"), &["application/json", V2_PROTOBUF_OLD, V2_PROTOBUF]) {
            Some(V2_PROTOBUF | V2_PROTOBUF_OLD) => self.send(openapi::v2_protobuf(), V2_PROTOBUF, request),
            Some(json) => self.send(openapi::v2(), json, request),
            None => vary(empty(StatusCode::NOT_ACCEPTABLE)),
        }
    }

    /// An address with a hash names one document for ever, so that it may be kept for ever. A hash that is not, or no longer, the
    /// document's leads to the one that is.
    fn openapi_v3(&self, path: &str, document: Document, request: &Authorized) -> Response {
        let Some(json) = negotiate::first_of(request.header("accept"), &["application/json"]) else {
            return vary(empty(StatusCode::NOT_ACCEPTABLE));
        };
        let query = Query::parse(request.query());
        match query.get("hash").filter(|hash| !hash.is_empty()) {
            None => self.send(document, json, request),
            Some(hash) if hash == document.hash => {
                let mut response = self.send(document, json, request);
                set(&mut response, CACHE_CONTROL, "public, immutable");
                set(&mut response, EXPIRES, &conditional::date(self.clock.now() + IMMUTABLE_DURATION));
                response
            }
            Some(_) => {
                let mut response = empty(StatusCode::MOVED_PERMANENTLY);
                set(&mut response, CONTENT_TYPE, json);
                set(&mut response, ETAG, &document.etag());
                set(&mut response, LOCATION, &format!("/openapi/v3/{path}?hash={}", document.hash));
                vary(response)
            }
        }
    }

    fn send(&self, document: Document, content_type: &'static str, request: &Authorized) -> Response {
        let etag = document.etag();
        let validators = Validators { etag: &etag, last_modified: self.made };
        let mut response = match validators.judge(&request.method, &request.headers) {
            Judgement::NotModified => empty(StatusCode::NOT_MODIFIED),
            Judgement::Failed => empty(StatusCode::PRECONDITION_FAILED),
            Judgement::Proceed if negotiate::accepts_gzip(request.header("accept-encoding")) => {
                let mut response = response::with_type(200, content_type, Body::full(document.gzip));
                set(&mut response, CONTENT_ENCODING, "gzip");
                response
            }
            Judgement::Proceed => response::with_type(200, content_type, Body::full(document.inflate())),
        };
        if response.status() != StatusCode::NOT_MODIFIED {
            set(&mut response, LAST_MODIFIED, &conditional::date(self.made));
        }
        set(&mut response, ETAG, &etag);
        vary(response)
    }
}

/// Whether upstream's aggregator answers at a path, and not the router of the built-in API: `/apis` and `/apis/<group>`. It looks at no
/// method.
pub(crate) fn is_the_aggregators(path: &str) -> bool {
    path == "/apis" || path.strip_prefix("/apis/").is_some_and(|group| !group.is_empty() && !group.contains('/'))
}

/// For how long an address with a hash may be kept.
const IMMUTABLE_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Of `/openapi/v2` as protobuf.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The first name of the same, which is no media type by the letter. Clients ask for it, and are answered with the other.
const V2_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// Aggregated discovery. Unlike Go's server of files, upstream compares `If-None-Match` as a whole here.
fn aggregated(document: &Aggregated, output: &Output, content_type: &str, request: &Authorized) -> Response {
    let mut response = if request.headers.get(IF_NONE_MATCH) == Some(&document.etag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = response::json_bytes(output, 200, document.json.clone());
        set(&mut response, CONTENT_TYPE, content_type);
        response
    };
    response.headers_mut().insert(ETAG, document.etag.clone());
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    set(&mut response, CACHE_CONTROL, "public");
    response
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn empty(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

fn vary(mut response: Response) -> Response {
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}
