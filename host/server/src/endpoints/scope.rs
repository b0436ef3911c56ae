//! Which resource a path names, and what part of it.

use api::{Resource, Scope as ResourceScope, tables};
use apimachinery::{GroupVersionKind, Status};
use serde_json::Value;

use super::method_not_allowed;
use crate::request::Authorized;

/// What part of a resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Of one namespace, or of a cluster-scoped resource.
    Collection,
    /// A namespaced resource, of all namespaces.
    AllNamespaces,
    Object,
    Subresource,
}

/// A resource's request, before its options and body are read.
pub(crate) struct Scope {
    /// In the version asked for.
    pub(crate) requested: &'static Resource,
    /// In the version that is stored.
    pub(crate) resource: &'static Resource,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) now_seconds: i64,
}

impl Scope {
    /// Finds the resource; 404 where nothing is served there, 405 where the path is but the verb is not.
    pub(crate) fn of(request: &Authorized) -> Result<Self, Status> {
        let info = &request.info;
        let requested = tables::find(&info.api_group, &info.api_version, &info.resource).ok_or_else(Status::path_not_found)?;
        let target = target(request, requested)?;
        let verbs = match target {
            Target::Subresource => &requested.subresource(&info.subresource).ok_or_else(Status::path_not_found)?.verbs,
            _ => &requested.verbs,
        };
        if !verbs.iter().any(|verb| *verb == info.verb) {
            return Err(method_not_allowed());
        }
        // A namespace is its own namespace to authorization, but not to storage.
        let namespace = if requested.namespaced() { info.namespace.clone() } else { String::new() };
        Ok(Self {
            requested,
            resource: tables::stored(requested),
            subresource: info.subresource.clone(),
            namespace,
            name: info.name.clone(),
            target,
            now_seconds: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64),
        })
    }

    /// A kind that is only created and answered, never stored.
    pub(crate) fn is_review(&self) -> bool {
        self.requested.storage_prefix.is_empty() && matches!(&*self.requested.gvr.group, "authorization.k8s.io" | "authentication.k8s.io")
    }

    /// The kind of the body and of the answer.
    pub(crate) fn kind(&self) -> &'static GroupVersionKind {
        match self.target {
            Target::Subresource => self.requested.subresource(&self.subresource).map_or(&self.requested.gvk, |sub| &sub.gvk),
            _ => &self.requested.gvk,
        }
    }

    /// The version asked for is not the one that is stored.
    pub(crate) fn converts(&self) -> bool {
        self.requested.gvk != self.resource.gvk
    }

    /// A stored object in the version asked for.
    pub(crate) fn as_requested(&self, stored: Value) -> Value {
        if self.converts() { api::convert::convert(stored, &self.requested.gvk) } else { stored }
    }

    /// What the registry is told.
    pub(crate) fn request(&self, request: &Authorized, dry_run: bool, options: Option<Value>) -> registry::Request {
        registry::Request {
            resource: self.resource.into(),
            requested: self.requested.into(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            verb: request.info.verb.to_string(),
            user: request.user.clone(),
            dry_run,
            options: options.map(|options| options.to_string().into()),
            now_seconds: self.now_seconds,
            recorder: request.recorder.clone(),
        }
    }
}

fn target(request: &Authorized, resource: &Resource) -> Result<Target, Status> {
    let info = &request.info;
    let namespaced = resource.scope == ResourceScope::Namespaced;
    let in_namespace = !info.namespace.is_empty() && &*resource.storage_prefix != "namespaces";
    // A field selector may name an object, too: only the path's name counts here.
    let named = info.parts.len() > 1;
    if in_namespace != namespaced && (in_namespace || named) {
        return Err(Status::path_not_found());
    }
    // Trailing parts belong to proxies alone.
    if info.parts.len() > 3 && info.subresource != "proxy" {
        return Err(Status::path_not_found());
    }
    let post_to_object = info.verb == "create" && !info.name.is_empty() && info.subresource.is_empty();
    let without_name = matches!(&*info.verb, "update" | "patch" | "delete") && info.name.is_empty();
    if post_to_object || without_name {
        return Err(method_not_allowed());
    }
    Ok(match (info.subresource.is_empty(), !named) {
        (false, _) => Target::Subresource,
        (true, false) => Target::Object,
        (true, true) if namespaced && !in_namespace => Target::AllNamespaces,
        (true, true) => Target::Collection,
    })
}
