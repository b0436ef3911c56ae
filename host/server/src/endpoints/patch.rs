//! Patch: JSON patch, merge patch and strategic merge patch over what is stored now.

use api::tables;
use apimachinery::options::WriteOptions;
use apimachinery::patch::{self, PatchType, Target};
use apimachinery::query::Query;
use apimachinery::{Status, StatusReason, status::StatusDetails};
use registry::Registry;
use serde_json::Value;

use super::scope::Scope;
use super::view::View;
use super::{decode, write};
use crate::request::Authorized;
use crate::response::Response;

/// `PATCH`.
pub(crate) async fn patch(registry: &Registry, scope: &Scope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let patch_type = patch_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::patch_from_query(&Query::parse(request.query()), patch_type == PatchType::Apply)?;
    decode::check_subresource(scope)?;
    if patch_type == PatchType::Apply {
        return Err(decode::unserved("server-side apply"));
    }
    let kind = scope.kind();
    let schema = tables::schema_of(kind).ok_or_else(|| decode::not_served_yet(scope))?;
    let validation = options.field_validation_directive();
    let change = |old: Option<&Value>| {
        let original = old.map(|old| scope.as_requested(old.clone())).ok_or_else(Status::path_not_found)?;
        let target = Target { kind, schema: &schema, kinds: &tables::schema_of };
        let decoded = patch::apply(patch_type, &original, &body, target, validation)?;
        decoded.warnings().iter().for_each(|warning| request.warn(warning));
        let mut object = decoded.value;
        decode::default(scope, &mut object);
        write::check_name(scope, &mut object)?;
        write::check_namespace(scope, &mut object)?;
        Ok(decode::stored(scope, object))
    };
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("PatchOptions")));
    let written = registry.update(&asked, &change, false).await?;
    Ok(write::answer(&view, &request, written))
}

/// What kind of patch the body is; 415 where it says none.
pub(crate) fn patch_type(request: &Authorized) -> Result<PatchType, Status> {
    PatchType::of(request.header("content-type").unwrap_or_default()).ok_or_else(|| {
        Status::failure(415, StatusReason::UnsupportedMediaType, "415: Unsupported Media Type").with_details(StatusDetails::default())
    })
}
