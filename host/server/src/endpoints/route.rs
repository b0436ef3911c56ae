//! Which row of the table of kinds a request line leads to, and to what part of it: the only place where that is decided, from the very
//! [`RequestInfo`] that was authorized. A path that upstream has no route for leads nowhere, so that nothing is served whose scope,
//! resource, subresource, namespace or name is another than the one that was authorized.

use api::{Catalogue, ResourceRef, Subresource};
use apimachinery::field::go_quote;
use apimachinery::request_info::RequestInfo;
use apimachinery::status::StatusDetails;
use apimachinery::validation::name::is_path_segment_name;
use apimachinery::{GroupResource, Status, StatusReason};
use http::{HeaderMap, HeaderValue, Method};

use crate::response::{self, Response};

/// What part of a resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Of one namespace, or of a cluster-scoped resource.
    Collection,
    /// A namespaced resource, of all namespaces.
    AllNamespaces,
    Object,
    Subresource,
}

/// Where a request line leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) resource: &'a ResourceRef,
    /// Of [`Target::Subresource`].
    pub(crate) subresource: Option<&'a Subresource>,
    pub(crate) target: Target,
}

/// Why a request line leads nowhere.
#[derive(Debug)]
pub(crate) enum NoRoute {
    /// Nothing of the API is there: Go's plain page.
    Page,
    /// 405, with the methods that are served there.
    Method(Vec<&'static str>),
    /// 404 below a group that is served, and what is wrong with the path's names.
    Status(Status),
}

impl NoRoute {
    /// The answer; `headers` and `raw_query` say how the client wants it written.
    pub(crate) fn response(self, headers: &HeaderMap, raw_query: &str) -> Result<Response, Status> {
        match self {
            Self::Page => Ok(response::page_not_found()),
            Self::Status(status) => Err(status),
            Self::Method(allowed) => {
                let mut response = response::status(headers, raw_query, &method_not_allowed());
                // Upstream's own router leaves it out, although RFC 9110 (15.5.6) demands it.
                if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
                    response.headers_mut().insert(http::header::ALLOW, value);
                }
                Ok(response)
            }
        }
    }
}

/// In the order in which they are listed to a client.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

impl<'a> Route<'a> {
    /// Finds the route of a request about a resource.
    pub(crate) fn of(catalogue: &'a Catalogue, info: &RequestInfo, method: &Method) -> Result<Self, NoRoute> {
        let core = info.api_prefix == "api";
        // `//api/v1/pods` and `/apis//v1/pods` read like paths of the core group, and are none of upstream's.
        if !info.path.starts_with(if core { "/api/" } else { "/apis/" }) || core != info.api_group.is_empty() {
            return Err(NoRoute::Page);
        }
        let Some(resource) = catalogue.find(&info.api_group, &info.api_version, &info.resource) else {
            return Err(if catalogue.has_group(&info.api_group) { not_found() } else { NoRoute::Page });
        };
        let route = Self::at(info, resource).ok_or_else(not_found)?;
        if route.verb(info, method.as_str()).is_none() {
            let allowed: Vec<&str> = METHODS.into_iter().filter(|method| route.verb(info, method).is_some()).collect();
            return Err(if allowed.is_empty() { not_found() } else { NoRoute::Method(allowed) });
        }
        route.check(info).map_err(NoRoute::Status)?;
        Ok(route)
    }

    /// By the shape of the path alone: how many parts it has, and whether a namespace stands in front of them.
    fn at(info: &RequestInfo, resource: &'a ResourceRef) -> Option<Self> {
        let [_, below @ ..] = info.parts.as_slice() else { return None };
        if info.namespace_in_path && !resource.namespaced() {
            return None;
        }
        if !below.is_empty() && !info.namespace_in_path && resource.namespaced() {
            return None;
        }
        let (target, subresource) = match below {
            [] if info.namespace_in_path && !info.namespace.is_empty() => (Target::Collection, None),
            [] if resource.namespaced() => (Target::AllNamespaces, None),
            [] => (Target::Collection, None),
            [_] => (Target::Object, None),
            [_, subresource, rest @ ..] => {
                let subresource = resource.subresource(subresource)?;
                // Behind a proxy the path goes on.
                if !rest.is_empty() && subresource.name != "proxy" {
                    return None;
                }
                (Target::Subresource, Some(subresource))
            }
        };
        Some(Self { resource, subresource, target })
    }

    /// The verb of the table of kinds that a method stands for here; none: the method is not served.
    fn verb(&self, info: &RequestInfo, method: &str) -> Option<&'static str> {
        let verb = match (self.target, method) {
            (target, "GET") if info.verb_in_path => {
                // `/proxy/…` in front of a resource has gone; `/watch/…` never had subresources.
                (info.verb == "watch" && target != Target::Subresource).then_some("watch")
            }
            _ if info.verb_in_path => None,
            (Target::Collection | Target::AllNamespaces, "GET") => Some("list"),
            (Target::Collection, "POST") | (Target::Subresource, "POST") => Some("create"),
            (Target::Collection, "DELETE") => Some("deletecollection"),
            (Target::Object | Target::Subresource, "GET") => Some("get"),
            (Target::Object | Target::Subresource, "PUT") => Some("update"),
            (Target::Object | Target::Subresource, "PATCH") => Some("patch"),
            (Target::Object | Target::Subresource, "DELETE") => Some("delete"),
            (Target::Subresource, "HEAD" | "OPTIONS") if self.is_proxy() => Some("get"),
            _ => None,
        }?;
        let verbs = self.subresource.map_or(&self.resource.verbs, |subresource| &subresource.verbs);
        verbs.iter().any(|served| *served == verb).then_some(verb)
    }

    fn is_proxy(&self) -> bool {
        self.subresource.is_some_and(|subresource| subresource.name == "proxy")
    }

    /// What is left to be wrong with a path whose shape is right, in the words of upstream's handlers.
    fn check(&self, info: &RequestInfo) -> Result<(), Status> {
        if matches!(self.target, Target::Collection | Target::AllNamespaces) {
            // Read as a watch because of its query, and nothing of the kind can be watched.
            if info.verb == "watch" && !self.resource.has_verb("watch") {
                let gvr = &self.resource.gvr;
                let resource = GroupResource { group: gvr.group.clone(), resource: gvr.resource.clone() };
                return Err(Status::method_not_allowed(&resource, "watch"));
            }
            return Ok(());
        }
        // `pods//status`. A field selector may have given the request a name, but it was not read as what the path says.
        if info.parts[1].is_empty() {
            return Err(Status::bad_request("name must be provided"));
        }
        if self.resource.namespaced() && info.namespace.is_empty() {
            return Err(Status::bad_request("Namespace parameter required."));
        }
        let problems = is_path_segment_name(&info.name);
        if !problems.is_empty() {
            let why = problems.join(";");
            return Err(Status::bad_request(format!("Name parameter invalid: {}: {why}", go_quote(&info.name))));
        }
        Ok(())
    }
}

fn not_found() -> NoRoute {
    NoRoute::Status(Status::path_not_found())
}

fn method_not_allowed() -> Status {
    Status::failure(405, StatusReason::MethodNotAllowed, "the server does not allow this method on the requested resource")
        .with_details(StatusDetails::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, target: &str) -> Option<RequestInfo> {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        RequestInfo::parse(method, path, query).ok().filter(|info| info.is_resource_request)
    }

    fn of(method: &str, target: &str) -> String {
        let Some(info) = parse(method, target) else { return "no resource".into() };
        match Route::of(&Catalogue::built_in(), &info, &Method::from_bytes(method.as_bytes()).expect("a method")) {
            Ok(route) => format!("{:?}", route.target),
            Err(NoRoute::Page) => "page".into(),
            Err(NoRoute::Status(status)) => format!("{} {}", status.code, status.message),
            Err(NoRoute::Method(allowed)) => format!("405 {}", allowed.join(", ")),
        }
    }

    #[test]
    fn paths_lead_where_upstream_s_lead() {
        const NOT_FOUND: &str = "404 the server could not find the requested resource";
        for (method, target, want) in [
            ("GET", "/api/v1/namespaces/ten", "Object"),
            ("GET", "/api/v1/namespaces/ten/status", "Subresource"),
            ("PUT", "/api/v1/namespaces/ten/finalize", "Subresource"),
            ("GET", "/api/v1/namespaces/ten/finalize", "405 PUT"),
            // Judged in `ten`, and no route at all.
            ("GET", "/api/v1/namespaces/ten/namespaces/victim", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten/namespaces/ten", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten/namespaces", NOT_FOUND),
            ("POST", "/api/v1/namespaces/ten/namespaces", NOT_FOUND),
            ("DELETE", "/api/v1/namespaces/ten/namespaces/victim", NOT_FOUND),
            ("PUT", "/api/v1/namespaces/ten/namespaces/victim/finalize", NOT_FOUND),
            ("GET", "/api/v1/watch/namespaces/ten/namespaces/victim", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten/namespaces?watch=1", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten/nodes/n", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten/nodes/n/proxy/x", NOT_FOUND),
            ("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/ten/clusterroles", NOT_FOUND),
            ("GET", "/api/v1/namespaces//nodes", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten%2Fnamespaces%2Fvictim", NOT_FOUND),
            ("GET", "/api/v1/namespaces/ten/status/x", NOT_FOUND),
            ("GET", "/api/v1/pods", "AllNamespaces"),
            ("GET", "/api/v1/pods/x", NOT_FOUND),
            ("GET", "/api/v1/pods/x/log", NOT_FOUND),
            ("POST", "/api/v1/pods", "405 GET"),
            ("HEAD", "/api/v1/pods", "405 GET"),
            ("GET", "/api/v1/namespaces/n/pods/", "Collection"),
            ("GET", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dx", "Collection"),
            ("OPTIONS", "/api/v1/namespaces/n/pods", "405 GET, POST, DELETE"),
            ("POST", "/api/v1/namespaces/n/pods/x", "405 GET, PUT, PATCH, DELETE"),
            ("GET", "/api/v1/namespaces/n/pods/x/status", "Subresource"),
            ("POST", "/api/v1/namespaces/n/pods/x/status", "405 GET, PUT, PATCH"),
            ("GET", "/api/v1/namespaces/n/pods/x/status/y", NOT_FOUND),
            ("GET", "/api/v1/namespaces/n/pods/x/nothing", NOT_FOUND),
            ("GET", "/api/v1/namespaces/n/configmaps/x/status", NOT_FOUND),
            ("GET", "/api/v1/namespaces/n/configmaps/x/log", NOT_FOUND),
            ("GET", "/api/v1/namespaces/n/pods/x/log/y", NOT_FOUND),
            ("OPTIONS", "/api/v1/namespaces/n/pods/x/proxy/y/z", "Subresource"),
            ("DELETE", "/api/v1/namespaces/n/pods/x/exec", "405 GET, POST"),
            ("GET", "/api/v1/proxy/namespaces/n/pods/x", NOT_FOUND),
            ("GET", "/api/v1/watch/pods", "AllNamespaces"),
            ("GET", "/api/v1/watch/namespaces/n/pods/x", "Object"),
            ("POST", "/api/v1/watch/namespaces/n/pods", "405 GET"),
            ("DELETE", "/api/v1/watch/namespaces/n/pods/x", "405 GET"),
            ("GET", "/api/v1/watch/pods/x", NOT_FOUND),
            ("GET", "/api/v1/watch/namespaces/n/pods/x/status", NOT_FOUND),
            ("GET", "/api/v1/watch/namespaces/n/pods/x/log", NOT_FOUND),
            // An empty namespace is all of them, and was authorized so; no object is in it.
            ("GET", "/api/v1/namespaces//pods", "AllNamespaces"),
            ("DELETE", "/api/v1/namespaces//pods", "405 GET"),
            ("GET", "/api/v1/namespaces//pods/x", "400 Namespace parameter required."),
            ("GET", "/api/v1/namespaces/n/pods//status", "400 name must be provided"),
            ("GET", "/api/v1/namespaces/n/pods//log?fieldSelector=metadata.name%3Dx", "400 name must be provided"),
            ("GET", "/api/v1/namespaces/n/pods/..", "400 Name parameter invalid: \"..\": may not be '..'"),
            ("PUT", "/api/v1/namespaces/n/pods/a%25b", "400 Name parameter invalid: \"a%b\": may not contain '%'"),
            ("GET", "/api/v1//pods", NOT_FOUND),
            ("GET", "/api/v2/pods", NOT_FOUND),
            ("GET", "//api/v1/pods", "page"),
            ("GET", "/apis//v1/pods", "page"),
            ("GET", "/apis/nope.example.com/v1/pods", "page"),
            ("GET", "/apis/apps/v1/pods", NOT_FOUND),
            ("GET", "/api/v1/deployments", NOT_FOUND),
            ("GET", "/apis/apps/v1/namespaces/n/deployments/d/scale", "Subresource"),
            ("GET", "/apis/apps/v1/namespaces/n/daemonsets/d/scale", NOT_FOUND),
            ("GET", "/apis/authentication.k8s.io/v1/tokenreviews?watch=1", "405 POST"),
            ("GET", "/apis/authentication.k8s.io/v1/tokenreviews/x", NOT_FOUND),
            ("POST", "/apis/authorization.k8s.io/v1/localsubjectaccessreviews", NOT_FOUND),
            ("GET", "/api/v1/componentstatuses?watch=1", "405 watch is not supported on resources of kind \"componentstatuses\""),
        ] {
            assert_eq!(of(method, target), want, "{method} {target}");
        }
    }

    /// The path that a request of this scope, namespace, resource, name and subresource has, and no other.
    fn path_of(info: &RequestInfo, route: &Route) -> String {
        let gvr = &route.resource.gvr;
        let mut path = if gvr.group.is_empty() { format!("/api/{}", gvr.version) } else { format!("/apis/{}/{}", gvr.group, gvr.version) };
        if info.verb_in_path {
            path.push_str("/watch");
        }
        if route.resource.namespaced() && route.target != Target::AllNamespaces {
            path.push_str(&format!("/namespaces/{}", info.namespace));
        }
        path.push_str(&format!("/{}", gvr.resource));
        if matches!(route.target, Target::Object | Target::Subresource) {
            path.push_str(&format!("/{}", info.name));
        }
        if let Some(subresource) = route.subresource {
            path.push_str(&format!("/{}", subresource.name));
            info.parts[3..].iter().for_each(|part| path.push_str(&format!("/{part}")));
        }
        path
    }

    /// Walks every shape of a path over the whole table. Whatever is served is what the authorizer was asked about: the path that is made
    /// of what was authorized and of the row's own scope is the path that was sent.
    #[test]
    fn what_is_served_is_what_was_authorized() {
        const FRONTS: [&str; 3] = ["", "watch/", "proxy/"];
        const NAMESPACES: [&str; 5] = ["", "namespaces/ten/", "namespaces//", "namespaces/ten/namespaces/victim/", "namespaces/ten%2F"];
        const QUERIES: [&str; 3] = ["", "?watch=1", "?fieldSelector=metadata.name%3Dvictim"];
        let catalogue = Catalogue::built_in();
        let (mut served, mut seen) = (0, 0);
        for row in catalogue.resources() {
            let own = row.subresources.iter().map(|subresource| &*subresource.name);
            let mut below: Vec<String> =
                ["", "/", "//", "/victim", "/victim/", "//victim", "/a%2Fb", "/%2e%2e", "/victim//status"].map(str::to_owned).into();
            for subresource in own.chain(["status", "proxy", "pods", "nothing"]) {
                below.extend([format!("/victim/{subresource}"), format!("//{subresource}"), format!("/victim/{subresource}/more/")]);
            }
            let gvr = &row.gvr;
            // Its own prefix, the other one, and the group of somebody else.
            let roots =
                [format!("/api/{}", gvr.version), format!("/apis/{}/{}", gvr.group, gvr.version), format!("/apis/apps/{}", gvr.version)];
            let targets = roots.iter().flat_map(|root| FRONTS.iter().map(move |front| format!("{root}/{front}")));
            let targets = targets.flat_map(|start| NAMESPACES.map(|namespace| format!("{start}{namespace}{}", gvr.resource)));
            let targets = targets.flat_map(|start| below.iter().map(move |below| format!("{start}{below}")));
            for target in targets.flat_map(|start| QUERIES.map(|query| format!("{start}{query}"))) {
                let reads_query = target.contains('?');
                for method in METHODS.into_iter().chain(["TRACE"]).filter(|method| !reads_query || *method == "GET") {
                    seen += 1;
                    let Some(info) = parse(method, &target) else { continue };
                    let Ok(route) = Route::of(&catalogue, &info, &Method::from_bytes(method.as_bytes()).expect("a method")) else {
                        continue;
                    };
                    served += 1;
                    let authorized = (&*info.api_group, &*info.api_version, &*info.resource, &*info.subresource);
                    let gvr = &route.resource.gvr;
                    let touched =
                        (&*gvr.group, &*gvr.version, &*gvr.resource, route.subresource.map_or("", |subresource| &*subresource.name));
                    assert_eq!(authorized, touched, "{method} {target}");
                    let sent = info.path.trim_end_matches('/').replace("/namespaces//", "/");
                    assert_eq!(path_of(&info, &route), sent, "{method} {target}");
                    let verb = match (route.target, method) {
                        (Target::Collection | Target::AllNamespaces, "GET") => ["list", "watch"].contains(&&*info.verb),
                        (Target::Object, "GET") if info.verb_in_path => info.verb == "watch",
                        (_, "OPTIONS") => info.verb.is_empty(),
                        _ => Some(&*info.verb) == route.verb(&info, method),
                    };
                    assert!(verb, "{method} {target} was authorized as {}", info.verb);
                }
            }
        }
        assert!(served > 2_000 && seen > 10 * served, "{served} of {seen}");
    }

    /// The routes that kube-apiserver itself documents, where its recordings are present: the same ones, and no others.
    #[test]
    fn routes_are_upstream_s() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/oracle/facts/openapi/v2.json");
        let Ok(text) = std::fs::read_to_string(file) else {
            eprintln!("SKIPPED: no recorded OpenAPI document at {file}");
            return;
        };
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut compared = 0;
        for (template, operations) in document["paths"].as_object().expect("paths") {
            let target = template.replace("{namespace}", "n").replace("{name}", "x").replace("{path}", "a/b");
            if parse("GET", &target).is_none() {
                continue;
            }
            for method in METHODS {
                let documented = operations.get(method.to_lowercase()).is_some();
                let found = of(method, &target);
                let served = ["Collection", "AllNamespaces", "Object", "Subresource"].contains(&&*found);
                assert_eq!(served, documented, "{method} {template}: {found}");
                compared += usize::from(documented);
            }
        }
        assert!(compared > 700, "{compared}");
    }
}
