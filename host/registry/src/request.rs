//! What the registry is told of a request, and what it answers to a write.

use std::sync::Arc;

use admission::{Attributes, ObjectInterfaces, Operation, RequestContext, ResourceKind};
use api::convert::Conversion;
use api::kinds::retype;
use api::strategy::{Context, Strategy};
use api::{Resource, ResourceRef};
use apimachinery::schema::SchemaRef;
use apimachinery::{GroupResource, GroupVersionKind, Status};
use bytes::Bytes;
use cacher::Object;
use serde_json::Value;

use crate::meta;

/// A request, decoded. Constructed by the endpoints from what was authorized.
#[derive(Clone)]
pub struct Request {
    /// The resource in the version that is stored.
    pub resource: ResourceRef,
    /// The resource in the version asked for: differs from `resource` for kinds served in several versions.
    pub requested: ResourceRef,
    /// `status`; empty for the resource itself.
    pub subresource: String,
    /// Empty for cluster-scoped resources and all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// Upstream's verb: `create`, `update`, ….
    pub verb: String,
    /// Do everything but store it.
    pub dry_run: bool,
    /// The options as JSON, as admission sees them.
    pub options: Option<Bytes>,
    /// Who, when, and by whose decisions.
    pub context: Arc<RequestContext>,
}

impl Request {
    /// The resource as messages name it.
    pub fn group_resource(&self) -> GroupResource {
        self.requested.gvr.group_resource()
    }

    /// The key of the object that the path names, below the resource's prefix.
    pub fn key(&self) -> String {
        self.key_of(&self.name)
    }

    pub(crate) fn key_of(&self, name: &str) -> String {
        if self.resource.namespaced() { format!("{}/{name}", self.namespace) } else { name.to_owned() }
    }

    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(&self.group_resource(), &self.name)
    }

    /// What admission is told.
    pub(crate) fn attributes(&self, operation: Operation) -> Attributes {
        Attributes {
            operation,
            kind: self.kind().clone(),
            resource: self.requested.gvr.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            dry_run: self.dry_run,
            options: self.options.clone(),
            context: self.context.clone(),
        }
    }

    /// Fills in what only the request knows.
    pub(crate) fn stamp(&self, strategy: &dyn Strategy, object: &mut Value, old: Option<&Value>) {
        let now = meta::timestamp(self.context.now_seconds());
        let user = &*self.context.user;
        let extra: Vec<_> = user.extra.iter().map(|(name, values)| (name.clone(), values.clone())).collect();
        let context = Context {
            now: &now,
            subresource: Some(self.subresource.as_str()).filter(|subresource| !subresource.is_empty()),
            username: &user.name,
            uid: &user.uid,
            groups: &user.groups,
            extra: &extra,
        };
        strategy.stamp(&self.resource, object, old, &context);
    }

    /// Warns the client.
    pub(crate) fn warn(&self, warnings: impl IntoIterator<Item = String>) {
        warnings.into_iter().for_each(|warning| self.context.recorder.warnings.add(&warning));
    }

    fn kind(&self) -> &GroupVersionKind {
        self.requested.subresource(&self.subresource).map_or(&self.requested.gvk, |sub| &sub.gvk)
    }
}

impl ObjectInterfaces for Request {
    /// An object of the resource is held in the version that is stored; what has a kind of its own (`Scale`, `Eviction`) as it is.
    fn held(&self) -> &GroupVersionKind {
        let kind = self.kind();
        if *kind == self.requested.gvk { &self.resource.gvk } else { kind }
    }

    fn equivalents(&self) -> Vec<ResourceKind> {
        let shown = |resource: &Resource| {
            let kind = match self.subresource.as_str() {
                "" => &resource.gvk,
                subresource => &resource.subresource(subresource)?.gvk,
            };
            Some(ResourceKind { resource: resource.gvr.clone(), kind: kind.clone() })
        };
        let all = self.context.catalogue.sharing(&self.requested.storage_prefix).iter();
        // Versions that somebody else converts to would have to be waited for here.
        let at_once = |resource: &&ResourceRef| matches!(resource.conversion, Conversion::BuiltIn);
        all.filter(|resource| resource.gvr != self.requested.gvr).filter(at_once).filter_map(|resource| shown(resource)).collect()
    }

    /// What cannot be converted is shown as null: no plugin can decide about that, and its failure policy says what becomes of the request.
    fn convert(&self, object: &Value, to: &GroupVersionKind) -> Value {
        api::convert::convert(object.clone(), to).unwrap_or_else(|error| {
            tracing::error!(%error, "an object cannot be shown to a plugin");
            Value::Null
        })
    }

    fn retype(&self, kind: &GroupVersionKind, object: &mut Value, touched: &[Vec<String>]) -> Result<(), String> {
        let sharing = self.context.catalogue.sharing(&self.requested.storage_prefix);
        let mut rows = [&self.requested, &self.resource].into_iter().chain(sharing);
        if let Some(resource) = rows.find(|resource| resource.gvk == *kind) {
            return retype::object(resource, object, touched);
        }
        let schema = self.context.catalogue.schema_of(kind).or_else(|| api::connect::schema_of(kind).map(SchemaRef::Static));
        retype::typed(&*schema.ok_or_else(|| format!("there is no schema of {kind}"))?, object, touched)
    }
}

/// What a write answers.
#[derive(Debug)]
pub struct Written {
    /// The object's bytes, in the version that is stored, with its resource version.
    pub json: Bytes,
    /// The same as the cache has it; none where nothing was stored.
    pub object: Option<Arc<Object>>,
    /// It was not there before.
    pub created: bool,
}
