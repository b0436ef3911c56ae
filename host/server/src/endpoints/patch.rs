//! Patch: JSON patch, merge patch and strategic merge patch over what is stored now.

use apimachinery::options::{FieldValidation, WriteOptions};
use apimachinery::patch::{self, PatchType, Target};
use apimachinery::query::Query;
use apimachinery::schema::SchemaRef;
use apimachinery::{GroupVersionKind, Status, StatusReason, status::StatusDetails};
use async_trait::async_trait;
use registry::{Change, Registry};
use serde_json::Value;

use super::request_scope::RequestScope;
use super::view::View;
use super::{decode, write};
use crate::request::Authorized;
use crate::response::Response;

/// `PATCH`.
pub(crate) async fn patch(registry: &Registry, scope: &RequestScope, mut request: Authorized) -> Result<Response, Status> {
    let view = View::of_object(scope, &request)?;
    let patch_type = patch_type(&request)?;
    let body = request.read_body().await?;
    let options = WriteOptions::patch_from_query(&Query::parse(request.query()), patch_type == PatchType::Apply)?;
    decode::check_subresource(scope)?;
    if patch_type == PatchType::Apply {
        return Err(decode::unserved("server-side apply"));
    }
    let kind = scope.kind();
    let schema = request.context().catalogue.schema_of(kind).ok_or_else(|| decode::not_served_yet(scope))?;
    let validation = options.field_validation_directive();
    let change = Patch { scope, request: &request, patch_type, body: &body, schema: &schema, validation };
    let asked = scope.request(&request, options.is_dry_run(), Some(options.to_json("PatchOptions")));
    let written = registry.update(&asked, &change, false).await?;
    write::answer(&view, scope, &request, written).await
}

/// A patch, to be applied to what is stored whenever it is tried.
struct Patch<'a> {
    scope: &'a RequestScope,
    request: &'a Authorized,
    patch_type: PatchType,
    body: &'a [u8],
    schema: &'a SchemaRef,
    validation: FieldValidation,
}

#[async_trait]
impl Change for Patch<'_> {
    async fn apply(&self, old: Option<&Value>) -> Result<Value, Status> {
        let scope = self.scope;
        let original = decode::requested(scope, old.cloned().ok_or_else(Status::path_not_found)?).await?;
        let mut object = self.patched(&original)?;
        decode::default(scope, &mut object);
        write::check_name(scope, &mut object)?;
        write::check_namespace(scope, &mut object)?;
        decode::stored(scope, object).await
    }
}

impl Patch<'_> {
    fn patched(&self, original: &Value) -> Result<Value, Status> {
        let catalogue = &self.request.context().catalogue;
        let kinds = |kind: &GroupVersionKind| catalogue.schema_of(kind);
        let target = Target { kind: self.scope.kind(), schema: self.schema, kinds: &kinds };
        let decoded = patch::apply(self.patch_type, original, self.body, target, self.validation)?;
        decoded.warnings().iter().for_each(|warning| self.request.warn(warning));
        Ok(decoded.value)
    }
}

/// What kind of patch the body is; 415 where it says none.
pub(crate) fn patch_type(request: &Authorized) -> Result<PatchType, Status> {
    PatchType::of(request.header("content-type").unwrap_or_default()).ok_or_else(|| {
        Status::failure(415, StatusReason::UnsupportedMediaType, "415: Unsupported Media Type").with_details(StatusDetails::default())
    })
}
