//! Whether an object is admitted: the nouns, the trait, and the chain over it.

pub mod chain;
mod charge;
mod context;
mod fixed;
mod version;

use std::sync::Arc;

use apimachinery::{GroupVersionKind, GroupVersionResource, Status};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

pub use auth::{AuditAnnotations, Recorder, Warnings};
pub use charge::{Amounts, ChargedObject, Charges};
pub use context::{ChainSource, DecidingChain, RequestContext};
pub use fixed::{EmptyChain, FixedChain};
pub use version::{ObjectView, Version};

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "upstream's words")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// `CREATE`, as in an AdmissionReview.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// What a plugin is told of a request, but for the objects.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// What.
    pub operation: Operation,
    /// The kind that the request sends, in the version that it is sent in.
    pub kind: GroupVersionKind,
    /// Where it sends it.
    pub resource: GroupVersionResource,
    /// `status`; empty for the resource itself.
    pub subresource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty on a create with `generateName`.
    pub name: String,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// `CreateOptions`, `UpdateOptions`, `PatchOptions` or `DeleteOptions`, as JSON.
    pub options: Option<Bytes>,
    /// The request that it is a part of: who sent it, whom else to ask about it, where warnings go.
    pub context: Arc<RequestContext>,
}

/// A resource in one version, and the kind of what is sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "nouns")]
pub struct ResourceKind {
    pub resource: GroupVersionResource,
    pub kind: GroupVersionKind,
}

/// What admission must know of a request's kinds; upstream's `ObjectInterfaces`.
pub trait ObjectInterfaces: Send + Sync {
    /// The kind that the request's objects have on the way through the server.
    fn held(&self) -> &GroupVersionKind;

    /// The other resources through which the same objects are served, with the same subresource, in the order of discovery.
    fn equivalents(&self) -> Vec<ResourceKind>;

    /// A copy of an object, as another of these kinds has it.
    fn convert(&self, object: &Value, to: &GroupVersionKind) -> Value;

    /// Makes an object of this kind again what a patch left of one: typed, without unknown fields, with defaults. `touched` are the places
    /// that the patch changed, each as the keys on the way there. The error says why it is none.
    fn retype(&self, kind: &GroupVersionKind, object: &mut Value, touched: &[Vec<String>]) -> Result<(), String>;
}

/// The object of a request and the one it replaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objects<'a> {
    /// As it would be stored; none on delete.
    pub object: Option<&'a Value>,
    /// As it is stored; none on create.
    pub old: Option<&'a Value>,
}

/// The admission chain, as the registry sees it. Objects are typed and defaulted, of the kind [`ObjectInterfaces::held`], and stay so.
#[async_trait]
pub trait Admission: Send + Sync {
    /// Runs the mutating plugins in order, and those that ask for it again where a later one changed the object.
    async fn mutate(
        &self,
        attributes: &Attributes,
        interfaces: &dyn ObjectInterfaces,
        object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), Status>;

    /// Runs the validating plugins; the first refusal is the answer. What an admitted request takes of objects that limit it is to be
    /// committed with the object.
    async fn validate(&self, attributes: &Attributes, interfaces: &dyn ObjectInterfaces, objects: Objects<'_>) -> Result<Charges, Status>;
}
