//! What a request is about, as handlers and the registry are told of it.

use api::ResourceRef;
use api::kinds::action::Action;
use api::kinds::strategy;
use apimachinery::GroupVersionKind;
use serde_json::Value;

use super::route::{NoRoute, Route, Target};
use crate::request::Authorized;

/// A resource's request, before its options and body are read.
pub(crate) struct RequestScope {
    /// In the version asked for.
    pub(crate) requested: ResourceRef,
    /// In the version that is stored.
    pub(crate) resource: ResourceRef,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) target: Target,
}

impl RequestScope {
    /// Follows the route of what was authorized. Whatever is read or written later is named by this alone.
    pub(crate) fn of(request: &Authorized) -> Result<Self, NoRoute> {
        let info = &request.info;
        let catalogue = &request.context().catalogue;
        let Route { resource: requested, target, .. } = Route::of(catalogue, info, &request.method)?;
        // A namespace is its own namespace to authorization, but not to storage.
        let namespace = if requested.namespaced() { info.namespace.clone() } else { String::new() };
        Ok(Self {
            requested: requested.clone(),
            resource: catalogue.stored(requested).clone(),
            subresource: info.subresource.clone(),
            namespace,
            name: info.name.clone(),
            target,
        })
    }

    /// What answers the request, where it is not the store.
    pub(crate) fn action(&self) -> Option<Action> {
        let subresource = if self.target == Target::Subresource { self.subresource.as_str() } else { "" };
        strategy(&self.requested).action(subresource)
    }

    /// The kind of the body and of the answer.
    pub(crate) fn kind(&self) -> &GroupVersionKind {
        match self.target {
            Target::Subresource => self.requested.subresource(&self.subresource).map_or(&self.requested.gvk, |sub| &sub.gvk),
            _ => &self.requested.gvk,
        }
    }

    /// The version asked for is not the one that is stored.
    pub(crate) fn converts(&self) -> bool {
        self.requested.gvk != self.resource.gvk
    }

    /// What the registry is told.
    pub(crate) fn request(&self, request: &Authorized, dry_run: bool, options: Option<Value>) -> registry::Request {
        registry::Request {
            resource: self.resource.clone(),
            requested: self.requested.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            verb: request.info.verb.to_string(),
            dry_run,
            options: options.map(|options| options.to_string().into()),
            context: request.context().clone(),
        }
    }
}
