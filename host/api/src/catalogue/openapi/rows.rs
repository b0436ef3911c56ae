//! What paths are made of: the part of a resource's row that the documents show.

/// `group`, `version`, `kind`.
#[derive(Clone, PartialEq, Eq)]
pub struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// A resource.
pub struct Row {
    pub plural: String,
    pub gvk: Gvk,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// A deletion is documented to answer with the object, and not with a `Status`.
    pub answers_deletion: bool,
    /// Whether objects are written as protobuf, too.
    pub has_messages: bool,
}

/// A subresource.
#[derive(Clone)]
pub struct Subresource {
    pub name: String,
    pub gvk: Gvk,
    pub verbs: Vec<String>,
}
