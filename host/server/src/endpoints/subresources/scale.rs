//! `scale`: how many replicas there are and shall be, as a `Scale` of `autoscaling/v1`, whatever the parent's kind.

use api::kinds::action::ScaleSelector;
use apimachinery::options::{GetOptions, WriteOptions, parse_resource_version};
use apimachinery::patch::{self, PatchType, Target};
use apimachinery::query::Query;
use apimachinery::selector::LabelSelector;
use apimachinery::validation::object_meta;
use apimachinery::{GroupKind, GroupResource, GroupVersionKind, Status, field, object};
use registry::{Registry, Subresource};
use serde_json::{Value, json};

use super::super::patch::patch_type;
use super::super::request_scope::RequestScope;
use super::super::view::View;
use super::super::{decode, write};
use crate::request::Authorized;
use crate::response::Response;

pub(crate) async fn serve(
    registry: &Registry,
    scope: &RequestScope,
    selector: ScaleSelector,
    request: Authorized,
) -> Result<Response, Status> {
    match &*request.info.verb {
        "get" => get(registry, scope, &Scale(selector), &request).await,
        "update" => update(registry, scope, &Scale(selector), request).await,
        "patch" => patch(registry, scope, &Scale(selector), request).await,
        _ => Err(decode::not_served_yet(scope)),
    }
}

/// What a `Scale` shows of its parent.
struct Scale(ScaleSelector);

impl Subresource for Scale {
    fn of(&self, parent: &Value) -> Result<Value, Status> {
        let mut metadata = json!({});
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = parent["metadata"].get(field) {
                metadata[field] = value.clone();
            }
        }
        let int = |place: &str| parent[place].get("replicas").and_then(Value::as_i64).unwrap_or(0);
        let mut scale = json!({
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": metadata,
            "spec": {},
            "status": { "replicas": int("status") },
        });
        if int("spec") != 0 {
            scale["spec"]["replicas"] = int("spec").into();
        }
        let selector = self.selector(parent)?;
        if !selector.is_empty() {
            scale["status"]["selector"] = selector.into();
        }
        Ok(scale)
    }

    fn put(&self, scale: &Value, parent: &mut Value) {
        parent["spec"]["replicas"] = scale["spec"].get("replicas").cloned().unwrap_or_else(|| 0.into());
    }
}

impl Scale {
    fn selector(&self, parent: &Value) -> Result<String, Status> {
        let selector = parent["spec"].get("selector");
        match self.0 {
            ScaleSelector::Expressions => {
                LabelSelector::from_object(selector).map(|selector| selector.to_string()).map_err(Status::unknown)
            }
            ScaleSelector::Labels => {
                let labels = selector.and_then(Value::as_object).into_iter().flatten();
                Ok(LabelSelector::from_set(labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))).to_string())
            }
        }
    }
}

/// The parent with what a `Scale` asks for.
fn changed(scope: &RequestScope, subresource: &Scale, scale: &Value, old: &Value) -> Result<Value, Status> {
    let (uid, found) = (object::uid(scale), object::uid(old));
    if !uid.is_empty() && uid != found {
        let gvr = &scope.requested.gvr;
        let resource = GroupResource { group: gvr.group.clone(), resource: format!("{}/scale", gvr.resource).into() };
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}");
        return Err(Status::conflict(&resource, &scope.name, &why));
    }
    let errors = validate(scale);
    if !errors.is_empty() {
        return Err(Status::invalid(&GroupKind::of("autoscaling", "Scale"), object::name(scale), &errors));
    }
    let mut parent = old.clone();
    subresource.put(scale, &mut parent);
    object::set_meta_str(&mut parent, "resourceVersion", object::resource_version(scale));
    Ok(parent)
}

fn validate(scale: &Value) -> Vec<field::Error> {
    let mut errors = object_meta::validate_object_meta(scale, true, object_meta::name_is_dns_subdomain, &field::Path::new("metadata"));
    let replicas = scale["spec"].get("replicas").and_then(Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        errors.push(field::Error::invalid(&field::Path::new("spec").child("replicas"), replicas, "must be greater than or equal to 0"));
    }
    errors
}

async fn get(registry: &Registry, scope: &RequestScope, subresource: &Scale, request: &Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, request)?;
    let options = GetOptions::from_query(&Query::parse(request.query()));
    let minimum = parse_resource_version(&options.resource_version).map_err(|error| Status::unknown(error.to_string()))?;
    let parent = registry.get(&scope.request(request, false, None), minimum).await?;
    shown(&view, subresource, 200, &parent.json())
}

async fn update(registry: &Registry, scope: &RequestScope, subresource: &Scale, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::update_from_query(&Query::parse(request.query()))?;
    let mut scale = decode::object(scope, &request, &body, media_type, &options)?;
    write::check_namespace(scope, &mut scale)?;
    write::check_name(scope, &mut scale)?;
    let change = |old: Option<&Value>| changed(scope, subresource, &scale, old.ok_or_else(Status::path_not_found)?);
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("UpdateOptions")));
    let written = registry.update_subresource(&asked, &change, subresource).await?;
    shown(&view, subresource, 200, &written.json)
}

async fn patch(registry: &Registry, scope: &RequestScope, subresource: &Scale, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let patch_type = patch_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::patch_from_query(&Query::parse(request.query()), patch_type == PatchType::Apply)?;
    if patch_type == PatchType::Apply {
        return Err(decode::unserved("server-side apply"));
    }
    let kind = scope.kind();
    let catalogue = &request.context().catalogue;
    let schema = catalogue.schema_of(kind).ok_or_else(|| decode::not_served_yet(scope))?;
    let validation = options.field_validation_directive();
    let change = |old: Option<&Value>| {
        let old = old.ok_or_else(Status::path_not_found)?;
        let target = Target { kind, schema: &schema, kinds: &|kind: &GroupVersionKind| catalogue.schema_of(kind) };
        let decoded = patch::apply(patch_type, &subresource.of(old)?, &body, target, validation)?;
        decoded.warnings().iter().for_each(|warning| request.warn(warning));
        let mut scale = decoded.value;
        write::check_name(scope, &mut scale)?;
        write::check_namespace(scope, &mut scale)?;
        changed(scope, subresource, &scale, old)
    };
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("PatchOptions")));
    let written = registry.update_subresource(&asked, &change, subresource).await?;
    shown(&view, subresource, 200, &written.json)
}

fn shown(view: &View, subresource: &Scale, code: u16, parent: &[u8]) -> Result<Response, Status> {
    let parent: Value =
        serde_json::from_slice(parent).map_err(|error| Status::internal(format!("the stored object cannot be read: {error}")))?;
    Ok(view.single(code, subresource.of(&parent)?.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn parents_are_shown_as_scales() {
        for (selector, parent, spec, status) in [
            (
                ScaleSelector::Expressions,
                json!({ "kind": "Deployment", "metadata": { "name": "d", "labels": { "a": "b" } }, "spec": { "replicas": 3, "selector":
                    { "matchLabels": { "app": "x" }, "matchExpressions": [{ "key": "b", "operator": "DoesNotExist" }] } },
                    "status": { "replicas": 2 } }),
                json!({ "replicas": 3 }),
                json!({ "replicas": 2, "selector": "app=x,!b" }),
            ),
            (
                ScaleSelector::Labels,
                json!({ "kind": "ReplicationController", "metadata": { "name": "d" }, "spec": { "replicas": 0, "selector": { "a": "b" } } }),
                json!({}),
                json!({ "replicas": 0, "selector": "a=b" }),
            ),
        ] {
            let scale = Scale(selector).of(&parent).expect("a valid selector");
            assert_eq!((&scale["spec"], &scale["status"]), (&spec, &status), "{parent}");
            assert_eq!(text(&scale["metadata"], "name"), "d");
            assert!(scale["metadata"].get("labels").is_none());
        }
    }

    #[test]
    fn replicas_are_not_negative() {
        let scale = |replicas: i64| json!({ "metadata": { "name": "d", "namespace": "n" }, "spec": { "replicas": replicas } });
        assert_eq!(validate(&scale(0)), []);
        assert_eq!(validate(&scale(-1))[0].to_string(), "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
    }
}
