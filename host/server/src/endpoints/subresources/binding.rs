//! `pods/binding`: a scheduler gives a pod its node. `bindings` is its older form.

use apimachinery::{GroupResource, Status, field, object};
use registry::{Registry, Request};
use serde_json::{Map, Value};

use super::super::request_scope::RequestScope;
use super::super::route::Target;
use super::{PODS, Posted, about, fetch, list, set_pod_condition, success, text, timestamp};
use crate::request::Authorized;
use crate::response::Response;

const NODES: (&str, &str, &str) = ("", "v1", "nodes");
/// Labels of a node that its pods get, so that they know where they run (upstream's admission `PodTopologyLabels`).
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub(crate) async fn create(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let mut posted = Posted::read(scope, &mut request).await?;
    if scope.target == Target::Subresource {
        add_topology(registry, &mut posted).await?;
    }
    posted.mutate(registry).await?;
    if scope.target == Target::Subresource && object::name(&posted.object) != scope.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let errors = validate(&posted.object);
    if !errors.is_empty() {
        return Err(Status::unknown(field::aggregate(&errors)));
    }
    posted.validate(registry).await?;
    let binding = &posted.object;
    let pod = about(&posted.asked, PODS, &scope.namespace, object::name(binding), "update");
    let key = registry.caches().store_key(&pod.resource, &pod.key());
    registry.modify(&pod, &|pod_now: Option<&Value>| assigned(&pod, &key, binding, pod_now.ok_or_else(Status::path_not_found)?)).await?;
    Ok(posted.done(&success()))
}

async fn add_topology(registry: &Registry, posted: &mut Posted) -> Result<(), Status> {
    let target = &posted.object["target"];
    let node = match fetch(registry, &posted.asked, NODES, "", text(target, "name")).await {
        Ok(node) if matches!(text(target, "kind"), "" | "Node") => node,
        // A node that is not there yet has no labels.
        Ok(_) => return Ok(()),
        Err(status) if status.code == 404 => return Ok(()),
        Err(status) => return Err(status),
    };
    for (key, value) in object::labels(&node).filter(|(key, _)| TOPOLOGY.contains(key)) {
        let labels = object::metadata_mut(&mut posted.object).entry("labels").or_insert_with(|| Map::new().into());
        labels[key] = value.into();
    }
    Ok(())
}

fn validate(binding: &Value) -> Vec<field::Error> {
    let path = field::Path::new("target");
    let target = &binding["target"];
    let mut errors = Vec::new();
    if !matches!(text(target, "kind"), "" | "Node") {
        errors.push(field::Error::not_supported(&path.child("kind"), text(target, "kind"), &["Node", "<empty>"]));
    }
    if text(target, "name").is_empty() {
        errors.push(field::Error::required(&path.child("name"), ""));
    }
    errors
}

/// The pod on its node, or why it cannot be.
fn assigned(request: &Request, key: &str, binding: &Value, pod: &Value) -> Result<Value, Status> {
    for (what, asked, found) in [
        ("UID", object::uid(binding), object::uid(pod)),
        ("ResourceVersion", object::resource_version(binding), object::resource_version(pod)),
    ] {
        if !asked.is_empty() && asked != found {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {what} in \
                 precondition: {asked}, {what} in object meta: {found}"
            );
            return Err(Status::conflict(&GroupResource::of("", "pods"), &request.name, &why));
        }
    }
    let name = object::name(pod);
    let node = text(&pod["spec"], "nodeName");
    let refused = if object::is_being_deleted(pod) {
        Some(format!("pod {name} is being deleted, cannot be assigned to a host"))
    } else if !node.is_empty() {
        Some(format!("pod {name} is already assigned to node {}", field::go_quote(node)))
    } else if !list(&pod["spec"], "schedulingGates").is_empty() {
        Some(format!("pod {name} has non-empty .spec.schedulingGates"))
    } else {
        None
    };
    if let Some(why) = refused {
        return Err(Status::conflict(&GroupResource::of("", "pods/binding"), &request.name, &why));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = binding["target"]["name"].clone();
    for field in ["annotations", "labels"] {
        let given = binding["metadata"].get(field).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in given {
            let all = object::metadata_mut(&mut pod).entry(field).or_insert_with(|| Map::new().into());
            all[key.as_str()] = value.clone();
        }
    }
    set_pod_condition(&mut pod, "PodScheduled", "", "", &timestamp(request.context.now_seconds()));
    if let Some(status) = pod["status"].as_object_mut() {
        // It was a hint for where it is now.
        status.remove("nominatedNodeName");
    }
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use admission::{EmptyChain, RequestContext};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let resource = api::Catalogue::built_in().find("", "v1", "pods").expect("there are pods").clone();
        let request = Request {
            requested: resource.clone(),
            resource,
            subresource: String::new(),
            namespace: "n".into(),
            name: "p".into(),
            verb: "update".into(),
            dry_run: false,
            options: None,
            context: Arc::new(RequestContext::new(Arc::new(EmptyChain), Arc::default(), UNIX_EPOCH)),
        };
        let binding = json!({ "metadata": { "name": "p", "labels": { "a": "b" } }, "target": { "name": "node-a" } });
        let pod = json!({ "metadata": { "name": "p" }, "spec": {}, "status": { "nominatedNodeName": "x" } });
        let bound = assigned(&request, "k", &binding, &pod).expect("it is free");
        assert_eq!(bound["spec"]["nodeName"], "node-a");
        assert_eq!(bound["metadata"]["labels"], json!({ "a": "b" }));
        assert!(bound["status"].get("nominatedNodeName").is_none());
        let words = "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"node-a\"";
        assert_eq!(assigned(&request, "k", &binding, &bound).expect_err("it is taken").message, words);
    }
}
