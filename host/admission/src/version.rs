//! A request in the versions in which plugins ask for it; upstream's `VersionedAttributes`.
//!
//! An object is converted when a plugin first looks at it, and serialised when one first asks for its bytes: most do neither.

use std::sync::OnceLock;

use apimachinery::{GroupVersionKind, GroupVersionResource};
use bytes::Bytes;
use serde_json::Value;

use crate::{Attributes, ObjectInterfaces, ResourceKind};

/// An object on loan to the plugins of a chain, in one version.
pub struct ObjectView<'a> {
    held: &'a Value,
    /// The kind to show it as, where it is not the one that it has.
    shown: Option<(&'a dyn ObjectInterfaces, &'a GroupVersionKind)>,
    converted: OnceLock<Value>,
    bytes: OnceLock<Bytes>,
}

impl<'a> ObjectView<'a> {
    /// Lends an object as it is.
    pub fn new(held: &'a Value) -> Self {
        Self { held, shown: None, converted: OnceLock::new(), bytes: OnceLock::new() }
    }

    /// The object.
    pub fn value(&self) -> &Value {
        match self.shown {
            None => self.held,
            Some((interfaces, kind)) => self.converted.get_or_init(|| interfaces.convert(self.held, kind)),
        }
    }

    /// The object as JSON.
    pub fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| serde_json::to_vec(self.value()).expect("a Value has string keys only").into())
    }
}

/// A request in one version.
#[derive(Clone, Copy)]
pub struct Version<'a> {
    /// The kind of the objects.
    pub kind: &'a GroupVersionKind,
    /// Through which resource they would be seen so.
    pub resource: &'a GroupVersionResource,
    /// As it would be stored; none on delete.
    pub object: Option<&'a ObjectView<'a>>,
    /// As it is stored; none on create.
    pub old: Option<&'a ObjectView<'a>>,
}

/// The versions of a request: the requested one, then its equivalents.
pub(crate) struct Versions<'a> {
    all: Vec<ResourceKind>,
    pub(crate) interfaces: &'a dyn ObjectInterfaces,
}

impl<'a> Versions<'a> {
    pub(crate) fn of(attributes: &Attributes, interfaces: &'a dyn ObjectInterfaces) -> Self {
        let mut all = vec![ResourceKind { resource: attributes.resource.clone(), kind: attributes.kind.clone() }];
        all.extend(interfaces.equivalents());
        Self { all, interfaces }
    }

    /// An object in each version.
    pub(crate) fn views<'b>(&'b self, held: &'b Value) -> Vec<ObjectView<'b>> {
        let shown = |kind| (kind != self.interfaces.held()).then_some((self.interfaces, kind));
        self.all.iter().map(|version| ObjectView { shown: shown(&version.kind), ..ObjectView::new(held) }).collect()
    }

    /// The request in each version.
    pub(crate) fn list<'b>(&'b self, object: Option<&'b [ObjectView<'b>]>, old: Option<&'b [ObjectView<'b>]>) -> Vec<Version<'b>> {
        let all = self.all.iter().enumerate();
        all.map(|(index, ResourceKind { resource, kind })| Version {
            kind,
            resource,
            object: object.map(|views| &views[index]),
            old: old.map(|views| &views[index]),
        })
        .collect()
    }

    pub(crate) fn kind(&self, index: usize) -> &GroupVersionKind {
        &self.all[index].kind
    }
}
