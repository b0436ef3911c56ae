//! What a request is about, read from its method, path and query alone (`k8s.io/apiserver/pkg/endpoints/request`).
//!
//! Stage 2 of the road of a request: authorization, priority and audit all speak of it, so it must be exactly upstream's,
//! whether or not anything serves the path.

use crate::group_version::{GroupResource, GroupVersion, GroupVersionResource, Text};
use crate::options::ListOptions;
use crate::query::{self, Query};
use crate::validation::name::is_path_segment_name;

/// A parsed request line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether it is about a resource or subresource of the API.
    pub is_resource_request: bool,
    /// The path, decoded.
    pub path: String,
    /// The Kubernetes verb (`get`, `list`, `watch`, …); for paths that are no resource the method in lower case.
    pub verb: Text,
    /// `api` or `apis`.
    pub api_prefix: String,
    /// Empty for the core group.
    pub api_group: String,
    /// `v1`.
    pub api_version: String,
    /// Empty for cluster-scoped resources, and for all namespaces.
    pub namespace: String,
    /// `pods`.
    pub resource: String,
    /// `status`.
    pub subresource: String,
    /// Empty where the request line names none.
    pub name: String,
    /// The path from the resource on: `pods`, `x`, `proxy`, `metrics`.
    pub parts: Vec<String>,
    /// The path names the verb in front of the resource (`/api/v1/watch/…`), as was usual before `watch=true`.
    pub verb_in_path: bool,
    /// The path has a `namespaces/<name>/` in front of the resource. Not so in `namespaces/<name>` itself, whose resource it is.
    pub namespace_in_path: bool,
    /// The field selector as it was sent, for the verbs that honour one.
    pub field_selector: String,
    /// The label selector as it was sent, for the verbs that honour one.
    pub label_selector: String,
}

/// A request line that nothing can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestInfoError {
    /// 400: a malformed `%` escape.
    #[error("invalid URL escape in the path")]
    BadEscape,
    /// 500, as upstream answers it: `/api/v1/watch` and nothing behind it.
    #[error("failed to create RequestInfo: unable to determine kind and namespace from url, {0}")]
    NoKind(String),
}

const LONG_RUNNING_SUBRESOURCES: [&str; 5] = ["attach", "exec", "proxy", "log", "portforward"];

impl RequestInfo {
    /// Reads the request line; `raw_path` and `raw_query` as they were sent.
    pub fn parse(method: &str, raw_path: &str, raw_query: Option<&str>) -> Result<Self, RequestInfoError> {
        let path = query::unescape(raw_path, false).ok_or(RequestInfoError::BadEscape)?;
        let mut info = Self { verb: method.to_ascii_lowercase().into(), ..Self::default() };
        let found = info.read(method, &path, raw_path, raw_query);
        info.path = path;
        found.map(|()| info)
    }

    fn read(&mut self, method: &str, path: &str, raw_path: &str, raw_query: Option<&str>) -> Result<(), RequestInfoError> {
        let path = path.trim_matches('/');
        let all: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        let mut parts = match all.as_slice() {
            [prefix @ "api", rest @ ..] if rest.len() >= 2 => {
                self.api_prefix = (*prefix).to_owned();
                rest
            }
            [prefix @ "apis", rest @ ..] if rest.len() >= 2 => {
                self.api_prefix = (*prefix).to_owned();
                if rest.len() < 3 {
                    return Ok(());
                }
                self.api_group = rest[0].to_owned();
                &rest[1..]
            }
            _ => return Ok(()),
        };
        self.is_resource_request = true;
        self.api_version = parts[0].to_owned();
        parts = &parts[1..];

        self.verb_in_path = matches!(parts[0], "proxy" | "watch");
        if self.verb_in_path {
            if parts.len() < 2 {
                let query = raw_query.map(|query| format!("?{query}")).unwrap_or_default();
                return Err(RequestInfoError::NoKind(format!("{raw_path}{query}")));
            }
            self.verb = parts[0].to_owned().into();
            parts = &parts[1..];
        } else {
            self.verb = Text::Borrowed(match method {
                "POST" => "create",
                "GET" | "HEAD" => "get",
                "PUT" => "update",
                "PATCH" => "patch",
                "DELETE" => "delete",
                _ => "",
            });
        }

        if parts[0] == "namespaces" && parts.len() > 1 {
            self.namespace = parts[1].to_owned();
            // A namespace's own subresources are told apart from the resources in it by name.
            if parts.len() > 2 && !matches!(parts[2], "status" | "finalize") {
                self.namespace_in_path = true;
                parts = &parts[2..];
            }
        }
        self.parts = parts.iter().map(|&part| part.to_owned()).collect();
        self.resource = parts[0].to_owned();
        self.name = parts.get(1).copied().unwrap_or_default().to_owned();
        if self.verb != "proxy" {
            self.subresource = parts.get(2).copied().unwrap_or_default().to_owned();
        }

        if self.name.is_empty() && self.verb == "get" {
            self.read_list(&Query::parse(raw_query.unwrap_or_default()));
        }
        if self.name.is_empty() && self.verb == "delete" {
            self.verb = Text::Borrowed("deletecollection");
        }
        if !self.verb_in_path && matches!(&*self.verb, "list" | "watch" | "deletecollection") {
            let query = Query::parse(raw_query.unwrap_or_default());
            self.field_selector = query.get("fieldSelector").unwrap_or_default().to_owned();
            self.label_selector = query.get("labelSelector").unwrap_or_default().to_owned();
        }
        Ok(())
    }

    /// A get without a name is a list or a watch; one that asks for a single name by field selector names it.
    fn read_list(&mut self, query: &Query) {
        let watch = match ListOptions::decode(query) {
            Ok(options) => {
                let name = options.field_selector.requires_exact_match("metadata.name");
                if let Some(name) = name.filter(|name| is_path_segment_name(name).is_empty()) {
                    self.name = name.to_owned();
                }
                options.watch
            }
            // What cannot be read is refused later; until then it is a list, or the watch that it says it is.
            Err(_) => query.get("watch").is_some_and(|value| !matches!(value.to_lowercase().as_str(), "false" | "0")),
        };
        self.verb = Text::Borrowed(if watch { "watch" } else { "list" });
    }

    /// Whether it may take longer than the request timeout, and takes no seat of its own for that long.
    pub fn is_long_running(&self) -> bool {
        matches!(&*self.verb, "watch" | "proxy")
            || (self.is_resource_request && LONG_RUNNING_SUBRESOURCES.contains(&self.subresource.as_str()))
            || (!self.is_resource_request && self.path.starts_with("/debug/pprof/"))
    }

    /// `apps/v1`.
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(self.api_group.clone(), self.api_version.clone())
    }

    /// `deployments.apps`.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.api_group.clone(), self.resource.clone())
    }

    /// `apps/v1, Resource=deployments`.
    pub fn group_version_resource(&self) -> GroupVersionResource {
        GroupVersionResource::new(self.api_group.clone(), self.api_version.clone(), self.resource.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, target, then: verb, group/version, namespace, resource, subresource, name; `-` where it is no resource.
    const ROWS: &[(&str, &str, &str)] = &[
        ("GET", "/api/v1/namespaces", "list /v1 ns= namespaces// "),
        ("GET", "/api/v1/namespaces/other", "get /v1 ns=other namespaces//other"),
        ("GET", "/api/v1/namespaces/other/pods", "list /v1 ns=other pods//"),
        ("GET", "/api/v1/namespaces/other/pods/foo", "get /v1 ns=other pods//foo"),
        ("HEAD", "/api/v1/namespaces/other/pods/foo", "get /v1 ns=other pods//foo"),
        ("GET", "/api/v1/pods", "list /v1 ns= pods//"),
        ("HEAD", "/api/v1/pods", "list /v1 ns= pods//"),
        ("GET", "/api/v1/namespaces/other/pods/foo/status", "get /v1 ns=other pods/status/foo"),
        ("PUT", "/api/v1/namespaces/other/finalize", "update /v1 ns=other namespaces/finalize/other"),
        ("GET", "/api/v1/namespaces/other/status", "get /v1 ns=other namespaces/status/other"),
        ("POST", "/api/v1/namespaces/other/pods", "create /v1 ns=other pods//"),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/scale", "patch apps/v1 ns=n deployments/scale/d"),
        ("DELETE", "/api/v1/namespaces/other/pods", "deletecollection /v1 ns=other pods//"),
        ("DELETE", "/api/v1/namespaces/other/pods/x", "delete /v1 ns=other pods//x"),
        ("GET", "/api/v1/watch/pods", "watch /v1 ns= pods//"),
        ("GET", "/api/v1/watch/namespaces/other/pods", "watch /v1 ns=other pods//"),
        ("GET", "/api/v1/pods?watch=true", "watch /v1 ns= pods//"),
        ("GET", "/api/v1/pods?watch=false", "list /v1 ns= pods//"),
        ("GET", "/api/v1/pods?watch", "watch /v1 ns= pods//"),
        ("GET", "/api/v1/pods?watch=1&limit=x", "watch /v1 ns= pods//"),
        ("GET", "/api/v1/pods?watch=0&limit=x", "list /v1 ns= pods//"),
        ("GET", "/api/v1/proxy/namespaces/other/pods/foo/bar", "proxy /v1 ns=other pods//foo"),
        ("GET", "/api/v1/namespaces/other/pods/foo/proxy/bar", "get /v1 ns=other pods/proxy/foo"),
        ("GET", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dx", "list /v1 ns=n pods//x"),
        ("GET", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dx&watch=1", "watch /v1 ns=n pods//x"),
        ("GET", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3D..", "list /v1 ns=n pods//"),
        ("DELETE", "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dx", "deletecollection /v1 ns=n pods//"),
        ("OPTIONS", "/api/v1/pods", " /v1 ns= pods//"),
        ("GET", "/", "-"),
        ("GET", "/api", "-"),
        ("GET", "/api/v1", "-"),
        ("GET", "/apis/apps/v1", "-"),
        ("GET", "/apis/apps", "-"),
        ("GET", "/healthz", "-"),
        ("GET", "/foo/bar/baz/qux", "-"),
        ("GET", "/api/v1/namespaces/n/config%6Daps/a%2Fb", "get /v1 ns=n configmaps/b/a"),
    ];

    #[test]
    fn requests_are_read_as_upstream_reads_them() {
        for (method, target, want) in ROWS {
            let (path, query) = target.split_once('?').map_or((*target, None), |(path, query)| (path, Some(query)));
            let i = RequestInfo::parse(method, path, query).expect(target);
            let got = match i.is_resource_request {
                false => "-".to_owned(),
                true => {
                    let (verb, group, version) = (&i.verb, &i.api_group, &i.api_version);
                    format!("{verb} {group}/{version} ns={} {}/{}/{}", i.namespace, i.resource, i.subresource, i.name)
                }
            };
            assert_eq!(got, want.trim_end(), "{method} {target}");
        }
    }

    #[test]
    fn what_stands_in_front_of_the_resource_is_told() {
        for (path, verb, namespace) in [
            ("/api/v1/namespaces/n", false, false),
            ("/api/v1/namespaces/n/status", false, false),
            ("/api/v1/namespaces/n/namespaces", false, true),
            ("/api/v1/namespaces/n/namespaces/n", false, true),
            ("/api/v1/namespaces//pods", false, true),
            ("/api/v1/pods", false, false),
            ("/api/v1/watch/pods", true, false),
            ("/api/v1/watch/namespaces/n", true, false),
            ("/api/v1/watch/namespaces/n/pods", true, true),
        ] {
            let info = RequestInfo::parse("GET", path, None).expect(path);
            assert_eq!((info.verb_in_path, info.namespace_in_path), (verb, namespace), "{path}");
        }
    }

    #[test]
    fn paths_that_are_no_resource_keep_the_method() {
        let info = RequestInfo::parse("GET", "/version", None).expect("a path");
        assert_eq!((&*info.verb, info.path.as_str(), info.is_long_running()), ("get", "/version", false));
    }

    #[test]
    fn malformed_request_lines_are_refused() {
        assert_eq!(RequestInfo::parse("GET", "/api/v1/x%2", None), Err(RequestInfoError::BadEscape));
        let error = RequestInfo::parse("GET", "/api/v1/watch", Some("a=b")).expect_err("nothing to watch");
        assert_eq!(error.to_string(), "failed to create RequestInfo: unable to determine kind and namespace from url, /api/v1/watch?a=b");
    }

    #[test]
    fn long_running_requests() {
        let rows = [
            ("/api/v1/pods?watch=1", true),
            ("/api/v1/watch/pods", true),
            ("/api/v1/namespaces/n/pods/p/log", true),
            ("/api/v1/namespaces/n/pods/p/exec", true),
            ("/api/v1/namespaces/n/pods/p/status", false),
            ("/api/v1/pods", false),
            ("/debug/pprof/heap", true),
        ];
        for (target, want) in rows {
            let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
            assert_eq!(RequestInfo::parse("GET", path, query).expect(target).is_long_running(), want, "{target}");
        }
    }

    #[test]
    fn selectors_are_kept_as_sent() {
        let i = RequestInfo::parse("GET", "/api/v1/pods", Some("labelSelector=a+b&fieldSelector=x%3Dy")).expect("a list");
        assert_eq!((i.label_selector.as_str(), i.field_selector.as_str()), ("a b", "x=y"));
        let i = RequestInfo::parse("GET", "/api/v1/watch/pods", Some("labelSelector=a")).expect("a watch");
        assert_eq!(i.label_selector, "");
        let i = RequestInfo::parse("GET", "/api/v1/namespaces/n/pods/x", Some("labelSelector=a")).expect("a get");
        assert_eq!(i.label_selector, "");
    }
}
