//! Create, update and delete.

use apimachinery::options::{DeleteOptions, ListOptions, WriteOptions};
use apimachinery::query::Query;
use apimachinery::{Status, codec, object};
use registry::{Deleted, ListRequest, Registry, Written};
use serde_json::Value;

use super::scope::Scope;
use super::view::View;
use super::{decode, read};
use crate::request::Authorized;
use crate::response::{self, Response};

/// `POST` to a collection.
pub(crate) async fn create(registry: &Registry, scope: &Scope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::create_from_query(&Query::parse(request.query()))?;
    let mut object = decode::object(scope, &request, &body, media_type, &options)?;
    check_namespace(scope, &mut object)?;
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("CreateOptions")));
    let object = decode::stored(scope, object);
    let written = registry.create(&asked, object).await?;
    Ok(answer(&view, &request, written))
}

/// `PUT`.
pub(crate) async fn update(registry: &Registry, scope: &Scope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::update_from_query(&Query::parse(request.query()))?;
    decode::check_subresource(scope)?;
    let mut object = decode::object(scope, &request, &body, media_type, &options)?;
    check_namespace(scope, &mut object)?;
    check_name(scope, &mut object)?;
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("UpdateOptions")));
    let object = decode::stored(scope, object);
    let create_allowed = api::kinds::strategy(scope.resource).allow_create_on_update();
    let written = registry.update(&asked, &|_: Option<&Value>| Ok(object.clone()), create_allowed).await?;
    Ok(answer(&view, &request, written))
}

/// `DELETE` of one object.
pub(crate) async fn delete(registry: &Registry, scope: &Scope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let options = delete_options(&mut request).await?;
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json()));
    let deleted = registry.delete(&asked, &options).await?;
    // Upstream's sign to clients of the older field that the object is still there.
    let code = if !deleted.gone && options.orphan_dependents == Some(false) { 202 } else { 200 };
    let Deleted { json, status, .. } = deleted;
    Ok(match json {
        Some(json) => view.single(code, json),
        None => response::json(&view.output, code, &status.to_json()),
    })
}

/// `DELETE` of a collection.
pub(crate) async fn delete_collection(registry: &Registry, scope: &Scope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_list(scope, &request)?;
    let query = Query::parse(request.query());
    let mut list_options = ListOptions::from_query(&query)?;
    let predicate = read::predicate(scope, &list_options)?;
    let options = delete_options(&mut request).await?;
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json()));
    if list_options.limit == 0 {
        // Upstream goes through the collection by pages, which makes a version that is given an exact one.
        list_options.limit = i64::MAX;
    }
    let list = ListRequest::asked(&asked, &list_options, predicate)?;
    let gone = registry.delete_collection(&asked, &list, &options).await?;
    Ok(view.list(200, &gone))
}

async fn delete_options(request: &mut Authorized) -> Result<DeleteOptions, Status> {
    let body = request.read_body().await?;
    if body.is_empty() {
        return DeleteOptions::from_query(&Query::parse(request.query()));
    }
    decode::delete_options(request, &body)
}

/// The answer to a write.
pub(crate) fn answer(view: &View, request: &Authorized, written: Written) -> Response {
    if request.info.subresource.is_empty()
        && let Some(warning) = view.unenforced(&written.json)
    {
        request.warn(&warning);
    }
    view.single(if written.created { 201 } else { 200 }, written.json)
}

/// The namespace of the path is the object's; another one is refused. What lives in no namespace has none, whatever it says.
pub(crate) fn check_namespace(scope: &Scope, object: &mut Value) -> Result<(), Status> {
    let namespace = object::namespace(object);
    if !namespace.is_empty() && !scope.namespace.is_empty() && namespace != scope.namespace {
        return Err(codec::namespace_mismatch());
    }
    object::set_meta_str(object, "namespace", &scope.namespace);
    Ok(())
}

/// The name of the path is the object's; another one is refused.
pub(crate) fn check_name(scope: &Scope, object: &mut Value) -> Result<(), Status> {
    match object::name(object) {
        "" => {
            let name = &scope.name;
            Err(Status::bad_request(format!("the name of the object ({name} based on URL) was undeterminable: name must be provided")))
        }
        name if name != scope.name => Err(codec::name_mismatch(name, &scope.name)),
        _ => Ok(()),
    }
}
