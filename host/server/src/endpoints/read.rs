//! Get and list.

use apimachinery::Status;
use apimachinery::options::{GetOptions, ListOptions, parse_resource_version};
use apimachinery::query::Query;
use apimachinery::selector::{FieldSelector, LabelSelector};
use cacher::{Object, Predicate};
use registry::{ListRequest, Registry};

use super::conversion::ToRequested;
use super::decode;
use super::request_scope::RequestScope;
use super::route::Target;
use super::view::View;
use crate::request::Authorized;
use crate::response::Response;

/// `GET` of one object.
pub(crate) async fn get(registry: &Registry, scope: &RequestScope, request: &Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, request)?;
    let options = GetOptions::from_query(&Query::parse(request.query()));
    let minimum = parse_resource_version(&options.resource_version).map_err(|error| decode::unclassified(500, error.to_string()))?;
    let object = registry.get(&scope.request(request, false, None), minimum).await?;
    if !view.is_sent_as_stored() {
        request.load.add(object.json().len()).await;
    }
    Ok(view.cached(200, &ToRequested::of(scope).object(object).await?))
}

/// What a byte of a list's query weighs as work: it may be compared with thousands of objects.
const SELECTOR_WEIGHT: usize = 16;

/// `GET` of a collection.
pub(crate) async fn list(registry: &Registry, scope: &RequestScope, request: &Authorized) -> Result<Response, Status> {
    let view = View::of_list(scope, request)?;
    let options = ListOptions::from_query(&Query::parse(request.query()))?;
    let asked = scope.request(request, false, None);
    let list = ListRequest::asked(&asked, &options, predicate(scope, &options)?)?;
    // A long selector is compared with every object.
    request.load.add(request.query().len().saturating_mul(SELECTOR_WEIGHT)).await;
    let mut found = registry.list(&asked, &list).await?;
    if !view.is_sent_as_stored() {
        request.load.add(found.objects.iter().map(|object| object.json().len()).sum()).await;
    }
    let objects = ToRequested::of(scope).objects(std::mem::take(&mut found.objects)).await?;
    Ok(view.list(200, &found, &objects))
}

/// What is selected, after the resource has looked at the fields.
pub(crate) fn predicate(scope: &RequestScope, options: &ListOptions) -> Result<Predicate, Status> {
    let fields = known_fields(scope, options.field_selector.clone())?;
    let stored = |field: &str, value: &str| Ok((api::selectable::stored_field(&scope.requested, field).to_owned(), value.to_owned()));
    let fields = fields.transform(stored).map_err(|error: std::convert::Infallible| match error {})?;
    let labels = options.label_selector.clone();
    let namespace = match scope.target {
        Target::AllNamespaces => fields.requires_exact_match("metadata.namespace").map(Box::from),
        _ if scope.resource.namespaced() => Some(scope.namespace.as_str().into()),
        _ => None,
    };
    let selected = fields.requires_exact_match("metadata.name");
    // A request with a name, by its path or by its selector, was authorized for that one object.
    if !scope.name.is_empty() && !fields.is_everything() && selected != Some(scope.name.as_str()) {
        return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
    }
    let name = Some(scope.name.as_str()).filter(|name| !name.is_empty()).or(selected).map(Box::from);
    let indexed = api::kinds::strategy(&scope.resource).indexed_field().and_then(|field| fields.requires_exact_match(field));
    let indexed = indexed.filter(|value| !value.is_empty()).map(Box::from);
    let selective = !labels.is_everything() || !fields.is_everything();
    let selectable = &scope.resource.selectable_fields;
    let matcher = selective.then(|| {
        let selectable: Vec<String> = selectable.iter().map(|field| field.to_string()).collect();
        std::sync::Arc::new(move |object: &Object| selects(&labels, &fields, &selectable, object)) as std::sync::Arc<_>
    });
    Ok(Predicate { namespace, name, indexed, matcher })
}

fn selects(labels: &LabelSelector, fields: &FieldSelector, selectable: &[String], object: &Object) -> bool {
    let value = |field: &str| match field {
        "metadata.name" => object.name(),
        "metadata.namespace" => object.namespace(),
        field => selectable.iter().position(|f| f == field).map_or("", |i| &object.fields()[i]),
    };
    (labels.is_everything() || labels.matches(object)) && fields.matches(value)
}

/// Refuses fields that the resource does not know, in upstream's words.
pub(crate) fn known_fields(scope: &RequestScope, fields: FieldSelector) -> Result<FieldSelector, Status> {
    let refused = fields.requirements().iter().find_map(|requirement| api::selectable::refusal(&scope.requested, &requirement.field));
    refused.map_or(Ok(fields), |why| Err(Status::bad_request(why)))
}
