//! Get and list.

use apimachinery::Status;
use apimachinery::options::{GetOptions, ListOptions, ResourceVersionMatch, parse_resource_version};
use apimachinery::query::Query;
use apimachinery::selector::{FieldSelector, LabelSelector};
use cacher::{Object, Predicate};
use registry::{ListRequest, ListRevision, Registry};

use super::decode;
use super::scope::{Scope, Target};
use super::view::View;
use crate::request::Authorized;
use crate::response::Response;

/// `GET` of one object.
pub(crate) async fn get(registry: &Registry, scope: &Scope, request: &Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, request)?;
    let options = GetOptions::from_query(&Query::parse(request.query()));
    let minimum = parse_resource_version(&options.resource_version).map_err(|error| decode::unclassified(500, error.to_string()))?;
    let object = registry.get(&scope.request(request, false, None), minimum).await?;
    Ok(view.cached(200, &object))
}

/// `GET` of a collection.
pub(crate) async fn list(registry: &Registry, scope: &Scope, request: &Authorized) -> Result<Response, Status> {
    let view = View::of_list(scope, request)?;
    let options = ListOptions::from_query(&Query::parse(request.query()))?;
    let list = list_request(scope, &options)?;
    let found = registry.list(&scope.request(request, false, None), &list).await?;
    Ok(view.list(200, &found))
}

/// What a collection's options ask for.
pub(crate) fn list_request(scope: &Scope, options: &ListOptions) -> Result<ListRequest, Status> {
    let predicate = predicate(scope, options)?;
    let version = parse_resource_version(&options.resource_version)
        .map_err(|error| Status::bad_request(format!("invalid resource version: {error}")))?;
    let revision = match (version, &options.resource_version_match) {
        (None, _) => ListRevision::MostRecent,
        (Some(version), Some(ResourceVersionMatch::Exact)) => ListRevision::Exact(version),
        // With a limit, a version without a match is exact, as it was before the match could be given.
        (Some(version), None) if version > 0 && options.limit > 0 => ListRevision::Exact(version),
        (Some(version), _) => ListRevision::NotOlderThan(version),
    };
    if version.is_some_and(|version| version > 0) && !options.continue_token.is_empty() {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(ListRequest {
        selective: !options.label_selector.is_everything() || !options.field_selector.is_everything(),
        predicate,
        limit: usize::try_from(options.limit).unwrap_or(0),
        continue_token: Some(options.continue_token.clone()).filter(|token| !token.is_empty()),
        revision,
    })
}

/// What is selected, after the resource has looked at the fields.
pub(crate) fn predicate(scope: &Scope, options: &ListOptions) -> Result<Predicate, Status> {
    let fields = known_fields(scope, options.field_selector.clone())?;
    let stored = |field: &str, value: &str| Ok((api::selectable::stored_field(field).into_owned(), value.to_owned()));
    let fields = fields.transform(stored).map_err(|error: std::convert::Infallible| match error {})?;
    let labels = options.label_selector.clone();
    let namespace = match scope.target {
        Target::AllNamespaces => fields.requires_exact_match("metadata.namespace").map(Box::from),
        _ if scope.resource.namespaced() => Some(scope.namespace.as_str().into()),
        _ => None,
    };
    let name = match scope.target {
        Target::Object => Some(scope.name.as_str().into()),
        _ => fields.requires_exact_match("metadata.name").map(Box::from),
    };
    let node = fields.requires_exact_match("spec.nodeName").filter(|node| !node.is_empty()).map(Box::from);
    let selective = !labels.is_everything() || !fields.is_everything();
    let selectable = &scope.resource.selectable_fields;
    let matcher = selective.then(|| {
        let selectable: Vec<String> = selectable.iter().map(|field| field.to_string()).collect();
        std::sync::Arc::new(move |object: &Object| selects(&labels, &fields, &selectable, object)) as std::sync::Arc<_>
    });
    Ok(Predicate { namespace, name, node, matcher })
}

fn selects(labels: &LabelSelector, fields: &FieldSelector, selectable: &[String], object: &Object) -> bool {
    let value = |field: &str| match field {
        "metadata.name" => object.name(),
        "metadata.namespace" => object.namespace(),
        field => selectable.iter().position(|f| f == field).map_or("", |i| &object.fields()[i]),
    };
    (labels.is_everything() || labels.matches(object.labels())) && fields.matches(value)
}

/// Refuses fields that the resource does not know, in upstream's words.
pub(crate) fn known_fields(scope: &Scope, fields: FieldSelector) -> Result<FieldSelector, Status> {
    let selectable = &scope.requested.selectable_fields;
    let unknown = fields
        .requirements()
        .iter()
        .map(|requirement| requirement.field.as_str())
        .find(|field| !matches!(*field, "metadata.name" | "metadata.namespace") && !selectable.iter().any(|known| known == field));
    match unknown {
        None => Ok(fields),
        Some(field) => Err(Status::bad_request(api::selectable::not_supported(scope.requested, field))),
    }
}
