//! Create, update and delete.

use apimachinery::codec::MediaType;
use apimachinery::options::{DeleteOptions, ListOptions, WriteOptions};
use apimachinery::query::Query;
use apimachinery::{Status, codec, object};
use async_trait::async_trait;
use parking_lot::Mutex;
use registry::{Change, Deleted, ListRequest, Registry, Written};
use serde_json::Value;

use super::conversion::ToRequested;
use super::request_scope::RequestScope;
use super::view::View;
use super::{decode, read};
use crate::request::Authorized;
use crate::response::{self, Response};

/// `POST` to a collection.
pub(crate) async fn create(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::create_from_query(&Query::parse(request.query()))?;
    let mut object = decode::object(scope, &request, &body, media_type, &options)?;
    check_namespace(scope, &mut object)?;
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("CreateOptions")));
    let object = decode::stored(scope, object).await?;
    let written = registry.create(&asked, object).await?;
    answer(&view, scope, &request, written).await
}

/// `PUT`.
pub(crate) async fn update(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let media_type = decode::media_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::update_from_query(&Query::parse(request.query()))?;
    decode::check_subresource(scope)?;
    let replacement = Replacement { scope, request: &request, body: &body, media_type, options: &options, decoded: Mutex::default() };
    *replacement.decoded.lock() = Some(replacement.decode()?);
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("UpdateOptions")));
    let create_allowed = api::kinds::strategy(&scope.resource).allow_create_on_update();
    let written = registry.update(&asked, &replacement, create_allowed).await?;
    answer(&view, scope, &request, written).await
}

/// The body of a `PUT` takes the place of what is stored.
struct Replacement<'a> {
    scope: &'a RequestScope,
    request: &'a Authorized,
    body: &'a [u8],
    media_type: MediaType,
    options: &'a WriteOptions,
    /// For the first try, which as a rule is the last; another one decodes the body again.
    decoded: Mutex<Option<Value>>,
}

impl Replacement<'_> {
    fn decode(&self) -> Result<Value, Status> {
        let mut object = decode::object(self.scope, self.request, self.body, self.media_type, self.options)?;
        check_namespace(self.scope, &mut object)?;
        check_name(self.scope, &mut object)?;
        Ok(object)
    }
}

#[async_trait]
impl Change for Replacement<'_> {
    async fn apply(&self, _: Option<&Value>) -> Result<Value, Status> {
        let decoded = self.decoded.lock().take();
        let object = decoded.map_or_else(|| self.decode(), Ok)?;
        decode::stored(self.scope, object).await
    }
}

/// `DELETE` of one object.
pub(crate) async fn delete(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let options = delete_options(&mut request).await?;
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json()));
    let deleted = registry.delete(&asked, &options).await?;
    // Upstream's sign to clients of the older field that the object is still there.
    let code = if !deleted.gone && options.orphan_dependents == Some(false) { 202 } else { 200 };
    let Deleted { json, status, .. } = deleted;
    Ok(match json {
        Some(json) => view.single(code, ToRequested::of(scope).json(json).await?),
        None => response::json(&view.output, code, &status.to_json()),
    })
}

/// `DELETE` of a collection.
pub(crate) async fn delete_collection(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
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
    let mut gone = registry.delete_collection(&asked, &list, &options).await?;
    let objects = ToRequested::of(scope).objects(std::mem::take(&mut gone.objects)).await?;
    Ok(view.list(200, &gone, &objects))
}

async fn delete_options(request: &mut Authorized) -> Result<DeleteOptions, Status> {
    let body = request.read_body().await?;
    if body.is_empty() {
        return DeleteOptions::from_query(&Query::parse(request.query()));
    }
    decode::delete_options(request, &body)
}

/// The answer to a write.
pub(crate) async fn answer(view: &View, scope: &RequestScope, request: &Authorized, written: Written) -> Result<Response, Status> {
    if request.info.subresource.is_empty()
        && let Some(warning) = view.unenforced(&written.json)
    {
        request.warn(&warning);
    }
    let code = if written.created { 201 } else { 200 };
    Ok(match written.object {
        // What is encoded for the answer is what watchers get.
        Some(object) => view.cached(code, &ToRequested::of(scope).object(object).await?),
        None => view.single(code, ToRequested::of(scope).json(written.json).await?),
    })
}

/// The namespace of the path is the object's; another one is refused. What lives in no namespace has none, whatever it says.
pub(crate) fn check_namespace(scope: &RequestScope, object: &mut Value) -> Result<(), Status> {
    let namespace = object::namespace(object);
    if !namespace.is_empty() && !scope.namespace.is_empty() && namespace != scope.namespace {
        return Err(codec::namespace_mismatch());
    }
    object::set_meta_str(object, "namespace", &scope.namespace);
    Ok(())
}

/// The name of the path is the object's; another one is refused.
pub(crate) fn check_name(scope: &RequestScope, object: &mut Value) -> Result<(), Status> {
    match object::name(object) {
        "" => {
            let name = &scope.name;
            Err(Status::bad_request(format!("the name of the object ({name} based on URL) was undeterminable: name must be provided")))
        }
        name if name != scope.name => Err(codec::name_mismatch(name, &scope.name)),
        _ => Ok(()),
    }
}
