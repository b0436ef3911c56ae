//! Subresources whose kind is not their parent's: each is an action or a view of its own. Those that take the parent's kind
//! (`status`, `finalize`, `approval`, `resize`, …) are ordinary updates, and nothing of them is here. Which kind has which action stands in
//! the kind's row (`api::kinds::action`).

pub(crate) mod binding;
pub(crate) mod connect;
pub(crate) mod eviction;
pub(crate) mod scale;
pub(crate) mod token;

use apimachinery::Status;
use apimachinery::options::WriteOptions;
use apimachinery::query::Query;
use apimachinery::time::Time;
use registry::{Registry, Request};
use serde_json::{Value, json};

use super::request_scope::RequestScope;
use super::view::View;
use super::{decode, write};
use crate::request::Authorized;
use crate::response::{self, Response};

/// The body of a `POST`, decoded, and what the registry is told of it.
struct Posted {
    view: View,
    options: WriteOptions,
    object: Value,
    asked: Request,
}

impl Posted {
    async fn read(scope: &RequestScope, request: &mut Authorized) -> Result<Self, Status> {
        let view = View::of_object(scope, request)?;
        let media_type = decode::media_type(request)?;
        let body = request.read_body().await?;
        let options = WriteOptions::create_from_query(&Query::parse(request.query()))?;
        let mut object = decode::object(scope, request, &body, media_type, &options)?;
        write::check_namespace(scope, &mut object)?;
        let asked = scope.request(request, options.is_dry_run(), Some(options.to_json("CreateOptions")));
        Ok(Self { view, options, object, asked })
    }

    /// Lets admission change the object.
    async fn mutate(&mut self, registry: &Registry) -> Result<(), Status> {
        registry.mutate(&self.asked, &mut self.object).await
    }

    /// Lets admission judge the object.
    async fn validate(&self, registry: &Registry) -> Result<(), Status> {
        registry.validate(&self.asked, &self.object).await
    }

    /// The answer to an action that has no object: 201 and a `Status`.
    fn done(&self, status: &Status) -> Response {
        let mut shown = status.to_json();
        if status.code == 0 {
            shown["code"] = 201.into();
        }
        response::json(&self.view.output, 201, &shown)
    }
}

/// `Success`, and nothing else.
fn success() -> Status {
    Status { details: None, ..Status::success(Default::default()) }
}

/// A request of the same user about another resource of the same version of the store.
fn about(request: &Request, (group, version, plural): (&str, &str, &str), namespace: &str, name: &str, verb: &str) -> Request {
    let resource = request.context.catalogue.find(group, version, plural).expect("a built-in resource").clone();
    Request {
        requested: resource.clone(),
        resource,
        subresource: String::new(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        verb: verb.to_owned(),
        options: None,
        ..request.clone()
    }
}

const PODS: (&str, &str, &str) = ("", "v1", "pods");

/// One object of another resource; 404 in its own words where it is not there.
async fn fetch(registry: &Registry, request: &Request, resource: (&str, &str, &str), namespace: &str, name: &str) -> Result<Value, Status> {
    let object = registry.get(&about(request, resource, namespace, name, "get"), None).await?;
    serde_json::from_slice(&object.json()).map_err(|error| Status::internal(format!("the stored object cannot be read: {error}")))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings(value: &Value, name: &str) -> Vec<String> {
    list(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn timestamp(seconds: i64) -> String {
    Time::from_unix(seconds, 0).rfc3339()
}

/// Sets a condition of a pod to true. The time of the transition is kept where it was true already.
fn set_pod_condition(pod: &mut Value, kind: &str, reason: &str, message: &str, now: &str) {
    let mut condition = json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": now });
    for (name, value) in [("reason", reason), ("message", message)] {
        if !value.is_empty() {
            condition[name] = value.into();
        }
    }
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    match conditions.iter_mut().find(|old| old["type"] == kind) {
        Some(old) => {
            if old["status"] == "True" {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_while_it_holds() {
        let mut pod = json!({ "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "lastTransitionTime": "then" }] } });
        set_pod_condition(&mut pod, "PodScheduled", "", "", "now");
        set_pod_condition(&mut pod, "PodScheduled", "", "", "later");
        set_pod_condition(&mut pod, "DisruptionTarget", "R", "m", "later");
        assert_eq!(
            pod["status"]["conditions"],
            json!([
                { "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": "now" },
                { "type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "lastTransitionTime": "later", "reason": "R",
                  "message": "m" },
            ])
        );
    }
}
