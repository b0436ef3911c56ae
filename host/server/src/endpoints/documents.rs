//! Documents that describe the API: discovery, OpenAPI, the index of paths. Made once, served as bytes.

use std::collections::HashMap;

use api::discovery::{self, AggregatedVersion, Group};
use api::openapi::{self, Document};
use api::tables;
use apimachinery::Status;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use serde_json::Value;

use super::{method_not_allowed, not_found};
use crate::body::Body;
use crate::health::Health;
use crate::negotiate::{self, Endpoint};
use crate::request::Authorized;
use crate::response::{self, Output, Response};

/// Documents over the built-in resources.
pub(crate) struct Documents {
    groups: Vec<Group<'static>>,
    /// Plain discovery by path.
    plain: HashMap<String, Value>,
    /// Aggregated discovery: of `/api` and `/apis`, in each version.
    aggregated: HashMap<(bool, bool), Bytes>,
}

impl Documents {
    pub(crate) fn new(server_address: &str) -> Self {
        let groups = discovery::groups(tables::resources());
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
        let mut aggregated = HashMap::new();
        for core in [true, false] {
            for beta in [true, false] {
                let form = if beta { AggregatedVersion::V2Beta1 } else { AggregatedVersion::V2 };
                aggregated.insert((core, beta), discovery::aggregated(&groups, core, form).to_string().into());
            }
        }
        Self { groups, plain, aggregated }
    }

    /// Every path of the index.
    pub(crate) fn paths(&self, health: &Health) -> Vec<String> {
        let mut registered: Vec<String> = health.paths();
        for path in
            ["/.well-known/openid-configuration", "/metrics", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"]
        {
            registered.push(path.to_owned());
        }
        let shown = discovery::root_paths(&self.groups, registered.iter().map(String::as_str));
        shown["paths"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// `/api`, `/apis` and everything below them that is no resource.
    pub(crate) fn discovery(&self, segments: &[&str], request: &Authorized) -> Result<Response, Status> {
        let Some(document) = self.plain.get(&segments.join("/")) else { return not_found(segments) };
        if request.method != http::Method::GET && request.method != http::Method::HEAD {
            return Err(method_not_allowed());
        }
        if let [root @ ("api" | "apis")] = segments
            && let Some(accepted) = negotiate::negotiate(request.header("accept"), Endpoint::AggregatedDiscovery)
        {
            let beta = accepted.convert.as_ref().is_some_and(|convert| convert.version == "v2beta1");
            let content_type = accepted.content_type_with_kind();
            let output = Output { accepted, pretty: false, gzip: negotiate::accepts_gzip(request.header("accept-encoding")) };
            let bytes = self.aggregated[&(*root == "api", beta)].clone();
            let mut response = response::json_bytes(&output, 200, bytes);
            if let Ok(value) = HeaderValue::from_str(&content_type) {
                response.headers_mut().insert(CONTENT_TYPE, value);
            }
            return Ok(response);
        }
        Ok(response::json(&Output::of(request, Endpoint::Plain)?, 200, document))
    }

    /// `/openapi/v2`, `/openapi/v3` and `/openapi/v3/<group version>`.
    pub(crate) fn openapi(&self, segments: &[&str], request: &Authorized) -> Response {
        match segments {
            ["openapi", "v2"] => openapi_v2(request),
            ["openapi", "v3"] => {
                let index = openapi::v3_index(std::iter::empty());
                response::json(&Output { gzip: false, ..Output::JSON }, 200, &index)
            }
            ["openapi", "v3", rest @ ..] => match openapi::v3(&rest.join("/")) {
                Some(document) => send(document, "application/json", request),
                None => response::page_not_found(),
            },
            _ => response::page_not_found(),
        }
    }
}

/// Of `/openapi/v2` as protobuf.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The first name of the same, which is no media type by the letter. Clients ask for it, and are answered with the other.
const V2_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

fn openapi_v2(request: &Authorized) -> Response {
    match negotiate::first_of(request.header("accept"), &["application/json", V2_PROTOBUF_OLD, V2_PROTOBUF]) {
        Some(V2_PROTOBUF | V2_PROTOBUF_OLD) => send(openapi::v2_protobuf(), V2_PROTOBUF, request),
        Some(json) => send(openapi::v2(), json, request),
        None => vary(empty(StatusCode::NOT_ACCEPTABLE)),
    }
}

fn send(document: Document, content_type: &'static str, request: &Authorized) -> Response {
    let etag = HeaderValue::from_str(&document.etag()).ok();
    let unchanged = request.headers.get(IF_NONE_MATCH).is_some_and(|given| Some(given) == etag.as_ref());
    let mut response = if unchanged {
        empty(StatusCode::NOT_MODIFIED)
    } else if negotiate::accepts_gzip(request.header("accept-encoding")) {
        let mut response = response::with_type(200, content_type, Body::full(document.gzip));
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        response::with_type(200, content_type, Body::full(document.inflate()))
    };
    if let Some(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    vary(response)
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
