//! A row of the table of kinds: all that the generic road needs to know of a resource. A custom resource becomes the
//! same row at run time.

use std::borrow::Cow;

use apimachinery::group_version::Text;
use apimachinery::schema::SchemaRef;
use apimachinery::{GroupVersionKind, GroupVersionResource};

use crate::convert::Conversion;
use crate::kinds;

/// Whether objects live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum ResourceScope {
    Namespaced,
    Cluster,
}

/// Verbs that a resource or subresource serves, as discovery lists them: sorted.
pub type Verbs = Cow<'static, [Text]>;

/// A resource in one version.
#[derive(Debug)]
pub struct Resource {
    /// `apps`, `v1`, `deployments`.
    pub gvr: GroupVersionResource,
    /// `apps`, `v1`, `Deployment`.
    pub gvk: GroupVersionKind,
    /// `deployment`.
    pub singular: Text,
    /// `deploy`.
    pub short_names: Cow<'static, [Text]>,
    /// `all`.
    pub categories: Cow<'static, [Text]>,
    /// Namespaced or not.
    pub scope: ResourceScope,
    /// Empty for reviews and other kinds that are only created and never stored.
    pub verbs: Verbs,
    /// `status`, `scale`, ….
    pub subresources: Cow<'static, [Subresource]>,
    /// The shape.
    pub schema: SchemaRef,
    /// The version that is stored: equal to `gvk` but for kinds served in several versions.
    pub storage_gvk: GroupVersionKind,
    /// Where objects lie under `/registry/`: `pods`, `services/specs`. Several versions of a resource share it, and so do
    /// resources that are two views of one (`events`). Empty where nothing is stored.
    pub storage_prefix: Text,
    /// Dotted paths that field selectors may name, besides `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Cow<'static, [Text]>,
    /// As discovery shows it; empty where nothing is stored.
    pub storage_version_hash: Text,
    /// What every answer about it warns of; empty where nothing.
    pub deprecation: Text,
    /// How objects get from one of its versions to another.
    pub conversion: Conversion,
}

/// A subresource.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// `status`.
    pub name: Text,
    /// The kind that it takes and gives: `Scale` of `autoscaling/v1`, or the parent's.
    pub gvk: GroupVersionKind,
    /// Verbs.
    pub verbs: Verbs,
}

impl Resource {
    /// Whether it serves the verb (`get`, `list`, …).
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Whether it, or its subresource, can be shown as a `Table`: what is stored or has cells of its own, `status` and `scale`. Reviews and
    /// what only acts cannot.
    pub fn has_table(&self, subresource: &str) -> bool {
        let kind = kinds::of(self);
        match subresource {
            "" => !self.storage_prefix.is_empty() || kind.has_cells(),
            "status" => !kind.status_without_table,
            subresource => subresource == "scale",
        }
    }

    /// Whether objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == ResourceScope::Namespaced
    }
}

/// A row by reference: static for a built-in kind, shared for one that came while the server runs.
#[derive(Clone, Debug)]
pub enum ResourceRef {
    /// A row of the generated table.
    Static(&'static Resource),
    /// Made from a CustomResourceDefinition.
    Shared(std::sync::Arc<Resource>),
}

impl std::ops::Deref for ResourceRef {
    type Target = Resource;

    fn deref(&self) -> &Resource {
        match self {
            Self::Static(resource) => resource,
            Self::Shared(resource) => resource,
        }
    }
}

impl ResourceRef {
    /// Whether both are the very same row.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&raw const **self, &raw const **other)
    }
}

impl From<&'static Resource> for ResourceRef {
    fn from(resource: &'static Resource) -> Self {
        Self::Static(resource)
    }
}
