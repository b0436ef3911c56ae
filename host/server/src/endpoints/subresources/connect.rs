//! What goes on to a node, a pod or a service: `log`, `exec`, `attach`, `portforward`, `proxy`. Whom to go on to is found out
//! as upstream does, with its answers where that fails; the way there is not built yet.

use api::kinds::action::Connection;
use apimachinery::query::Query;
use apimachinery::request_info::RequestInfo;
use apimachinery::{GroupKind, GroupResource, Status, field};
use registry::{ListRequest, ListRevision, Registry, Request};
use serde_json::Value;

use super::super::decode;
use super::super::request_scope::RequestScope;
use super::{PODS, about, fetch, list, text};
use crate::body::Body;
use crate::request::Authorized;
use crate::response::Response;

const NODES: (&str, &str, &str) = ("", "v1", "nodes");
const SERVICES: (&str, &str, &str) = ("", "v1", "services");
const SLICES: (&str, &str, &str) = ("discovery.k8s.io", "v1", "endpointslices");

/// Goes on to where the kind's row says.
pub(crate) async fn serve(
    registry: &Registry,
    scope: &RequestScope,
    connection: Connection,
    request: &Authorized,
) -> Result<Response, Status> {
    let asked = scope.request(request, false, None);
    let query = Query::parse(request.query());
    let options = admitted(registry, scope, request, &asked, &query).await?;
    match connection {
        Connection::PodProxy => pod_proxy(registry, scope, &asked).await,
        Connection::Container => stream(registry, scope, &asked, &options, true).await,
        Connection::PodPorts => stream(registry, scope, &asked, &options, false).await,
        Connection::ServiceProxy => service_proxy(registry, scope, &asked).await,
        Connection::NodeProxy => {
            fetch(registry, &asked, NODES, "", target(&scope.name)?.1).await?;
            Err(decode::not_served_yet(scope))
        }
    }
}

/// The options of the connection, as admission leaves them.
async fn admitted(
    registry: &Registry,
    scope: &RequestScope,
    request: &Authorized,
    asked: &Request,
    query: &Query,
) -> Result<Value, Status> {
    if query.get("dryRun").is_some() {
        return Err(Status::bad_request("dryRun is not supported"));
    }
    let mut options = api::connect::options_of(scope.kind(), query, &path_behind(&request.info)).map_err(Status::bad_request)?;
    registry.admit_connection(asked, &mut options).await?;
    Ok(options)
}

/// What follows `proxy` in the path, with its slashes.
fn path_behind(info: &RequestInfo) -> String {
    let mut path = info.parts.get(3..).unwrap_or_default().join("/");
    if !path.is_empty() && !path.starts_with('/') {
        path.insert(0, '/');
    }
    if info.path.ends_with('/') && !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// What a container has written. It is read, and connects nothing.
pub(crate) async fn log(registry: &Registry, scope: &RequestScope, request: &Authorized) -> Result<Response, Status> {
    let (asked, query) = (&scope.request(request, false, None), &Query::parse(request.query()));
    let errors = validate_log_options(query);
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::of("", "PodLogOptions"), &scope.name, &errors));
    }
    let pod = fetch(registry, asked, PODS, &scope.namespace, &scope.name).await?;
    check_container(&pod, &scope.name, query.get("container").unwrap_or_default())?;
    match text(&pod["spec"], "nodeName") {
        // It has not run, and has said nothing.
        "" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::NO_CONTENT;
            Ok(response)
        }
        node => {
            fetch(registry, asked, NODES, "", node).await?;
            Err(decode::not_served_yet(scope))
        }
    }
}

fn validate_log_options(query: &Query) -> Vec<field::Error> {
    let int = |name: &str| query.get(name).and_then(|text| text.parse::<i64>().ok());
    let mut errors = Vec::new();
    let mut check = |name: &str, min: i64, words: &str| {
        if let Some(value) = int(name).filter(|value| *value < min) {
            errors.push(field::Error::invalid(&field::Path::new(name), value, words));
        }
    };
    check("tailLines", 0, "must be greater than or equal to 0");
    check("limitBytes", 1, "must be greater than 0");
    if query.get("sinceSeconds").is_some() && query.get("sinceTime").is_some() {
        let words = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(field::Error::forbidden(&field::Path::default(), words));
    } else if let Some(seconds) = int("sinceSeconds").filter(|seconds| *seconds < 1) {
        errors.push(field::Error::invalid(&field::Path::new("sinceSeconds"), seconds, "must be greater than 0"));
    }
    errors
}

/// A container must be named where there are several, and must be one of the pod's.
fn check_container(pod: &Value, name: &str, container: &str) -> Result<(), Status> {
    let spec = &pod["spec"];
    let names = |which: &str| -> Vec<&str> { list(spec, which).iter().map(|container| text(container, "name")).collect() };
    let containers = names("containers");
    if !container.is_empty() {
        let known = ["containers", "initContainers", "ephemeralContainers"].iter().any(|which| names(which).contains(&container));
        return if known { Ok(()) } else { Err(Status::bad_request(format!("container {container} is not valid for pod {name}"))) };
    }
    let words = match containers.as_slice() {
        [_] => return Ok(()),
        [] => format!("a container name must be specified for pod {name}"),
        several => {
            let mut words = format!("a container name must be specified for pod {name}, choose one of: [{}]", several.join(" "));
            let init = names("initContainers");
            if !init.is_empty() {
                words.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            words
        }
    };
    Err(Status::bad_request(words))
}

async fn stream(
    registry: &Registry,
    scope: &RequestScope,
    asked: &Request,
    options: &Value,
    of_container: bool,
) -> Result<Response, Status> {
    let pod = fetch(registry, asked, PODS, &scope.namespace, &scope.name).await?;
    if of_container {
        check_container(&pod, &scope.name, text(options, "container"))?;
    }
    match text(&pod["spec"], "nodeName") {
        "" => Err(Status::bad_request(format!("pod {} does not have a host assigned", scope.name))),
        node => {
            fetch(registry, asked, NODES, "", node).await?;
            Err(decode::not_served_yet(scope))
        }
    }
}

/// `https:web:443` as scheme, name and port, each of which but the name may be missing.
fn target(text: &str) -> Result<(&str, &str, &str), Status> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] => Ok(("", *name, "")),
        [name, port] => Ok(("", *name, *port)),
        [scheme @ ("" | "http" | "https"), name, port] => Ok((*scheme, *name, *port)),
        _ => Err(text),
    }
    .and_then(|found: (&str, &str, &str)| if found.1.is_empty() { Err(text) } else { Ok(found) })
    .map_err(|text| Status::bad_request(format!("invalid request {}", field::go_quote(text))))
}

async fn pod_proxy(registry: &Registry, scope: &RequestScope, asked: &Request) -> Result<Response, Status> {
    let (_, name, _) =
        target(&scope.name).map_err(|_| Status::bad_request(format!("invalid pod request {}", field::go_quote(&scope.name))))?;
    let pod = fetch(registry, asked, PODS, &scope.namespace, name).await?;
    let ip = text(&pod["status"], "podIP").parse::<std::net::IpAddr>().ok();
    let reachable = ip.is_some_and(|ip| !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !is_link_local(ip));
    if !reachable {
        return Err(Status::bad_request("address not allowed"));
    }
    Err(decode::not_served_yet(scope))
}

fn is_link_local(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

async fn service_proxy(registry: &Registry, scope: &RequestScope, asked: &Request) -> Result<Response, Status> {
    let (_, name, port) =
        target(&scope.name).map_err(|_| Status::bad_request(format!("invalid service request {}", field::go_quote(&scope.name))))?;
    let service = fetch(registry, asked, SERVICES, &scope.namespace, name).await?;
    if !port.is_empty() {
        let ports = list(&service["spec"], "ports");
        let known =
            ports.iter().any(|p| text(p, "name") == port || p.get("port").and_then(Value::as_i64).is_some_and(|p| p.to_string() == port));
        if !known {
            let words = format!("no service port {} found for service {}", field::go_quote(port), field::go_quote(name));
            return Err(Status::service_unavailable(words));
        }
    }
    let request = about(asked, SLICES, &scope.namespace, "", "list");
    let wanted = ListRequest::all(
        cacher::Predicate { namespace: Some(scope.namespace.as_str().into()), ..Default::default() },
        ListRevision::NotOlderThan(0),
    );
    let found = registry.list(&request, &wanted).await?;
    let slices = found.objects.iter().filter_map(|slice| serde_json::from_slice::<Value>(&slice.json()).ok());
    let slices: Vec<Value> = slices.filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name).collect();
    if slices.is_empty() {
        return Err(Status::not_found(&GroupResource::of("", "services"), name));
    }
    let ready = |slice: &Value| list(slice, "endpoints").iter().any(|endpoint| endpoint["conditions"]["ready"] != false);
    if !slices.iter().any(ready) {
        return Err(Status::service_unavailable(format!("no endpoints available for service {}", field::go_quote(&scope.name))));
    }
    Err(decode::not_served_yet(scope))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_are_named_where_there_are_several() {
        let pod = |containers: &[&str], init: &[&str]| {
            let named = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
            json!({ "spec": { "containers": named(containers), "initContainers": named(init) } })
        };
        for (pod, container, words) in [
            (pod(&["a"], &[]), "", None),
            (pod(&["a", "b"], &["i"]), "i", None),
            (pod(&["a"], &[]), "z", Some("container z is not valid for pod p")),
            (pod(&["a", "b"], &[]), "", Some("a container name must be specified for pod p, choose one of: [a b]")),
            (
                pod(&["a", "b"], &["i"]),
                "",
                Some("a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"),
            ),
        ] {
            assert_eq!(check_container(&pod, "p", container).err().map(|status| status.message).as_deref(), words, "{pod} {container}");
        }
    }

    #[test]
    fn targets() {
        for (text, want) in [
            ("web", Some(("", "web", ""))),
            ("web:80", Some(("", "web", "80"))),
            ("https:web:", Some(("https", "web", ""))),
            ("ftp:web:80", None),
            (":", None),
            ("a:b:c:d", None),
        ] {
            assert_eq!(target(text).ok(), want, "{text}");
        }
    }
}
